//! One daemon with its broker and subscriber, and the three series that it is given.

use crate::check::Ending;
use anyhow::{Context, ensure};
use ctedge_tests::appliance::{Appliance, Setup, binary};
use ctedge_tests::arrival;
use ctedge_tests::mosquitto::{Memory, Mosquitto};
use ctedge_tests::process;
use ctedge_tests::series::{self, Made, Plan};
use ctedge_tests::stage::is_online;
use ctedge_tests::subscriber::Subscriber;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for a daemon that is whole.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
/// The bar: how long after a start the daemon says that it is there.
pub(crate) const READY: Duration = Duration::from_secs(5);
/// The same key in every scene, so that the same series have the same pseudonyms.
const SITE_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// The three series: one in an archive, one of several files, and a file that is no scan.
pub(crate) struct Cast {
    _made: Made,
    _folder: TempDir,
    pub(crate) files: Vec<PathBuf>,
}

impl Cast {
    /// Makes them; few voxels, since no fault is about voxels.
    pub(crate) fn make() -> anyhow::Result<Self> {
        let made = series::make(&Plan { slices: 4, size: 16, ..Plan::small(2, 91) })?;
        let folder = tempfile::Builder::new().prefix("ctedge-faults-").tempdir()?;
        let [packed, plain] = made.series.as_slice() else { anyhow::bail!("two series were asked for") };
        let archive = folder.path().join("packed.zip");
        process::output(Command::new("zip").args(["-q", "-j"]).arg(&archive).args(packed))?;
        let note = folder.path().join("note.dcm");
        fs::write(&note, "no scan at all, and long enough for a preamble\n".repeat(8))?;
        let files = [plain.as_slice(), &[note, archive]].concat();
        Ok(Self { _made: made, _folder: folder, files })
    }

    /// How many series they are.
    pub(crate) const SERIES: u64 = 3;
}

/// Everything that stands around one daemon.
pub(crate) struct Scene {
    pub(crate) appliance: Appliance,
    pub(crate) subscriber: Subscriber,
    pub(crate) broker: Mosquitto,
    folder: PathBuf,
    // Last, so that it goes last.
    _temporary: Option<TempDir>,
}

impl Scene {
    /// Broker and subscriber up, the daemon not started yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let broker = Mosquitto::start(Memory::Persistent)?;
        let port = broker.port();
        Self::beside(broker, port, &std::env::temp_dir(), &[])
    }

    /// The same where the daemon reaches the broker by another port, and has its folders at a place, and with
    /// more lines of configuration.
    pub(crate) fn beside(broker: Mosquitto, port: u16, place: &Path, more: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ctedge-faults-").tempdir_in(place)?;
        let scene = Self::around(broker, port, folder.path(), more)?;
        fs::create_dir_all(scene.appliance.path("state"))?;
        fs::write(scene.appliance.path("state/site.key"), SITE_KEY)?;
        Ok(Self { _temporary: Some(folder), ..scene })
    }

    /// A broker and a subscriber that know nothing yet, and a daemon that finds what an earlier one has left in a folder.
    pub(crate) fn left_in(folder: &Path, more: &[&str]) -> anyhow::Result<Self> {
        let broker = Mosquitto::start(Memory::Persistent)?;
        let port = broker.port();
        let scene = Self::around(broker, port, folder, more)?;
        scene.untraced()?;
        fs::write(scene.appliance.path("log"), "")?;
        Ok(scene)
    }

    fn around(broker: Mosquitto, port: u16, folder: &Path, more: &[&str]) -> anyhow::Result<Self> {
        let subscriber = Subscriber::start(broker.port())?;
        let program = folder.join("daemon.sh");
        let daemon = binary()?;
        // Read anew at each start: a daemon that is started again after a fault has none.
        let script = format!(
            "#!/bin/sh\ntracer='{}'\nif [ -f \"$tracer\" ]; then exec $(cat \"$tracer\") '{1}' \"$@\"; fi\nexec '{1}' \"$@\"\n",
            folder.join("tracer").display(),
            daemon.display()
        );
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        let setup = Setup {
            quiet_s: 0.6,
            settle_s: 0.1,
            more: more.iter().map(ToString::to_string).collect(),
            ..Setup::quick(port)
        };
        let appliance = Appliance::in_folder(folder, program, &setup)?;
        Ok(Self { appliance, subscriber, broker, folder: folder.to_owned(), _temporary: None })
    }

    /// Words of a command that the daemon is started behind, until [`Scene::untraced`].
    pub(crate) fn traced(&self, command: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.folder.join("tracer"), command)?)
    }

    /// The next start is an ordinary one.
    pub(crate) fn untraced(&self) -> anyhow::Result<()> {
        match fs::remove_file(self.folder.join("tracer")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// A place for a trace.
    pub(crate) fn trace(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Gives the daemon the three series.
    pub(crate) fn play(&self, cast: &Cast) -> anyhow::Result<()> {
        let mut whole = Vec::new();
        for (number, file) in cast.files.iter().enumerate() {
            let name = file.file_name().context("a file name")?.to_string_lossy();
            let target = self.appliance.incoming().join(format!("s-{number:04}-{name}"));
            let part = target.with_extension("part");
            fs::copy(file, &part)?;
            whole.push((part, target));
        }
        // All at once: where the machine is busy, a pause within a series would count as its end.
        Ok(whole.iter().try_for_each(|(part, target)| fs::rename(part, target))?)
    }

    /// Starts the daemon and waits until it says that it is there; returns how long that took.
    pub(crate) fn start(&mut self) -> anyhow::Result<Duration> {
        let (before, start) = (self.subscriber.messages().len(), Instant::now());
        self.appliance.start()?;
        let online = |messages: &[_]| is_online(messages.get(before..).unwrap_or_default());
        self.subscriber.wait(PATIENCE, online).with_context(|| self.appliance.log_end())?;
        Ok(start.elapsed())
    }

    /// Waits until everything has ended as it should; where it does not, returns how it stands when the time is up.
    pub(crate) fn drain(&self, expected: Option<&Ending>, patience: Duration) -> anyhow::Result<Ending> {
        let ended = || {
            let seen = Ending::of(self);
            Ok(expected.map_or_else(|| seen.is_settled(), |expected| seen == *expected))
        };
        process::wait_until(patience, ended)?;
        Ok(Ending::of(self))
    }

    /// How it ends where nothing breaks.
    pub(crate) fn undisturbed(cast: &Cast) -> anyhow::Result<Ending> {
        let mut scene = Self::new()?;
        scene.start()?;
        scene.play(cast)?;
        let ending = scene.drain(None, PATIENCE)?;
        ensure!(ending.is_settled(), "the undisturbed run does not end: {ending:#?}\n{}", scene.appliance.log_end());
        Ok(ending)
    }

    /// Takes every file that the daemon has of the series, as a fault of the disk would.
    pub(crate) fn steal(&self) -> anyhow::Result<usize> {
        let taken = ["spool/claimed", "spool/series", "spool/work", "incoming"].map(|name| self.appliance.path(name));
        let files: Vec<PathBuf> =
            taken.iter().map(|folder| arrival::all_files(folder)).collect::<anyhow::Result<Vec<_>>>()?.concat();
        files.iter().try_for_each(fs::remove_file)?;
        Ok(files.len())
    }
}

/// The files below a folder, as paths from another.
pub(crate) fn below(folder: &Path, root: &Path) -> Vec<String> {
    // The daemon moves files while we look: what has just gone is seen at its new place the next time.
    let files = arrival::all_files(folder).unwrap_or_default();
    files.iter().filter_map(|file| Some(file.strip_prefix(root).ok()?.display().to_string())).collect()
}
