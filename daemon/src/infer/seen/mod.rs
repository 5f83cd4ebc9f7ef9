//! What a model saw of a volume, beside its flags: where each of them comes from, which reference cases are like it, and
//! what it says of the findings that a site watches.

mod focus;
mod similar;
mod watch;

pub(crate) use focus::Focus;
pub(super) use focus::foci;
pub(super) use similar::Library;
pub(crate) use similar::{Neighbour, Similar};
pub(super) use watch::Watcher;
pub(crate) use watch::{Unscored, Watch, Watched, problems as problems_of_watches};
