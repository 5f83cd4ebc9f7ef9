//! The model card: what a person should know of a bundle.

use super::folder::Plan;
use super::int8::{CALIBRATION_PHANTOMS, Cost};
use super::trained::{Evaluated, Measure, Patients};
use super::{CROSS_FILE, STEP_FILE, TEXT_FILE, Trained, VISION_FILE};
use ctedge_models::bundle::{Graph, LabelSpec, Manifest};
use ctedge_models::spec::{Grid, PreprocessSpec};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Path of the card in a bundle.
pub(super) const CARD_FILE: &str = "CARD.md";

const TEMPLATE: &str = include_str!("card.md");

/// Writes the card of a bundle with these other files.
pub(super) fn card(
    trained: &Trained,
    plan: &Plan,
    manifest: &Manifest,
    files: &BTreeMap<&'static str, Vec<u8>>,
) -> String {
    let mut facts = identity(trained, manifest);
    facts.extend(contract(manifest, plan));
    facts.extend(method(trained));
    facts.extend([
        ("files", files.iter().map(|(name, bytes)| file_row(name, bytes)).collect()),
        ("calibration", calibration(manifest)),
        ("flags", flags(manifest, trained.evaluated.as_ref())),
        ("metrics", metrics(trained.evaluated.as_ref())),
        ("quantisation", plan.int8.as_ref().map(|(_, cost)| quantisation(cost)).unwrap_or_default()),
    ]);
    let fill = |text: String, (key, fact): &(&str, String)| text.replace(&format!("{{{{{key}}}}}"), fact.trim_end());
    facts.iter().fold(TEMPLATE.to_owned(), fill)
}

type Facts = Vec<(&'static str, String)>;

fn identity(trained: &Trained, manifest: &Manifest) -> Facts {
    let checkpoint = &trained.run.checkpoint;
    let warning = if manifest.training.trained {
        "Every answer is an unverified draft for a physician."
    } else {
        "**Random weights.** It has seen no data: its flags, embeddings and saliency **mean nothing**."
    };
    let state = if manifest.training.trained { format!("yes, {} steps", checkpoint.steps) } else { "no".into() };
    vec![
        ("name", manifest.name.clone()),
        ("version", manifest.version.clone()),
        ("serial", manifest.serial.to_string()),
        ("created", manifest.created.clone()),
        ("warning", warning.into()),
        ("trained", state),
        ("data", manifest.training.data.clone()),
        ("experiment", manifest.training.experiment_sha256.clone()),
        ("parameters", checkpoint.weights.count().to_string()),
        ("weights", checkpoint.weights.sha256()),
        ("intended_use", manifest.intended_use.clone()),
    ]
}

fn contract(manifest: &Manifest, plan: &Plan) -> Facts {
    let text = manifest.text.as_ref();
    let mut tensors = tensors(VISION_FILE, &manifest.vision);
    tensors.extend(text.map(|text| self::tensors(TEXT_FILE, &text.graph)));
    tensors.extend(manifest.decoder.as_ref().map(|decoder| self::tensors(CROSS_FILE, &decoder.cross)));
    let number = |number: Option<f32>| number.map_or_else(String::new, |number| number.to_string());
    vec![
        ("opset", manifest.vision.opset.to_string()),
        ("vision_precision", plan.vision_precision().into()),
        ("text_precision", plan.precision.name().into()),
        ("input", input(&manifest.input)),
        ("tensors", tensors),
        ("scale", number(text.map(|text| text.contrastive.scale))),
        ("bias", number(text.map(|text| text.contrastive.bias))),
        ("golden", manifest.golden.tensor_sha256.clone()),
        ("tolerance", manifest.golden.tolerance.to_string()),
    ]
}

fn method(trained: &Trained) -> Facts {
    let experiment = &trained.run.experiment;
    let (vision, text) = (&experiment.vision, &experiment.text);
    let stem = vision.stem.as_ref().map_or_else(String::new, |widths| format!("convolutions of {widths:?} channels, "));
    let volume = format!(
        "with patches of {:?} voxels (z, y, x), {stem}{} blocks of width {} and {} heads",
        vision.patch, vision.depth, vision.dim, vision.heads
    );
    let report = format!(
        "with {} layers of width {} and {} heads over at most {} tokens",
        text.depth, text.dim, text.heads, text.max_tokens
    );
    let pairs = serde_json::to_value(experiment.loss.pairs).ok();
    let pairs = pairs.and_then(|name| name.as_str().map(str::to_owned));
    vec![
        ("pairs", pairs.unwrap_or_default()),
        ("vision_shape", volume),
        ("text_shape", report),
        ("decoder", decoder(trained)),
    ]
}

/// What drafts reports, if something does.
fn decoder(trained: &Trained) -> String {
    let Some((checkpoint, shape)) = trained.decoder.as_ref().zip(trained.run.experiment.decoder.as_ref()) else {
        return String::new();
    };
    format!(
        "\n\nA decoder of {} parameters ({} blocks of width {}, {} steps; SHA-256 `{}`) writes reports of the volume's tokens and of \
         the flags that it is told, at most {} tokens long, word by word: `{CROSS_FILE}` once a volume, `{STEP_FILE}` for each \
         word, over keys and values that the caller keeps. What it writes are drafts: it may tell of findings that are not \
         there, and leave out others. It is ours from random weights; what decodes SCALE-VLP's reports is not published.",
        checkpoint.weights.count(),
        shape.depth,
        shape.dim,
        checkpoint.steps,
        checkpoint.weights.sha256(),
        shape.max_tokens
    )
}

fn file_row(name: &str, bytes: &[u8]) -> String {
    format!("| `{name}` | {} | `{}` |\n", bytes.len(), HEXLOWER.encode(&Sha256::digest(bytes)))
}

fn tensors(file: &str, graph: &Graph) -> String {
    let row = |way: &str, name: &str, shape: &[usize]| format!("| `{file}` | `{name}`{way} | {shape:?} |\n");
    let inputs = graph.inputs.iter().map(|input| row(" (in)", &input.name, &input.shape));
    inputs.chain(graph.outputs.iter().map(|output| row("", &output.name, &output.shape))).collect()
}

fn input(spec: &PreprocessSpec) -> String {
    let [low, high] = spec.window_hu;
    let [from, to] = spec.output_range;
    let grid = match &spec.grid {
        Grid::Spacing { spacing_mm, size } => {
            format!(
                "resampled to {spacing_mm:?} mm, then cropped or padded about the centre to {size:?} voxels (z, y, x)"
            )
        }
        Grid::Resize { size } => format!("stretched to {size:?} voxels (z, y, x)"),
    };
    format!(
        "axes towards {}, {grid}; {low} to {high} HU become {from} to {to}, what lies beyond is clipped, and what lies \
         outside the scan is {} HU.",
        String::from(spec.orientation),
        spec.fill_hu
    )
}

fn calibration(manifest: &Manifest) -> String {
    let Some(calibration) = &manifest.calibration else {
        return "**Not calibrated:** every threshold is 0.5 and every temperature 1; the probabilities are the network's \
                own."
            .into();
    };
    let learned = format!(
        "Temperatures (least negative log-likelihood) and thresholds (largest sensitivity + specificity) were learned from \
         the {} patients of corpus `{}`.",
        calibration.split, calibration.corpus_sha256
    );
    let names: Vec<&str> = calibration.unfitted.iter().map(|label| label.name()).collect();
    match names.as_slice() {
        [] => learned,
        names => format!("{learned} Too few cases to learn from: {}; they have 0.5 and 1.", names.join(", ")),
    }
}

fn flags(manifest: &Manifest, evaluated: Option<&Evaluated>) -> String {
    let row = |spec: &LabelSpec| {
        let name = spec.label.name();
        let area = evaluated.and_then(|evaluated| evaluated.measures.get(&format!("flags/labels/{name}/auroc")));
        let [value, interval, _] = area.map_or_else(|| [UNKNOWN; 3].map(str::to_owned), spoken);
        format!("| {name} | {:.4} | {:.4} | {value} | {interval} |\n", spec.threshold, spec.temperature)
    };
    manifest.labels.iter().map(row).collect()
}

/// Stands where there is no number.
const UNKNOWN: &str = "—";

/// Value, interval and baseline.
fn spoken(measure: &Measure) -> [String; 3] {
    let number = |value: Option<f64>| value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{value:.3}"));
    let interval = measure.low.zip(measure.high).map(|(low, high)| format!("{low:.3} to {high:.3}"));
    [number(Some(measure.value)), interval.unwrap_or_else(|| UNKNOWN.to_owned()), number(measure.baseline)]
}

fn metrics(evaluated: Option<&Evaluated>) -> String {
    let Some(Evaluated { patients: Patients { split, cases, synthetic, chosen_on }, measures }) = evaluated else {
        return "Nothing: this run was not evaluated.".into();
    };
    let kind = if *synthetic { "synthetic cases" } else { "cases" };
    let flattered = if *chosen_on {
        "**Thresholds, temperatures and the best step were chosen on these very patients, which flatters the numbers.** "
    } else {
        ""
    };
    let whole = measures.iter().filter(|(name, _)| !name.contains("/labels/"));
    let row = |(name, measure): (&String, &Measure)| format!("| {name} | {} |\n", spoken(measure).join(" | "));
    let rows: String = whole.map(row).collect();
    format!(
        "On the {cases} {kind} of the {split} split. {flattered}Intervals by patient bootstrap; the baseline is what is \
         reached without looking at the image.\n\n| measure | value | interval | baseline |\n| --- | --- | --- | --- |\n{rows}"
    )
}

/// What quantisation costs, as the card and the command say it.
pub fn quantisation(cost: &Cost) -> String {
    let area = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.4}"));
    format!(
        "8 bits (simulated by the trainer, ranges from {CALIBRATION_PHANTOMS} synthetic patients) against 32 on {} volumes: \
         cosine of the embeddings {:.5} on average, {:.5} at least; logits differ by {:.4} on average, by {:.4} at most; \
         macro AUROC {} before, {} after.",
        cost.cases,
        cost.cosine_mean,
        cost.cosine_min,
        cost.logit_mean,
        cost.logit_max,
        area(cost.auroc_before),
        area(cost.auroc_after),
    )
}
