use super::plot::{Axis, Chart, Mark, Scale, Series, Whisker, whiskers};
use super::*;
use crate::device::cpu;
use crate::eval::{Reader, Subject};
use crate::fixture::{self, Classroom};
use crate::run::{Split, Workers};
use std::fs;
use std::num::NonZeroUsize;

/// Whether every element that begins also ends, in order, and no bare `&` or `<` stands anywhere.
fn well_formed(text: &str) -> Result<usize, String> {
    let (mut open, mut elements) = (Vec::new(), 0);
    let mut rest = text.trim_start_matches("<!DOCTYPE html>");
    while let Some(start) = rest.find('<') {
        let (before, tail) = rest.split_at(start);
        entities(before)?;
        let end = tail.find('>').ok_or("a tag without an end")?;
        let (inside, after) = (&tail[1..end], &tail[end + 1..]);
        entities(inside)?;
        if inside.contains('<') || inside.matches('"').count() % 2 > 0 {
            return Err(format!("a tag in a tag: {inside}"));
        }
        match inside.strip_prefix('/') {
            Some(name) if open.pop() == Some(name) => {}
            Some(name) => return Err(format!("{name} ends that had not begun")),
            None if inside.ends_with('/') => elements += 1,
            None => {
                elements += 1;
                open.push(inside.split_whitespace().next().unwrap_or_default());
            }
        }
        rest = after;
    }
    entities(rest)?;
    if open.is_empty() { Ok(elements) } else { Err(format!("{open:?} do not end")) }
}

fn entities(text: &str) -> Result<(), String> {
    let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
    let bare = text.split('&').skip(1).find(|after| !known.iter().any(|entity| after.starts_with(entity)));
    bare.map_or(Ok(()), |after| Err(format!("a bare & before {after}")))
}

#[test]
fn a_text_is_a_text_whatever_it_holds() {
    let nasty = "a<b>&\"c'\u{7}</p><script>alert(1)</script>";
    let node = tag("p").with("title", nasty).add(nasty);
    let text = node.to_string();
    assert!(!text.contains("<script") && well_formed(&text) == Ok(1), "{text}");
    let body = "a&lt;b&gt;&amp;&quot;c&#39;\u{fffd}&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;";
    assert_eq!(text, format!("<p title=\"{body}\">{body}</p>"));
    for (text, right) in [("<p>", false), ("<p></q>", false), ("<p>&x</p>", false), ("<p><br/></p>", true)] {
        assert_eq!(well_formed(text).is_ok(), right, "{text}");
    }
}

#[test]
fn the_style_sheet_needs_no_escaping_and_nothing_from_the_network() {
    assert!(!STYLE.contains(['<', '>', '&']) && !STYLE.contains("url(") && !STYLE.contains("@import"));
}

#[test]
fn a_chart_stays_within_its_box_and_draws_what_is_finite() {
    let points = vec![[1.0, 0.0], [10.0, f64::NAN], [1e9, -5.0], [1000.0, 1.0]];
    let x = Axis { label: "x", range: [1.0, 1000.0], scale: Scale::Logarithmic };
    let series = vec![Series { name: "s".into(), colour: "first", mark: Mark::LineWithDots, points }];
    let chart = Chart { title: "t".into(), size: [300.0, 200.0], x, y: Axis::share("y"), series };
    let text = chart.draw().to_string();
    well_formed(&text).unwrap();
    assert_eq!(text.matches("<circle").count(), 3);
    assert!(text.contains("points=\"52.0,166.0 288.0,166.0 288.0,22.0\""), "{text}");
    for tick in ["1", "10", "100", "1000"] {
        assert!(text.contains(&format!(">{tick}</text>")), "{tick}");
    }
    let near = |[low, high]: [f64; 2], [from, to]: [f64; 2]| (low - from).abs() + (high - to).abs() < 1e-12;
    assert!(near(Axis::around("y", [3.0, 3.0, f64::INFINITY].into_iter()).range, [2.5, 3.5]));
    assert!(near(Axis::around("y", std::iter::empty()).range, [-0.04, 1.04]));
    let whisker = Whisker { name: "n".into(), value: 0.75, ends: Some([0.5, 1.0]), beside: Some(0.5) };
    let text = whiskers("w", 460.0, &[whisker]).to_string();
    well_formed(&text).unwrap();
    assert!(text.contains("cx=\"360.0\"") && text.contains("x1=\"310.0\"") && text.contains("x2=\"410.0\""), "{text}");
}

#[test]
fn the_page_of_a_run_is_well_formed_and_shows_every_part() {
    let changes = ["data.corpus.phantoms = { count = 40, seed = 1 }", "data.validation_share = 0.4"];
    let classroom = Classroom::new(fixture::experiment(&changes));
    let mut run = classroom.run();
    run.experiment.model.name = "<i>&".into();
    let [learners, judges] = [Split::Train, Split::Validation].map(|split| classroom.cohort(split));
    let subject = Subject {
        decoder: None,
        run: &run,
        tokenizer: &classroom.tokenizer,
        learners: &learners,
        judges: &judges,
        examined: None,
        corpus_sha256: classroom.shards.digest(),
    };
    let (device, workers) = (cpu(), Workers::new(2).unwrap());
    let reader = Reader { device: &device, workers: &workers, micro_batch: 4 };
    let evaluation = Evaluation::of(&subject, &reader, NonZeroUsize::new(20).unwrap(), &|_| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("steps.csv"), "step,loss,learning_rate\n1,2,0.1\n2,1,0.2\n").unwrap();
    fs::write(folder.path().join("looks.csv"), "step,score\n2,0.5\n").unwrap();
    let page = page(&evaluation, &Diary::read(folder.path()).unwrap());
    let elements = well_formed(&page).unwrap();
    assert!(elements > 1000, "{elements}");
    let parts = [
        "Evaluation of &lt;i&gt;&amp;",
        SYNTHETIC,
        "the numbers flatter",
        UNTRAINED,
        "Loss, smoothed",
        "Learning rate",
        "Validation patients",
        "Receiver operating characteristic",
        "Flags by prompts",
        "Own one only",
        "Baseline: most common training report",
        "Definitions",
        &evaluation.model.weights_sha256,
    ];
    for part in parts {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf\"") && !page.contains("http"));
}
