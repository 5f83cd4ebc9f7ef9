//! What a token is told before the transformer: the projection of its patch's voxels ([`patches`]), how bright and dark parts
//! of it are ([`Densities`]), what small detectors have found anywhere in it ([`Detectors`]), and where it lies ([`Places`]).

mod densities;
mod detectors;
mod patch;
mod positions;

pub(crate) use densities::DENSITIES;
pub use densities::Densities;
pub use detectors::Detectors;
pub use patch::{PATCH_EPSILON, PatchNorms, coarsened, patches};
pub use positions::{Places, TokenGrid};
