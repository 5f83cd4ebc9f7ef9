//! Compressed pixels to stored values.
//!
//! dicom-rs takes a file apart; the codecs are pure Rust and told beforehand how much they may hand out, so that no
//! header makes one allocate more than its slice.

use crate::scan::{Reason, ScanError, file};
use dicom::dictionary_std::uids;
use dicom_toolkit_jpeg2000::{DecodeSettings, Image};
use openreadout_codecs::{self as codecs, CodecError, Raster};

/// How the pixels of a transfer syntax are written (PS3.5, Annex A).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// As they are.
    Native,
    /// Runs of bytes (PS3.5, Annex G).
    Rle,
    /// JPEG (ISO/IEC 10918-1): sequential DCT with 8 or 12 bits, or lossless.
    Jpeg,
    /// JPEG-LS (ISO/IEC 14495-1).
    JpegLs,
    /// JPEG 2000 (ISO/IEC 15444-1), reversible.
    Jpeg2000Lossless,
    /// JPEG 2000, either way.
    Jpeg2000,
    /// JPEG 2000 of high throughput (ISO/IEC 15444-15).
    HtJ2k,
    /// JPEG XL (ISO/IEC 18181-1).
    JpegXl,
}

/// The transfer syntaxes that this build decodes.
#[expect(deprecated, reason = "retired syntaxes lie in archives all the same")]
const DECODED: [(&str, Coding); 20] = [
    (uids::IMPLICIT_VR_LITTLE_ENDIAN, Coding::Native),
    (uids::EXPLICIT_VR_LITTLE_ENDIAN, Coding::Native),
    (uids::EXPLICIT_VR_BIG_ENDIAN, Coding::Native),
    (uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, Coding::Native),
    (uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN, Coding::Native),
    (uids::RLE_LOSSLESS, Coding::Rle),
    (uids::JPEG_BASELINE8_BIT, Coding::Jpeg),
    (uids::JPEG_EXTENDED12_BIT, Coding::Jpeg),
    (uids::JPEG_LOSSLESS, Coding::Jpeg),
    (uids::JPEG_LOSSLESS_SV1, Coding::Jpeg),
    (uids::JPEGLS_LOSSLESS, Coding::JpegLs),
    (uids::JPEGLS_NEAR_LOSSLESS, Coding::JpegLs),
    (uids::JPEG2000_LOSSLESS, Coding::Jpeg2000Lossless),
    (uids::JPEG2000, Coding::Jpeg2000),
    (uids::HTJ2K_LOSSLESS, Coding::HtJ2k),
    (uids::HTJ2K_LOSSLESS_RPCL, Coding::HtJ2k),
    (uids::HTJ2K, Coding::HtJ2k),
    (uids::JPEGXL_LOSSLESS, Coding::JpegXl),
    (uids::JPEGXLJPEG_RECOMPRESSION, Coding::JpegXl),
    (uids::JPEGXL, Coding::JpegXl),
];

/// Those of the standard that it does not: progressive and hierarchical JPEG (retired), several components, references to
/// servers, video.
#[expect(deprecated, reason = "retired syntaxes lie in archives all the same")]
const REFUSED: [&str; 18] = [
    uids::JPEG_EXTENDED35,
    uids::JPEG_SPECTRAL_SELECTION_NON_HIERARCHICAL68,
    uids::JPEG_SPECTRAL_SELECTION_NON_HIERARCHICAL79,
    uids::JPEG_FULL_PROGRESSION_NON_HIERARCHICAL1012,
    uids::JPEG_FULL_PROGRESSION_NON_HIERARCHICAL1113,
    uids::JPEG_LOSSLESS_NON_HIERARCHICAL15,
    uids::JPEG2000MC_LOSSLESS,
    uids::JPEG2000MC,
    uids::JPIP_REFERENCED,
    uids::JPIP_REFERENCED_DEFLATE,
    uids::JPIPHTJ2K_REFERENCED,
    uids::JPIPHTJ2K_REFERENCED_DEFLATE,
    uids::MPEG2MPML,
    uids::MPEG2MPHL,
    uids::MPEG4HP41,
    uids::MPEG4HP41BD,
    uids::HEVCMP51,
    uids::HEVCM10P51,
];

/// How pixels of a transfer syntax are written.
///
/// # Errors
/// What this build does not decode, by its name if the standard knows it.
pub(super) fn coding(syntax: &str) -> Result<Coding, ScanError> {
    let decoded = DECODED.iter().find(|(uid, _)| *uid == syntax).map(|&(_, coding)| coding);
    decoded.ok_or_else(|| {
        let known = REFUSED.iter().find(|uid| **uid == syntax);
        let detail = known.copied().unwrap_or("a transfer syntax that this build does not know");
        ScanError::new(Reason::UnsupportedTransferSyntax, detail)
    })
}

/// Whether this is a syntax of the standard, decoded or not.
pub(super) fn is_known(syntax: &str) -> bool {
    name(syntax).is_some() || REFUSED.contains(&syntax)
}

/// Every syntax that this build decodes.
pub(in crate::scan) fn decoded() -> impl Iterator<Item = &'static str> {
    DECODED.into_iter().map(|(uid, _)| uid)
}

/// The standard's own word for a syntax that this build decodes.
pub(super) fn name(syntax: &str) -> Option<&'static str> {
    DECODED.iter().find(|(uid, _)| *uid == syntax).map(|&(uid, _)| uid)
}

/// Bytes of a stored value.
const WIDTH: usize = 2;

/// Bytes of a slice of `[columns, rows]` voxels.
pub(super) fn bytes([columns, rows]: [usize; 2]) -> usize {
    columns.saturating_mul(rows).saturating_mul(WIDTH)
}

/// Decodes one slice of `[columns, rows]` voxels: 16-bit values, one after the other, in this machine's byte order.
pub(super) fn decode(coding: Coding, coded: &[u8], size: [usize; 2]) -> Result<Vec<u8>, ScanError> {
    let voxels = size.iter().product::<usize>();
    let most = voxels * WIDTH;
    let raster = match coding {
        Coding::Native => return Ok(native(coded.to_vec())),
        Coding::Rle => return rle(coded, voxels),
        Coding::Jpeg => codecs::jpeg_decode_limited(coded, most),
        Coding::JpegLs => codecs::jpegls_decode_limited(&unfilled(coded), most),
        Coding::Jpeg2000Lossless => return jpeg2000_lossless(coded, size),
        Coding::Jpeg2000 => codecs::jpeg2000_decode_limited(coded, most),
        Coding::HtJ2k => codecs::jpeg2000_decode_limited(coded, most).map(|raster| unshifted(raster, coded)),
        Coding::JpegXl => codecs::jpegxl_decode_limited(coded, most),
    };
    values(raster.map_err(|error| refusal(&error))?, size)
}

/// A codestream without fill bytes before its last marker: `FF` may stand there any number of times (ISO/IEC 10918-1,
/// B.1.1.2). `CharLS` writes one where it makes the length even, and the decoder does not know them.
fn unfilled(coded: &[u8]) -> Vec<u8> {
    const END: &[u8] = &[0xff, 0xd9];
    let padding = coded.iter().rev().take_while(|&&byte| byte == 0).count();
    let stream = coded.get(..coded.len() - padding).unwrap_or_default();
    let Some(scan) = stream.strip_suffix(END) else { return coded.to_vec() };
    let fill = scan.iter().rev().take_while(|&&byte| byte == 0xff).count();
    [scan.get(..scan.len() - fill).unwrap_or_default(), END].concat()
}

/// The faster of two decoders, which takes quantised values for what they are at least: right only where none are.
fn jpeg2000_lossless(coded: &[u8], [columns, rows]: [usize; 2]) -> Result<Vec<u8>, ScanError> {
    let image = Image::new(coded, &DecodeSettings::default()).map_err(|_unreadable| damaged())?;
    let of = |side: u32| usize::try_from(side).unwrap_or(usize::MAX);
    if (of(image.width()), of(image.height())) != (columns, rows) {
        return Err(damaged());
    }
    let bitmap = image.decode_native().map_err(|_unreadable| damaged())?;
    let raster = Raster {
        width: bitmap.width,
        height: bitmap.height,
        channels: bitmap.num_components.into(),
        bits_per_sample: u32::from(bitmap.bytes_per_sample) * 8,
        bgr: false,
        float: false,
        data: bitmap.data,
    };
    values(unshifted(raster, coded), [columns, rows])
}

/// The decoder of HTJ2K leaves signed values shifted to where they are all positive (ISO/IEC 15444-1, G.1.2).
fn unshifted(mut raster: Raster, coded: &[u8]) -> Raster {
    /// Where the first component's sign and depth stand behind the markers SOC and SIZ (ISO/IEC 15444-1, A.5.1).
    const DEPTH_AT: usize = 42;
    let depth = coded.get(DEPTH_AT).copied().unwrap_or_default();
    let (is_signed, bits) = (depth & 0x80 != 0, u32::from(depth & 0x7f) + 1);
    if is_signed && raster.bits_per_sample == 16 {
        let shift = 1u16.checked_shl(bits - 1).unwrap_or_default();
        for pair in raster.data.as_chunks_mut::<WIDTH>().0 {
            *pair = u16::from_le_bytes(*pair).wrapping_sub(shift).to_le_bytes();
        }
    }
    raster
}

fn values(raster: Raster, [columns, rows]: [usize; 2]) -> Result<Vec<u8>, ScanError> {
    let of = |side: u32| usize::try_from(side).unwrap_or(usize::MAX);
    if (of(raster.width), of(raster.height), raster.channels, raster.float) != (columns, rows, 1, false) {
        return Err(damaged());
    }
    match raster.bits_per_sample {
        8 => Ok(raster.data.iter().flat_map(|&value| u16::from(value).to_ne_bytes()).collect()),
        16 => Ok(native(raster.data)),
        _ => Err(ScanError::new(Reason::UnsupportedPixels, "compressed values of more than 16 bits")),
    }
}

/// Little-endian values in this machine's byte order.
fn native(mut bytes: Vec<u8>) -> Vec<u8> {
    if cfg!(target_endian = "big") {
        bytes.as_chunks_mut::<WIDTH>().0.iter_mut().for_each(|pair| pair.reverse());
    }
    bytes
}

/// A header of 16 numbers of four bytes, how many segments there are and where each begins; then the segments, one for
/// each byte of the values, the high one first (PS3.5, G.3 to G.5).
fn rle(coded: &[u8], voxels: usize) -> Result<Vec<u8>, ScanError> {
    let word = |index: usize| {
        let bytes = coded.get(index * 4..)?.first_chunk::<4>()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    };
    if word(0) != Some(WIDTH) {
        return Err(damaged());
    }
    let (Some(high), Some(low)) = (word(1), word(2)) else { return Err(damaged()) };
    let segment = |from: usize, to: usize| {
        let bytes = coded.get(from..to).ok_or_else(damaged)?;
        codecs::packbits_decode(bytes, voxels).map_err(|error| refusal(&error))
    };
    let (high, low) = (segment(high, low)?, segment(low, coded.len())?);
    if high.len() != voxels || low.len() != voxels {
        return Err(file::truncated());
    }
    Ok(high.into_iter().zip(low).flat_map(|(high, low)| u16::from_be_bytes([high, low]).to_ne_bytes()).collect())
}

/// Why a codec would not. Its own words are not repeated: they may quote the file.
fn refusal(error: &CodecError) -> ScanError {
    match error {
        CodecError::Unsupported { .. } | CodecError::NotCompiled { .. } => {
            ScanError::new(Reason::UnsupportedTransferSyntax, "a form of compression that this build does not decode")
        }
        CodecError::SizeMismatch { .. } => file::truncated(),
        CodecError::Decode { .. } | _ => damaged(),
    }
}

fn damaged() -> ScanError {
    ScanError::new(Reason::Corrupt, "the compressed pixels are damaged, or of another size than the header says")
}
