//! The header of NIfTI-2: the first one's fields, wider and in another order.

use super::corrupt;
use crate::scan::{Reason, ScanError};
use nifti::{Endianness, NiftiHeader};

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 540;
/// What stands behind its size in a file of header and voxels; the last four bytes show damage by transfers as text.
const MAGIC: &[u8] = b"n+2\0\r\n\x1a\n";

/// Reads a header as one of the first version. Its numbers keep 24 bits: micrometres in a field of ten metres.
///
/// # Errors
/// Bytes that are no such header, and sides beyond what the first version can say.
pub(super) fn header(bytes: &[u8; HEADER_BYTES]) -> Result<NiftiHeader, ScanError> {
    let endianness = if bytes.starts_with(&540i32.to_le_bytes()) { Endianness::Little } else { Endianness::Big };
    let fields = Fields { bytes, endianness };
    if fields.at::<8>(4) != MAGIC {
        return Err(ScanError::new(Reason::NotAScan, "no NIfTI-2 file with header and voxels in one"));
    }
    let mut dim = [0u16; 8];
    for (index, side) in dim.iter_mut().enumerate() {
        *side = u16::try_from(fields.long(16 + 8 * index)).map_err(|_beyond| corrupt("dim is invalid"))?;
    }
    let row = |from: usize| [0, 1, 2, 3].map(|column| fields.real(from + 8 * column));
    let [quatern_b, quatern_c, quatern_d] = [352, 360, 368].map(|at| fields.real(at));
    let [quatern_x, quatern_y, quatern_z] = [376, 384, 392].map(|at| fields.real(at));
    let code = |at: usize| i16::try_from(fields.int(at)).map_err(|_beyond| corrupt("a code is invalid"));
    Ok(NiftiHeader {
        dim,
        datatype: i16::from_ne_bytes(fields.ordered(12)),
        pixdim: [0, 1, 2, 3, 4, 5, 6, 7].map(|index| fields.real(104 + 8 * index)),
        vox_offset: whole(fields.long(168)),
        scl_slope: fields.real(176),
        scl_inter: fields.real(184),
        qform_code: code(344)?,
        sform_code: code(348)?,
        quatern_b,
        quatern_c,
        quatern_d,
        quatern_x,
        quatern_y,
        quatern_z,
        srow_x: row(400),
        srow_y: row(432),
        srow_z: row(464),
        xyzt_units: u8::try_from(fields.int(500)).map_err(|_beyond| corrupt("xyzt_units is invalid"))?,
        magic: *b"n+1\0",
        endianness,
        ..NiftiHeader::default()
    })
}

struct Fields<'a> {
    bytes: &'a [u8; HEADER_BYTES],
    endianness: Endianness,
}

impl Fields<'_> {
    /// Bytes as they lie; the header has all that are asked for.
    fn at<const N: usize>(&self, from: usize) -> [u8; N] {
        self.bytes.get(from..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }

    /// Bytes of a number in this machine's order.
    fn ordered<const N: usize>(&self, from: usize) -> [u8; N] {
        let mut bytes = self.at(from);
        if (self.endianness == Endianness::Big) != cfg!(target_endian = "big") {
            bytes.reverse();
        }
        bytes
    }

    fn int(&self, from: usize) -> i32 {
        i32::from_ne_bytes(self.ordered(from))
    }

    fn long(&self, from: usize) -> i64 {
        i64::from_ne_bytes(self.ordered(from))
    }

    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "the first version's numbers have 32 bits"
    )]
    fn real(&self, from: usize) -> f32 {
        f64::from_ne_bytes(self.ordered(from)) as f32
    }
}

/// A small number of bytes as the first version has it.
fn whole(offset: i64) -> f32 {
    i16::try_from(offset).map_or(f32::NAN, f32::from)
}
