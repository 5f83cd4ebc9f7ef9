//! Stored numbers to Hounsfield units, straight into the buffer of the volume.
#![expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the inner loop over all voxels; whether a value fits is checked on the extremes of each slice"
)]

use super::dicom::{Slice, Stored};
use super::{FillError, Reason, ScanError, file};

/// A voxel type of [`crate::volume::Voxels`].
pub(super) trait Hu: Copy + Send + Sync {
    /// Lowest and highest HU that it holds.
    const RANGE: [f64; 2];
    /// The value for `hu`, which lies within the range.
    fn of(hu: f64) -> Self;
    /// `slope * level + offset`, in whole numbers that lie within the range.
    fn scaled(level: i16, slope: i32, offset: i32) -> Self;
    /// The value nearest to `hu`.
    fn nearest(hu: f64) -> Self;
}

impl Hu for i16 {
    const RANGE: [f64; 2] = [-32_768.0, 32_767.0];
    fn of(hu: f64) -> Self {
        hu as Self
    }
    fn scaled(level: i16, slope: i32, offset: i32) -> Self {
        // What lies within 16 bits in the end is right in them on the way, whatever is carried out at the top.
        level.wrapping_mul(slope as Self).wrapping_add(offset as Self)
    }
    fn nearest(hu: f64) -> Self {
        hu.round() as Self
    }
}

impl Hu for f32 {
    const RANGE: [f64; 2] = [f64::MIN, f64::MAX];
    fn of(hu: f64) -> Self {
        hu as Self
    }
    fn scaled(level: i16, slope: i32, offset: i32) -> Self {
        (i32::from(level) * slope + offset) as Self
    }
    fn nearest(hu: f64) -> Self {
        hu as Self
    }
}

/// Lowest and highest HU seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extremes(pub(super) f64, pub(super) f64);

impl Extremes {
    pub(super) const NONE: Self = Self(f64::INFINITY, f64::NEG_INFINITY);

    pub(super) fn of(hu: f32) -> Self {
        Self(f64::from(hu), f64::from(hu))
    }

    /// Whether a voxel type holds both.
    pub(super) fn fit<T: Hu>(self) -> bool {
        let [least, most] = T::RANGE;
        self.0 >= least && self.1 <= most
    }

    pub(super) fn join(self, other: Self) -> Self {
        Self(self.0.min(other.0), self.1.max(other.1))
    }

    /// Lowest and highest as f32, for [`super::Facts`].
    pub(super) fn range(self) -> [f32; 2] {
        [self.0 as f32, self.1 as f32]
    }
}

/// Stored values of 16 bits, in this machine's byte order, into `plane`, C order (row, column).
pub(super) fn slice<T: Hu>(bytes: &[u8], slice: &Slice, plane: &mut [T]) -> Result<Extremes, FillError> {
    let (pairs, _odd) = bytes.as_chunks::<2>();
    if pairs.len() < plane.len() {
        return Err(file::truncated().into());
    }
    let Stored { bits, high_bit, signed } = slice.stored;
    // The value's bits are moved to the top and back down, which drops what lies above and below and extends the sign.
    let (up, down) = (15 - high_bit, 16 - bits);
    let raw = |pair: &[u8; 2]| u16::from_ne_bytes(*pair) << up;
    let scale = Scale { slope: slice.slope, intercept: slice.intercept };
    match (scale.small(), signed) {
        (Some(scale), true) => fill_whole(pairs.iter().map(|pair| raw(pair).cast_signed() >> down), scale, plane),
        (Some([slope, intercept]), false) => {
            // Half the range lower they are signed, too.
            let level = |pair: &[u8; 2]| ((raw(pair) >> down) ^ 0x8000).cast_signed();
            fill_whole(pairs.iter().map(level), [slope, intercept + slope * 0x8000], plane)
        }
        (None, true) => fill(pairs.iter().map(|pair| f64::from(raw(pair).cast_signed() >> down)), scale, plane),
        (None, false) => fill(pairs.iter().map(|pair| f64::from(raw(pair) >> down)), scale, plane),
    }
}

/// HU = slope * stored value + intercept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) slope: f64,
    pub(super) intercept: f64,
}

impl Scale {
    /// Whether whole stored values give whole HU.
    pub(super) fn is_whole(self) -> bool {
        self.slope.fract() == 0.0 && self.intercept.fract() == 0.0
    }

    /// Slope and intercept as whole numbers with which values of 16 bits, and half their range, stay within 32.
    fn small(self) -> Option<[i32; 2]> {
        let is_small = self.slope.abs() < 8192.0 && self.intercept.abs() < f64::from(1 << 30);
        (self.is_whole() && is_small).then_some([self.slope as i32, self.intercept as i32])
    }
}

/// As [`fill`], in whole numbers of 16 bits: almost every CT, at the speed of memory.
fn fill_whole<T: Hu>(
    levels: impl Iterator<Item = i16>,
    [slope, offset]: [i32; 2],
    plane: &mut [T],
) -> Result<Extremes, FillError> {
    let (mut least, mut most) = (i16::MAX, i16::MIN);
    for (voxel, level) in plane.iter_mut().zip(levels) {
        (least, most) = (least.min(level), most.max(level));
        *voxel = T::scaled(level, slope, offset);
    }
    let [a, b] = [least, most].map(|level| f64::from(i32::from(level) * slope + offset));
    let extremes = Extremes(a.min(b), a.max(b));
    if extremes.fit::<T>() { Ok(extremes) } else { Err(FillError::TooWide) }
}

/// Scales stored values into `plane`.
pub(super) fn fill<T: Hu>(
    stored: impl Iterator<Item = f64>,
    Scale { slope, intercept }: Scale,
    plane: &mut [T],
) -> Result<Extremes, FillError> {
    let mut extremes = Extremes::NONE;
    let mut is_number = true;
    for (voxel, stored) in plane.iter_mut().zip(stored) {
        let hu = stored * slope + intercept;
        is_number &= hu.is_finite();
        extremes = Extremes(extremes.0.min(hu), extremes.1.max(hu));
        *voxel = T::of(hu);
    }
    if !is_number {
        return Err(ScanError::new(Reason::NotHounsfield, "voxels that are no numbers").into());
    }
    if extremes.fit::<T>() { Ok(extremes) } else { Err(FillError::TooWide) }
}
