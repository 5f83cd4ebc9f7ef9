//! What a model saw of a volume, beside its flags: where each of them comes from, and which reference cases are like it.

mod focus;
mod similar;

pub(crate) use focus::Focus;
pub(super) use focus::foci;
pub(super) use similar::Library;
pub(crate) use similar::{Neighbour, Similar};
