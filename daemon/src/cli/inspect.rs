//! `ctedge inspect`: what a file or folder holds.

use super::sorting::{self, Found};
use super::{Outcomes, complain, montage, say};
use crate::config::Config;
use crate::volume::{self, Reading, Scan};
use anyhow::Context;
use comfy_table::{Table, presets};
use ctedge_models::bundle;
use ctedge_models::preprocess;
use ctedge_models::scan::Facts;
use ctedge_models::volume::Volume;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to look at.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  ctedge inspect /data/incoming\n  ctedge inspect series/ --montage pictures/\n\n\
    Exit status: 0 when every series can be read, 1 when one cannot.")]
pub(crate) struct Args {
    /// A DICOM file, a NIfTI file, a zip or tar of such files, or a folder with any number of series
    path: PathBuf,
    /// One JSON object a series and line
    #[arg(long)]
    json: bool,
    /// Folder for pictures, named by series key: `-volume.png`, and `-tensor.png` as the configured model sees it.
    /// They show the patient: treat them as you treat the scan
    #[arg(long, value_name = "FOLDER")]
    montage: Option<PathBuf>,
}

/// Reads every series and prints what it is.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["series", "files", "modality", "voxels", "spacing mm", "orientation", "HU", "problems"]);
    let mut all = Outcomes::Good;
    for found in sorting::sorted(&args.path, config)? {
        let reading = volume::read_once(&config.volume, &found.completed).context("the scan cannot be read now")?;
        let (mut object, row) = (object(&found, &reading), row(&found, &reading));
        match reading.scan {
            Ok(scan) => scan.look(|volume| {
                // A second pass over all voxels: not where nobody sees what comes of it.
                object.extend(args.json.then(|| ("voxels_sha256".to_owned(), volume.voxels().sha256().into())));
                let key = &reading.subject.series_key.0;
                args.montage.as_ref().map_or(Ok(()), |folder| pictures((folder, key), volume, config))
            })??,
            Err(_refusal) => all = Outcomes::Bad,
        }
        if args.json {
            say(&Value::from(object).to_string());
        } else {
            table.add_row(row);
        }
    }
    if !args.json {
        say(&table.to_string());
    }
    Ok(all.exit_code())
}

fn object(found: &Found, reading: &Reading) -> Map<String, Value> {
    let (facts, refusal) = match &reading.scan {
        Ok(scan) => (Some(&scan.facts), None),
        Err(refusal) => (None, Some(json!({ "reason_code": refusal.code.name(), "reason_detail": refusal.detail }))),
    };
    let object = json!({
        "series_key": reading.subject.series_key, "study_key": reading.subject.study_key, "example": found.example,
        "files": reading.subject.instances, "modality": found.modality, "input": facts, "refusal": refusal,
        "decode_ms": reading.decode_ms,
    });
    object.as_object().cloned().unwrap_or_default()
}

fn row(found: &Found, reading: &Reading) -> [String; 8] {
    let key: String = reading.subject.series_key.0.chars().take(12).collect();
    let files = reading.subject.instances.to_string();
    let modality = found.modality.clone().unwrap_or_else(|| "–".to_owned());
    match &reading.scan {
        Err(refusal) => {
            let name = found.example.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let none = || "–".to_owned();
            [key, files, modality, none(), none(), none(), none(), format!("{refusal} ({name})")]
        }
        Ok(Scan { facts, .. }) => {
            let ([i, j, k], [di, dj, dk], [low, high]) = (facts.size, facts.spacing_mm, facts.hu_range);
            let (size, spacing) = (format!("{i} x {j} x {k}"), format!("{di:.3} x {dj:.3} x {dk:.3}"));
            [key, files, modality, size, spacing, facts.orientation.clone(), format!("{low} … {high}"), problems(facts)]
        }
    }
}

fn problems(facts: &Facts) -> String {
    let warnings = facts.warnings.iter().map(|warning| warning.name().to_owned());
    let dropped = facts.dropped.iter().map(|(why, count)| format!("{count} dropped: {}", why.name()));
    warnings.chain(dropped).collect::<Vec<_>>().join(", ")
}

fn pictures((folder, key): (&Path, &str), volume: &Volume<'_>, config: &Config) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let path = folder.join(format!("{key}-volume.png"));
    montage::volume(volume, &path)?;
    complain(&format!("wrote {}", path.display()));
    match bundle::manifest_of(&config.infer.bundle) {
        Ok(manifest) => {
            let tensor = preprocess::tensor(volume, &manifest.input);
            let path = folder.join(format!("{key}-tensor.png"));
            montage::tensor(&tensor, &manifest.input, &path)?;
            complain(&format!("wrote {}", path.display()));
        }
        Err(error) => complain(&format!("no picture of the tensor, since infer.bundle cannot be read: {error}")),
    }
    Ok(())
}
