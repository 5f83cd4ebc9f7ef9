//! BIMCV-R: NIfTI files in nested folders and one table of reports.
//!
//! The table's paths are those of the authors' machine: a volume is found by its file's name. Of 7518 published rows 1332
//! pair an image with the report of another patient or session; the name tells, and those are left out.

use super::files::volumes_below;
use super::table::Table;
use crate::corpus::case::{Case, Listed, Listing, Report, Source, Why};
use crate::corpus::error::CorpusError;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The table in the corpus's folder.
const TABLE: &str = "BIMCV-R.csv";

/// Lists BIMCV-R in `folder`.
pub(super) fn list(folder: &Path) -> Result<Listing, CorpusError> {
    let path = folder.join(TABLE);
    if !path.is_file() {
        return Err(CorpusError::Layout { folder: folder.into(), corpus: "BIMCV-R", missing: format!("file {TABLE}") });
    }
    let table = Table::read(&path)?;
    let [patient, session] = [table.column("PatientID")?, table.column("ReportID")?];
    let english = table.column("Report_en")?;
    // Copies of the table differ: `path` may name the folder, with `ct_path` for the file.
    let image = table.find("ct_path").map_or_else(|| table.column("path"), Ok)?;
    let files: BTreeMap<String, PathBuf> =
        volumes_below(folder, Path::new(""))?.into_iter().map(|path| (name(&path.to_string_lossy()), path)).collect();

    let mut listing = Listing { root: folder.into(), ..Listing::default() };
    let mut seen = BTreeSet::new();
    for row in table.rows() {
        let stated = row.text(image);
        let file = name(stated);
        let id = file.trim_end_matches(".nii.gz").trim_end_matches(".nii").to_owned();
        let line = format!("{TABLE}, line {}", row.line());
        let found = files.get(&file);
        let (Some(of_patient), Some(of_session)) = (mark(stated, "sub-"), mark(stated, "ses-")) else {
            listing.leave_out(&id, &file, Why::Name, format!("{line}: no sub-… and ses-… in the path"));
            continue;
        };
        let report = Report { findings: row.text(english).to_owned(), impression: String::new() };
        let refused = if !(is(of_patient, row.text(patient)) && is(of_session, row.text(session))) {
            Some((Why::OtherPatient, "the file is of another patient or session than the report"))
        } else if report.is_empty() {
            Some((Why::NoReport, "no English report"))
        } else if found.is_none() {
            Some((Why::NoFile, "no file of that name in the folder"))
        } else if !seen.insert(file.clone()) {
            Some((Why::Repeated, "the file has a row already"))
        } else {
            None
        };
        match (refused, found) {
            (None, Some(path)) => {
                let patient = of_patient.to_owned();
                let group = format!("{patient}_{of_session}");
                let case = Case { id, patient, group, report, labels: None, statement: None, visible: None };
                let source = Source::Scan { path: path.clone(), correction: None };
                listing.cases.push(Listed { case, split: None, source });
            }
            (refused, _) => {
                let (why, detail) = refused.unwrap_or((Why::NoFile, ""));
                listing.leave_out(&id, &file, why, format!("{line}: {detail}"));
            }
        }
    }
    listing.cases.sort_by(|a, b| a.case.id.cmp(&b.case.id));
    Ok(listing)
}

/// The last folder or part of the name that begins with `kind`, without it: `S03100` of `sub-S03100`.
fn mark<'a>(path: &'a str, kind: &str) -> Option<&'a str> {
    path.split(['/', '_']).filter_map(|part| part.strip_prefix(kind)).next_back().filter(|mark| !mark.is_empty())
}

/// Whether a cell, with or without `sub-` or `ses-`, is the mark of a path.
fn is(mark: &str, cell: &str) -> bool {
    let bare = cell.strip_prefix("sub-").or_else(|| cell.strip_prefix("ses-")).unwrap_or(cell);
    bare.eq_ignore_ascii_case(mark)
}

fn name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
