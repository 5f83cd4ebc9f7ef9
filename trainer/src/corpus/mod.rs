//! Scans with their reports: every corpus becomes the same list of cases, and its volumes become shards of input tensors.
//!
//! In: a corpus of the experiment and its folder. Out: [`open`] gives a [`Listing`] of cases with what was left out and
//! why; [`prepare()`] stores their tensors in a folder of shards; [`Shards`] reads them back row by row. It owns the shards'
//! folder. Nothing of a patient's report or names is ever in an error.

mod case;
mod disk;
mod error;
mod layout;
mod prepare;
mod reports;
mod shards;
mod split;
mod tensor;

pub use case::{Case, Correction, LeftOut, Listed, Listing, Report, Source, Split, Why};
pub use error::CorpusError;
pub use layout::{ScanFormat, open, write_phantoms};
pub use prepare::{Prepared, Progress, prepare};
pub use reports::Reports;
pub use shards::{Shards, Stored};

#[cfg(test)]
mod tests;
