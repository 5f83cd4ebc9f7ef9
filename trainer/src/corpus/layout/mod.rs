//! The layouts that corpora come in.
//!
//! In: a corpus and its folder. Out: a [`Listing`]; one file a layout, and no volume is opened. It owns the folders of
//! phantoms that it writes.

mod bimcv_r;
mod ct_rate;
mod files;
mod folder;
mod phantoms;
mod table;
mod written;

pub(super) use table::{Column, Row, Table};
pub use written::{ScanFormat, write_phantoms};

use super::case::Listing;
use super::error::CorpusError;
use crate::experiment::Corpus;
use ctedge_models::spec::PreprocessSpec;
use std::path::Path;

/// Lists a corpus. `spec` tells at which resolution findings must be visible; phantoms have no `folder`.
///
/// # Errors
/// The folder or one of its tables cannot be understood. Cases that cannot be used are no error: they are left out.
pub fn open(corpus: Corpus, folder: Option<&Path>, spec: &PreprocessSpec) -> Result<Listing, CorpusError> {
    let there = || folder.ok_or(CorpusError::NoFolder);
    match corpus {
        Corpus::Phantoms { count, seed } => Ok(phantoms::list(count, seed, spec)),
        Corpus::CtRate => ct_rate::list(there()?),
        Corpus::BimcvR => bimcv_r::list(there()?),
        Corpus::Folder => folder::list(there()?),
    }
}

#[cfg(test)]
mod tests;
