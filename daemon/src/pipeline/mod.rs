//! The only file that joins the rooms: their threads, the channels between them, signals, and what happens at the end.
//!
//! `intake`, `series`, `choice`, `volume` and `infer` are named threads joined by bounded channels, and `receive`, where it
//! is asked for, is one that only the drop folder joins to them; the main thread runs a single-threaded runtime for the
//! broker, signals and the state messages. A room that ends by itself stops the daemon: systemd starts it again, and disk is
//! the truth.

mod attend;
mod berth;
mod choose;
mod evidence;
mod finish;
mod obey;
mod overload;
mod rebuild;
mod update;
mod vitals;
mod watch;
mod work;

pub(crate) use evidence::{Heard, Ran, diag};
pub(crate) use update::bundle_of;
pub(crate) use watch::of_ledger;
pub(crate) use work::drafted;

use crate::choice;
use crate::config::Config;
use crate::evidence::{Alarm, Alarms, Event};
use crate::floor::clock::Stopwatch;
use crate::floor::disk::{Ballast, Disk, Place};
use crate::floor::phi::SiteKey;
use crate::floor::store::{SharedStore, StoreError};
use crate::floor::{clock, durable, limits};
use crate::infer::Ladder;
use crate::intake::{self, IntakeError, Spool, Stuck};
use crate::message::{SlotState, StepKind, TopicError, Topics, Writer};
use crate::outbox;
use crate::publish::{Board, LinkState};
use crate::receive::{self, Door, Doorway, Order};
use crate::series;
use crate::series::ledger::Step;
use crate::update::transfer::Landing;
use crate::volume::{self, HeaderReader};
use crate::web::Window;
use obey::{Commands, Doors};
use overload::{Deleted, Heat, Shortage};
use rebuild::ledger;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, Scope};
use std::time::Duration;
use tokio::sync::watch::Sender;
use tracing::{error, warn};
use vitals::ModelState;
use watch::{Beats, Tally};
use work::{PutOff, UnderWay, Workshop, kept};

/// Why the daemon could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PipelineError {
    /// A folder could not be made.
    #[error("the folder {path}: {source}")]
    Folder {
        /// Which (a configured path).
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The site key could not be read or made.
    #[error("the site key {path}: {source}")]
    SiteKey {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The spool could not be opened.
    #[error(transparent)]
    Spool(#[from] IntakeError),
    /// The database could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The device's name is no part of a topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The operating system gives no runtime, thread or signal.
    #[error("the operating system: {0}")]
    System(#[from] io::Error),
    /// A room ended by itself; the log says why.
    #[error("the room {room} has ended")]
    RoomEnded {
        /// Which.
        room: &'static str,
    },
}

/// What all threads share.
struct House {
    config: Config,
    config_digest: String,
    site: SiteKey,
    spool: Spool,
    store: SharedStore,
    disk: Disk,
    ballast: Ballast,
    deleted: Deleted,
    heat: Heat,
    shortage: Shortage,
    writer: Writer,
    board: Arc<Board>,
    commands: Arc<Commands>,
    model: Mutex<ModelState>,
    link: Arc<Mutex<LinkState>>,
    landing: Arc<Landing>,
    door: Mutex<Door>,
    stuck: Mutex<Stuck>,
    window: Arc<Mutex<Window>>,
    tally: Mutex<Tally>,
    alarms: Arc<Mutex<Alarms>>,
    slots_told: Mutex<Vec<SlotState>>,
    residue: AtomicBool,
    beats: Beats,
    put_off: PutOff,
    under_way: UnderWay,
    ladder: Mutex<Ladder>,
    workshop: Workshop,
    isolation: Result<(), String>,
    stop: AtomicBool,
    stopping: Sender<bool>,
    up: Stopwatch,
    ended: Mutex<Option<&'static str>>,
}

/// Time that rooms have to finish what they are at when the daemon stops. What they do not finish is done again.
const GRACE: Duration = Duration::from_secs(10);
/// Pause before something that failed for a reason outside the series is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Why the daemon has ended in good order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// It was told to stop.
    Stop,
    /// It was told to be started again.
    Restart,
}

/// Exit status with which the service manager starts the daemon again (sysexits' `EX_TEMPFAIL`), named in the unit's
/// `RestartForceExitStatus=`.
pub(crate) const RESTART: u8 = 75;

/// Runs the daemon until it is told to stop.
pub(crate) fn run(config: Config) -> Result<Farewell, PipelineError> {
    let house = House::open(config)?;
    house.begin_disclosure()?;
    house.enter_start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::scope(|scope| {
        let started = house.start_rooms(scope);
        let attended = started.and_then(|()| runtime.block_on(house.attend()));
        house.tell_to_stop();
        if let Err(error) = attended {
            house.ended.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert("main");
            error!(%error, "the daemon stops");
        }
        house.models_stop();
        house.enter_stop();
        // A room that hangs in a driver must not hold the daemon up: everything it works on is safe on disk.
        house.leave_after(GRACE);
    });
    match house.ended.into_inner().unwrap_or_else(PoisonError::into_inner) {
        None if house.commands.restarts() => Ok(Farewell::Restart),
        None => Ok(Farewell::Stop),
        Some(room) => Err(PipelineError::RoomEnded { room }),
    }
}

impl House {
    fn open(config: Config) -> Result<Self, PipelineError> {
        for path in [&config.paths.incoming, &config.paths.state, &config.paths.of_models().models] {
            durable::make_folder(path).map_err(|source| PipelineError::Folder { path: path.clone(), source })?;
        }
        let path = config.paths.site_key();
        let site = SiteKey::load_or_create(&path).map_err(|source| PipelineError::SiteKey { path, source })?;
        let topics = Topics::new(&config.mqtt.prefix, &config.mqtt.device)?;
        let spool = Spool::open(&config.paths.spool)?;
        let paths = config.paths.clone();
        let folders = [(Place::Incoming, paths.incoming), (Place::Spool, paths.spool), (Place::State, paths.state)];
        let disk = Disk::new(config.disk, folders);
        disk.look();
        let ballast = Ballast::new(&config.paths.state, config.disk.ballast_mib << 20);
        let store = ledger(&config, &spool, &ballast)?;
        let (tally, ladder) = (Mutex::new(Tally::since(&store)?), Mutex::new(kept(&store)?));
        let (store, board) = (Arc::new(Mutex::new(store)), Arc::<Board>::default());
        let writer = Writer::new(topics, &config.mqtt.device);
        let landing = berth::landing(config.mqtt.message_bytes, &board, &writer);
        let alarms = Arc::default();
        let turned_away = evidence::turned_away(&alarms);
        let commands = Commands::open(Arc::clone(&store), Arc::clone(&board), writer.clone(), turned_away)?;
        Ok(Self {
            config_digest: config.digest(),
            site,
            spool,
            disk,
            ballast,
            deleted: Deleted::default(),
            heat: Heat::default(),
            shortage: Shortage::default(),
            commands: Arc::new(commands),
            writer,
            board,
            model: Mutex::new(ModelState::Loading),
            link: Arc::default(),
            landing,
            door: Mutex::default(),
            stuck: Mutex::default(),
            window: Arc::default(),
            tally,
            alarms,
            slots_told: Mutex::default(),
            residue: AtomicBool::new(false),
            beats: Beats::new(&config),
            put_off: PutOff::default(),
            under_way: UnderWay::default(),
            ladder,
            workshop: Workshop::default(),
            store,
            isolation: volume::isolation(&config.volume),
            stop: AtomicBool::new(false),
            stopping: Sender::new(false),
            up: Stopwatch::start(),
            ended: Mutex::new(None),
            config,
        })
    }

    fn start_rooms<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Result<(), PipelineError> {
        let (arrivals, arrived) = sync_channel(limits::CLAIMS);
        let (completed, complete) = sync_channel(limits::SERIES);
        let (chosen, to_read) = sync_channel(limits::SERIES);
        let (readings, read) = sync_channel(limits::SCANS);
        let incoming = &self.config.paths.incoming;
        if self.config.receive.listen.is_some() {
            self.room(scope, "receive", move || {
                let (settings, file_bytes) = (self.config.receive.clone(), self.config.volume.limits.file_bytes);
                let order = Order { settings, incoming: incoming.clone(), file_bytes };
                let turned_away = |times, who: &str| self.alarm(Alarm::Association, times, who);
                let (door, disk, stop) = (&self.door, &self.disk, &self.stop);
                receive::run(&order, &Doorway { door, disk, stop, turned_away: &turned_away });
                Ok(())
            })?;
        }
        self.room(scope, "device", move || {
            self.watch_device();
            Ok(())
        })?;
        for (name, doors) in [
            ("commands", Doors::Change(arrivals.clone())),
            ("examination", Doors::Look(readings.clone())),
            ("models", Doors::Model(readings.clone())),
        ] {
            self.room(scope, name, move || {
                self.obey(&doors);
                Ok(())
            })?;
        }
        let to_model = readings.clone();
        self.room(scope, "engines", move || {
            self.build_engines(&to_model);
            Ok(())
        })?;
        self.room(scope, "intake", move || {
            let (settings, spool) = (&self.config.intake, &self.spool);
            let (disk, paused) = (&self.disk, self.commands.paused());
            let room = intake::Room { settings, incoming, spool, disk, paused, stuck: &self.stuck };
            intake::run(room, &arrivals, &self.stop).map_err(|error| error.to_string())
        })?;
        self.room(scope, "series", move || {
            series::run(self.series_room(), &arrived, &completed).map_err(|error| error.to_string())
        })?;
        self.room(scope, "choice", move || {
            choice::run(self.choice_room(), &complete, &chosen).map_err(|error| error.to_string())
        })?;
        self.room(scope, "volume", move || {
            self.read_series(&to_read, &readings);
            Ok(())
        })?;
        self.room(scope, "infer", move || {
            self.infer(&read);
            Ok(())
        })?;
        Ok(())
    }

    /// Starts a room's thread. Its end, good or bad, ends the daemon.
    fn room<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        name: &'static str,
        work: impl FnOnce() -> Result<(), String> + Send + 'scope,
    ) -> Result<(), PipelineError> {
        let beat = self.beats.of(name);
        let body = move || {
            clock::keep_beat(&beat);
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            clock::no_beat();
            if !self.stop.load(Ordering::Relaxed) {
                let reason = ended.unwrap_or_else(|_panic| Err("it panicked".to_owned())).err();
                error!(room = name, reason = reason.as_deref().unwrap_or("it ended"), "a room has ended");
                self.ended.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(name);
            }
            self.tell_to_stop();
        };
        Builder::new().name(name.to_owned()).spawn_scoped(scope, body)?;
        Ok(())
    }

    fn series_room(&self) -> series::Room<'_> {
        let mut headers =
            HeaderReader::new(&self.config.volume, &self.config.series.urgent, vec![self.config.paths.spool.clone()]);
        series::Room {
            settings: &self.config.series,
            site: &self.site,
            spool: &self.spool,
            store: &self.store,
            disk: &self.disk,
            read_header: Box::new(move |path| headers.read(path)),
            read_identifiers: self.patients(),
            unpack: Box::new(|archive, into| volume::unpack(&self.config.volume, archive, into)),
            announce: Box::new(|transaction, step| {
                let step = match step {
                    Step::Opened(series, study) => StepKind::Received(series, study),
                    Step::Completed(subject) => {
                        crate::evidence::append(transaction, Event::TakenIn(subject))?;
                        StepKind::Complete(subject)
                    }
                };
                outbox::put(transaction, &self.writer.event(step), clock::now_ms())?;
                self.board.wake();
                Ok(())
            }),
        }
    }

    /// Sleeps; returns true at once when the daemon is told to stop.
    fn wait(&self, pause: Duration) -> bool {
        clock::wait(pause, &self.stop)
    }

    fn tell_to_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.commands.halt.store(true, Ordering::Relaxed);
        self.disk.give_up();
        self.stopping.send_replace(true);
    }

    /// Ends the process after `grace` even if a room still works.
    fn leave_after(&self, grace: Duration) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let status = if !ended && self.commands.restarts() { i32::from(RESTART) } else { i32::from(ended) };
        let watch = move || {
            std::thread::sleep(grace);
            warn!("a room does not end; leaving its work for the next start");
            // The other threads cannot be ended in any other way.
            std::process::exit(status);
        };
        // Detached: when all rooms end in time, the process is gone before it wakes.
        drop(Builder::new().name("grace".to_owned()).spawn(watch));
    }
}
