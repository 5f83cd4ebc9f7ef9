//! Why a corpus cannot be used.

use std::io;
use std::path::PathBuf;

/// Why a corpus could not be opened, stored or read back.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A corpus that lies in a folder, and none was named.
    #[error("the experiment's corpus lies in a folder; name it with --corpus DIR")]
    NoFolder,
    /// The folder does not have the layout that the experiment names.
    #[error("{} does not look like {corpus}: it has no {missing}", folder.display())]
    Layout {
        /// The folder.
        folder: PathBuf,
        /// The layout.
        corpus: &'static str,
        /// What was looked for.
        missing: String,
    },
    /// A file or folder cannot be read.
    #[error("{} cannot be read; check its name and its permissions", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A table is no CSV.
    #[error("{} is not a table of comma-separated values in UTF-8", path.display())]
    Csv {
        /// The table.
        path: PathBuf,
        /// Where it breaks.
        #[source]
        source: csv::Error,
    },
    /// A table lacks a column.
    #[error("{} has no column {column:?}{hint}", path.display())]
    NoColumn {
        /// The table.
        path: PathBuf,
        /// What was looked for.
        column: String,
        /// What may be meant, or what there is.
        hint: String,
    },
    /// A table has a column that nobody knows.
    #[error("{} has an unknown column {column:?}{hint}", path.display())]
    UnknownColumn {
        /// The table.
        path: PathBuf,
        /// The column.
        column: String,
        /// What may be meant.
        hint: String,
    },
    /// A value of a table is wrong. The value itself is not told: it may be a patient's.
    #[error("{}, line {line}, column {column:?}: {expected}", path.display())]
    Value {
        /// The table.
        path: PathBuf,
        /// Line of the file where the row begins.
        line: u64,
        /// The column.
        column: String,
        /// What is expected there.
        expected: String,
    },
    /// A phantom cannot be drawn.
    #[error("{id} cannot be drawn")]
    Phantom {
        /// Which.
        id: String,
        /// Why.
        #[source]
        source: ctedge_models::phantom::PhantomError,
    },
    /// The input's range does not fit 16-bit floats.
    #[error(
        "input.output_range goes beyond 65504, the largest 16-bit float; choose a smaller one, such as [-1.0, 1.0]"
    )]
    Range,
    /// Nothing is left of the corpus.
    #[error("the corpus has no usable case: {reasons}")]
    Empty {
        /// How many were left out, by reason.
        reasons: String,
    },
    /// The folder for shards holds something else.
    #[error("{} holds {stranger:?}, which this command did not write; name a new folder", folder.display())]
    Occupied {
        /// The folder.
        folder: PathBuf,
        /// The first file that is not ours.
        stranger: String,
    },
    /// A file cannot be written.
    #[error("{} cannot be written; make room and run the same command again, what is done stays", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A scan of a written corpus cannot be stored.
    #[error("{} cannot be written as a scan", path.display())]
    Scan {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: ctedge_models::scan::write::WriteError,
    },
    /// The folder is no finished corpus.
    #[error("{} is no prepared corpus, or not finished; `ctedge-trainer prepare EXPERIMENT --out {}` makes it", folder.display(), folder.display())]
    NotPrepared {
        /// The folder.
        folder: PathBuf,
    },
    /// A file of a prepared corpus cannot be understood.
    #[error("{} is damaged: {detail}; run `ctedge-trainer prepare` again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The shards were made for another input.
    #[error("{} was prepared for another [input] ({found}) than the experiment's ({expected}); prepare it again into another folder", folder.display())]
    OtherInput {
        /// The folder.
        folder: PathBuf,
        /// Digest of the input that they were made for.
        found: String,
        /// Digest of the experiment's.
        expected: String,
    },
    /// A row of a shard cannot be read or is not what was written.
    #[error("{}, row {row}: {detail}; delete the file and run `ctedge-trainer prepare` again", path.display())]
    Row {
        /// The shard.
        path: PathBuf,
        /// The row.
        row: usize,
        /// What is wrong.
        detail: String,
    },
    /// There is no such case.
    #[error("case {index} of {count}: cases are counted from 0")]
    NoCase {
        /// What was asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
}
