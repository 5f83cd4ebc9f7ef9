//! CT-RATE: folders of volumes in nested names, tables of reports, labels and metadata.
//!
//! The metadata table knows slope, intercept and spacing of the raw volumes, whose headers are wrong; the corrected
//! copies in `*_fixed` are read as they are and preferred. `valid_*` is the test set: the data set has no third part.

use super::files::volumes_below;
use super::table::{Column, Row, Table};
use crate::corpus::case::{Case, Correction, Listed, Listing, Report, Source, Split, Why};
use crate::corpus::error::CorpusError;
use ctedge_models::labels::LABEL_COUNT;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What the tables say where a text is missing.
const MISSING: &str = "Not given.";
/// End of a volume's name.
const ENDING: &str = ".nii.gz";

/// A part of the data set.
struct Part {
    /// In names of volumes, their folders, the labels table and the list of volumes that are no chest.
    name: &'static str,
    /// In names of the tables of reports and metadata.
    tables: &'static str,
    split: Split,
}

const PARTS: [Part; 2] = [
    Part { name: "train", tables: "train", split: Split::Train },
    Part { name: "valid", tables: "validation", split: Split::Test },
];

/// Lists what is there of CT-RATE in `folder`, which is its `dataset` folder or the one above.
pub(super) fn list(folder: &Path) -> Result<Listing, CorpusError> {
    let dataset = folder.join("dataset");
    let root = if dataset.is_dir() { dataset } else { folder.to_owned() };
    let mut listing = Listing { root: root.clone(), ..Listing::default() };
    let mut stands = false;
    for part in &PARTS {
        if part.folders().iter().any(|volumes| root.join(volumes).is_dir()) {
            part.list(&mut listing)?;
            stands = true;
        }
    }
    let missing = || CorpusError::Layout {
        folder: folder.to_owned(),
        corpus: "CT-RATE",
        missing: "folder dataset/train, dataset/valid, dataset/train_fixed or dataset/valid_fixed".to_owned(),
    };
    if stands { Ok(listing) } else { Err(missing()) }
}

/// `train_12_b_2`: its numbers, in the order in which volumes are listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    patient: u64,
    /// Length and letters: `b` comes before `aa`.
    scan: (usize, String),
    reconstruction: u64,
}

impl Name {
    /// By the rule `^(train|valid)_([1-9][0-9]*)_([a-z]+)_([1-9][0-9]*)$`.
    fn parse(part: &str, stem: &str) -> Option<Self> {
        let words: Vec<&str> = stem.split('_').collect();
        let &[split, patient, scan, reconstruction] = words.as_slice() else { return None };
        let number = |word: &str| {
            let digits = word.bytes().all(|letter| letter.is_ascii_digit()) && !word.starts_with('0');
            digits.then(|| word.parse().ok()).flatten()
        };
        let letters = !scan.is_empty() && scan.bytes().all(|letter| letter.is_ascii_lowercase());
        let name = Self {
            patient: number(patient)?,
            scan: (scan.len(), scan.to_owned()),
            reconstruction: number(reconstruction)?,
        };
        (split == part && letters).then_some(name)
    }
}

/// A volume on disk.
#[derive(Debug)]
struct Found {
    /// Below the `dataset` folder.
    path: PathBuf,
    /// Whether it needs the metadata table.
    raw: bool,
}

/// What the tables say of a volume; the column `VolumeName` without its ending is the key.
#[derive(Debug, Default)]
struct Tables {
    reports: BTreeMap<String, Report>,
    labels: BTreeMap<String, [bool; LABEL_COUNT]>,
    corrections: BTreeMap<String, Result<Correction, String>>,
    no_chest: BTreeSet<String>,
}

impl Part {
    /// Corrected copies before raw volumes.
    fn folders(&self) -> [String; 2] {
        [format!("{}_fixed", self.name), self.name.to_owned()]
    }

    fn list(&self, listing: &mut Listing) -> Result<(), CorpusError> {
        let root = listing.root.clone();
        let mut found: BTreeMap<String, Found> = BTreeMap::new();
        for (folder, raw) in self.folders().into_iter().zip([false, true]) {
            for path in volumes_below(&root, Path::new(&folder))? {
                found.entry(stem(&path.to_string_lossy())).or_insert(Found { path, raw });
            }
        }
        let mut tables = self.tables(&root)?;
        if found.values().any(|found| found.raw) {
            tables.corrections = self.corrections(&root)?;
        }
        let mut names = BTreeMap::new();
        for id in found.keys().chain(tables.reports.keys()) {
            match Name::parse(self.name, id) {
                Some(name) => drop(names.insert(name, id)),
                None => listing.leave_out(id, &file(found.get(id)), Why::Name, "not like train_1_a_1.nii.gz"),
            }
        }
        for (name, id) in names {
            let found = found.get(id);
            match self.listed(&name, id, found, &tables) {
                Ok(listed) => listing.cases.push(listed),
                Err((why, detail)) => listing.leave_out(id, &file(found), why, detail),
            }
        }
        Ok(())
    }

    fn listed(&self, name: &Name, id: &str, found: Option<&Found>, tables: &Tables) -> Result<Listed, (Why, String)> {
        if tables.no_chest.contains(id) {
            return Err((Why::NoChest, format!("on the list no_chest_{}.txt", self.name)));
        }
        let Found { path, raw } = found.ok_or((Why::NoFile, "not in the folders".to_owned()))?;
        let report = tables.reports.get(id).filter(|report| !report.is_empty()).cloned();
        let report = report.ok_or((Why::NoReport, format!("in {}_reports.csv", self.tables)))?;
        let correction = match (raw, tables.corrections.get(id)) {
            (false, _) => None,
            (true, Some(Ok(correction))) => Some(*correction),
            (true, Some(Err(detail))) => return Err((Why::NoMetadata, detail.clone())),
            (true, None) => return Err((Why::NoMetadata, format!("no row in {}_metadata.csv", self.tables))),
        };
        let patient = format!("{}_{}", self.name, name.patient);
        let case = Case {
            id: id.to_owned(),
            group: format!("{patient}_{}", name.scan.1),
            patient,
            report,
            labels: tables.labels.get(id).copied(),
            statement: None,
            visible: None,
        };
        Ok(Listed { case, split: Some(self.split), source: Source::Scan { path: path.clone(), correction } })
    }

    fn tables(&self, root: &Path) -> Result<Tables, CorpusError> {
        let Self { name, tables, .. } = self;
        let mut read = Tables::default();

        let table = Table::read(&root.join(format!("radiology_text_reports/{tables}_reports.csv")))?;
        let volume = table.column("VolumeName")?;
        let [findings, impression] = [table.column("Findings_EN")?, table.column("Impressions_EN")?];
        for row in table.rows() {
            let report = Report { findings: text(row, findings), impression: text(row, impression) };
            read.reports.insert(stem(row.text(volume)), report);
        }

        let table = Table::read(&root.join(format!("multi_abnormality_labels/{name}_predicted_labels.csv")))?;
        let (volume, labels) = (table.column("VolumeName")?, table.labels()?);
        for row in table.rows() {
            read.labels.insert(stem(row.text(volume)), row.flags(&labels)?);
        }

        // Volumes that are no chest must be known before anything is learned.
        let path = root.join(format!("metadata/no_chest_{name}.txt"));
        let list = fs::read_to_string(&path).map_err(|source| CorpusError::Read { path, source })?;
        read.no_chest = list.lines().map(str::trim).filter(|line| !line.is_empty()).map(stem).collect();
        Ok(read)
    }

    /// What the metadata table says of raw volumes.
    fn corrections(&self, root: &Path) -> Result<BTreeMap<String, Result<Correction, String>>, CorpusError> {
        let tables = self.tables;
        let table = Table::read(&root.join(format!("metadata/{tables}_metadata.csv")))?;
        let mut found = BTreeMap::new();
        let volume = table.column("VolumeName")?;
        let columns = ["RescaleSlope", "RescaleIntercept", "XYSpacing", "ZSpacing"].map(|name| table.column(name));
        let [slope, intercept, plane, z] = columns;
        let columns = [slope?, intercept?, plane?, z?];
        for row in table.rows() {
            let wrong = || format!("{tables}_metadata.csv, line {}: scale or spacing is no number", row.line());
            found.insert(stem(row.text(volume)), correction(row, columns).ok_or_else(wrong));
        }
        Ok(found)
    }
}

/// Slope, intercept and spacing of a raw volume, as its table states them. The spacing in the plane is `[0.7, 0.7]`.
fn correction(row: Row<'_>, [slope, intercept, plane, z]: [Column; 4]) -> Option<Correction> {
    let (slope, intercept, z) = (row.number(slope)?, row.number(intercept)?, row.number(z)?);
    let plane = row.text(plane).strip_prefix('[')?.strip_suffix(']')?;
    // DICOM's Pixel Spacing: between rows, then between columns.
    let (rows, columns) = plane.split_once(',')?;
    let [x, y] = [columns.trim().parse().ok()?, rows.trim().parse().ok()?];
    Some(Correction { slope, intercept, spacing_mm: [x, y, z] })
}

fn text(row: Row<'_>, column: Column) -> String {
    let text = row.text(column);
    if text == MISSING { String::new() } else { text.to_owned() }
}

/// A volume's name without folders and ending.
fn stem(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(ENDING).unwrap_or(name).to_owned()
}

fn file(found: Option<&Found>) -> String {
    found.map(|found| found.path.display().to_string()).unwrap_or_default()
}
