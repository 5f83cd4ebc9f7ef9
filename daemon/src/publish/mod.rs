//! Messages to the broker.
//!
//! In: [`Envelope`](crate::outbox::Envelope)s of the outbox and the retained state on the [`Board`]. Out: acknowledged
//! messages; a row of the outbox is deleted when the broker has acknowledged it, and only then. Owns nothing on disk. Each
//! connection is a new client with an empty memory, so that nothing is taken for sent that is not.

mod board;
mod link;
mod publisher;
mod session;
mod settings;

pub(crate) use board::Board;
pub(crate) use publisher::{LinkState, Presence, Publisher, TurnedAway, Witness};
pub(crate) use session::Version;
pub(crate) use settings::{Settings, Tls};

use session::{Session, SessionError, Signal};
use std::time::Duration;

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
        if let Signal::Message { topic, payload } = session.next().await?
            && !on_message(&topic, &payload)
        {
            session.disconnect(Duration::from_secs(2)).await;
            return Ok(());
        }
    }
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
