//! One NIfTI file of either version: its geometry, and its voxels as a stream.

mod second;

use super::voxels::{self, Extremes, Hu, Scale};
use super::{FillError, Limits, Reason, ScanError, VoxelKind, file};
use crate::volume::Geometry;
use nifti::{Endianness, NiftiHeader, NiftiType};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A file that can become a volume.
#[derive(Debug)]
pub(super) struct Image {
    path: PathBuf,
    geometry: Geometry,
    kind: NiftiType,
    endianness: Endianness,
    offset: u64,
    scale: Scale,
}

/// Bytes of the first version's header.
const FIRST_BYTES: u64 = 348;

/// Reads a header of either version; returns how long it is, too.
fn header(mut stream: impl Read) -> Result<(NiftiHeader, u64), ScanError> {
    let mut size = [0u8; 4];
    stream.read_exact(&mut size).map_err(|error| broken(&error))?;
    if file::is_second_nifti(&size) {
        let mut bytes = [0u8; second::HEADER_BYTES];
        let (head, rest) = bytes.split_at_mut(size.len());
        head.copy_from_slice(&size);
        stream.read_exact(rest).map_err(|error| broken(&error))?;
        return Ok((second::header(&bytes)?, 540));
    }
    let header = NiftiHeader::from_reader(size.as_slice().chain(stream)).map_err(|error| {
        if let nifti::NiftiError::Io(io) = error { broken(&io) } else { corrupt("no valid NIfTI header") }
    })?;
    if header.sizeof_hdr != 348 || !header.magic.starts_with(b"n+1") {
        return Err(ScanError::new(Reason::NotAScan, "no NIfTI file with header and voxels in one"));
    }
    Ok((header, FIRST_BYTES))
}

impl Image {
    /// Reads and checks the header.
    pub(super) fn open(path: &Path, limits: &Limits) -> Result<Self, ScanError> {
        let (opened, _format) = file::open(path, limits)?;
        let (header, header_bytes) = header(file::unpacked(opened)?)?;
        let kind = header.data_type().map_err(|_unknown| unsupported())?;
        let slope = f64::from(header.scl_slope);
        // NIfTI-1: a slope of zero means that the values are not scaled.
        let scale = if slope == 0.0 || !slope.is_finite() {
            Scale { slope: 1.0, intercept: 0.0 }
        } else {
            Scale { slope, intercept: f64::from(header.scl_inter) }
        };
        Ok(Self {
            path: path.to_owned(),
            geometry: geometry(&header, limits)?,
            kind,
            endianness: header.endianness,
            offset: offset(&header, header_bytes)?,
            scale,
        })
    }

    pub(super) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// 16 bit for whole numbers, else f32.
    pub(super) fn voxel_kind(&self) -> VoxelKind {
        let is_float = matches!(self.kind, NiftiType::Float32 | NiftiType::Float64);
        if self.scale.is_whole() && !is_float { VoxelKind::I16 } else { VoxelKind::F32 }
    }

    /// Reads the voxels into `voxels`, C order (k, j, i).
    pub(super) fn fill<T: Hu>(&self, voxels: &mut [T]) -> Result<Extremes, FillError> {
        let opened = File::open(&self.path).map_err(|error| file::unreadable(&error))?;
        let mut stream = file::unpacked(opened)?;
        let skipped =
            io::copy(&mut stream.by_ref().take(self.offset), &mut io::sink()).map_err(|error| broken(&error))?;
        if skipped < self.offset {
            return Err(file::truncated().into());
        }
        let (width, read) = reader(self.kind, self.endianness).ok_or_else(unsupported)?;
        let [columns, rows, _] = self.geometry.size();
        let mut bytes = vec![0u8; columns * rows * width];
        let mut extremes = Extremes::NONE;
        for plane in voxels.chunks_mut(columns * rows) {
            stream.read_exact(&mut bytes).map_err(|error| broken(&error))?;
            let stored = bytes.chunks_exact(width).map(read);
            extremes = extremes.join(voxels::fill(stored, self.scale, plane)?);
        }
        Ok(extremes)
    }
}

/// Bytes of a stored value, and how to read it.
type Reader = (usize, fn(&[u8]) -> f64);

/// How values of a type are read; `None` for types that hold no CT.
fn reader(kind: NiftiType, endianness: Endianness) -> Option<Reader> {
    /// The bytes of one value, in an array; the caller hands over exactly as many.
    fn of<const N: usize>(bytes: &[u8]) -> [u8; N] {
        bytes.try_into().unwrap_or([0; N])
    }
    macro_rules! either {
        ($number:ty) => {
            match endianness {
                Endianness::Little => |bytes| f64::from(<$number>::from_le_bytes(of(bytes))),
                Endianness::Big => |bytes| f64::from(<$number>::from_be_bytes(of(bytes))),
            }
        };
    }
    // Whole numbers beyond 53 bits lose their last digits; no HU is that large.
    macro_rules! long {
        ($number:ty) => {{
            #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "see above")]
            match endianness {
                Endianness::Little => |bytes: &[u8]| <$number>::from_le_bytes(of(bytes)) as f64,
                Endianness::Big => |bytes: &[u8]| <$number>::from_be_bytes(of(bytes)) as f64,
            }
        }};
    }
    Some(match kind {
        NiftiType::Uint8 => (1, either!(u8)),
        NiftiType::Int8 => (1, either!(i8)),
        NiftiType::Uint16 => (2, either!(u16)),
        NiftiType::Int16 => (2, either!(i16)),
        NiftiType::Uint32 => (4, either!(u32)),
        NiftiType::Int32 => (4, either!(i32)),
        NiftiType::Uint64 => (8, long!(u64)),
        NiftiType::Int64 => (8, long!(i64)),
        NiftiType::Float32 => (4, either!(f32)),
        NiftiType::Float64 => (8, either!(f64)),
        NiftiType::Complex64
        | NiftiType::Rgb24
        | NiftiType::Float128
        | NiftiType::Complex128
        | NiftiType::Complex256
        | NiftiType::Rgba32 => return None,
    })
}

fn offset(header: &NiftiHeader, header_bytes: u64) -> Result<u64, ScanError> {
    let offset = header.vox_offset;
    if !(0.0..1e9).contains(&offset) {
        return Err(corrupt("vox_offset is no offset"));
    }
    // Zero stands for the usual place behind the header and its four bytes of extension flags.
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above"
    )]
    let offset = offset as u64;
    Ok(if offset < header_bytes { header_bytes + 4 } else { offset })
}

fn geometry(header: &NiftiHeader, limits: &Limits) -> Result<Geometry, ScanError> {
    let sides = header.dim().map_err(|_invalid| corrupt("dim is invalid"))?;
    let (&[ni, nj, nk], rest) = sides.split_first_chunk::<3>().ok_or_else(|| corrupt("fewer than three dimensions"))?;
    if rest.iter().any(|&side| side > 1) {
        return Err(ScanError::new(Reason::FourDimensional, "more than three dimensions"));
    }
    if [ni, nj, nk].iter().any(|&side| i16::try_from(side).is_err()) {
        return Err(corrupt("a dimension below zero or beyond 32767"));
    }
    let size = [ni, nj, nk].map(usize::from);
    let voxels = size.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
    if voxels.is_none_or(|count| count > limits.voxels) {
        return Err(ScanError::new(Reason::LimitExceeded, format!("more than {} voxels", limits.voxels)));
    }
    let (columns, origin) = affine(header);
    let unit = unit_mm(header);
    let mut spacing_mm = [0.0; 3];
    let mut direction = [[0.0; 3]; 3];
    for ((column, spacing), unit_vector) in columns.iter().zip(&mut spacing_mm).zip(&mut direction) {
        let length = column.iter().map(|value| value * value).sum::<f64>().sqrt();
        *spacing = length * unit;
        *unit_vector = column.map(|value| value / length);
    }
    Geometry::new(size, spacing_mm, origin.map(|value| value * unit), direction)
        .map_err(|error| ScanError::new(Reason::MixedGeometry, error.to_string()))
}

/// Millimetres of the header's unit; files that state none mean millimetres.
fn unit_mm(header: &NiftiHeader) -> f64 {
    match header.xyzt_units & 7 {
        1 => 1000.0,
        3 => 0.001,
        _ => 1.0,
    }
}

/// The affine's three columns and its origin, turned from NIfTI's RAS to LPS. The sform comes first, then the qform, as
/// in nibabel; without either the grid is taken as lying along the axes.
fn affine(header: &NiftiHeader) -> ([[f64; 3]; 3], [f64; 3]) {
    let rows = if header.sform_code > 0 {
        [header.srow_x, header.srow_y, header.srow_z].map(|row| row.map(f64::from))
    } else if header.qform_code > 0 {
        qform(header)
    } else {
        let [_, dx, dy, dz, ..] = header.pixdim.map(f64::from);
        [[dx, 0.0, 0.0, 0.0], [0.0, dy, 0.0, 0.0], [0.0, 0.0, dz, 0.0]]
    };
    let [x, y, z] = rows;
    let [x, y] = [x, y].map(|row| row.map(|value| -value));
    let column = |axis: usize| [x, y, z].map(|row| row.get(axis).copied().unwrap_or_default());
    ([column(0), column(1), column(2)], column(3))
}

/// Method 2 of nifti1.h: a rotation by unit quaternion, spacing, and a sign for the third axis.
fn qform(header: &NiftiHeader) -> [[f64; 4]; 3] {
    let [b, c, d] = [header.quatern_b, header.quatern_c, header.quatern_d].map(f64::from);
    let a = (1.0 - (b * b + c * c + d * d)).max(0.0).sqrt();
    let [sign, dx, dy, dz, ..] = header.pixdim.map(f64::from);
    let dz = if sign < 0.0 { -dz } else { dz };
    let [tx, ty, tz] = [header.quatern_x, header.quatern_y, header.quatern_z].map(f64::from);
    [
        [(a * a + b * b - c * c - d * d) * dx, 2.0 * (b * c - a * d) * dy, 2.0 * (b * d + a * c) * dz, tx],
        [2.0 * (b * c + a * d) * dx, (a * a + c * c - b * b - d * d) * dy, 2.0 * (c * d - a * b) * dz, ty],
        [2.0 * (b * d - a * c) * dx, 2.0 * (c * d + a * b) * dy, (a * a + d * d - b * b - c * c) * dz, tz],
    ]
}

fn broken(error: &io::Error) -> ScanError {
    file::broken(error, "the compressed data is damaged")
}

fn corrupt(detail: &str) -> ScanError {
    ScanError::new(Reason::Corrupt, detail)
}

fn unsupported() -> ScanError {
    ScanError::new(Reason::UnsupportedPixels, "a NIfTI data type that is no CT")
}
