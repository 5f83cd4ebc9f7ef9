//! Files of one series to a regular stack of slices.
//!
//! Slices are ordered by their position along the normal of the image plane; instance numbers and file names say nothing
//! about place.

mod phases;
pub(super) mod resample;

use super::dicom::{Content, Instance, Pixels, Slice};
use super::{Dropped, Limits, Reason, ScanError, Warning};
use crate::volume::Geometry;
use resample::{Place, Resampling, whole};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// A slice with its file.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) path: PathBuf,
    pub(super) slice: Slice,
    pub(super) pixels: Arc<Pixels>,
    uid: String,
    file_bytes: u64,
    /// Position along the normal in mm.
    pub(super) along_mm: f64,
}

/// A series in order.
#[derive(Debug)]
pub(super) struct Stack {
    pub(super) slices: Vec<Placed>,
    pub(super) geometry: Geometry,
    pub(super) dropped: BTreeMap<Dropped, u32>,
    pub(super) tilt_deg: f64,
    /// Missing slices.
    pub(super) gaps: u32,
    pub(super) warnings: BTreeSet<Warning>,
    /// How the volume follows from the slices, where they do not lie on its grid.
    pub(super) resampling: Option<Resampling>,
}

/// Fewest slices of a volume: two have a step, but nothing to compare it with.
const FEWEST_SLICES: usize = 3;
/// Positions closer than this are one place; scanners print at best thousandths of a millimetre.
const SAME_PLACE_MM: f64 = 0.01;
/// Sizes and directions of one series differ at most by rounding in the header.
const SAME_SPACING: f64 = 1e-3;
const SAME_DIRECTION: f64 = 1e-3;
/// Tilt below this is rounding of positions; the smallest that gantries are set to is one degree.
const SMALLEST_TILT_DEG: f64 = 0.5;
/// No gantry tilts further than 30 degrees.
const LARGEST_TILT_DEG: f64 = 45.0;
/// How far a slice may lie beside the line of the stack.
const LARGEST_DRIFT_MM: f64 = 1.0;
/// How much steps may vary: positions rounded to a tenth of a millimetre pass, a missing slice does not.
const UNEVEN_SHARE: f64 = 0.1;
const UNEVEN_MM: f64 = 0.11;
/// From here on uneven steps are worth telling.
const NOTABLE_SHARE: f64 = 0.01;
const NOTABLE_MM: f64 = 0.02;

/// Orders the files of one series and settles its geometry.
pub(super) fn stack(mut instances: Vec<Instance>, limits: &Limits) -> Result<Stack, ScanError> {
    // What is compared with the first slice must not depend on which file was named first.
    instances.sort_by(|a, b| a.path.cmp(&b.path));
    let mut dropped = BTreeMap::new();
    let slices = slices_of(instances, &mut dropped)?;
    let normal = normal(&slices)?;
    let mut warnings = BTreeSet::new();
    let slices =
        phases::one_of_each_part(distinct(in_order(slices, normal), &mut dropped), &mut dropped, &mut warnings);
    let slices = one_at_each_place(slices, &mut dropped)?;
    if slices.len() < FEWEST_SLICES {
        let detail = format!("{} slices at different places, at least {FEWEST_SLICES} make a volume", slices.len());
        return Err(ScanError::new(Reason::TooFewSlices, detail));
    }
    let lean = lean(&slices, normal)?;
    let Steps { step_mm, count, gaps, is_even } = steps(&slices, limits, &mut warnings)?;
    if lean.is_some() {
        warnings.insert(Warning::TiltCorrected);
    }
    let offsets = offsets(&slices, lean.as_ref());
    let grid = Grid { offsets, step_mm, count };
    let geometry = grid.geometry(&slices, normal, limits)?;
    let resampling = (lean.is_some() || !is_even).then(|| grid.resampling(&slices)).flatten();
    let tilt_deg = lean.map_or(0.0, |lean| lean.tilt_deg);
    Ok(Stack { slices, geometry, dropped, tilt_deg, gaps, warnings, resampling })
}

/// The slices among the files; localizers and objects without pixels are left out and counted.
fn slices_of(instances: Vec<Instance>, dropped: &mut BTreeMap<Dropped, u32>) -> Result<Vec<Placed>, ScanError> {
    let (mut slices, mut other) = (Vec::new(), None);
    for Instance { path, file_bytes, uid, content, .. } in instances {
        match content {
            Content::Slices { slices: frames, localizers, pixels } => {
                let placed = |slice| Placed {
                    path: path.clone(),
                    slice,
                    pixels: Arc::clone(&pixels),
                    uid: uid.clone(),
                    file_bytes,
                    along_mm: 0.0,
                };
                slices.extend(frames.into_iter().map(placed));
                if localizers > 0 {
                    *dropped.entry(Dropped::Localizer).or_default() += localizers;
                }
            }
            Content::Localizer => *dropped.entry(Dropped::Localizer).or_default() += 1,
            Content::Other(why) => {
                *dropped.entry(Dropped::NotImage).or_default() += 1;
                other.get_or_insert(why);
            }
        }
    }
    if !slices.is_empty() {
        return Ok(slices);
    }
    if dropped.contains_key(&Dropped::Localizer) {
        Err(ScanError::new(Reason::Localizer, "a localizer (ImageType LOCALIZER), no volume"))
    } else {
        Err(other.unwrap_or_else(|| mixed("no slices")))
    }
}

/// The common normal of all slices, which must agree in size, spacing and direction.
fn normal(slices: &[Placed]) -> Result<[f64; 3], ScanError> {
    let Some(first) = slices.first().map(|placed| &placed.slice) else { return Err(mixed("no slices")) };
    for Placed { slice, .. } in slices {
        if slice.size != first.size {
            return Err(mixed("slices of different size"));
        }
        let pairs = slice.spacing_mm.iter().zip(first.spacing_mm);
        if pairs.into_iter().any(|(spacing, of_first)| (spacing - of_first).abs() > SAME_SPACING * of_first.abs()) {
            return Err(mixed("slices of different pixel spacing"));
        }
        let pairs = slice.axes.iter().flatten().zip(first.axes.iter().flatten());
        if pairs.into_iter().any(|(cosine, of_first)| (cosine - of_first).abs() > SAME_DIRECTION) {
            return Err(mixed("slices of different orientation"));
        }
    }
    let [[ax, ay, az], [bx, by, bz]] = first.axes;
    Ok([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])
}

fn in_order(mut slices: Vec<Placed>, normal: [f64; 3]) -> Vec<Placed> {
    for placed in &mut slices {
        placed.along_mm = dot(placed.slice.position_mm, normal);
    }
    slices.sort_by(|a, b| a.along_mm.total_cmp(&b.along_mm).then_with(|| a.path.cmp(&b.path)));
    slices
}

/// Leaves out copies of an instance; the larger file stays.
fn distinct(slices: Vec<Placed>, dropped: &mut BTreeMap<Dropped, u32>) -> Vec<Placed> {
    let mut by_uid: BTreeMap<(String, usize), Placed> = BTreeMap::new();
    let mut kept: Vec<Placed> = Vec::new();
    for placed in slices {
        if placed.uid.is_empty() {
            kept.push(placed);
            continue;
        }
        let key = (placed.uid.clone(), placed.slice.frame);
        match by_uid.get(&key) {
            Some(other) => {
                *dropped.entry(Dropped::DuplicateInstance).or_default() += 1;
                if placed.file_bytes > other.file_bytes {
                    by_uid.insert(key, placed);
                }
            }
            None => drop(by_uid.insert(key, placed)),
        }
    }
    kept.extend(by_uid.into_values());
    kept.sort_by(|a, b| a.along_mm.total_cmp(&b.along_mm).then_with(|| a.path.cmp(&b.path)));
    kept
}

/// Leaves out repeated acquisitions of a place; the later one stays.
fn one_at_each_place(slices: Vec<Placed>, dropped: &mut BTreeMap<Dropped, u32>) -> Result<Vec<Placed>, ScanError> {
    let mut stack: Vec<Placed> = Vec::new();
    for placed in slices {
        let Some(last) = stack.last_mut().filter(|last| placed.along_mm - last.along_mm < SAME_PLACE_MM) else {
            stack.push(placed);
            continue;
        };
        match placed.slice.acquired.cmp(&last.slice.acquired) {
            Ordering::Equal => return Err(mixed("two images of one acquisition and time at the same place")),
            Ordering::Greater => *last = placed,
            Ordering::Less => {}
        }
        *dropped.entry(Dropped::DuplicatePosition).or_default() += 1;
    }
    Ok(stack)
}

/// The line on which the slices lie, where it leans from their normal.
struct Lean {
    tilt_deg: f64,
    /// What each slice lies beside the first, in mm.
    beside_mm: Vec<[f64; 3]>,
}

/// Positions tell the tilt: the nominal tag is not for computation.
fn lean(slices: &[Placed], normal: [f64; 3]) -> Result<Option<Lean>, ScanError> {
    let (Some(first), Some(last)) = (slices.first(), slices.last()) else { return Ok(None) };
    let length_mm = last.along_mm - first.along_mm;
    let across = |placed: &Placed| -> [f64; 3] {
        let step = sub(placed.slice.position_mm, first.slice.position_mm);
        let along = dot(step, normal);
        sub(step, normal.map(|value| along * value))
    };
    let (beside_mm, whole): (Vec<[f64; 3]>, _) = (slices.iter().map(across).collect(), across(last));
    let tilt_deg = norm(whole).atan2(length_mm).to_degrees();
    if tilt_deg > LARGEST_TILT_DEG {
        let detail = format!("slices sheared by {tilt_deg:.2} degrees; no gantry tilts beyond {LARGEST_TILT_DEG}");
        return Err(ScanError::new(Reason::GantryTilt, detail));
    }
    for (placed, &beside_mm) in slices.iter().zip(&beside_mm) {
        let share = (placed.along_mm - first.along_mm) / length_mm;
        if norm(sub(beside_mm, whole.map(|value| value * share))) > LARGEST_DRIFT_MM {
            return Err(mixed("slices that lie beside each other"));
        }
    }
    Ok((tilt_deg > SMALLEST_TILT_DEG).then_some(Lean { tilt_deg, beside_mm }))
}

/// How the slices of the volume follow each other.
struct Steps {
    step_mm: f64,
    count: usize,
    gaps: u32,
    is_even: bool,
}

/// The mean step if all are nearly that; else one that the slices are interpolated at, if no gap is too wide for it.
fn steps(slices: &[Placed], limits: &Limits, warnings: &mut BTreeSet<Warning>) -> Result<Steps, ScanError> {
    let steps: Vec<f64> =
        slices.iter().zip(slices.iter().skip(1)).map(|(below, above)| above.along_mm - below.along_mm).collect();
    let mut sorted = steps.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let (least, most) = (sorted.first().copied().unwrap_or(median), sorted.last().copied().unwrap_or(median));
    let worst = (most - median).max(median - least);
    let length_mm: f64 = steps.iter().sum();
    if worst > NOTABLE_SHARE * median + NOTABLE_MM {
        warnings.insert(Warning::UnevenSpacing);
    }
    if worst <= (UNEVEN_SHARE * median).max(UNEVEN_MM) {
        let step_mm = length_mm / whole(steps.len());
        return Ok(Steps { step_mm, count: slices.len(), gaps: 0, is_even: true });
    }
    if most > f64::from(limits.gap_mm) {
        let detail = format!(
            "steps between slices from {least:.3} to {most:.3} mm; up to {} mm are interpolated across",
            limits.gap_mm
        );
        return Err(ScanError::new(Reason::UnevenSpacing, detail));
    }
    let between = rounded(length_mm / median).max(1);
    // A slice that is missing leaves a whole number of steps; other steps were chosen so at the scanner.
    let is_whole = |ratio: &f64| (ratio - ratio.round()).abs() <= UNEVEN_SHARE;
    let ratios = steps.iter().map(|step| step / median).filter(is_whole);
    let missing: usize = ratios.map(|ratio| rounded(ratio).saturating_sub(1)).sum();
    if missing > 0 {
        warnings.insert(Warning::MissingSlices);
    }
    let gaps = u32::try_from(missing).unwrap_or(u32::MAX);
    Ok(Steps { step_mm: length_mm / whole(between), count: between + 1, gaps, is_even: false })
}

/// Where each slice begins beside the first, along (i, j) in voxels.
fn offsets(slices: &[Placed], lean: Option<&Lean>) -> Vec<[f64; 2]> {
    let (Some(Placed { slice, .. }), Some(lean)) = (slices.first(), lean) else { return vec![[0.0; 2]; slices.len()] };
    let ([row, column], [di, dj]) = (slice.axes, slice.spacing_mm);
    lean.beside_mm.iter().map(|&beside_mm| [dot(beside_mm, row) / di, dot(beside_mm, column) / dj]).collect()
}

/// The grid of the volume, wide enough for all slices.
struct Grid {
    offsets: Vec<[f64; 2]>,
    step_mm: f64,
    count: usize,
}

impl Grid {
    /// Least and largest offset along an axis.
    fn ends(&self, axis: usize) -> [f64; 2] {
        let along = || self.offsets.iter().filter_map(|offset| offset.get(axis).copied());
        [along().fold(0.0, f64::min), along().fold(0.0, f64::max)]
    }

    fn geometry(&self, slices: &[Placed], normal: [f64; 3], limits: &Limits) -> Result<Geometry, ScanError> {
        let Some(Placed { slice, .. }) = slices.first() else { return Err(mixed("no slices")) };
        let ([columns, rows], [di, dj], [row, column]) = (slice.size, slice.spacing_mm, slice.axes);
        let ([left, right], [up, down]) = (self.ends(0), self.ends(1));
        let wider = |side: usize, least: f64, most: f64| side.saturating_add(rounded((most - least).ceil()));
        let size = [wider(columns, left, right), wider(rows, up, down), self.count];
        let voxels = size.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
        if voxels.is_none_or(|count| count > limits.voxels) {
            return Err(ScanError::new(Reason::LimitExceeded, format!("more than {} voxels", limits.voxels)));
        }
        // Backwards along both axes, to where the slice that begins first does.
        let [back, above] = [row.map(|value| -value * left * di), column.map(|value| -value * up * dj)];
        let origin_mm = sub(sub(slice.position_mm, back), above);
        Geometry::new(size, [di, dj, self.step_mm], origin_mm, [row, column, normal])
            .map_err(|error| ScanError::new(Reason::MixedGeometry, error.to_string()))
    }

    fn resampling(&self, slices: &[Placed]) -> Option<Resampling> {
        let first = slices.first()?;
        let place = |index: usize| {
            let along_mm = first.along_mm + whole(index) * self.step_mm;
            let above = slices.partition_point(|placed| placed.along_mm <= along_mm + SAME_PLACE_MM);
            let below = above.saturating_sub(1);
            let above = above.min(slices.len() - 1);
            let at = |index: usize| slices.get(index).map_or(0.0, |placed: &Placed| placed.along_mm);
            let share = (along_mm - at(below)) / (at(above) - at(below));
            let is_between = above > below && share * (at(above) - at(below)) > SAME_PLACE_MM;
            Place { below, above, share: if is_between { share } else { 0.0 } }
        };
        let (left, up) = (self.ends(0)[0], self.ends(1)[0]);
        Some(Resampling {
            source: first.slice.size,
            places: (0..self.count).map(place).collect(),
            offsets: self.offsets.iter().map(|[i, j]| [i - left, j - up]).collect(),
        })
    }
}

/// The nearest whole number of a small one.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float too large becomes the largest number, and is beyond every limit"
)]
fn rounded(value: f64) -> usize {
    value.round() as usize
}

fn mixed(detail: &str) -> ScanError {
    ScanError::new(Reason::MixedGeometry, detail)
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn sub(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    let ([ax, ay, az], [bx, by, bz]) = (a, b);
    [ax - bx, ay - by, az - bz]
}

fn norm(a: [f64; 3]) -> f64 {
    dot(a, a).sqrt()
}
