//! `ctedge bench`: what the model costs on this device, and how far its numbers are from the processor's.

use super::{complain, say, sorting};
use crate::config::Config;
use crate::floor::clock::Stopwatch;
use crate::floor::worker::memory;
use crate::infer::{Inference, Model, Provider, Scores, Setup};
use crate::pipeline;
use crate::volume::{self, Reading, Scan};
use anyhow::Context;
use comfy_table::{Table, presets};
use ctedge_models::bundle;
use ctedge_models::scan::write::{self, SeriesTags};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is timed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  ctedge bench\n  ctedge bench series/ --runs 200 --json\n\n\
    A daemon beside it shares the device: stop it for numbers to compare.")]
pub(crate) struct Args {
    /// A scan; without it, the phantom of the model's golden test
    path: Option<PathBuf>,
    /// A model bundle, in place of the one that counts on this device
    #[arg(long, value_name = "FILE.ctb")]
    bundle: Option<PathBuf>,
    /// Runs that are timed
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Drafts that are timed
    #[arg(long, default_value_t = 5)]
    drafts: u16,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Bench<'a> {
    schema: &'static str,
    version: &'static str,
    model: &'a str,
    model_version: &'a str,
    digest: &'a str,
    precision: &'a str,
    runtime: &'a str,
    provider: &'static str,
    /// Nodes of the volume graph by ONNX Runtime's provider.
    nodes: &'a BTreeMap<String, usize>,
    passed_over: &'a [String],
    /// Until a worker was ready: bundle verified, library and graphs loaded, golden volume run.
    load_ms: u64,
    /// Largest difference of a logit from the trainer's, on the golden volume.
    golden_difference: f32,
    voxels: [usize; 3],
    decode_ms: u64,
    first_infer_ms: u64,
    preprocess_ms: Spread,
    infer_ms: Spread,
    draft_ms: Option<Spread>,
    draft_tokens_per_s: Option<Spread>,
    /// Most memory that the worker has held.
    worker_peak_mib: Option<u64>,
    drift: Drift,
}

/// How times spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Spread {
    p50: u64,
    p95: u64,
    most: u64,
    of: usize,
}

impl Spread {
    /// Of values in any order; `None` of none.
    fn of(mut values: Vec<u64>) -> Option<Self> {
        values.sort_unstable();
        let count = values.len();
        // The smallest value that so many of a hundred do not exceed.
        let at = |percent: usize| values.get((count * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { p50: at(50)?, p95: at(95)?, most: at(100)?, of: count })
    }

    fn told(self, unit: &str) -> String {
        format!("{} {unit} (95 of 100 within {}, all {} within {})", self.p50, self.p95, self.of, self.most)
    }
}

/// Largest differences from the same bundle on the processor, by output; none where that is what runs.
#[derive(Debug, Default, Serialize)]
struct Drift {
    logit: Option<f32>,
    similarity: Option<f64>,
    focus_mm: Option<f64>,
}

/// Loads the model, times it, and says what was found.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let setup = config.setup(args.bundle.clone().unwrap_or_else(|| pipeline::bundle_of(config)));
    complain("loading the model");
    let clock = Stopwatch::start();
    let mut inference = Inference::start(&setup)?;
    let load_ms = clock.ms();
    let drawn = tempfile::tempdir()?;
    let path = match &args.path {
        Some(path) => path,
        None => golden(&setup.settings.bundle, drawn.path())?,
    };
    let found = sorting::sorted(path, config)?.into_iter().next().context("there is no series")?;
    let reading = volume::read_once(&config.volume, &found.completed).context("the scan cannot be read now")?;
    let Reading { scan, decode_ms, .. } = reading;
    let scan = scan.map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
    let Timed { first, preprocess_ms, infer_ms, draft_ms, draft_tokens_per_s } =
        timed(&mut inference, &scan, (args, config))?;
    let worker_peak_mib = memory::peak_bytes(inference.worker_id()).map(|bytes| bytes >> 20);
    let drift = drift(&setup, inference.model(), (&scan, &first))?;
    let model = inference.model();
    let bench = Bench {
        schema: "bench/1.0",
        version: env!("CARGO_PKG_VERSION"),
        model: &model.name,
        model_version: &model.version,
        digest: &model.digest,
        precision: &model.precision,
        runtime: &model.runtime,
        provider: model.provider.name(),
        nodes: &model.nodes,
        passed_over: &model.passed_over,
        load_ms,
        golden_difference: model.golden_difference,
        voxels: scan.facts.size,
        decode_ms,
        first_infer_ms: first.infer_ms,
        preprocess_ms,
        infer_ms,
        draft_ms,
        draft_tokens_per_s,
        worker_peak_mib,
        drift,
    };
    say(&if args.json { serde_json::to_string(&bench)? } else { told(&bench) });
    Ok(ExitCode::SUCCESS)
}

/// Writes the phantom of a bundle's golden test as a series.
fn golden<'a>(bundle: &Path, folder: &'a Path) -> anyhow::Result<&'a Path> {
    let recipe = bundle::manifest_of(bundle)?.golden.phantom;
    write::dicom_series(&recipe.volume()?, &SeriesTags::synthetic(recipe.seed), folder)?;
    Ok(folder)
}

/// The first run, and how long it and the others took.
struct Timed {
    first: Scores,
    preprocess_ms: Spread,
    infer_ms: Spread,
    draft_ms: Option<Spread>,
    draft_tokens_per_s: Option<Spread>,
}

fn timed(inference: &mut Inference, scan: &Scan, (args, config): (&Args, &Config)) -> anyhow::Result<Timed> {
    complain(&format!("{} runs and {} drafts", args.runs, args.drafts));
    let first = once(inference, scan)?;
    let runs = (0..args.runs).map(|_| once(inference, scan)).collect::<Result<Vec<_>, _>>()?;
    let times = |time: fn(&Scores) -> u64| Spread::of(runs.iter().map(time).collect()).context("no run");
    let (preprocess_ms, infer_ms) = (times(|scores| scores.preprocess_ms)?, times(|scores| scores.infer_ms)?);
    let (mut draft_ms, mut speeds) = (Vec::new(), Vec::new());
    for _ in 0..args.drafts {
        if let (Some(written), _) = pipeline::drafted(config, &first, inference) {
            draft_ms.push(written.cost.draft_ms);
            speeds.extend(written.cost.tokens_per_s());
        }
    }
    Ok(Timed { first, preprocess_ms, infer_ms, draft_ms: Spread::of(draft_ms), draft_tokens_per_s: Spread::of(speeds) })
}

fn once(inference: &mut Inference, scan: &Scan) -> anyhow::Result<Scores> {
    inference.run(scan)?.map_err(|refusal| anyhow::anyhow!("{refusal}"))
}

/// How far a model's numbers of a scan are from the processor's.
fn drift(setup: &Setup, model: &Model, (scan, scores): (&Scan, &Scores)) -> anyhow::Result<Drift> {
    if model.provider == Provider::Cpu {
        return Ok(Drift::default());
    }
    complain("the same on the processor");
    let mut setup = setup.clone();
    setup.settings.providers = vec![Provider::Cpu];
    let cpu = once(&mut Inference::start(&setup)?, scan)?;
    let pairs = scores.foci.iter().zip(&cpu.foci);
    let apart =
        pairs.filter_map(|(ours, theirs)| Some(distance(ours.as_ref()?.centroid_mm, theirs.as_ref()?.centroid_mm)));
    let nearest = |scores: &Scores| {
        let similar = scores.similar.as_ref();
        similar.and_then(|similar| similar.neighbours.first()).map(|first| f64::from(first.similarity))
    };
    Ok(Drift {
        logit: scores.logits.iter().zip(&cpu.logits).map(|(ours, theirs)| (ours - theirs).abs()).reduce(f32::max),
        similarity: nearest(scores).zip(nearest(&cpu)).map(|(ours, theirs)| (ours - theirs).abs()),
        focus_mm: apart.reduce(f64::max),
    })
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// The same for people.
fn told(bench: &Bench<'_>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let [i, j, k] = bench.voxels;
    let nodes = bench.nodes.iter().map(|(name, count)| format!("{count} on {name}"));
    table.add_row(["model", &format!("{} {}, {}", bench.model, bench.model_version, bench.precision)]);
    table.add_row(["runs on", &format!("{}, ONNX Runtime {}", bench.provider, bench.runtime)]);
    table.add_row(["nodes", &nodes.collect::<Vec<_>>().join(", ")]);
    for reason in bench.passed_over {
        table.add_row(["passed over", reason]);
    }
    table.add_row(["load", &format!("{} ms, golden volume included", bench.load_ms)]);
    table.add_row(["golden volume", &format!("logits within {:.1e} of the trainer's", bench.golden_difference)]);
    table.add_row(["scan", &format!("{i} x {j} x {k} voxels, decoded in {} ms", bench.decode_ms)]);
    table.add_row(["preprocess", &bench.preprocess_ms.told("ms")]);
    table.add_row(["first run", &format!("{} ms", bench.first_infer_ms)]);
    table.add_row(["run", &bench.infer_ms.told("ms")]);
    if let (Some(times), Some(speed)) = (bench.draft_ms, bench.draft_tokens_per_s) {
        table.add_row(["draft", &format!("{}; {} tokens a second", times.told("ms"), speed.p50)]);
    }
    if let Some(peak) = bench.worker_peak_mib {
        table.add_row(["worker's memory", &format!("{peak} MiB at most")]);
    }
    for (output, apart, unit) in [
        ("logits", bench.drift.logit.map(f64::from), ""),
        ("similarity", bench.drift.similarity, ""),
        ("foci", bench.drift.focus_mm, " mm"),
    ] {
        if let Some(apart) = apart {
            table.add_row(["drift", &format!("{output} within {apart:.1e}{unit} of the processor's")]);
        }
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_spread() {
        assert_eq!(Spread::of(Vec::new()), None);
        assert_eq!(Spread::of(vec![7]), Some(Spread { p50: 7, p95: 7, most: 7, of: 1 }));
        let hundred = (1..=100).rev().collect();
        assert_eq!(Spread::of(hundred), Some(Spread { p50: 50, p95: 95, most: 100, of: 100 }));
    }
}
