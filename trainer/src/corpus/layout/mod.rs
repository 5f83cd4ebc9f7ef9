//! The layouts that corpora come in.
//!
//! In: a corpus and its folder. Out: a [`Listing`]. One file a layout; it owns nothing and opens no volume.

mod phantoms;
mod standin;

use super::case::Listing;
use super::error::CorpusError;
use crate::experiment::Corpus;
use ctedge_models::spec::PreprocessSpec;
use std::path::Path;

/// Lists a corpus. `spec` tells at which resolution findings must be visible; phantoms have no `folder`.
///
/// # Errors
/// The folder or one of its tables cannot be understood. Cases that cannot be used are no error: they are left out.
pub fn open(corpus: Corpus, _folder: Option<&Path>, spec: &PreprocessSpec) -> Result<Listing, CorpusError> {
    match corpus {
        Corpus::Phantoms { count, seed } => Ok(phantoms::list(count, seed, spec)),
        Corpus::CtRate | Corpus::BimcvR | Corpus::Folder => Err(CorpusError::NoFolder),
    }
}
