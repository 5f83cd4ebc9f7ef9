//! The figures of the page.

use super::super::{Diary, Direction, Evaluation, Flags, Measures, Truth};
use super::markup::{Node, tag};
use super::plot::{Axis, Chart, Mark, Scale, Series, Whisker, whiskers};

const WIDE: [f64; 2] = [380.0, 220.0];
const SQUARE: [f64; 2] = [300.0, 300.0];
const SMALL: [f64; 2] = [186.0, 178.0];
/// Points of a curve of steps at most: no eye sees more.
const STEPS_SHOWN: usize = 400;
/// Weight of the newest step in a smoothed curve.
const NEWEST: f64 = 0.05;

const DIAGONAL: [[f64; 2]; 2] = [[0.0, 0.0], [1.0, 1.0]];

fn series(name: &str, colour: &'static str, mark: Mark, points: Vec<[f64; 2]>) -> Series {
    Series { name: name.to_owned(), colour, mark, points }
}

fn side_by_side(figures: impl IntoIterator<Item = Node>) -> Node {
    tag("div").with("class", "figures").all(figures)
}

/// A chart whose axes reach as far as its series.
fn free(title: &str, axis: &'static str, series: Vec<Series>) -> Chart {
    let of = |place: usize| series.iter().flat_map(|s| &s.points).filter_map(move |point| point.get(place).copied());
    let (x, y) = (Axis::around("step", of(0)), Axis::around(axis, of(1)));
    Chart { title: title.to_owned(), size: WIDE, x, y, series }
}

/// Loss, learning rate and validation score; nothing of an untrained run.
pub(super) fn training(diary: &Diary) -> Option<Node> {
    let column = |name: &str| points(diary.steps.get("step")?, diary.steps.get(name)?);
    let look = |name: &str| points(diary.looks.get("step")?, diary.looks.get(name)?);
    let loss =
        |name: &str, colour, called| Some(series(called, colour, Mark::Line, thinned(&smoothed(&column(name)?))));
    let losses: Vec<Series> =
        [loss("loss", "first", "loss"), loss("pairs", "second", "pairs"), loss("flags", "third", "flags")]
            .into_iter()
            .flatten()
            .collect();
    let rate = column("learning_rate").map(|points| series("", "first", Mark::Line, thinned(&points)));
    let score = |name: &str, colour, called| Some(series(called, colour, Mark::LineWithDots, look(name)?));
    let scores: Vec<Series> = [
        score("score", "first", "score"),
        score("macro_auroc", "third", "AUROC"),
        score("recall_at_1", "second", "R@1"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let charts = [
        ("Loss, smoothed", "loss", losses),
        ("Learning rate", "rate", rate.into_iter().collect()),
        ("Validation patients", "", scores),
    ];
    let drawn: Vec<Node> = charts
        .into_iter()
        .filter(|(_, _, series)| !series.is_empty())
        .map(|(title, axis, series)| free(title, axis, series).draw())
        .collect();
    (!drawn.is_empty()).then(|| side_by_side(drawn))
}

fn points(x: &[f64], y: &[f64]) -> Option<Vec<[f64; 2]>> {
    let points: Vec<[f64; 2]> = x.iter().zip(y).map(|(&x, &y)| [x, y]).collect();
    (!points.is_empty()).then_some(points)
}

/// The exponential mean, started with the first value.
fn smoothed(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mut level = points.first().map_or(0.0, |[_, y]| *y);
    let smooth = |[x, y]: &[f64; 2]| {
        level += NEWEST * (y - level);
        [*x, level]
    };
    points.iter().map(smooth).collect()
}

fn thinned(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let every = points.len().div_ceil(STEPS_SHOWN).max(1);
    points.iter().step_by(every).chain(points.last()).copied().collect()
}

/// AUROC of each label with its interval.
pub(super) fn areas(flags: &Flags) -> Node {
    let whisker = |name: &str, measures: &Measures| {
        let area = measures.get("auroc")?;
        let ends = area.low.zip(area.high).map(|(low, high)| [low, high]);
        Some(Whisker { name: name.to_owned(), value: area.value?, ends, beside: area.baseline })
    };
    let labels = flags.labels.iter().filter_map(|row| whisker(row.label.title(), &row.measures));
    let rows: Vec<Whisker> = labels.chain(whisker("Macro average", &flags.macro_average)).collect();
    whiskers("AUROC of each finding with its interval", 760.0, &rows)
}

/// Small multiples of the receiver operating characteristic.
pub(super) fn curves(flags: &Flags) -> Node {
    let chart = |row: &super::super::LabelRow| {
        let chance = series("", "chance", Mark::Dashes, DIAGONAL.to_vec());
        let curve = series("", "first", Mark::Line, row.roc.clone());
        let (x, y) = (Axis::share("false positive rate"), Axis::share("true positive rate"));
        Chart { title: short(row.label.title()), size: SMALL, x, y, series: vec![chance, curve] }
    };
    side_by_side(flags.labels.iter().filter(|row| !row.roc.is_empty()).map(|row| chart(row).draw()))
}

/// A title that fits a small chart.
fn short(title: &str) -> String {
    let limit = 27;
    if title.chars().count() <= limit {
        return title.to_owned();
    }
    title.chars().take(limit - 1).chain(['\u{2026}']).collect()
}

/// Reliability of all labels' probabilities together.
pub(super) fn reliability(flags: &Flags) -> Node {
    let chance = series("", "chance", Mark::Dashes, DIAGONAL.to_vec());
    let reading = |name: &'static str, colour| {
        let points = flags.reliability.get(name)?.iter().map(|[probability, share, _]| [*probability, *share]);
        Some(series(name, colour, Mark::LineWithDots, points.collect()))
    };
    let readings = [reading("uncalibrated", "second"), reading("temperature", "first"), reading("isotonic", "third")];
    let (x, y) = (Axis::share("mean probability"), Axis::share("share of positives"));
    let series = [chance].into_iter().chain(readings.into_iter().flatten()).collect();
    side_by_side([Chart { title: String::new(), size: SQUARE, x, y, series }.draw()])
}

/// R@1 against the size of the pool.
pub(super) fn retrieval(evaluation: &Evaluation) -> Node {
    let chart = |truth: Truth, title: &str| {
        let rows =
            |direction| evaluation.retrieval.iter().filter(move |row| row.truth == truth && row.direction == direction);
        let line = |direction, baseline: bool| {
            let point = |row: &super::super::PoolRow| {
                let found = row.measures.get("recall_at_1")?;
                Some([real(row.pool), if baseline { found.baseline? } else { found.value? }])
            };
            rows(direction).filter_map(point).collect::<Vec<_>>()
        };
        let series = vec![
            series("chance", "chance", Mark::Dashes, line(Direction::VolumeToReport, true)),
            series("to volume", "second", Mark::LineWithDots, line(Direction::ReportToVolume, false)),
            series("to report", "first", Mark::LineWithDots, line(Direction::VolumeToReport, false)),
        ];
        let pools: Vec<f64> = evaluation.retrieval.iter().map(|row| real(row.pool)).collect();
        let ends = [pools.iter().copied().fold(f64::INFINITY, f64::min), pools.iter().copied().fold(1.0, f64::max)];
        let x = Axis { label: "candidates in the pool", range: ends, scale: Scale::Logarithmic };
        Chart { title: title.to_owned(), size: WIDE, x, y: Axis::share("R@1"), series }.draw()
    };
    side_by_side([chart(Truth::Identity, "Own one only"), chart(Truth::Equal, "What says the same")])
}

fn real(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
