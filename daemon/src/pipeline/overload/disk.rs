//! The thread that looks at the device: how full its disks are, which makes events, the ledger's ballast and what has to go; and
//! how hot it is.

use super::super::House;
use crate::floor::clock::{self, Stopwatch};
use crate::floor::disk::{Disk, Level, Place, Volume};
use crate::floor::store::lock;
use crate::message::{Check, CheckState, DiskLow};
use crate::outbox;
use std::time::Duration;
use tracing::{info, warn};

/// How often the device is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often what is kept is looked through for what has to go.
const SWEEP: Duration = Duration::from_mins(10);
/// The same where the disk is filling up, and the last look found nothing that may go.
const SWEEP_AGAIN: Duration = Duration::from_secs(10);

/// What is known from one look to the next.
#[derive(Debug, Default)]
struct Rounds {
    before: Vec<Volume>,
    /// Events that the ledger has not taken yet.
    untold: Vec<DiskLow>,
    swept: Option<Stopwatch>,
}

impl House {
    /// Looks at the device until the daemon is told to stop.
    pub(in crate::pipeline) fn watch_device(&self) {
        let mut rounds = Rounds::default();
        loop {
            self.heat.look(&self.config.web.thermal);
            rounds.look(self);
            if self.wait(LOOK) {
                return;
            }
        }
    }

    /// How it stands with the disks.
    pub(in crate::pipeline) fn disk_check(&self) -> Check {
        let volumes = self.disk.volumes().clone();
        let worst = volumes.iter().map(|volume| volume.level).max().unwrap_or_default();
        let waiting = self.disk.waiting();
        let state = match worst {
            _ if waiting > 0 => CheckState::Failed,
            Level::Stopped => CheckState::Failed,
            Level::Purging => CheckState::Degraded,
            Level::Sparing | Level::Roomy => CheckState::Ok,
        };
        let mut told: Vec<String> = volumes.iter().filter(|volume| volume.level > Level::Roomy).map(sentence).collect();
        if waiting > 0 {
            told.push("work waits for room: delete what is not ctedge's, or enlarge the disk".to_owned());
        }
        if worst > Level::Roomy && self.ballast.bytes() > 0 && !self.ballast.is_held() {
            told.push("the room set aside for the ledger (state/ballast) is in use".to_owned());
        }
        Check { id: "disk", state, detail: told.join("; ") }
    }
}

/// What a full disk means, and what to do.
fn sentence(volume: &Volume) -> String {
    let what = match volume.level {
        Level::Roomy => "there is room",
        Level::Sparing => "what nobody needs is not kept",
        Level::Purging => "finished series that were delivered are deleted before their time; make room",
        Level::Stopped => {
            "nothing new is taken in, files stay in the drop folder; delete what is not ctedge's, or what you have seen of \
             spool/quarantine"
        }
    };
    format!("{}: {} % used, {what}", volume.names(), volume.fill.used_percent())
}

impl Rounds {
    fn look(&mut self, house: &House) {
        let volumes = house.disk.look();
        let crossed: Vec<DiskLow> = volumes.iter().filter(|volume| self.is_new(volume)).map(event).collect();
        self.untold.extend(crossed);
        self.before.clone_from(&volumes);
        self.tell(house);
        set_aside(house, &house.disk);
        let level = house.disk.volume(Place::Spool).map(|volume| volume.level).unwrap_or_default();
        let pause = if level >= Level::Purging { SWEEP_AGAIN } else { SWEEP };
        if self.swept.as_ref().is_none_or(|swept| swept.elapsed() >= pause) {
            if let Err(error) = house.sweep() {
                warn!(error = %error.kind(), "what is kept cannot be looked through");
            }
            house.forget_old_entries();
            house.forget_delivered();
            self.swept = Some(Stopwatch::start());
        }
    }

    /// Whether a filesystem is fuller than it was, by a whole level.
    fn is_new(&mut self, volume: &Volume) -> bool {
        let before = self.before.iter().find(|before| before.places == volume.places);
        let before = before.map(|before| before.level).unwrap_or_default();
        match volume.level.cmp(&before) {
            std::cmp::Ordering::Greater => {
                warn!(
                    folders = volume.names(),
                    level = volume.level.name(),
                    used_percent = volume.fill.used_percent(),
                    "the disk is filling up"
                );
                // At once, and not when it would be time.
                self.swept = None;
                true
            }
            std::cmp::Ordering::Less => {
                info!(folders = volume.names(), level = volume.level.name(), "there is more room on the disk");
                false
            }
            std::cmp::Ordering::Equal => false,
        }
    }

    /// Puts events into the outbox. One that finds no room is told later.
    fn tell(&mut self, house: &House) {
        if self.untold.is_empty() {
            return;
        }
        let told = lock(&house.store).commit(|transaction| {
            for event in &self.untold {
                outbox::put(transaction, &house.writer.disk_low(event), clock::now_ms())?;
            }
            Ok(())
        });
        match told {
            Ok(()) => {
                self.untold.clear();
                house.board.wake();
            }
            Err(error) => warn!(%error, "an event cannot be stored; trying again"),
        }
    }
}

fn event(volume: &Volume) -> DiskLow {
    const MIB: u64 = 1 << 20;
    DiskLow {
        level: volume.level.name(),
        folders: volume.places.iter().map(|place| place.name()).collect(),
        used_percent: volume.fill.used_percent(),
        free_mib: volume.fill.free_bytes / MIB,
    }
}

/// Sets room aside for the ledger, where that does not fill the disk.
fn set_aside(house: &House, disk: &Disk) {
    let bytes = house.ballast.bytes();
    if bytes == 0 || house.ballast.is_held() || !disk.has_room_for(Place::State, bytes) {
        return;
    }
    match house.ballast.hold() {
        Ok(()) => info!(bytes, "room has been set aside for the ledger"),
        Err(error) => warn!(error = %error.kind(), "no room can be set aside for the ledger"),
    }
}
