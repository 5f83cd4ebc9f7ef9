//! The main thread's work: the broker, signals, state messages, the service manager, and the questions of whoever watches.

use super::vitals::Vitals;
use super::{GRACE, House, PipelineError, evidence};
use crate::message::State;
use crate::publish::{Presence, Publisher};
use crate::web::{self, Asked};
use sd_notify::NotifyState;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{error, info};

/// How often health and counters are looked at.
const PULSE: Duration = Duration::from_secs(2);
/// The watchdog's interval where the service manager asks for none; then nobody hears the pings.
const NO_WATCHDOG: Duration = Duration::from_mins(1);
/// Questions of watchers that wait for the main thread.
const QUESTIONS: usize = 16;

impl House {
    /// Attends until the daemon is told to stop.
    pub(super) async fn attend(&self) -> Result<(), PipelineError> {
        tokio::select! {
            attended = self.attend_to_all_else() => attended,
            never = self.mention_numbers() => match never {},
        }
    }

    async fn attend_to_all_else(&self) -> Result<(), PipelineError> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut stopping = self.stopping.subscribe();
        let publisher = tokio::spawn(self.publisher().run(self.stopping.subscribe()));
        let mut asked = self.open_window();
        if self.config.mqtt.schemas {
            self.writer.schemas().into_iter().for_each(|schema| self.board.post(schema));
        }
        notify(&[NotifyState::Ready]);
        info!(device = self.config.mqtt.device, "ctedge is running");
        let (mut vitals, mut told) = (Vitals::default(), Told::default());
        let mut pulse = interval(PULSE);
        // Twice as often as the service manager wants to hear it, as its manual says.
        let mut watchdog = interval(sd_notify::watchdog_enabled().unwrap_or(NO_WATCHDOG).max(SHORTEST) / 2);
        watchdog.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = stopping.changed() => break,
                _ = pulse.tick() => {
                    vitals.post(self);
                    told.status(self.status_line());
                }
                _ = watchdog.tick() => told.ping(self.beats.stuck()),
                Some(Asked { question, answer }) = asked.recv() => {
                    // Whoever asked may have gone.
                    answer.send(self.answer(question)).ok();
                }
            }
        }
        info!("stopping");
        notify(&[NotifyState::Stopping]);
        self.tell_to_stop();
        self.withdraw();
        drop(timeout(GRACE, publisher).await);
        Ok(())
    }

    /// Mentions the numbers of the device every so many seconds, for ever, if that is asked for.
    async fn mention_numbers(&self) -> Infallible {
        let period_s = u64::from(self.config.mqtt.metrics_s);
        if period_s == 0 {
            return std::future::pending().await;
        }
        let mut period = interval(Duration::from_secs(period_s));
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            if let Some(brief) = self.brief() {
                self.board.mention(self.writer.metrics(&brief));
            }
        }
    }

    fn publisher(&self) -> Publisher {
        let writer = self.writer.clone();
        let status = move |presence, session| {
            let state = match presence {
                Presence::Online => State::Online,
                Presence::Stopping => State::Stopping,
                Presence::Offline => State::Offline,
            };
            writer.status(state, session)
        };
        Publisher {
            settings: self.config.mqtt.clone(),
            store: Arc::clone(&self.store),
            board: Arc::clone(&self.board),
            state: Arc::clone(&self.link),
            status: Box::new(status),
            delivery: self.config.outbox.clone(),
            receipts: self.writer.receipts(),
            requests: self.writer.requests(),
            hear: Box::new({
                let commands = Arc::clone(&self.commands);
                move |heard| commands.hear(heard)
            }),
            delivered: Box::new(evidence::delivered),
            turned_away: evidence::turned_away(&self.alarms),
            berth: self.config.update.mqtt.then(|| self.berth()),
        }
    }

    /// Starts to answer whoever watches, if that is asked for.
    fn open_window(&self) -> mpsc::Receiver<Asked> {
        let (questions, asked) = mpsc::channel(QUESTIONS);
        if let Some(listen) = self.config.web.listen.address() {
            tokio::spawn(web::run(listen, Arc::clone(&self.window), questions, self.stopping.subscribe()));
        }
        asked
    }
}

/// A shorter watchdog would be pinged without a pause.
const SHORTEST: Duration = Duration::from_millis(20);

/// What the service manager has been told.
#[derive(Debug, Default)]
struct Told {
    status: String,
    stuck: Option<&'static str>,
}

impl Told {
    /// One line for `systemctl status`, when it has changed.
    fn status(&mut self, line: String) {
        if self.status != line {
            notify(&[NotifyState::Status(&line)]);
            self.status = line;
        }
    }

    /// A sign of life, unless a room is stuck.
    fn ping(&mut self, stuck: Option<&'static str>) {
        match stuck {
            None => notify(&[NotifyState::Watchdog]),
            Some(room) if self.stuck != stuck => error!(room, "a room makes no progress; the watchdog is not told"),
            Some(_still) => {}
        }
        self.stuck = stuck;
    }
}

/// Not under systemd there is nobody to tell.
fn notify(state: &[NotifyState<'_>]) {
    drop(sd_notify::notify(state));
}
