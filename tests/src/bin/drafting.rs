//! How fast a device drafts and searches: the reference bundle's decoder beside a bare ONNX Runtime loop, the cost of a token late
//! in a report beside one early in it, and the search of reference cases beside numpy's.
//!
//! The decoder is one that never ends, so that every draft has as many tokens as are asked for.

use anyhow::{Context, ensure};
use clap::Parser;
use ctedge_models::evidence;
use ctedge_models::phantom::Recipe;
use ctedge_models::scan::write::{SeriesTags, dicom_series};
use ctedge_tests::appliance::{Appliance, Setup};
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::variant::{Strange, Workshop};
use ctedge_tests::{place, process, stage, tools};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Tokens of a short draft and of a long one.
const SHORT: u32 = 120;
const LONG: u32 = 240;
/// Reference cases, and the width of their embeddings.
const ROWS: usize = 50_000;
const WIDTH: usize = 128;
/// Nearest cases of a result.
const NEAREST: usize = 5;

/// The bars: seconds of a short draft; cost of a token of the second half over one of the first, where without a cache it would be
/// 3; share of the bare loop's speed; seconds of a search.
const SHORT_BAR_S: f64 = 1.0;
const FLAT_BAR: f64 = 1.5;
const SPEED_BAR: f64 = 0.8;
const SEARCH_BAR_S: f64 = 0.01;

/// Measures drafting and searching.
#[derive(Debug, Parser)]
struct Arguments {
    /// Patients that are drafted of; the median counts
    #[arg(long, default_value_t = 9)]
    runs: u64,
}

fn main() -> ExitCode {
    stage::ended("drafting", drafting(&Arguments::parse()))
}

fn drafting(arguments: &Arguments) -> anyhow::Result<bool> {
    let clock = Elapsed::new();
    clock.say("building ctedge with optimisation");
    let binary = stage::build(&["ctedge"])?.join("ctedge");
    let folder = place::target().join("drafting");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let scans = folder.join("scans");
    for seed in 0..arguments.runs {
        let recipe = Recipe { seed, ..Recipe::example() };
        let series = scans.join(seed.to_string());
        std::fs::create_dir_all(&series)?;
        dicom_series(&recipe.volume()?, &SeriesTags::synthetic(seed), &series)?;
    }
    let workshop = Workshop::open()?;
    let desk = Desk { folder: folder.join("box"), binary, bundle: workshop.release(1, Strange::EndlessDraft, |_| {})? };
    clock.say("drafting");
    let (short, _model) = desk.seconds(&workshop, &scans, SHORT)?;
    let (long, model) = desk.seconds(&workshop, &scans, LONG)?;
    clock.say("the same graphs in Python");
    let plan = json!({ "decode": { "scan": scans.join("0"), "model": model, "tokens": LONG, "runs": arguments.runs } });
    let bare = number(&peer(&plan)?, "seconds")?;
    clock.say("searching");
    let [searched, theirs] = search(&folder)?;
    let rate = |seconds: f64| f64::from(LONG) / seconds;
    let held = [
        at_most(&format!("{SHORT} tokens, s"), short, SHORT_BAR_S),
        at_most("a token of the second half over one of the first", (long - short) / short, FLAT_BAR),
        at_least("speed over a bare loop's", bare / long, SPEED_BAR),
        at_most(&format!("nearest of {ROWS}, s"), searched, SEARCH_BAR_S),
    ];
    say(&format!(
        "tokens a second: {:.0} here, {:.0} in the bare loop; search in numpy {theirs:.4} s",
        rate(long),
        rate(bare)
    ));
    Ok(held.into_iter().all(|held| held))
}

fn at_most(what: &str, value: f64, bar: f64) -> bool {
    let held = value <= bar;
    say(&format!("{what:<52} {value:8.4}  {} (at most {bar})", if held { "PASS" } else { "FAIL" }));
    held
}

fn at_least(what: &str, value: f64, bar: f64) -> bool {
    let held = value >= bar;
    say(&format!("{what:<52} {value:8.4}  {} (at least {bar})", if held { "PASS" } else { "FAIL" }));
    held
}

/// A device whose decoder never ends.
struct Desk {
    folder: PathBuf,
    binary: PathBuf,
    bundle: PathBuf,
}

impl Desk {
    /// The median of the seconds that drafts of so many tokens take, and the folder of the model that was unpacked for them.
    fn seconds(&self, workshop: &Workshop, scans: &Path, tokens: u32) -> anyhow::Result<(f64, PathBuf)> {
        let mut setup = Setup::quick(process::free_port()?);
        setup.more = vec![
            format!("draft.max_tokens = {tokens}"),
            "draft.no_repeat = 0".to_owned(),
            "draft.on_disagreement = \"mark\"".to_owned(),
        ];
        let mut appliance = Appliance::in_folder(&self.folder, self.binary.clone(), &setup)?;
        std::fs::copy(workshop.public(), appliance.path("trust/workshop.pub"))?;
        appliance.environment("CTEDGE__INFER__BUNDLE", &self.bundle);
        let told = process::output(appliance.command(&["process", "--json", "--drafts"]).arg(scans))?;
        let told: Vec<Value> = told.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let written: Vec<f64> = told.iter().filter_map(|message| message.get("tokens")?.as_f64()).collect();
        ensure!(written.iter().all(|count| (count - f64::from(tokens)).abs() < 1.5), "drafts of {written:?} tokens");
        let took = told.iter().filter_map(|message| message.get("timing_ms")?.get("draft_ms")?.as_f64());
        Ok((median(took.collect())? / 1e3, appliance.model()?))
    }
}

/// Seconds of our search and of numpy's, which must find the same.
fn search(folder: &Path) -> anyhow::Result<[f64; 2]> {
    let theirs = peer(&json!({ "search": { "folder": folder, "rows": ROWS, "width": WIDTH, "runs": 20 } }))?;
    let rows = std::fs::read(folder.join("rows.f16"))?;
    let query = std::fs::read(folder.join("query.f32"))?;
    let query: Vec<f32> = query.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let mut took = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        let found = evidence::nearest(&rows, &query, NEAREST)?;
        took.push(begun.elapsed().as_secs_f64());
        let found: Vec<usize> = found.iter().map(|one| one.row).collect();
        ensure!(Some(&json!(found)) == theirs.get("nearest"), "{found:?} are not those of {theirs}");
    }
    Ok([median(took)?, number(&theirs, "seconds")?])
}

fn peer(plan: &Value) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&tools::peer("drafting.py", &[Path::new(&plan.to_string())])?)?)
}

fn number(value: &Value, key: &str) -> anyhow::Result<f64> {
    value.get(key).and_then(Value::as_f64).with_context(|| format!("no {key}"))
}

fn median(mut values: Vec<f64>) -> anyhow::Result<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().context("nothing was measured")
}
