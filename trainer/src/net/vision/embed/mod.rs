//! What a token is told before the transformer: the projection of its patch's voxels ([`patches`]), how bright and dark parts
//! of it are ([`Densities`]), what convolutions see in it ([`Stem`]), and where it lies ([`Places`]).

mod densities;
mod patch;
mod positions;
mod stem;

pub(crate) use densities::DENSITIES;
pub use densities::Densities;
pub use patch::{PATCH_EPSILON, PatchNorms, patches};
pub use positions::{Places, TokenGrid};
pub use stem::{Filters, Stem};
