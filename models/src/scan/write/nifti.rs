//! A volume to one NIfTI-1 file.

use super::{WriteError, unfit};
use crate::volume::{Geometry, Volume, Voxels};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes a NIfTI-1 file, gzipped if its name ends with `.gz`: i16 or f32 as the voxels are, with an sform.
///
/// # Errors
/// The file cannot be written, a side has more than 32767 voxels.
pub fn nifti(volume: &Volume<'_>, path: &Path) -> Result<(), WriteError> {
    let header = nifti_header(volume)?;
    let io = |source| WriteError::Io { path: path.to_owned(), source };
    let file = BufWriter::new(File::create(path).map_err(io)?);
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut packed = GzEncoder::new(file, Compression::fast());
        write_nifti(&mut packed, &header, volume).map_err(io)?;
        packed.finish().and_then(|mut file| file.flush()).map_err(io)
    } else {
        let mut file = file;
        write_nifti(&mut file, &header, volume).and_then(|()| file.flush()).map_err(io)
    }
}

fn write_nifti(to: &mut impl Write, header: &[u8], volume: &Volume<'_>) -> io::Result<()> {
    to.write_all(header)?;
    match volume.voxels() {
        Voxels::I16(values) => values.iter().try_for_each(|value| to.write_all(&value.to_le_bytes())),
        Voxels::F32(values) => values.iter().try_for_each(|value| to.write_all(&value.to_le_bytes())),
    }
}

/// The 348 bytes of nifti1.h and four of "no extensions", little endian. The nifti crate writes whole ndarray volumes only.
fn nifti_header(volume: &Volume<'_>) -> Result<Vec<u8>, WriteError> {
    let geometry = volume.geometry();
    let mut header = Vec::with_capacity(352);
    let mut put = |bytes: &[u8]| header.extend_from_slice(bytes);
    put(&348i32.to_le_bytes());
    put(&[0; 36]);
    put(&3i16.to_le_bytes());
    for side in geometry.size() {
        let side = i16::try_from(side).map_err(|_too_large| unfit("more than 32767 voxels on a side"))?;
        put(&side.to_le_bytes());
    }
    put(&[1i16; 4].map(i16::to_le_bytes).concat());
    put(&[0; 14]);
    let (datatype, bits) = if matches!(volume.voxels(), Voxels::I16(_)) { (4i16, 16i16) } else { (16, 32) };
    put(&[datatype.to_le_bytes(), bits.to_le_bytes(), [0; 2]].concat());
    // pixdim: a sign that only a qform would need, then the spacing.
    put(&1f32.to_le_bytes());
    for spacing in geometry.spacing_mm() {
        put(&narrow(spacing).to_le_bytes());
    }
    put(&[0f32; 4].map(f32::to_le_bytes).concat());
    put(&[352f32, 1.0, 0.0].map(f32::to_le_bytes).concat());
    // slice_end, slice_code, xyzt_units: millimetres.
    put(&[0, 0, 0, 2]);
    put(&[0; 24]);
    let mut description = b"ctedge".to_vec();
    description.resize(80 + 24, 0);
    put(&description);
    // No qform; the sform says it all (code 1: scanner coordinates).
    put(&[0i16, 1].map(i16::to_le_bytes).concat());
    put(&[0; 24]);
    for row in sform(geometry) {
        put(&row.map(|value| narrow(value).to_le_bytes()).concat());
    }
    put(&[0; 16]);
    put(b"n+1\0");
    put(&[0; 4]);
    Ok(header)
}

/// Rows of the affine in RAS: the first two of LPS the other way round.
fn sform(geometry: &Geometry) -> [[f64; 4]; 3] {
    let ([di, dj, dk], [u, v, w]) = (geometry.spacing_mm(), geometry.direction());
    let origin = geometry.origin_mm();
    let row = |axis: usize, sign: f64| {
        let of = |vector: [f64; 3]| sign * vector.get(axis).copied().unwrap_or_default();
        [of(u) * di, of(v) * dj, of(w) * dk, of(origin)]
    };
    [row(0, -1.0), row(1, -1.0), row(2, 1.0)]
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "the header's numbers are 32 bit")]
fn narrow(value: f64) -> f32 {
    value as f32
}
