//! Which rooms make progress.

use crate::config::Config;
use crate::floor::clock::Beat;
use std::sync::Arc;
use std::time::Duration;

/// The beats of the rooms' threads, and how long each may be at one piece of work.
#[derive(Debug)]
pub(in crate::pipeline) struct Beats {
    rooms: Vec<(&'static str, Duration, Arc<Beat>)>,
}

/// Longest time for what a room does itself: hashing a series on a slow disk, copying one from another filesystem, a commit.
const OWN_WORK: Duration = Duration::from_mins(10);

impl Beats {
    /// Budgets are for threads that hang, not for workers: those have limits of their own, which end first.
    pub(in crate::pipeline) fn new(config: &Config) -> Self {
        let seconds = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0));
        // The choice of a series, too, gets two attempts; where it is read each of them is a piece of work of its own.
        let scan = OWN_WORK + seconds(config.volume.wall_s) * 2;
        // A run, the end of its worker, and the loading of another, which may be another provider's.
        let infer = OWN_WORK + (seconds(config.infer.run_s) + seconds(config.infer.load_s)) * 2;
        let rooms = [
            ("device", OWN_WORK),
            ("receive", OWN_WORK),
            ("intake", OWN_WORK),
            ("series", scan),
            ("choice", scan),
            ("volume", scan),
            ("infer", infer),
            ("commands", OWN_WORK),
            ("examination", OWN_WORK),
            // A new model is loaded here, beside the one that serves.
            ("models", infer),
            ("engines", infer),
        ];
        Self { rooms: rooms.map(|(name, budget)| (name, budget, Arc::default())).into() }
    }

    /// The beat of a room.
    pub(in crate::pipeline) fn of(&self, name: &str) -> Arc<Beat> {
        self.rooms.iter().find(|(room, ..)| *room == name).map(|(_, _, beat)| Arc::clone(beat)).unwrap_or_default()
    }

    /// A room that has been at one piece of work for longer than it may.
    pub(in crate::pipeline) fn stuck(&self) -> Option<&'static str> {
        self.rooms.iter().find(|(_, budget, beat)| beat.busy() > *budget).map(|(room, ..)| *room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floor::clock::{idle, keep_beat, next_piece};

    #[test]
    fn a_room_is_stuck_when_it_works_beyond_its_budget() {
        let mut beats = Beats::new(&Config::default());
        for (_, budget, _) in &mut beats.rooms {
            *budget = Duration::from_millis(50);
        }
        let pause = Duration::from_millis(80);
        assert_eq!(beats.stuck(), None, "rooms that have not begun");
        keep_beat(&beats.of("volume"));
        idle(|| {
            std::thread::sleep(pause);
            assert_eq!(beats.stuck(), None, "it waits for work");
        });
        std::thread::sleep(pause);
        assert_eq!(beats.stuck(), Some("volume"));
        next_piece();
        assert_eq!(beats.stuck(), None, "it has made progress");
    }
}
