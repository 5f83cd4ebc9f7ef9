//! Series that take their worker down, and runs that hang: real parts only, signals from outside, limits, and a model with
//! an endless loop.

mod diary;
mod machine;
mod model;
pub(crate) mod poison;
pub(crate) mod wedge;

use crate::scene::Scene;
use anyhow::{Context, ensure};
use ctedge_models::scan::write;
use ctedge_models::volume::{Geometry, Volume, Voxels};
use ctedge_tests::mosquitto::{Memory, Mosquitto};
use ctedge_tests::process;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Seconds for which a run may last.
const RUN_S: f64 = 2.5;
/// Of which a worker that was not asked in vain gets this share more.
const LENIENCE: f64 = 1.1;
/// Seconds for a worker to be replaced.
const REPLACED_S: f64 = 10.0;

/// A daemon with a short budget and a talkative log, not started yet.
fn scene(more: &[String]) -> anyhow::Result<Scene> {
    let broker = Mosquitto::start(Memory::Persistent)?;
    let port = broker.port();
    let fixed = [
        format!("infer.run_s = {RUN_S:?}"),
        "infer.providers = ['cpu']".to_owned(),
        "log.level = 'info,ctedge=debug'".to_owned(),
    ];
    let lines: Vec<&str> = fixed.iter().chain(more).map(String::as_str).collect();
    Scene::beside(broker, port, &std::env::temp_dir(), &lines)
}

/// A scan of 300 mm and one value everywhere, in one file that is a series of its own.
fn block(folder: &TempDir, name: &str, size: [usize; 3], hu: i16) -> anyhow::Result<PathBuf> {
    let axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let [i, j, k] = size.map(|count| u32::try_from(count).map(|count| 300.0 / f64::from(count)));
    let geometry = Geometry::new(size, [i?, j?, k?], [0.0; 3], axes)?;
    let volume = Volume::new(geometry, Voxels::I16(vec![hu; size.iter().product()].into()))?;
    let path = folder.path().join(format!("{name}.nii.gz"));
    write::nifti(&volume, &path)?;
    Ok(path)
}

/// The pseudonym of the series in a file, as the daemon will make it.
fn key_of(scene: &Scene, file: &Path) -> anyhow::Result<String> {
    let told = scene.appliance.command(&["inspect", "--json"]).arg(file).output()?;
    let told: serde_json::Value = serde_json::from_slice(&told.stdout)?;
    let key = told.get("series_key").and_then(serde_json::Value::as_str);
    Ok(key.with_context(|| told.to_string())?.to_owned())
}

fn signal(pid: u64, signal: Signal) -> anyhow::Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("a process id")?;
    // It may have ended in this very moment; what that means is seen in what the daemon says.
    kill_process(pid, signal).ok();
    Ok(())
}

/// Whether the daemon may be shown another boot of the machine, for which we have to be root.
fn may_mount() -> anyhow::Result<()> {
    let id = process::output(std::process::Command::new("id").arg("-u"))?;
    ensure!(id.trim() == "0", "be root: another boot of the machine is shown to the daemon by a mount of its own");
    Ok(())
}
