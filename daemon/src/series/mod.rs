//! Files to series: gathers claimed files by series, and decides when a series is complete.

use crate::floor::subject::Subject;
use std::path::PathBuf;

/// A completed series on disk.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Which series, and on what evidence it counts as complete.
    pub(crate) subject: Subject,
    /// Folder that holds exactly its files, each named by its digest.
    pub(crate) folder: PathBuf,
}
