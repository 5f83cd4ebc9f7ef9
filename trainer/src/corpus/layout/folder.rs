//! A folder of one's own: `cases.csv` names the scans beside it.

use super::table::{Column, Row, Table};
use crate::corpus::case::{Case, Listed, Listing, Report, Source, Split, Why};
use crate::corpus::error::CorpusError;
use ctedge_models::labels::{LABEL_COUNT, Label};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// The table.
pub(super) const TABLE: &str = "cases.csv";
/// Its columns beside the 18 labels. `report` stands alone, or `findings` with `impression` in its place.
const COLUMNS: [&str; 10] =
    ["id", "patient", "group", "path", "report", "findings", "impression", "split", "statement", "visible"];

/// The columns that the table has.
struct Columns {
    id: Column,
    patient: Column,
    path: Column,
    findings: Column,
    impression: Option<Column>,
    group: Option<Column>,
    split: Option<Column>,
    statement: Option<Column>,
    visible: Option<Column>,
    labels: Option<[Column; LABEL_COUNT]>,
}

/// Lists the folder.
pub(super) fn list(folder: &Path) -> Result<Listing, CorpusError> {
    let path = folder.join(TABLE);
    if !path.is_file() {
        let missing = format!("file {TABLE}");
        return Err(CorpusError::Layout { folder: folder.into(), corpus: "a folder of cases", missing });
    }
    let table = Table::read(&path)?;
    let columns = Columns::of(&table)?;
    let mut listing = Listing { root: folder.into(), ..Listing::default() };
    let (mut ids, mut splits) = (BTreeMap::new(), BTreeMap::new());
    for row in table.rows() {
        let listed = columns.listed(row)?;
        if let Some(line) = ids.insert(listed.case.id.clone(), row.line()) {
            return Err(row.wrong(columns.id, format!("the same as in line {line}; every case has its own")));
        }
        let (line, split) = *splits.entry(listed.case.patient.clone()).or_insert((row.line(), listed.split));
        if let Some(column) = columns.split.filter(|_| split != listed.split) {
            return Err(row.wrong(column, format!("not that of the same patient in line {line}")));
        }
        let (id, file) = (&listed.case.id, listed.source.file());
        let line = format!("{TABLE}, line {}", row.line());
        if listed.case.report.is_empty() {
            listing.leave_out(id, &file, Why::NoReport, line);
        } else if folder.join(&file).exists() {
            listing.cases.push(listed);
        } else {
            listing.leave_out(id, &file, Why::NoFile, line);
        }
    }
    Ok(listing)
}

impl Columns {
    fn of(table: &Table) -> Result<Self, CorpusError> {
        for (_, name) in table.columns() {
            if !COLUMNS.contains(&name) && Label::from_name(name).is_none() {
                return Err(table.unknown(name, COLUMNS.into_iter().chain(Label::all().map(Label::name))));
            }
        }
        let whole = table.find("report");
        if let (Some(_), Some(section)) =
            (whole, ["findings", "impression"].into_iter().find(|name| table.find(name).is_some()))
        {
            return Err(table.unknown(&format!("{section} beside report"), COLUMNS.into_iter()));
        }
        let labelled = table.columns().any(|(_, name)| Label::from_name(name).is_some());
        Ok(Self {
            id: table.column("id")?,
            patient: table.column("patient")?,
            path: table.column("path")?,
            findings: whole.map_or_else(|| table.column("findings"), Ok)?,
            impression: table.find("impression"),
            group: table.find("group"),
            split: table.find("split"),
            statement: table.find("statement"),
            visible: table.find("visible"),
            labels: labelled.then(|| table.labels()).transpose()?,
        })
    }

    fn listed(&self, row: Row<'_>) -> Result<Listed, CorpusError> {
        let filled = |column: Column| match row.text(column) {
            "" => Err(row.wrong(column, "expected a name, and the cell is empty")),
            text => Ok(text.to_owned()),
        };
        let id = filled(self.id)?;
        let maybe = |column: Option<Column>| column.map(|column| row.text(column)).filter(|text| !text.is_empty());
        let text = |column: Column| row.text(column).to_owned();
        let case = Case {
            patient: filled(self.patient)?,
            group: maybe(self.group).map_or_else(|| id.clone(), str::to_owned),
            id,
            report: Report { findings: text(self.findings), impression: self.impression.map(text).unwrap_or_default() },
            labels: self.labels.as_ref().map(|labels| row.flags(labels)).transpose()?,
            statement: maybe(self.statement).map(str::to_owned),
            visible: self.visible.map(|column| visible(row, column)).transpose()?,
        };
        let split = match (maybe(self.split), self.split) {
            (Some(name), Some(column)) => {
                let known = Split::ALL.into_iter().find(|split| split.name() == name);
                Some(known.ok_or_else(|| row.wrong(column, "expected train, validation, test or nothing"))?)
            }
            _ => None,
        };
        let path = PathBuf::from(filled(self.path)?);
        if path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(row.wrong(self.path, "expected a path below the folder of this table, without .."));
        }
        Ok(Listed { case, split, source: Source::Scan { path, correction: None } })
    }
}

/// Names of labels with `;` between them. A table that has the column knows it of every row: an empty cell says that
/// nothing can be seen.
fn visible(row: Row<'_>, column: Column) -> Result<[bool; LABEL_COUNT], CorpusError> {
    let mut flags = [false; LABEL_COUNT];
    for name in row.text(column).split(';').map(str::trim).filter(|name| !name.is_empty()) {
        let label =
            Label::from_name(name).ok_or_else(|| row.wrong(column, "expected names of labels with ; between"))?;
        if let Some(flag) = flags.get_mut(label.index()) {
            *flag = true;
        }
    }
    Ok(flags)
}

/// The cell of [`visible`].
pub(super) fn names(flags: [bool; LABEL_COUNT]) -> String {
    let names: Vec<&str> = Label::all().zip(flags).filter(|(_, flag)| *flag).map(|(label, _)| label.name()).collect();
    names.join(";")
}
