//! Plots as SVG: lines and dots on two axes, and a row of intervals.
//!
//! Our own and not a library's, since the page's style sheet colours them, in print and in the dark too, and they are a few
//! lines and letters each. Lengths are in pixels of the drawing's own box.

use super::markup::{Node, tag};

const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 34.0;
/// Height of a row of intervals.
const ROW: f64 = 20.0;
/// Width of a letter, about.
const LETTER: f64 = 6.6;
/// Pixels between two ticks at least.
const TICK_ROOM: f64 = 44.0;

/// How an axis divides what it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    Logarithmic,
}

/// One axis.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) label: &'static str,
    /// Lowest and highest; positive where logarithmic.
    pub(super) range: [f64; 2],
    pub(super) scale: Scale,
}

/// How points are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Line,
    Dashes,
    LineWithDots,
}

/// Points that belong together.
#[derive(Debug, Clone)]
pub(super) struct Series {
    /// In the legend; empty for none.
    pub(super) name: String,
    /// Which of the style sheet's colours.
    pub(super) colour: &'static str,
    pub(super) mark: Mark,
    pub(super) points: Vec<[f64; 2]>,
}

/// A chart of series on two axes.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) size: [f64; 2],
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
}

impl Axis {
    pub(super) fn linear(label: &'static str, range: [f64; 2]) -> Self {
        Self { label, range, scale: Scale::Linear }
    }

    /// From 0 to 1.
    pub(super) fn share(label: &'static str) -> Self {
        Self::linear(label, [0.0, 1.0])
    }

    /// Around numbers, with some air; zero to one where there are none.
    pub(super) fn around(label: &'static str, numbers: impl Iterator<Item = f64>) -> Self {
        let ends = |ends: Option<[f64; 2]>, number: f64| {
            let [low, high] = ends.unwrap_or([number; 2]);
            Some([low.min(number), high.max(number)])
        };
        let [low, high] = numbers.filter(|number| number.is_finite()).fold(None, ends).unwrap_or([0.0, 1.0]);
        let air = (high - low) * 0.04;
        let air = if air > 0.0 { air } else { 0.5 };
        Self::linear(label, [low - air, high + air])
    }

    /// 0 to 1 along the axis.
    fn place(&self, value: f64) -> f64 {
        let along = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.max(f64::MIN_POSITIVE).ln(),
        };
        let [low, high] = self.range.map(along);
        let share = (along(value) - low) / (high - low);
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 }
    }

    /// Round numbers within the range, as many as there is room for.
    fn ticks(&self, pixels: f64) -> Vec<f64> {
        let [low, high] = self.range;
        if self.scale == Scale::Logarithmic {
            let powers = (0..9).map(|power| 10_f64.powi(power));
            let ticks = powers.flat_map(|power| [power, 2.0 * power, 5.0 * power]);
            return ticks.filter(|tick| (low..=high).contains(tick)).collect();
        }
        let step = round_step((high - low) / (pixels / TICK_ROOM).max(1.0));
        let first = (low / step).ceil();
        let ticks = (0..50).map(|count| (first + f64::from(count)) * step);
        // A little beyond the end is the end, for rounding.
        ticks.take_while(|&tick| tick <= high + step * 1e-6).collect()
    }
}

/// The next of 1, 2, 5 times a power of ten.
fn round_step(wish: f64) -> f64 {
    let power = 10_f64.powf(wish.max(f64::MIN_POSITIVE).log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|step| step * power).find(|&step| step >= wish * 0.999).unwrap_or(10.0 * power)
}

/// A tick's number without needless digits.
fn short(value: f64) -> String {
    let value = value + 0.0;
    if value.abs() > 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e5) {
        return format!("{value:.1e}").replace(".0e", "e");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn text(class: &'static str, [x, y]: [f64; 2], what: impl Into<Node>) -> Node {
    tag("text").with("class", class).with("x", pixel(x)).with("y", pixel(y)).add(what)
}

fn line(class: &'static str, [x, y]: [f64; 2], [to_x, to_y]: [f64; 2]) -> Node {
    let ends = tag("line").with("class", class).with("x1", pixel(x)).with("y1", pixel(y));
    ends.with("x2", pixel(to_x)).with("y2", pixel(to_y))
}

fn dot(colour: &'static str, [x, y]: [f64; 2]) -> Node {
    let class = format!("dot {colour}");
    tag("circle").with("class", class).with("cx", pixel(x)).with("cy", pixel(y)).with("r", "2.6")
}

fn pixel(value: f64) -> String {
    format!("{value:.1}")
}

fn picture(title: &str, [width, height]: [f64; 2]) -> Node {
    let picture = tag("svg").with("viewBox", format!("0 0 {width} {height}")).with("role", "img");
    picture.with("width", width).with("aria-label", title).add(tag("title").add(title))
}

impl Chart {
    /// The drawing.
    pub(super) fn draw(&self) -> Node {
        let [width, height] = self.size;
        let [right, foot] = [width - RIGHT, height - BOTTOM];
        let mut picture = picture(&self.title, self.size).add(text("head", [4.0, 13.0], self.title.as_str()));
        for tick in self.x.ticks(right - LEFT) {
            let x = LEFT + self.x.place(tick) * (right - LEFT);
            picture =
                picture.add(line("grid", [x, TOP], [x, foot])).add(text("tick middle", [x, foot + 13.0], short(tick)));
        }
        for tick in self.y.ticks(foot - TOP) {
            let y = foot - self.y.place(tick) * (foot - TOP);
            picture = picture.add(line("grid", [LEFT, y], [right, y])).add(text(
                "tick end",
                [LEFT - 5.0, y + 3.5],
                short(tick),
            ));
        }
        picture = picture.add(text("axis middle", [f64::midpoint(LEFT, right), height - 6.0], self.x.label));
        let turned = text("axis middle", [0.0, 0.0], self.y.label);
        let turn = format!("translate(11 {}) rotate(-90)", pixel(f64::midpoint(TOP, foot)));
        picture = picture.add(turned.with("transform", turn));
        picture.all(self.series.iter().flat_map(|series| self.marks(series))).all(self.legend())
    }

    fn at(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [width, height] = self.size;
        let foot = height - BOTTOM;
        [LEFT + self.x.place(x) * (width - RIGHT - LEFT), foot - self.y.place(y) * (foot - TOP)]
    }

    fn marks(&self, series: &Series) -> Vec<Node> {
        let finite = |point: &&[f64; 2]| point.iter().all(|number| number.is_finite());
        let points: Vec<[f64; 2]> = series.points.iter().filter(finite).map(|&point| self.at(point)).collect();
        let path: Vec<String> = points.iter().map(|[x, y]| format!("{},{}", pixel(*x), pixel(*y))).collect();
        let dashes = if series.mark == Mark::Dashes { "dashes " } else { "" };
        let class = format!("curve {dashes}{}", series.colour);
        let mut marks = vec![tag("polyline").with("class", class).with("points", path.join(" "))];
        if series.mark == Mark::LineWithDots {
            marks.extend(points.into_iter().map(|point| dot(series.colour, point)));
        }
        marks
    }

    /// Names in their colours, in the title's line from the right.
    fn legend(&self) -> Vec<Node> {
        let [mut right, _] = self.size;
        right -= RIGHT;
        let mut names = Vec::new();
        for series in self.series.iter().rev().filter(|series| !series.name.is_empty()) {
            let label = text("legend end", [right, 13.0], series.name.as_str());
            names.push(label.with("data-colour", series.colour));
            let letters = u32::try_from(series.name.chars().count()).unwrap_or_default();
            right -= LETTER * f64::from(letters) + 12.0;
        }
        names
    }
}

/// One number with its interval.
#[derive(Debug, Clone)]
pub(super) struct Whisker {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) ends: Option<[f64; 2]>,
    pub(super) beside: Option<f64>,
}

/// Numbers between 0 and 1 one under the other, with their intervals; a small stroke marks each one's baseline.
pub(super) fn whiskers(title: &str, width: f64, rows: &[Whisker]) -> Node {
    let (left, right) = (210.0, width - 50.0);
    let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let foot = TOP + ROW * f64::from(count) + 4.0;
    let axis = Axis::share("");
    let x = |value: f64| left + axis.place(value) * (right - left);
    let mut picture = picture(title, [width, foot + 20.0]);
    for tick in axis.ticks(right - left) {
        let x = x(tick);
        picture =
            picture.add(line("grid", [x, TOP], [x, foot])).add(text("tick middle", [x, foot + 14.0], short(tick)));
    }
    for (row, whisker) in (0..).zip(rows) {
        let y = TOP + ROW * (f64::from(row) + 0.5);
        picture = picture.add(text("legend end", [left - 10.0, y + 4.0], whisker.name.as_str()));
        if let Some([low, high]) = whisker.ends {
            picture = picture.add(line("whisker", [x(low), y], [x(high), y]));
        }
        if let Some(beside) = whisker.beside {
            picture = picture.add(line("beside", [x(beside), y - 6.0], [x(beside), y + 6.0]));
        }
        picture = picture.add(dot("first", [x(whisker.value), y]));
        picture = picture.add(text("legend", [right + 10.0, y + 4.0], format!("{:.3}", whisker.value)));
    }
    picture
}
