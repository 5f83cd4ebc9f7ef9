//! The corridor's promises under faults: each kind breaks something on purpose, again and again, and then holds what reached
//! the subscriber, the books and the spool against a run in which nothing broke. A control at the end of each takes
//! something away in secret, and has to be found out: a check that cannot fail proves nothing.

mod calls;
mod check;
mod deep;
mod delivery;
mod memory;
mod native;
mod power;
mod sample;
mod scene;
mod soak;
mod update;
mod workers;

use calls::{point, sync};
use clap::{Parser, ValueEnum};
use ctedge_tests::progress::Elapsed;
use ctedge_tests::stage;
use delivery::{burst, carry, disk, offline, wire};
use sample::Sample;
use std::process::ExitCode;
use workers::{poison, wedge};

/// Breaks things on purpose and looks whether anything is lost.
#[derive(Debug, Parser)]
struct Arguments {
    /// What breaks
    kind: Kind,
    /// How many faults; those of a run, spread evenly, again and again if there are more
    #[arg(long, default_value_t = 24, conflicts_with = "all")]
    points: usize,
    /// Where the even spread begins; of the clock if not given
    #[arg(long)]
    seed: Option<u64>,
    /// Every fault of a run once
    #[arg(long)]
    all: bool,
    /// Hours of a soak, by the daemon's clock
    #[arg(long, default_value_t = 10.0)]
    hours: f64,
    /// Of carry: MiB of the bundle
    #[arg(long, default_value_t = 200)]
    mib: u64,
    /// Of carry: how often the connection is broken
    #[arg(long, default_value_t = 20)]
    drops: u32,
    /// Of deep: only this kind; may be given several times
    #[arg(long, value_name = "KIND")]
    only: Vec<Kind>,
    /// Scenes that are played at the same time
    #[arg(long, default_value_t = 4)]
    jobs: usize,
}

/// What breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Every kind below with its whole figure, and one table of verdicts: hours; goes on where it was with the same seed
    #[value(alias = "all")]
    Deep,
    /// The supervisor is killed at a system call that changes something
    Kill,
    /// The same, and it is killed again in the middle of its next start
    Recover,
    /// A system call of the supervisor fails (EIO, ENOSPC, EDQUOT), or writes nothing, half, or half and then finds the disk full
    Io,
    /// Nothing breaks: what is synced before the broker is told?
    Fsync,
    /// The power is cut at N moments; needs root, FUSE and loop devices
    #[value(alias = "cut")]
    Power,
    /// The broker is killed N times, its memory wiped, the wire to it broken and cut byte by byte
    Broker,
    /// The wire to the broker is cut after N bytes of an exchange, or with --all after every one
    #[value(alias = "cuts")]
    Wire,
    /// The subscriber is away while N results come, of which the broker keeps a third
    Offline,
    /// The connection breaks while a bundle comes over the broker
    Carry,
    /// Hours of work on a clock that runs sixty times as fast, with a fault every half minute of it
    Soak,
    /// Models change, and the supervisor is killed at N steps of it
    Update,
    /// The same, and the power is cut at N moments; needs root, FUSE and loop devices
    UpdatePower,
    /// Nothing breaks: models change while a series comes again and again
    Busy,
    /// N files come at once
    Burst,
    /// The disk fills up, and has room again; needs root, for a small file system in memory
    Disk,
    /// Nothing breaks: what does each process hold at most while 600 slices go through?
    Memory,
    /// Series that take their workers down, among N good ones, with restarts of daemon and machine between; needs root
    Poison,
    /// Runs hang until there is safe mode, and N in all; needs root
    Wedge,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let clock = Elapsed::new();
    let held = match arguments.kind {
        Kind::Deep => deep::run(&arguments.only, arguments.sample().seed, arguments.jobs, &clock),
        Kind::Kill => point::run(&point::KILLS, &arguments.sample(), &clock),
        Kind::Recover => point::run(&point::RECOVERIES, &arguments.sample(), &clock),
        Kind::Io => point::run(&point::ERRORS, &arguments.sample(), &clock),
        Kind::Fsync => sync::run(&clock),
        Kind::Power => power::run(&arguments.sample(), &clock),
        Kind::Broker => delivery::run(&delivery::Counts::of(arguments.points), arguments.sample().seed, &clock),
        Kind::Wire => wire::run(&arguments.sample(), &clock),
        Kind::Offline => offline::run(arguments.points, &clock),
        Kind::Carry => carry::run(arguments.mib, arguments.drops, &clock),
        Kind::Update => update::run(&arguments.sample(), &clock),
        Kind::UpdatePower => update::cuts(&arguments.sample(), &clock),
        Kind::Busy => update::busy::run(&clock),
        Kind::Soak => soak::run(arguments.hours, arguments.sample().seed, &clock),
        Kind::Burst => burst::flood(arguments.points, &clock),
        Kind::Disk => disk::run(&clock),
        Kind::Memory => memory::run(&clock),
        Kind::Poison => poison::run(arguments.points, &clock),
        Kind::Wedge => wedge::run(arguments.points, &clock),
    };
    stage::ended("faults", held)
}

impl Arguments {
    fn sample(&self) -> Sample {
        let seed = self.seed.unwrap_or_else(|| ctedge_tests::arrival::Dice::any().1);
        Sample { count: (!self.all).then_some(self.points), seed, jobs: self.jobs.max(1) }
    }
}
