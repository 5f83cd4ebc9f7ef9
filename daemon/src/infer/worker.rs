//! The inference worker: answers requests until the supervisor goes.

use super::model::Loaded;
use super::{Answer, Request};
use crate::floor::fate::Code;
use crate::floor::worker::Desk;
use crate::floor::worker::shared::Sealed;
use ctedge_models::scan::VoxelKind;
use ctedge_models::volume::{Geometry, Volume, VolumeError, Voxels};
use std::borrow::Cow;
use std::io;
use std::os::fd::OwnedFd;

/// Works until the supervisor goes.
pub(crate) fn work() -> io::Result<()> {
    let desk = Desk::open()?;
    let mut loaded = None;
    while let Some((request, descriptor)) = desk.next::<Request>()? {
        let answer = match (request, descriptor) {
            (Request::Load { settings, models }, _) => match Loaded::load(&settings, &models) {
                Ok(model) => {
                    let answer = Answer::Loaded(Box::new(model.model().clone()));
                    loaded = Some(model);
                    answer
                }
                Err(reason) => failed(reason),
            },
            (Request::Run { geometry, kind }, Some(voxels)) => match loaded.as_mut() {
                Some(model) => run(model, geometry, kind, voxels),
                None => failed("no model is loaded".to_owned()),
            },
            (Request::Run { .. }, None) => failed("a volume came without its voxels".to_owned()),
        };
        desk.answer(&answer, None)?;
    }
    Ok(())
}

fn failed(reason: String) -> Answer {
    Answer::Failed { code: Code::InferFailed, reason }
}

fn run(model: &mut Loaded, geometry: Geometry, kind: VoxelKind, voxels: OwnedFd) -> Answer {
    let sealed = match Sealed::open(voxels) {
        Ok(sealed) => sealed,
        Err(error) => return failed(format!("the volume's memory: {error}")),
    };
    match volume(&sealed, geometry, kind) {
        Ok(volume) => match model.scores(&volume) {
            Ok(scores) => Answer::Scores(scores),
            Err((code, reason)) => Answer::Failed { code, reason },
        },
        Err(error) => failed(format!("the volume's memory: {error}")),
    }
}

fn volume(sealed: &Sealed, geometry: Geometry, kind: VoxelKind) -> Result<Volume<'_>, VolumeError> {
    let voxels = match kind {
        VoxelKind::I16 => Voxels::I16(Cow::Borrowed(sealed.as_slice())),
        VoxelKind::F32 => Voxels::F32(Cow::Borrowed(sealed.as_slice())),
    };
    Volume::new(geometry, voxels)
}
