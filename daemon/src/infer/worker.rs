//! The inference worker: answers requests until the supervisor goes.

use super::model::{Loaded, NoScores, Unloaded};
use super::wire::{Answer, Request};
use super::{CUDA_CACHE, Drafted, Fault, Setup, seconds};
use crate::floor::fate::Code;
use crate::floor::worker::Desk;
use crate::floor::worker::calls::Duty;
use crate::floor::worker::shared::Sealed;
use crate::floor::worker::walls::{self, Reach};
use crate::volume::mapped;
use ctedge_models::bundle::Admission;
use ctedge_models::volume::{Volume, VolumeError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Works until the supervisor goes.
pub(crate) fn work() -> io::Result<()> {
    let desk = Desk::open()?;
    let mut loaded = None;
    while let Some((request, descriptor)) = desk.next::<Request>()? {
        let answer = match (request, descriptor) {
            (Request::Load { setup, admission }, _) => match load(&setup, admission.as_deref()) {
                Ok(model) => {
                    let answer = Answer::Loaded(Box::new(model.model().clone()));
                    loaded = Some(model);
                    answer
                }
                Err(Unloaded { fault, reason, is_short }) => {
                    Answer::Unloaded { fault: fault.map(str::to_owned), reason, is_short }
                }
            },
            (Request::Golden { within_s }, _) => match loaded.as_mut().map(|model| model.golden(seconds(within_s))) {
                Some(Ok(difference)) => Answer::Golden(difference),
                Some(Err(reason)) => failed(reason),
                None => failed("no model is loaded".to_owned()),
            },
            (Request::Draft(ask), _) => match loaded.as_mut() {
                Some(model) => drafted(model.draft(&ask)),
                None => failed("no model is loaded".to_owned()),
            },
            (Request::Run { geometry, kind, within_s }, Some(voxels)) => match loaded.as_mut() {
                Some(model) => match Sealed::open(voxels) {
                    Ok(sealed) => run(model, mapped(&sealed, geometry, kind), seconds(within_s)),
                    Err(error) => failed(format!("the volume's memory: {error}")),
                },
                None => failed("no model is loaded".to_owned()),
            },
            (Request::Run { .. }, None) => failed("a volume came without its voxels".to_owned()),
        };
        desk.answer(&answer, None)?;
    }
    Ok(())
}

/// Closes the jail, then loads the model: its graph comes from outside, and so does the library that runs it.
fn load(setup: &Setup, admission: Option<&Admission>) -> Result<Loaded, Unloaded> {
    walls::close(Duty::Infer, &reach(&setup.folders.models))
        .map_err(|error| format!("the inference worker's walls: {error}"))?;
    Loaded::load(setup, admission)
}

/// What ONNX Runtime and the drivers beneath it need. Libraries lie anywhere, and those of a Jetson read what board they
/// are on from all over `/proc` and `/sys`; what is read cannot leave, for want of a network. The nodes in `/dev` have
/// other names on every board (`nvidia0`, `nvmap`, `nvhost-*`, `nvgpu/*`) and some of them come late: which of them this
/// user may open is for the unit to say. A driver whose nodes are missing would have them made by a program of its own
/// (nvidia-modprobe), which is refused: on a desktop card, they are made at boot.
fn reach(models: &Path) -> Reach {
    let caches = std::env::var_os(CUDA_CACHE).map(PathBuf::from);
    // Names of threads are written to `/proc/self`, memory that processes of a driver share lies in `/dev/shm`.
    let fixed = [models.to_owned(), std::env::temp_dir(), "/tmp".into(), "/dev/shm".into(), "/proc/self".into()];
    Reach { read: vec!["/".into()], write: fixed.into_iter().chain(caches).collect(), devices: vec!["/dev".into()] }
}

fn failed(reason: String) -> Answer {
    Answer::Failed { code: Code::InferFailed, reason }
}

fn drafted(draft: Result<Drafted, (Fault, String)>) -> Answer {
    match draft {
        Ok(drafted) => Answer::Drafted(drafted),
        Err((fault, reason)) => Answer::Undrafted { fault, reason },
    }
}

fn run(model: &mut Loaded, volume: Result<Volume<'_>, VolumeError>, within: Duration) -> Answer {
    let scores = match volume {
        Ok(volume) => model.scores(&volume, within),
        Err(error) => return failed(format!("the volume's memory: {error}")),
    };
    match scores {
        Ok(scores) => Answer::Scores(scores),
        Err(NoScores::Stopped) => Answer::Stopped,
        Err(NoScores::Failed { code, reason }) => Answer::Failed { code, reason },
    }
}
