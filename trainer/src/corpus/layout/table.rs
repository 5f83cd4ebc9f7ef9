//! Tables of comma-separated values, with errors that name file, line and column.

use crate::corpus::error::CorpusError;
use csv::StringRecord;
use ctedge_models::labels::{LABEL_COUNT, Label};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A table in memory.
#[derive(Debug)]
pub(in crate::corpus) struct Table {
    path: PathBuf,
    columns: Vec<String>,
    rows: Vec<StringRecord>,
}

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::corpus) struct Column(usize);

/// A row of a table.
#[derive(Debug, Clone, Copy)]
pub(in crate::corpus) struct Row<'a> {
    table: &'a Table,
    record: &'a StringRecord,
}

impl Table {
    /// Reads a table whose first row names the columns.
    pub(in crate::corpus) fn read(path: &Path) -> Result<Self, CorpusError> {
        let file = File::open(path).map_err(|source| CorpusError::Read { path: path.into(), source })?;
        let broken = |source| CorpusError::Csv { path: path.into(), source };
        let mut reader = csv::Reader::from_reader(file);
        let columns = reader.headers().map_err(broken)?.iter().map(|name| name.trim().to_owned()).collect();
        let rows = reader.into_records().collect::<Result<_, _>>().map_err(broken)?;
        Ok(Self { path: path.into(), columns, rows })
    }

    /// All columns with their names.
    pub(in crate::corpus) fn columns(&self) -> impl Iterator<Item = (Column, &str)> {
        self.columns.iter().enumerate().map(|(place, name)| (Column(place), name.as_str()))
    }

    /// What a column is called.
    pub(in crate::corpus) fn name(&self, Column(place): Column) -> &str {
        self.columns.get(place).map_or("", String::as_str)
    }

    /// The column of that name, if the table has it.
    pub(in crate::corpus) fn find(&self, name: &str) -> Option<Column> {
        self.columns().find(|&(_, have)| have == name).map(|(column, _)| column)
    }

    /// The column of that name.
    pub(in crate::corpus) fn column(&self, name: &str) -> Result<Column, CorpusError> {
        self.find(name).ok_or_else(|| CorpusError::NoColumn {
            path: self.path.clone(),
            column: name.to_owned(),
            hint: hint(name, self.columns.iter().map(String::as_str)),
        })
    }

    /// The 18 columns of labels, in the official order: by stable name or by CT-RATE's.
    pub(in crate::corpus) fn labels(&self) -> Result<[Column; LABEL_COUNT], CorpusError> {
        let mut columns = [Column(0); LABEL_COUNT];
        for (column, label) in columns.iter_mut().zip(Label::all()) {
            *column = self.find(label.name()).map_or_else(|| self.column(label.title()), Ok)?;
        }
        Ok(columns)
    }

    /// A column that nobody knows.
    pub(in crate::corpus) fn unknown<'a>(&self, column: &str, known: impl Iterator<Item = &'a str>) -> CorpusError {
        CorpusError::UnknownColumn { path: self.path.clone(), column: column.to_owned(), hint: hint(column, known) }
    }

    /// The rows.
    pub(in crate::corpus) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|record| Row { table: self, record })
    }
}

impl<'a> Row<'a> {
    /// A cell without the blanks around it.
    pub(in crate::corpus) fn text(&self, Column(place): Column) -> &'a str {
        self.record.get(place).unwrap_or_default().trim()
    }

    /// Line of the file where the row begins.
    pub(in crate::corpus) fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    /// A cell that says 0 or 1.
    pub(in crate::corpus) fn flag(&self, column: Column) -> Result<bool, CorpusError> {
        match self.text(column) {
            "0" | "0.0" | "false" => Ok(false),
            "1" | "1.0" | "true" => Ok(true),
            _ => Err(self.wrong(column, "expected 0 or 1")),
        }
    }

    /// 18 cells that say 0 or 1.
    pub(in crate::corpus) fn flags(&self, columns: &[Column; LABEL_COUNT]) -> Result<[bool; LABEL_COUNT], CorpusError> {
        let mut flags = [false; LABEL_COUNT];
        for (flag, &column) in flags.iter_mut().zip(columns) {
            *flag = self.flag(column)?;
        }
        Ok(flags)
    }

    /// A finite number.
    pub(in crate::corpus) fn number(&self, column: Column) -> Option<f64> {
        self.text(column).parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// The error of a wrong cell; the cell itself is not told, it may be a patient's.
    pub(in crate::corpus) fn wrong(&self, column: Column, expected: impl Into<String>) -> CorpusError {
        let column = self.table.name(column).to_owned();
        CorpusError::Value { path: self.table.path.clone(), line: self.line(), column, expected: expected.into() }
    }
}

/// `; did you mean "patient"?`, or what there is.
fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let near = |other: &&&str| strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase());
    match known.iter().min_by_key(near).filter(|best| near(best) <= 1 + name.len() / 4) {
        Some(best) => format!("; did you mean {best:?}?"),
        None => format!("; there are {}", known.join(", ")),
    }
}
