//! Messages to the broker.
//!
//! In: [`Envelope`](crate::outbox::Envelope)s of the outbox and the retained state on the [`Board`]. Out: acknowledged
//! messages; a row of the outbox is deleted when the broker has acknowledged it, and only then. Owns nothing on disk. Each
//! connection is a new client with an empty memory, so that nothing is taken for sent that is not.

mod board;
mod connection;
mod publisher;
mod session;
mod settings;
mod signal;

pub(crate) use board::Board;
pub(crate) use publisher::{Berth, Dock, LinkState, Presence, Publisher, TurnedAway, Witness};
pub(crate) use settings::{Settings, Tls};
pub(crate) use signal::{Heard, Version};

use crate::outbox::Message;
use session::Session;
use signal::{SessionError, Signal, Verdict};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Connects and says which version of MQTT the broker speaks.
pub(crate) async fn probe(settings: &Settings) -> Result<Version, SessionError> {
    let (mut session, version) = connect(settings, "doctor").await?;
    session.disconnect(Duration::from_secs(2)).await;
    Ok(version)
}

/// Subscribes to `filter` and hands every message over until `on_message` returns false.
pub(crate) async fn watch(
    settings: &Settings,
    filter: &str,
    mut on_message: impl FnMut(&str, &[u8]) -> bool,
) -> Result<(), SessionError> {
    let (mut session, _) = connect(settings, "watch").await?;
    session.subscribe(filter).await?;
    loop {
        if let Signal::Message(Heard { topic, payload, .. }) = session.next().await?
            && !on_message(&topic, &payload)
        {
            session.disconnect(Duration::from_secs(2)).await;
            return Ok(());
        }
    }
}

/// How a question over the broker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Enough was heard.
    Answered,
    /// Nothing was heard.
    Silence,
    /// Something was heard, and then no more for as long as one is ready to wait.
    Unfinished,
}

/// How long to wait for answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// For the first.
    pub(crate) first: Duration,
    /// For all of them.
    pub(crate) all: Duration,
}

/// Subscribes to `filter`, sends a message, and hands over what comes until `on_message` returns false.
pub(crate) async fn ask(
    settings: &Settings,
    filter: &str,
    message: Message,
    patience: Patience,
    mut on_message: impl FnMut(&Heard) -> bool,
) -> Result<Asked, SessionError> {
    let (mut session, _) = connect(settings, "send").await?;
    session.subscribe(filter).await?;
    session.publish(message).await?;
    let began = Instant::now();
    let mut until = began + patience.first;
    let mut asked = Asked::Silence;
    loop {
        match timeout_at(until, session.next()).await {
            Err(_elapsed) => break,
            Ok(signal) => match signal? {
                Signal::Answered(_, Verdict::Refused(reason)) => {
                    return Err(SessionError::Lost { reason: format!("the broker refuses the request: {reason}") });
                }
                Signal::Message(heard) => {
                    (asked, until) = (Asked::Unfinished, began + patience.all);
                    if !on_message(&heard) {
                        asked = Asked::Answered;
                        break;
                    }
                }
                Signal::Answered(_, Verdict::Taken | Verdict::Nobody)
                | Signal::Connected(_)
                | Signal::Sent(_)
                | Signal::Denied
                | Signal::Subscribed => {}
            },
        }
    }
    session.disconnect(Duration::from_secs(2)).await;
    Ok(asked)
}

/// Connects once with each version that the settings allow; the first that works counts.
async fn connect(settings: &Settings, purpose: &str) -> Result<(Session, Version), SessionError> {
    // Several may run beside the daemon: a client id of its own each, or they would throw each other out.
    let name = format!("ctedge-{}-{purpose}-{}", settings.device, std::process::id());
    let mut last = None;
    for version in settings.versions() {
        let mut session = Session::open(settings, version, &name, None)?;
        match session.connected().await {
            Ok(_) => return Ok((session, version)),
            Err(error) => last = last.or(Some(error)),
        }
    }
    Err(last.unwrap_or(SessionError::Timeout))
}
