//! Tables of reports: their texts, their labels where they have some, and the labels that were read from them.

use super::disk;
use super::error::CorpusError;
use super::layout::{Column, Row, Table};
use ctedge_models::labels::{LABEL_COUNT, Label};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// Columns that hold the text, the first that a table has all of: CT-RATE's, CT-CLIP's, our own.
const TEXTS: [&[&str]; 5] =
    [&["Findings_EN", "Impressions_EN"], &["report_text"], &["findings", "impression"], &["report"], &["text"]];
/// Columns that name a report; else the first that holds no text.
const NAMES: [&str; 3] = ["VolumeName", "AccessionNo", "id"];

/// A table of reports.
#[derive(Debug)]
pub struct Reports {
    table: Table,
    path: PathBuf,
    name: Column,
    texts: Vec<Column>,
}

impl Reports {
    /// Opens a table. Its text is in the columns `asked` for, or where that is empty in those that corpora have.
    ///
    /// # Errors
    /// The file is no table, or lacks a column.
    pub fn open(path: &Path, asked: &[String]) -> Result<Self, CorpusError> {
        let table = Table::read(path)?;
        let known = || TEXTS.into_iter().find(|names| names.iter().all(|name| table.find(name).is_some()));
        let texts: Vec<Column> = match (asked, known()) {
            ([], Some(names)) => names.iter().map(|name| table.column(name)).collect::<Result<_, _>>()?,
            ([], None) => return Err(no_text(path, &table)),
            (names, _) => names.iter().map(|name| table.column(name)).collect::<Result<_, _>>()?,
        };
        let own = NAMES.into_iter().find_map(|name| table.find(name));
        let first = table.columns().map(|(column, _)| column).find(|column| !texts.contains(column));
        let name = own.or(first).map_or_else(|| table.column("id"), Ok)?;
        Ok(Self { path: path.into(), name, texts, table })
    }

    /// The names of the columns that are read as text.
    pub fn text_columns(&self) -> Vec<&str> {
        self.texts.iter().map(|&column| self.table.name(column)).collect()
    }

    /// The text of each report, its columns as paragraphs.
    pub fn texts(&self) -> Vec<String> {
        let text = |row: Row<'_>| self.texts.iter().map(|&column| row.text(column)).collect::<Vec<_>>().join("\n\n");
        self.table.rows().map(text).collect()
    }

    /// The labels that the table itself has; none where it has none of their columns.
    ///
    /// # Errors
    /// It has some of the 18 columns but not all, or a cell that is neither 0 nor 1.
    pub fn labels(&self) -> Result<Option<Vec<[bool; LABEL_COUNT]>>, CorpusError> {
        if !self.table.columns().any(|(_, name)| Label::from_name(name).is_some()) {
            return Ok(None);
        }
        let columns = self.table.labels()?;
        self.table.rows().map(|row| row.flags(&columns)).collect::<Result<_, _>>().map(Some)
    }

    /// The labels of these reports in another table, found by the reports' names in its first column or in that of the same
    /// title.
    ///
    /// # Errors
    /// The table cannot be read, lacks a column, or has no row for a report.
    pub fn labels_in(&self, path: &Path) -> Result<Vec<[bool; LABEL_COUNT]>, CorpusError> {
        let table = Table::read(path)?;
        let columns = table.labels()?;
        let title = self.table.name(self.name);
        let first = || table.columns().map(|(column, _)| column).find(|column| !columns.contains(column));
        let name = table.find(title).or_else(first).map_or_else(|| table.column(title), Ok)?;
        let rows: HashMap<&str, Row<'_>> = table.rows().map(|row| (row.text(name), row)).collect();
        let labels = |row: Row<'_>| match rows.get(row.text(self.name)) {
            Some(labelled) => labelled.flags(&columns),
            None => Err(row.wrong(self.name, format!("expected a report that {} has a row for", path.display()))),
        };
        self.table.rows().map(labels).collect()
    }

    /// Writes CT-RATE's table of labels: the reports' names, then 18 columns of 0 and 1 with CT-RATE's titles.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_labels(&self, out: &Path, labels: &[[bool; LABEL_COUNT]]) -> Result<(), CorpusError> {
        let failed = |error: csv::Error| CorpusError::Write { path: out.into(), source: io::Error::other(error) };
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_field(self.table.name(self.name)).map_err(failed)?;
        table.write_record(Label::all().map(Label::title)).map_err(failed)?;
        for (row, labels) in self.table.rows().zip(labels) {
            table.write_field(row.text(self.name)).map_err(failed)?;
            table.write_record(labels.iter().map(|&flag| if flag { "1" } else { "0" })).map_err(failed)?;
        }
        let bytes = table.into_inner().map_err(|error| failed(error.into_error().into()))?;
        disk::write(out, &bytes)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn no_text(path: &Path, table: &Table) -> CorpusError {
    let there: Vec<&str> = table.columns().map(|(_, name)| name).collect();
    let hint = format!("; name the columns of the text with --text, there are {}", there.join(", "));
    CorpusError::NoColumn { path: path.into(), column: "report_text".to_owned(), hint }
}
