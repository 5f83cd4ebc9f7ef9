//! Every kind of hostile file that we could think of, or that others have met.

use super::craft::{Craft, EXPLICIT, ITEM, ITEM_END, PIXELS, SEQUENCE_END, Slice, UNDEFINED, fragments};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use std::io::Write;

/// A file, and what its series is refused with. Several where a lone good slice would be refused anyhow.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) reasons: &'static [&'static str],
}

fn kind(name: &'static str, reasons: &'static [&'static str], bytes: impl Into<Vec<u8>>) -> Kind {
    Kind { name, bytes: bytes.into(), reasons }
}

fn slice(name: &'static str, reasons: &'static [&'static str], change: impl FnOnce(&mut Slice)) -> Kind {
    let mut slice = Slice::default();
    change(&mut slice);
    kind(name, reasons, slice.file())
}

const NOT_A_SCAN: &[&str] = &["not_a_scan"];
const TRUNCATED: &[&str] = &["truncated"];
const CORRUPT: &[&str] = &["corrupt"];
const LIMIT: &[&str] = &["limit_exceeded"];
const MISSING: &[&str] = &["missing_attribute"];
const PIXELS_OFF: &[&str] = &["unsupported_pixels"];
/// A slice that is well but alone.
const ALONE: &[&str] = &["too_few_slices"];
const MIXED: &[&str] = &["mixed_geometry"];
const SYNTAX: &[&str] = &["unsupported_transfer_syntax"];

pub(crate) fn all() -> Vec<Kind> {
    [others(), heads(), lengths(), sequences(), images(), encapsulated(), bombs(), places(), identities(), niftis()]
        .into_iter()
        .flatten()
        .collect()
}

/// What is no scan at all.
fn others() -> Vec<Kind> {
    let gz = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let polyglot = [b"\x7fELF\x02\x01\x01".as_slice(), &Slice::default().file()[7..]].concat();
    vec![
        kind("empty", &["empty_file"], []),
        kind("one byte", NOT_A_SCAN, [0]),
        kind("zeros", NOT_A_SCAN, [0; 4096]),
        kind("text", NOT_A_SCAN, *b"Please find attached the scan of the patient."),
        kind("a program", NOT_A_SCAN, [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 500]].concat()),
        kind("a picture", NOT_A_SCAN, [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 500]].concat()),
        kind("gzipped text", NOT_A_SCAN, gz(b"nothing but text")),
        kind("gzip of gzip", NOT_A_SCAN, gz(&gz(&[0; 100_000]))),
        kind("gzip cut off in its head", NOT_A_SCAN, [0x1f, 0x8b, 8]),
        kind("a program's head before a slice", ALONE, polyglot),
    ]
}

/// What stands before the data set.
fn heads() -> Vec<Kind> {
    let head = [&[0; 128][..], b"DICM"].concat();
    let long =
        Craft(head.clone()).text((2, 0x10), *b"UI", EXPLICIT).lie((2, 0x102), *b"OB", 1 << 20, &vec![1; 1 << 20]);
    vec![
        kind("a prefix and nothing else", MISSING, head.clone()),
        kind("a prefix alone", MISSING, *b"DICM"),
        kind("meta longer than the file", TRUNCATED, Craft(head.clone()).lie((2, 2), *b"OB", 0x7fff_ffff, b"1.2").0),
        kind("meta without end", CORRUPT, long.raw(&Slice::default().data().0).0),
        kind("meta of unknown length", TRUNCATED, Craft(head.clone()).lie((2, 1), *b"OB", UNDEFINED, &[0, 1]).0),
        slice("a syntax of no standard", SYNTAX, |slice| slice.syntax = b"1.2.3.4.5".into()),
        slice("a syntax that is a path", SYNTAX, |slice| slice.syntax = b"../../../etc/passwd".into()),
        slice("a syntax of 60 kB", SYNTAX, |slice| slice.syntax = vec![b'1'; 60_000]),
        slice("a syntax that points elsewhere", SYNTAX, |slice| slice.syntax = b"1.2.840.10008.1.2.4.94".into()),
        slice("an index of files", &["dicomdir"], |slice| slice.class = "1.2.840.10008.1.3.10"),
        slice("implicit called explicit", &["missing_attribute", "truncated", "corrupt"], |slice| {
            slice.syntax = b"1.2.840.10008.1.2".into();
        }),
    ]
}

/// Elements that lie about their length.
fn lengths() -> Vec<Kind> {
    let between = |name, reasons, craft: Craft| slice(name, reasons, |slice| slice.between = craft);
    let first = |name, reasons, craft: Craft| {
        let slice = Slice::default();
        kind(name, reasons, slice.meta().raw(&craft.raw(&slice.data().0).0).0)
    };
    vec![
        first("first element longer than the file", TRUNCATED, Craft::default().lie((8, 5), *b"UT", 0xffff_fffe, b"x")),
        first("first element longer by one", TRUNCATED, Craft::default().lie((8, 5), *b"UT", 0x8000_0000, b"x")),
        between("2 GB of private data", TRUNCATED, Craft::default().lie((0x29, 0x1010), *b"UN", 0x7fff_fffe, b"x")),
        between("4 GB of text", TRUNCATED, Craft::default().lie((0x29, 0x1010), *b"UT", 0xffff_fffe, b"x")),
        between("a number of one byte", ALONE, Craft::default().lie((0x28, 0x106), *b"US", 1, &[1])),
        between("a number of seven bytes", ALONE, Craft::default().lie((0x28, 0x106), *b"UL", 7, &[1; 7])),
        between("a representation of no standard", TRUNCATED, Craft::default().raw(b"\x29\x00\x10\x10ZZ\x04\x00abcd")),
        between("half an element", &["truncated", "corrupt", "missing_attribute"], Craft(vec![0x29, 0, 0x10])),
        between(
            "a list of 30,000 numbers",
            ALONE,
            Craft::default().text((0x28, 0x1050), *b"DS", &"1\\".repeat(30_000)),
        ),
        kind("cut off in the head", &["truncated", "missing_attribute"], &Slice::default().file()[..300]),
        kind("cut off in the pixels", TRUNCATED, &Slice::default().file()[..Slice::default().file().len() - 7]),
        slice("no pixels at all", MISSING, |slice| slice.pixels = Craft::default()),
        slice("pixels longer than the file", TRUNCATED, |slice| {
            slice.pixels = Craft::default().lie(PIXELS, *b"OW", 0xffff_fff0, &[0; 512]);
        }),
    ]
}

/// Sequences that have no end, or no bottom.
fn sequences() -> Vec<Kind> {
    let nested = |depth: usize| {
        let open = |craft: Craft, _| craft.lie((0x29, 0x1010), *b"SQ", UNDEFINED, &[]).mark(ITEM, UNDEFINED);
        let opened = (0..depth).fold(Craft::default(), open);
        (0..depth).fold(opened, |craft, _| craft.mark(ITEM_END, 0).mark(SEQUENCE_END, 0))
    };
    let between = |name, reasons, craft: Craft| slice(name, reasons, |slice| slice.between = craft);
    let sequence = || Craft::default().lie((0x29, 0x1010), *b"SQ", UNDEFINED, &[]);
    let many = |count: usize, piece: Craft| piece.0.repeat(count);
    vec![
        between("60 sequences deep", ALONE, nested(60)),
        between("1,000 sequences deep", LIMIT, nested(1_000)),
        between("100,000 sequences deep", LIMIT, nested(100_000)),
        between("a sequence without an end", &["truncated", "corrupt"], sequence().mark(ITEM, 0)),
        between("an item without an end", &["truncated", "corrupt"], sequence().mark(ITEM, UNDEFINED)),
        between("an item longer than its sequence", &["truncated", "corrupt"], {
            Craft::default().lie((0x5200, 0x9229), *b"SQ", 8, &[]).mark(ITEM, 4000)
        }),
        between("text where an item should be", CORRUPT, sequence().text((8, 0x60), *b"CS", "CT")),
        between("the end of an item without one", CORRUPT, sequence().mark(ITEM_END, 0)),
        between(
            "half a million elements",
            LIMIT,
            Craft(many(600_000, Craft::default().put((0x29, 0x1010), *b"LO", b""))),
        ),
        between("half a million items", LIMIT, sequence().raw(&many(600_000, Craft::default().mark(ITEM, 0)))),
        between("delimiters of nothing", ALONE, Craft::default().mark(SEQUENCE_END, 0).mark(ITEM_END, 0)),
    ]
}

/// Images that cannot be.
fn images() -> Vec<Kind> {
    let size = |name, reasons, size| slice(name, reasons, |slice| slice.size = size);
    let bits = |name, reasons, bits| slice(name, reasons, |slice| slice.bits = bits);
    let enhanced = |name, frames| {
        slice(name, &["corrupt", "missing_attribute"], |slice| {
            slice.class = "1.2.840.10008.5.1.4.1.1.2.1";
            slice.frames = Some(frames);
        })
    };
    vec![
        size("no rows", &["corrupt", "missing_attribute", "too_few_slices", "mixed_geometry"], [0, 16]),
        size("4 gigavoxels of 512 bytes", &["truncated", "limit_exceeded"], [65_535, 65_535]),
        size("one row too many", TRUNCATED, [17, 16]),
        bits("no bits", PIXELS_OFF, [16, 0, 0, 0, 1]),
        bits("17 of 16 bits", PIXELS_OFF, [16, 17, 16, 0, 1]),
        bits("a high bit below the others", PIXELS_OFF, [16, 12, 3, 0, 1]),
        bits("65,535 bits", PIXELS_OFF, [65_535, 65_535, 65_535, 0, 1]),
        bits("one bit a pixel", PIXELS_OFF, [1, 1, 0, 0, 1]),
        bits("neither signed nor unsigned", MISSING, [16, 12, 11, 7, 1]),
        bits("colours", PIXELS_OFF, [16, 12, 11, 0, 3]),
        slice("2 billion frames", PIXELS_OFF, |slice| slice.frames = Some("2147483647")),
        enhanced("2 billion frames of which none is told", "2147483647"),
        enhanced("fewer frames than none", "-1"),
    ]
}

/// Fragments that are none.
fn encapsulated() -> Vec<Kind> {
    const RLE: &str = "1.2.840.10008.1.2.5";
    const JPEG: &str = "1.2.840.10008.1.2.4.70";
    const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";
    const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";
    const JPEG_XL: &str = "1.2.840.10008.1.2.4.110";
    let coded = |name, reasons, syntax: &str, pixels: Craft| {
        slice(name, reasons, |slice| (slice.syntax, slice.pixels) = (syntax.into(), pixels))
    };
    let open = || Craft::default().lie(PIXELS, *b"OB", UNDEFINED, &[]);
    let segments = |count: u32, first: u32| {
        let header: Vec<u8> = [count, first].into_iter().chain([u32::MAX; 14]).flat_map(u32::to_le_bytes).collect();
        fragments(&[], &[&header])
    };
    let huge_jpeg =
        b"\xff\xd8\xff\xc3\x00\x0b\x10\xff\xff\xff\xff\x01\x01\x11\x00\xff\xda\x00\x08\x01\x01\x00\x01\x00\x00";
    let huge_ls =
        b"\xff\xd8\xff\xf7\x00\x0b\x10\xff\xff\xff\xff\x01\x01\x11\x00\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00";
    let mut huge_2000 = b"\xff\x4f\xff\x51\x00\x29\x00\x00".to_vec();
    huge_2000.extend([0x7fff_ffff_u32, 0x7fff_ffff, 0, 0, 1, 1, 0, 0].iter().flat_map(|side| side.to_be_bytes()));
    huge_2000.extend(b"\x00\x01\x0f\x01\x01");
    let far: Vec<u8> = [0, u32::MAX].iter().flat_map(|offset| offset.to_le_bytes()).collect();
    let plain = open().mark(ITEM, 0);
    vec![
        coded("no end of fragments", &["truncated", "corrupt"], RLE, plain.clone()),
        coded("no offset table", CORRUPT, RLE, open().mark(SEQUENCE_END, 0)),
        coded("no fragments", CORRUPT, RLE, plain.clone().mark(SEQUENCE_END, 0)),
        coded("a fragment longer than the file", TRUNCATED, RLE, plain.clone().mark(ITEM, 0xffff_fff0)),
        coded("a fragment of unknown length", CORRUPT, RLE, plain.clone().mark(ITEM, UNDEFINED)),
        coded("600,000 empty fragments", LIMIT, RLE, plain.raw(&Craft::default().mark(ITEM, 0).0.repeat(600_000))),
        coded("offsets beyond the file", CORRUPT, RLE, fragments(&far, &[&[0; 64]])),
        coded("fragments that are not", CORRUPT, RLE, Slice::default().pixels),
        coded("no RLE segments", CORRUPT, RLE, segments(0, 64)),
        coded("4 billion RLE segments", CORRUPT, RLE, segments(u32::MAX, 64)),
        coded("an RLE segment beyond the end", &["corrupt", "truncated"], RLE, segments(2, u32::MAX)),
        coded("JPEG of 4 gigavoxels", &["corrupt", "truncated"], JPEG, fragments(&[], &[huge_jpeg])),
        coded("JPEG of nothing", CORRUPT, JPEG, fragments(&[], &[b"\xff\xd8\xff\xd9"])),
        coded("JPEG-LS of 4 gigavoxels", &["corrupt", "truncated"], JPEG_LS, fragments(&[], &[huge_ls])),
        coded("JPEG 2000 of 2 billion by 2 billion tiles", CORRUPT, JPEG_2000, fragments(&[], &[&huge_2000])),
        coded("JPEG XL of nothing", CORRUPT, JPEG_XL, fragments(&[], &[b"\xff\x0a\xff\xff\xff\xff\xff\xff"])),
        coded("zeros as JPEG 2000", CORRUPT, JPEG_2000, fragments(&[], &[&[0; 4096]])),
    ]
}

/// Little that becomes much.
fn bombs() -> Vec<Kind> {
    let deflated = |data: &[u8], count: usize| {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        (0..count).for_each(|_| encoder.write_all(data).unwrap());
        encoder.finish().unwrap()
    };
    let syntax = b"1.2.840.10008.1.2.1.99".to_vec();
    let meta = Slice { syntax, ..Slice::default() }.meta().0;
    let gigabyte = deflated(&vec![0; 1 << 20], 1 << 10);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&nifti(|header| header[42..48].copy_from_slice(&[0, 16, 0, 16, 0, 16]))).unwrap();
    (0..1 << 10).for_each(|_| gzip.write_all(&vec![0; 1 << 20]).unwrap());
    let half = deflated(&Slice::default().data().0, 1);
    vec![
        kind("a gigabyte of deflated zeros", LIMIT, [&meta[..], &gigabyte].concat()),
        kind("deflated noise", &["corrupt", "missing_attribute", "truncated"], [&meta[..], &[0xa7; 999]].concat()),
        kind("deflated data cut off", TRUNCATED, [&meta[..], &half[..half.len() / 2]].concat()),
        kind("a gzip of a gigabyte", LIMIT, gzip.finish().unwrap()),
    ]
}

/// Places that are none.
fn places() -> Vec<Kind> {
    let at = |name, reasons, position| slice(name, reasons, |slice| slice.position = position);
    let axes = |name, reasons, axes| slice(name, reasons, |slice| slice.axes = axes);
    let spacing = |name, reasons, spacing| slice(name, reasons, |slice| slice.spacing = spacing);
    let scale = |name, reasons, rescale| slice(name, reasons, |slice| slice.rescale = rescale);
    vec![
        at("nowhere", MISSING, "nan\\inf\\0"),
        at("beyond the stars", ALONE, "1e308\\-1e308\\1e308"),
        at("half a place", MISSING, "1\\2"),
        axes("no direction", &["mixed_geometry", "too_few_slices"], "0\\0\\0\\0\\0\\0"),
        axes("one direction twice", &["mixed_geometry", "too_few_slices"], "1\\0\\0\\1\\0\\0"),
        axes("words for directions", MISSING, "left\\right\\up\\down\\in\\out"),
        spacing("no spacing", &["mixed_geometry", "too_few_slices"], "0\\0"),
        spacing("spacing backwards", &["mixed_geometry", "too_few_slices"], "-1\\-1"),
        spacing("spacing of a galaxy", &["mixed_geometry", "too_few_slices"], "1e300\\1e300"),
        scale("a slope that is no number", MISSING, ["-1024", "NaN"]),
        scale("values beyond all numbers", &["not_hounsfield", "too_few_slices"], ["1e308", "1e308"]),
    ]
}

/// Names that want to be more.
fn identities() -> Vec<Kind> {
    let series = |name, reasons, uid: &[u8]| slice(name, reasons, |slice| slice.series = uid.into());
    vec![
        series("a UID that is a path", ALONE, b"../../../../tmp/ctedge-was-here"),
        series("a UID that is a command", ALONE, b"$(touch /tmp/ctedge-was-here)"),
        series("a UID with a zero in it", ALONE, b"2.25\0.7\0"),
        series("a UID of no letters", ALONE, b"\xff\xfe\xfd\xfc"),
        series("a UID of 5 kB", MISSING, &[b'1'; 5000]),
        series("no UID", MISSING, b""),
        slice("another modality", &["not_ct"], |slice| slice.modality = "MR"),
        slice("no modality", MISSING, |slice| slice.modality = ""),
    ]
}

/// A NIfTI-1 header, and what is changed of it, before 16 x 16 x 3 voxels.
fn nifti(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut header = vec![0u8; 352];
    header[0..4].copy_from_slice(&348i32.to_le_bytes());
    for (place, side) in [3i16, 16, 16, 3, 1, 1, 1, 1].into_iter().enumerate() {
        header[40 + 2 * place..42 + 2 * place].copy_from_slice(&side.to_le_bytes());
    }
    header[70..72].copy_from_slice(&4i16.to_le_bytes());
    header[72..74].copy_from_slice(&16i16.to_le_bytes());
    for place in 0..4 {
        header[76 + 4 * place..80 + 4 * place].copy_from_slice(&1f32.to_le_bytes());
    }
    header[108..112].copy_from_slice(&352f32.to_le_bytes());
    header[254..256].copy_from_slice(&1i16.to_le_bytes());
    for row in 0..3 {
        header[280 + 20 * row..284 + 20 * row].copy_from_slice(&1f32.to_le_bytes());
    }
    header[344..348].copy_from_slice(b"n+1\0");
    change(&mut header);
    header.extend([0; 16 * 16 * 3 * 2]);
    header
}

fn niftis() -> Vec<Kind> {
    let of = |name, reasons, change: &dyn Fn(&mut Vec<u8>)| kind(name, reasons, nifti(|header| change(header)));
    vec![
        of("NIfTI of 4 dimensions", &["four_dimensional"], &|header| {
            header[40..50].copy_from_slice(&[4, 0, 16, 0, 16, 0, 3, 0, 9, 0]);
        }),
        of("NIfTI of no voxels", &["corrupt", "mixed_geometry", "too_few_slices", "limit_exceeded"], &|header| {
            header[42..44].fill(0);
        }),
        of("NIfTI of fewer voxels than none", &["corrupt", "mixed_geometry", "limit_exceeded"], &|header| {
            header[42..44].fill(0xff);
        }),
        of("NIfTI of 35 teravoxels", &["limit_exceeded"], &|header| {
            header[42..48].copy_from_slice(&[0xff, 0x7f].repeat(3));
        }),
        of("NIfTI of complex numbers", PIXELS_OFF, &|header| header[70..72].copy_from_slice(&32i16.to_le_bytes())),
        of("NIfTI whose voxels begin nowhere", &["corrupt", "truncated"], &|header| {
            header[108..112].copy_from_slice(&f32::NAN.to_le_bytes());
        }),
        of("NIfTI whose voxels begin at the end of the world", &["corrupt", "truncated"], &|header| {
            header[108..112].copy_from_slice(&1e30f32.to_le_bytes());
        }),
        of("NIfTI without directions", MIXED, &|header| header[280..328].fill(0)),
        of("NIfTI with voxels of no size", &["mixed_geometry", "corrupt"], &|header| {
            header[280..328].copy_from_slice(&f32::NAN.to_le_bytes().repeat(12));
        }),
    ]
}
