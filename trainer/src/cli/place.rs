//! `--device` and `--precision`, the same for every command that computes.

use super::Progress;
use crate::device::{Kind, Place, Precision};
use clap::Args;

/// Where a command computes.
#[derive(Debug, Args)]
pub(super) struct Placed {
    /// What computes.
    #[arg(long, value_enum, value_name = "WHAT", default_value = "auto")]
    device: Kind,
    /// Precision of the towers' layers while they learn; bf16 on a GPU, f32 on the processor if not given.
    #[arg(long, value_enum, value_name = "BITS")]
    precision: Option<Precision>,
}

impl Placed {
    /// The device, which a person is told of.
    pub(super) fn place(&self, progress: &Progress) -> anyhow::Result<Place> {
        let place = Place::new(self.device, self.precision)?;
        progress.line(&format!("computing on {}, layers in {}", place.kind, place.precision));
        Ok(place)
    }
}

/// On the processor as many threads as were asked for. A GPU queues, and libtorch has threads of its own: one is enough.
pub(super) fn workers_for(place: &Place, threads: usize) -> usize {
    if place.kind == Kind::Cpu { threads } else { 1 }
}
