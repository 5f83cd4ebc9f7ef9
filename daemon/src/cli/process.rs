//! `ctedge process`: one scan without the daemon.

use super::choosing::{self, Chosen};
use super::{Outcomes, complain, page, say, sorting};
use crate::config::Config;
use crate::floor::fate::Refusal;
use crate::floor::subject::Choice;
use crate::infer::{Inference, Model, inferred};
use crate::message::{self, Place, Topics, Writer};
use crate::report::{self, Disagreement, Report, Watched, Written};
use crate::{pipeline, volume};
use anyhow::Context;
use comfy_table::{Cell, CellAlignment, Table, presets};
use ctedge_models::report::Call;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to process and how to print it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ctedge process /data/series-folder\n  ctedge process chest.nii.gz --json | jq .flags\n  \
    ctedge process /data/series-folder --montage page.png\n\n\
    Exit status: 0 when every series got its flags or was left out by the rules, 1 when one was refused or something failed."
)]
pub(crate) struct Args {
    /// A DICOM file, a NIfTI file, a zip or tar of such files, or a folder with any number of series
    path: PathBuf,
    /// Another model than the one that counts on this device: its .minisig lies beside it
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// The result messages as the daemon would publish them, one JSON object a line
    #[arg(long)]
    json: bool,
    /// With --json the draft reports as well, each in the line after its result
    #[arg(long, requires = "json")]
    drafts: bool,
    /// A page for each series as PNG: key slices with what speaks for each flag, flags and draft. With several series each page
    /// has its pseudonym in its name
    #[arg(long, value_name = "FILE.png")]
    montage: Option<PathBuf>,
}

/// Runs the model on every series found.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let found = choosing::judged(sorting::sorted(&args.path, config)?, config)?;
    complain(&format!("{} series; loading the model", found.len()));
    let bundle = args.bundle.clone().unwrap_or_else(|| pipeline::bundle_of(config));
    let setup = config.setup(bundle);
    let mut inference = Inference::start(&setup)?;
    for reason in &inference.model().passed_over {
        complain(reason);
    }
    let writer = Writer::new(Topics::new(&config.mqtt.prefix, &config.mqtt.device)?, &config.mqtt.device);
    let several = found.len() > 1;
    let (mut all, mut chosen) = (Outcomes::Good, Chosen::default());
    for mut found in found {
        chosen.pass(&mut found);
        let reading = volume::read_once(&config.volume, &found.completed).context("the scan cannot be read now")?;
        let scores = match &reading.scan {
            Err(refusal) => Err(refusal.clone()),
            Ok(scan) => match inference.run(scan) {
                Ok(scores) => scores,
                Err(unfinished) => {
                    inference = Inference::start(&setup)?;
                    Err(Refusal::new(unfinished.code(), unfinished.to_string()))
                }
            },
        };
        let (draft, broken) = match &scores {
            Ok(scores) => pipeline::drafted(config, scores, &mut inference),
            Err(_refused) => (None, None),
        };
        let inferred = inferred(&reading, scores);
        let report = report::report(&config.report, inferred, draft, inference.model());
        let id = message::result_id(&report.subject.identity(), &inference.model().digest, &config.digest());
        chosen.note(&report, config);
        if report.refusal.as_ref().is_some_and(|refusal| !refusal.code.spares_files()) {
            all = Outcomes::Bad;
        }
        if args.json {
            say(&String::from_utf8_lossy(&writer.result(&id, &Place::default(), &report).payload));
            if let Some(draft) = writer.report(&id, &report).filter(|_| args.drafts) {
                say(&String::from_utf8_lossy(&draft.payload));
            }
        } else {
            say(&format!("{}\n{}", found.example.display(), told(&id, &report, inference.model())));
        }
        if let (Some(path), Ok(scan)) = (&args.montage, reading.scan) {
            let path = if several { named(path, &report) } else { path.clone() };
            page::write((&id, &report), inference.model(), scan, &path)?;
            complain(&format!("wrote {}", path.display()));
        }
        if let Some(broken) = broken {
            complain(&format!("over the draft: {broken}"));
            inference = Inference::start(&setup)?;
        }
    }
    Ok(all.exit_code())
}

/// The page of one of several series.
fn named(path: &Path, report: &Report) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{}.png", report.subject.series_key))
}

/// A result for people.
fn told(id: &str, report: &Report, model: &Model) -> String {
    let mut lines = vec![format!("{}  result {id}  series {}", report.outcome.name(), report.subject.series_key)];
    if let Some(refusal) = &report.refusal {
        lines.push(format!("  {refusal}"));
    }
    if let Some(Choice { rule: Some(rule), rank: Some(rank), of, .. }) = &report.subject.choice {
        lines.push(format!("  fits the rule {rule} ({rank} of {of})"));
    }
    if let Some(facts) = &report.facts {
        let ([i, j, k], [di, dj, dk]) = (facts.size, facts.spacing_mm);
        lines.push(format!("  {i} x {j} x {k} voxels of {di:.3} x {dj:.3} x {dk:.3} mm, {}", facts.orientation));
        lines.extend(facts.warnings.iter().map(|warning| format!("  warning: {}", warning.name())));
    }
    if !report.flags.is_empty() {
        lines.push(flags(report));
        lines.push(format!(
            "  {} {} on {}, ONNX Runtime {}",
            model.name,
            model.version,
            model.provider.name(),
            model.runtime
        ));
        if !model.trained {
            lines.push("  RANDOM WEIGHTS: the flags mean nothing".to_owned());
        }
    }
    lines.extend(report.watched.iter().map(watched));
    lines.extend(report.draft.iter().map(drafted));
    let timing = report.timing;
    lines.push(format!(
        "  reading {} ms, preparing {} ms, model {} ms, draft {} ms",
        timing.decode_ms, timing.preprocess_ms, timing.infer_ms, timing.draft_ms
    ));
    lines.push("  Unverified draft for a physician, no diagnosis.\n".to_owned());
    lines.join("\n")
}

/// What is said of a watched finding, for people.
fn watched(watched: &Watched) -> String {
    let Watched { name, score, calibrated } = watched;
    match (score, calibrated) {
        (Err(reason), _) => format!("  watch {name}: no score, {reason}"),
        (Ok(score), None) => format!("  watch {name}: score {score:.3}, uncalibrated"),
        (Ok(score), Some((p, t))) => {
            let mark = if p >= t { ", POSITIVE" } else { "" };
            format!("  watch {name}: score {score:.3}, p {p:.3}, threshold {t:.3}{mark}")
        }
    }
}

/// A draft for people, its mark first.
fn drafted(written: &Written) -> String {
    let Written { draft, author, truncated, disagreements, .. } = written;
    let mut lines =
        vec![format!("  UNVERIFIED DRAFT by {}{}", author.who(), if *truncated { ", cut short" } else { "" })];
    lines.push(format!("  Findings: {}\n  Impression: {}", draft.findings, draft.impression));
    let told = |one: &Disagreement| format!("  contradicts the flags: {} {}", one.code.name(), one.kind.name());
    lines.extend(disagreements.iter().map(told));
    lines.join("\n")
}

fn flags(report: &Report) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(["finding", "p", "threshold", ""]);
    let mut flags: Vec<_> = report.flags.iter().collect();
    flags.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    for flag in flags {
        let number = |value: f32| Cell::new(format!("{value:.3}")).set_alignment(CellAlignment::Right);
        let mark = match flag.call() {
            Call::Absent => "",
            Call::Possible => "POSITIVE, possible",
            Call::Present => "POSITIVE",
        };
        table.add_row([
            Cell::new(flag.label.title()),
            number(flag.probability),
            number(flag.threshold),
            Cell::new(mark),
        ]);
    }
    table.to_string()
}
