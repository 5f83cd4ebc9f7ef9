//! A result on one page, for a glance: what is flagged, on which slice, why it may be believed or not, and the draft.

mod canvas;

use super::montage::{Plane, Solid};
use crate::infer::Model;
use crate::report::{Flag, Focus, Report, Similar, Watched, Written};
use crate::volume::Scan;
use canvas::{ALARM, Canvas, Color, FAINT, INK, Letters, MARK, RULE, WHITE};
use ctedge_models::report::Call;
use std::path::Path;

/// Pixels: the page's width, its margin, a tile's side, the left edge of the tiles, and where both columns begin.
const WIDTH: u32 = 1240;
const MARGIN: i32 = 20;
const TILE: u32 = 272;
const TILES: i32 = 388;
const TOP: i32 = 128;
/// Pixels from tile to tile, and from a row of tiles to the next one.
const STEP: [i32; 2] = [280, 300];
/// Heights of lines.
const LINE: i32 = 18;
const ROW: i32 = 22;
/// Tiles of a page.
const PLACES: usize = 6;
/// What is shown where there are fewer findings than tiles.
const OTHERS: [(Plane, f64, &str); PLACES] = [
    (Plane::Coronal, 0.5, "coronal, middle"),
    (Plane::Sagittal, 0.5, "sagittal, middle"),
    (Plane::Axial, 0.75, "axial, 3/4 up"),
    (Plane::Axial, 0.5, "axial, middle"),
    (Plane::Axial, 0.35, "axial, 1/3 up"),
    (Plane::Axial, 0.2, "axial, 1/5 up"),
];

/// Draws the page of a result as PNG.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write((id, report): (&str, &Report), model: &Model, scan: Scan, path: &Path) -> anyhow::Result<()> {
    let lines = lines(report, model);
    let (left, right) = (column(report), notes(report));
    let rows = |count: usize| i32::try_from(count).unwrap_or(i32::MAX / LINE);
    let beside = TOP + rows(left.len()).saturating_mul(ROW) + rows(right.len()).saturating_mul(LINE) + LINE;
    let text = beside.max(TOP + 2 * STEP[1] + LINE);
    let height = text + rows(lines.len()).saturating_mul(LINE) + MARGIN;
    let mut page = Canvas::new(WIDTH, u32::try_from(height).unwrap_or(WIDTH));
    head(&mut page, (id, report), model);
    flags(&mut page, &left);
    let mut y = TOP + rows(left.len()) * ROW + LINE / 2;
    for (color, note) in &right {
        page.text([MARGIN, y], Letters::Small, *color, note);
        y += LINE;
    }
    scan.look(|volume| slices(&mut page, report, &Solid::of(volume)))?;
    page.fill([MARGIN, text - LINE / 2], [WIDTH - 40, 1], RULE);
    for (row, (letters, color, line)) in lines.iter().enumerate() {
        page.text([MARGIN, text + rows(row) * LINE], *letters, *color, line);
    }
    page.write(path)
}

/// The band that says what this is, and whose.
fn head(page: &mut Canvas, (id, report): (&str, &Report), model: &Model) {
    page.fill([0, 0], [WIDTH, 44], ALARM);
    page.text([MARGIN, 12], Letters::Title, WHITE, "UNVERIFIED DRAFT FOR A PHYSICIAN - NO DIAGNOSIS");
    let right = i32::try_from(WIDTH).unwrap_or_default() - MARGIN;
    page.text_to([right, 12], Letters::Title, WHITE, &report.outcome.name().to_uppercase());
    let series = format!("series {}   result {id}", report.subject.series_key);
    page.text([MARGIN, 54], Letters::Small, INK, &series);
    let made = format!("{} {} on {}", model.name, model.version, model.provider.name());
    page.text([MARGIN, 72], Letters::Small, INK, &made);
    if !model.trained {
        page.text_to([right, 72], Letters::Bold, ALARM, "RANDOM WEIGHTS: NOTHING HERE MEANS ANYTHING");
    }
    if let Some(facts) = &report.facts {
        let ([i, j, k], [di, dj, dk]) = (facts.size, facts.spacing_mm);
        let read = format!("{i} x {j} x {k} voxels of {di:.2} x {dj:.2} x {dk:.2} mm, {}", facts.orientation);
        page.text([MARGIN, 90], Letters::Small, INK, &read);
        let warnings: Vec<&str> = facts.warnings.iter().map(|warning| warning.name()).collect();
        page.text_to([right, 90], Letters::Bold, ALARM, &warnings.join(", "));
    }
    page.fill([MARGIN, 112], [WIDTH - 40, 1], RULE);
}

/// The flags, the likeliest first.
fn column(report: &Report) -> Vec<&Flag> {
    let mut flags: Vec<&Flag> = report.flags.iter().collect();
    flags.sort_by(|a, b| b.positive().cmp(&a.positive()).then(b.probability.total_cmp(&a.probability)));
    flags
}

/// A bar for each flag, with its threshold.
fn flags(page: &mut Canvas, flags: &[&Flag]) {
    const BAR: [i32; 2] = [262, 60];
    let [from, length] = BAR;
    let along = |share: f32| length.min(round(f64::from(share) * f64::from(length))).max(0);
    for (row, flag) in (0_i32..).zip(flags) {
        let y = TOP + row * ROW;
        let (letters, color) = match flag.call() {
            Call::Absent => (Letters::Small, INK),
            Call::Possible => (Letters::Small, ALARM),
            Call::Present => (Letters::Bold, ALARM),
        };
        page.text([MARGIN, y], letters, color, flag.label.title());
        page.fill([from, y + 2], [length.unsigned_abs(), 9], RULE);
        page.fill([from, y + 2], [along(flag.probability).unsigned_abs(), 9], color);
        page.fill([from + along(flag.threshold), y - 1], [2, 15], FAINT);
        page.text([from + length + 10, y], letters, color, &format!("{:.2}", flag.probability));
    }
}

/// What else there is to judge the flags by.
fn notes(report: &Report) -> Vec<(Color, String)> {
    let watched = |Watched { name, score, calibrated }: &Watched| match (score, calibrated) {
        (Err(reason), _) => (FAINT, format!("watch {name}: {reason}")),
        (Ok(score), None) => (INK, format!("watch {name}: score {score:.2}, uncalibrated")),
        (Ok(_), Some((p, t))) => (if p >= t { ALARM } else { INK }, format!("watch {name}: {p:.2}, from {t:.2} on")),
    };
    let mut notes: Vec<_> = report.watched.iter().map(watched).collect();
    if let Some(Similar { neighbours, novelty, of }) = &report.similar {
        if let Some(nearest) = neighbours.first() {
            let labels: Vec<&str> = nearest.labels.iter().map(|label| label.title()).collect();
            let labels = if labels.is_empty() { "nothing".to_owned() } else { labels.join(", ") };
            notes.push((FAINT, format!("nearest of {of} cases ({:.2}) has:", nearest.similarity)));
            let lines = textwrap::wrap(&labels, Letters::Small.within(340));
            notes.extend(lines.into_iter().map(|line| (FAINT, format!("  {line}"))));
        }
        if let Some(novelty) = novelty.filter(ctedge_models::evidence::Judged::is_novel) {
            let told = format!("UNLIKE ALL REFERENCE VOLUMES ({:.3} > {:.3})", novelty.score, novelty.bound);
            notes.push((ALARM, told));
        }
    }
    notes
}

/// The key slice of each positive flag that has a place, and overviews where there are fewer than tiles.
fn slices(page: &mut Canvas, report: &Report, solid: &Solid<'_>) {
    let foci = report.flags.iter().zip(&report.foci).filter(|(flag, _)| flag.positive());
    let mut placed: Vec<(&Flag, &Focus)> = foci.filter_map(|(flag, focus)| Some((flag, focus.as_ref()?))).collect();
    placed.sort_by(|(a, _), (b, _)| b.probability.total_cmp(&a.probability));
    let corner = |place: usize| {
        let (column, row) = (place % 3, place / 3);
        let step = |count: usize, step: i32| i32::try_from(count).unwrap_or_default() * step;
        [TILES + step(column, STEP[0]), TOP + step(row, STEP[1])]
    };
    let shown = placed.len().min(PLACES);
    for (place, (flag, focus)) in placed.iter().take(PLACES).enumerate() {
        let at = corner(place);
        finding(page, (at, TILE), solid, focus);
        let caption = format!("{} {:.2}", flag.label.title(), flag.probability);
        caption_of(page, at, (MARK, ALARM), &shortened(&caption));
    }
    for (place, (plane, depth, caption)) in (shown..PLACES).zip(OTHERS) {
        let at = corner(place);
        page.tile((at, TILE), solid, (plane, depth));
        let side = if plane == Plane::Sagittal { "A" } else { "R" };
        page.text(at.map(|corner| corner + 6), Letters::Small, WHITE, side);
        caption_of(page, at, (FAINT, FAINT), caption);
    }
    if placed.len() > PLACES {
        let more = format!("{} more findings have a place; the result names it", placed.len() - PLACES);
        page.text([TILES, TOP + 2 * STEP[1]], Letters::Small, ALARM, &more);
    }
}

/// The slice that speaks most for a finding, with the box around what speaks for it.
fn finding(page: &mut Canvas, tile: ([i32; 2], u32), solid: &Solid<'_>, focus: &Focus) {
    page.tile(tile, solid, (Plane::Axial, solid.fraction(2, focus.key_slice_mm)));
    let corner = |sign: f64| {
        let mut at = focus.centroid_mm;
        for (place, extent) in at.iter_mut().zip(focus.extent_mm) {
            *place += sign * extent / 2.0;
        }
        solid.on_tile(Plane::Axial, at)
    };
    page.frame([corner(-1.0), corner(1.0)], tile, MARK);
    let (corner, _side) = tile;
    let height = format!("R   z {:.0} mm", focus.key_slice_mm);
    page.text(corner.map(|corner| corner + 6), Letters::Small, WHITE, &height);
}

fn caption_of(page: &mut Canvas, [x, y]: [i32; 2], (line, text): (Color, Color), caption: &str) {
    let below = y + i32::try_from(TILE).unwrap_or_default();
    page.fill([x, below], [TILE, 2], line);
    page.text([x, below + 6], Letters::Small, text, caption);
}

/// The draft and what it contradicts, line by line.
fn lines(report: &Report, model: &Model) -> Vec<(Letters, Color, String)> {
    let mut lines = Vec::new();
    let wide = Letters::Text.within(WIDTH - 40);
    if let Some(Written { draft, author, truncated, disagreements, .. }) = &report.draft {
        let cut = if *truncated { ", CUT SHORT" } else { "" };
        lines.push((Letters::Title, ALARM, format!("Unverified draft by {}{cut}", author.who())));
        lines.push((Letters::Text, INK, String::new()));
        for (title, text) in [("Findings: ", &draft.findings), ("Impression: ", &draft.impression)] {
            let text = format!("{title}{text}");
            lines.extend(textwrap::wrap(&text, wide).into_iter().map(|line| (Letters::Text, INK, line.into_owned())));
            lines.push((Letters::Text, INK, String::new()));
        }
        let told = disagreements.iter().map(|one| format!("{} {}", one.code.title(), one.kind.name()));
        lines.extend(told.map(|told| (Letters::Text, ALARM, format!("contradicts the flags: {told}"))));
    }
    let about = textwrap::wrap(&model.intended_use, Letters::Small.within(WIDTH - 40));
    lines.extend(about.into_iter().map(|line| (Letters::Small, FAINT, line.into_owned())));
    lines
}

/// A caption that fits its tile.
fn shortened(caption: &str) -> String {
    let room = Letters::Small.within(TILE);
    if caption.chars().count() <= room {
        caption.to_owned()
    } else {
        caption.chars().take(room - 1).chain(['.']).collect()
    }
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "pixels of a bar")]
fn round(pixels: f64) -> i32 {
    pixels.round() as i32
}
