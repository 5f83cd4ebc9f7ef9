//! The evaluation as one page that a person reads or prints: no script, nothing from the network.
//!
//! In: an [`Evaluation`] and the run's [`Diary`]. Out: an HTML document, also well-formed as XML. Owns nothing on disk.

mod figures;
mod markup;
mod plot;
mod tables;

use super::definitions::DEFINITIONS;
use super::{Cost, Diary, Drafts, Evaluation, Flags, Measure, ZeroShot};
use markup::{Node, tag};
use tables::number;

const STYLE: &str = include_str!("style.css");

const SYNTHETIC: &str = "Synthetic phantoms, not patients. This page shows that the whole way from scan to flag works and \
                         learns; it says nothing of clinical performance.";
const REAL: &str = "Research numbers on one corpus. They are no evidence of clinical performance anywhere else, and \
                    nothing here is a medical device.";
const CHOSEN_ON: &str = "Evaluated on the validation patients, on which thresholds, temperatures and the best step were \
                         chosen: the numbers flatter. Set data.test_share, or evaluate on a corpus with a test split.";
const UNTRAINED: &str = "The weights are random: what the network says means nothing.";

/// The page of an evaluation.
pub fn page(evaluation: &Evaluation, diary: &Diary) -> String {
    let title = format!("Evaluation of {} {}", evaluation.model.name, evaluation.model.version);
    let head = tag("head")
        .add(tag("meta").with("charset", "utf-8"))
        .add(tag("meta").with("name", "viewport").with("content", "width=device-width, initial-scale=1"))
        .add(tag("title").add(title.as_str()))
        .add(Node::Style(STYLE));
    let body = tag("body")
        .all(opening(evaluation, &title))
        .all(figures::training(diary).map(|figures| section("Training", [figures])))
        .all(evaluation.flags.as_ref().map(|of| flags(of, evaluation)))
        .all(evaluation.zero_shot.as_ref().map(zero_shot))
        .add(retrieval(evaluation))
        .all(evaluation.drafts.as_ref().map(drafts))
        .add(cost(&evaluation.cost))
        .add(definitions())
        .add(origin(evaluation));
    format!("<!DOCTYPE html>\n{}\n", tag("html").with("lang", "en").add(head).add(body))
}

fn section(title: &str, content: impl IntoIterator<Item = Node>) -> Node {
    tag("section").add(tag("h2").add(title)).all(content)
}

fn paragraph(text: impl Into<Node>) -> Node {
    tag("p").add(text)
}

fn soft(text: impl Into<Node>) -> Node {
    tag("p").with("class", "soft").add(text)
}

fn opening(evaluation: &Evaluation, title: &str) -> Vec<Node> {
    let (model, patients) = (&evaluation.model, &evaluation.patients);
    let whom = format!(
        "{} cases of {} patients, the {} split; {} training steps on {}.",
        patients.cases, patients.patients, patients.split, model.steps, model.data
    );
    let kind = if patients.synthetic { SYNTHETIC } else { REAL };
    let notices = [Some(kind), patients.chosen_on.then_some(CHOSEN_ON), (model.steps == 0).then_some(UNTRAINED)];
    let notices = notices.into_iter().flatten().map(|text| tag("p").with("class", "notice").add(text));
    let tiles = evaluation.headlines();
    let tiles = tiles.iter().filter_map(|(name, measure)| tile(name, measure));
    let head = [tag("h1").add(title), soft(whom)];
    head.into_iter().chain(notices).chain([tag("div").with("class", "tiles").all(tiles)]).collect()
}

fn tile(name: &str, measure: &Measure) -> Option<Node> {
    let ends = measure.low.zip(measure.high).map(|(low, high)| format!("{} to {}", number(low), number(high)));
    let beside = measure.baseline.map(|baseline| format!("baseline {}", number(baseline)));
    let lines = [Some(name.to_owned()), ends, beside].into_iter().flatten();
    let tile = tag("div").with("class", "tile").add(tag("b").add(number(measure.value?)));
    Some(tile.all(lines.map(|line| tag("span").add(line))))
}

fn flags(flags: &Flags, evaluation: &Evaluation) -> Node {
    let about = format!(
        "The flag head on {} labelled cases. Under each number of this page stand its 95 % interval and, after \u{201c}vs\u{201d}, \
         its baseline: what is reached without looking at the image.",
        flags.cases
    );
    let first = [paragraph(about), figures::areas(flags)];
    let then = [
        tag("h3").add("Receiver operating characteristic"),
        figures::curves(flags),
        tag("h3").add("Calibration"),
        paragraph(
            "All findings together; on the dashed line probabilities mean what they say. The bundle carries the temperature.",
        ),
        figures::reliability(flags),
        tables::calibration(flags),
        tag("h3").add("Thresholds"),
        paragraph("Learned on validation patients: temperature by likelihood, threshold by F1."),
        tables::thresholds(&evaluation.calibration),
    ];
    section("Flags", first.into_iter().chain(tables::flags(flags)).chain(then))
}

fn zero_shot(prompts: &ZeroShot) -> Node {
    let about = format!(
        "No head: a volume is compared with the sentences \u{201c}{}\u{201d} and \u{201c}{}\u{201d}.",
        prompts.present, prompts.absent
    );
    section("Flags by prompts", [paragraph(about), tables::zero_shot(prompts)])
}

fn retrieval(evaluation: &Evaluation) -> Node {
    let about = format!(
        "{} cases say {} different things. Recall falls as the pool grows, so that every number names its pool.",
        evaluation.patients.cases, evaluation.patients.statements
    );
    let content = [paragraph(about), figures::retrieval(evaluation), tables::retrieval(evaluation)];
    section("Retrieval", content)
}

fn drafts(drafts: &Drafts) -> Node {
    let written = match drafts.decoder {
        Some(_) => "What the decoder writes of each volume and of the flags that it raises, and the",
        None => "For each volume the",
    };
    let about = format!(
        "{written} most similar of {} training reports, against the report that belongs to it. Findings are those of \
         the drafted report's own patient; of what is written, those that the text asserts.",
        drafts.library
    );
    let example = |example: &super::Example| {
        let part = |name: &str, text: &str| paragraph(tag("b").add(name)).add(format!(" {text}"));
        let decoder = example.decoder.as_ref().map(|draft| part("Decoder:", draft));
        let quoted = tag("blockquote").add(part("Report:", &example.report)).all(decoder);
        quoted.add(part("Nearest:", &example.draft))
    };
    let head = (!drafts.examples.is_empty()).then(|| tag("h3").add("Examples, synthetic"));
    let examples = head.into_iter().chain(drafts.examples.iter().map(example));
    section("Drafts", [paragraph(about)].into_iter().chain(tables::drafts(drafts)).chain(examples))
}

fn cost(cost: &Cost) -> Node {
    let time = |time: Option<f64>| time.map_or_else(|| "not timed".to_owned(), |time| format!("{time:.1} ms"));
    let parts = [
        ("Volume tower", format!("{} parameters, {} a volume", cost.vision_parameters, time(cost.time.volume_ms))),
        ("Report tower", format!("{} parameters, {} a report", cost.text_parameters, time(cost.time.report_ms))),
        ("Measured on", format!("{}, {} thread, one at a time", cost.processor, cost.threads)),
    ];
    section("Cost", [list(parts.iter().map(|(name, text)| (*name, text.as_str())))])
}

fn list<'a>(parts: impl Iterator<Item = (&'a str, &'a str)>) -> Node {
    tag("dl").all(parts.flat_map(|(name, text)| [tag("dt").add(name), tag("dd").add(text)]))
}

fn definitions() -> Node {
    section("Definitions", [list(DEFINITIONS.into_iter())])
}

fn origin(evaluation: &Evaluation) -> Node {
    let (model, drawing) = (&evaluation.model, &evaluation.bootstrap);
    let drawn = format!("{} replicates, seed {}", drawing.replicates, drawing.seed);
    let parts = [
        ("Experiment", model.experiment_sha256.as_str()),
        ("Weights", model.weights_sha256.as_str()),
        ("Corpus", evaluation.patients.corpus_sha256.as_str()),
        ("Bootstrap", drawn.as_str()),
    ];
    let entry = |(name, text): (&str, &str)| [tag("dt").add(name), tag("dd").add(tag("code").add(text))];
    section("Origin", [tag("dl").all(parts.into_iter().flat_map(entry))])
}

#[cfg(test)]
mod tests;
