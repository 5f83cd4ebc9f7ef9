//! Files of one series to a regular stack of slices.
//!
//! Slices are ordered by their position along the normal of the image plane; instance numbers and file names say nothing
//! about place.

use super::dicom::{Content, Instance, Slice};
use super::{Dropped, Limits, Reason, ScanError, Warning};
use crate::volume::Geometry;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A slice with its file.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) path: PathBuf,
    pub(super) slice: Slice,
    uid: String,
    file_bytes: u64,
    acquisition: i64,
    /// Position along the normal in mm.
    along_mm: f64,
}

/// A series in order.
#[derive(Debug)]
pub(super) struct Stack {
    pub(super) slices: Vec<Placed>,
    pub(super) geometry: Geometry,
    pub(super) dropped: BTreeMap<Dropped, u32>,
    pub(super) tilt_deg: f64,
    pub(super) warnings: BTreeSet<Warning>,
}

/// Fewest slices of a volume: two have a step, but nothing to compare it with.
const FEWEST_SLICES: usize = 3;
/// Positions closer than this are one place; scanners print at best thousandths of a millimetre.
const SAME_PLACE_MM: f64 = 0.01;
/// Sizes and directions of one series differ at most by rounding in the header.
const SAME_SPACING: f64 = 1e-3;
const SAME_DIRECTION: f64 = 1e-3;
/// Tilt below this is rounding of positions; the smallest that gantries are set to is one degree.
const LARGEST_TILT_DEG: f64 = 0.5;
/// How far a slice may lie beside the line of the stack.
const LARGEST_DRIFT_MM: f64 = 1.0;
/// How much steps may vary: positions rounded to a tenth of a millimetre pass, a missing slice does not.
const UNEVEN_SHARE: f64 = 0.1;
const UNEVEN_MM: f64 = 0.11;
/// From here on uneven steps are worth telling.
const NOTABLE_SHARE: f64 = 0.01;
const NOTABLE_MM: f64 = 0.02;

/// Orders the files of one series and settles its geometry.
pub(super) fn stack(instances: Vec<Instance>, limits: &Limits) -> Result<Stack, ScanError> {
    let mut dropped = BTreeMap::new();
    let slices = slices_of(instances, &mut dropped)?;
    let normal = normal(&slices)?;
    let slices = unique(in_order(slices, normal), &mut dropped)?;
    if slices.len() < FEWEST_SLICES {
        let detail = format!("{} slices at different places, at least {FEWEST_SLICES} make a volume", slices.len());
        return Err(ScanError::new(Reason::TooFewSlices, detail));
    }
    let tilt_deg = tilt(&slices, normal)?;
    let mut warnings = BTreeSet::new();
    let step_mm = step(&slices, &mut warnings)?;
    let geometry = geometry(&slices, normal, step_mm, limits)?;
    Ok(Stack { slices, geometry, dropped, tilt_deg, warnings })
}

/// The slices among the files; localizers and objects without pixels are left out and counted.
fn slices_of(instances: Vec<Instance>, dropped: &mut BTreeMap<Dropped, u32>) -> Result<Vec<Placed>, ScanError> {
    let mut slices = Vec::new();
    for Instance { path, file_bytes, uid, acquisition, content, .. } in instances {
        match content {
            Content::Slices { slices: frames, localizers } => {
                let placed = |slice| Placed {
                    path: path.clone(),
                    slice,
                    uid: uid.clone(),
                    file_bytes,
                    acquisition,
                    along_mm: 0.0,
                };
                slices.extend(frames.into_iter().map(placed));
                if localizers > 0 {
                    *dropped.entry(Dropped::Localizer).or_default() += localizers;
                }
            }
            Content::Localizer => *dropped.entry(Dropped::Localizer).or_default() += 1,
            Content::NotImage => *dropped.entry(Dropped::NotImage).or_default() += 1,
        }
    }
    if !slices.is_empty() {
        return Ok(slices);
    }
    if dropped.contains_key(&Dropped::Localizer) {
        Err(ScanError::new(Reason::Localizer, "a localizer (ImageType LOCALIZER), no volume"))
    } else {
        Err(ScanError::new(Reason::NotImage, "DICOM objects without pixels"))
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

/// Leaves out copies of an instance (the larger file stays) and repeated acquisitions of a place (the later one stays).
fn unique(slices: Vec<Placed>, dropped: &mut BTreeMap<Dropped, u32>) -> Result<Vec<Placed>, ScanError> {
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
    let mut stack: Vec<Placed> = Vec::new();
    for placed in kept {
        let Some(last) = stack.last_mut().filter(|last| placed.along_mm - last.along_mm < SAME_PLACE_MM) else {
            stack.push(placed);
            continue;
        };
        match placed.acquisition.cmp(&last.acquisition) {
            Ordering::Equal => return Err(mixed("two images of one acquisition at the same place")),
            Ordering::Greater => *last = placed,
            Ordering::Less => {}
        }
        *dropped.entry(Dropped::DuplicatePosition).or_default() += 1;
    }
    Ok(stack)
}

/// The angle in degrees between the normal and the line on which the slices really lie.
fn tilt(slices: &[Placed], normal: [f64; 3]) -> Result<f64, ScanError> {
    let (Some(first), Some(last)) = (slices.first(), slices.last()) else { return Ok(0.0) };
    let length_mm = last.along_mm - first.along_mm;
    let across = |placed: &Placed| -> [f64; 3] {
        let step = sub(placed.slice.position_mm, first.slice.position_mm);
        let along = dot(step, normal);
        sub(step, normal.map(|value| along * value))
    };
    let lean = across(last);
    let tilt_deg = norm(lean).atan2(length_mm).to_degrees();
    if tilt_deg > LARGEST_TILT_DEG {
        let detail = format!("slices sheared by {tilt_deg:.2} degrees (gantry tilt)");
        return Err(ScanError::new(Reason::GantryTilt, detail));
    }
    for placed in slices {
        let share = (placed.along_mm - first.along_mm) / length_mm;
        if norm(sub(across(placed), lean.map(|value| value * share))) > LARGEST_DRIFT_MM {
            return Err(mixed("slices that lie beside each other"));
        }
    }
    Ok(tilt_deg)
}

/// The step between slices in mm: the mean one, if all are nearly that.
fn step(slices: &[Placed], warnings: &mut BTreeSet<Warning>) -> Result<f64, ScanError> {
    let steps: Vec<f64> =
        slices.iter().zip(slices.iter().skip(1)).map(|(below, above)| above.along_mm - below.along_mm).collect();
    let mut sorted = steps.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let worst = steps.iter().map(|step| (step - median).abs()).fold(0.0, f64::max);
    if worst > (UNEVEN_SHARE * median).max(UNEVEN_MM) {
        let (least, most) = (sorted.first().unwrap_or(&median), sorted.last().unwrap_or(&median));
        let detail =
            format!("steps between slices from {least:.3} to {most:.3} mm: missing slices, or no regular grid");
        return Err(ScanError::new(Reason::UnevenSpacing, detail));
    }
    if worst > NOTABLE_SHARE * median + NOTABLE_MM {
        warnings.insert(Warning::UnevenSpacing);
    }
    let sum: f64 = steps.iter().sum();
    Ok(sum / f64::from(u32::try_from(steps.len()).unwrap_or(u32::MAX)))
}

fn geometry(slices: &[Placed], normal: [f64; 3], step_mm: f64, limits: &Limits) -> Result<Geometry, ScanError> {
    let Some(Placed { slice, .. }) = slices.first() else { return Err(mixed("no slices")) };
    let ([columns, rows], [di, dj], [row, column]) = (slice.size, slice.spacing_mm, slice.axes);
    let voxels = columns.checked_mul(rows).and_then(|plane| plane.checked_mul(slices.len()));
    if voxels.is_none_or(|count| count > limits.voxels) {
        return Err(ScanError::new(Reason::LimitExceeded, format!("more than {} voxels", limits.voxels)));
    }
    let size = [columns, rows, slices.len()];
    Geometry::new(size, [di, dj, step_mm], slice.position_mm, [row, column, normal])
        .map_err(|error| ScanError::new(Reason::MixedGeometry, error.to_string()))
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
