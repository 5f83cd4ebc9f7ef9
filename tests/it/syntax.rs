//! Every transfer syntax that other people's encoders write, and what their decoders make of it.

use crate::geometry::voxels;
use ctedge_models::scan::{self, Limits, Reason, ScanError};
use ctedge_models::volume::Volume;
use ctedge_tests::arrival::Dice;
use ctedge_tests::{place, process, tools};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How a slice is written anew, and by how many stored values it may come out different.
struct Way {
    name: &'static str,
    /// A program with its options; input and output follow.
    encode: &'static [&'static str],
    /// For what loses: the program that writes it back uncompressed, which is what ours has to match.
    back: &'static [&'static str],
    within: f32,
}

const fn exact(name: &'static str, encode: &'static [&'static str]) -> Way {
    Way { name, encode, back: &[], within: 0.0 }
}

/// Decoders may differ by one stored value (ISO/IEC 10918-2: the inverse DCT is computed with real numbers).
const fn lossy(name: &'static str, encode: &'static [&'static str], back: &'static [&'static str]) -> Way {
    Way { name, encode, back, within: 1.0 }
}

const WAYS: [Way; 17] = [
    exact("implicit little endian", &["dcmconv", "+ti"]),
    exact("explicit big endian", &["dcmconv", "+tb"]),
    exact("deflated", &["dcmconv", "+td"]),
    exact("RLE by DCMTK", &["dcmcrle"]),
    exact("RLE by GDCM", &["gdcmconv", "--rle"]),
    exact("JPEG lossless, predictor 1, by DCMTK", &["dcmcjpeg", "+e1"]),
    exact("JPEG lossless, predictor 6, by DCMTK", &["dcmcjpeg", "+el"]),
    exact("JPEG lossless in fragments", &["dcmcjpeg", "+e1", "+fs", "32"]),
    exact("JPEG lossless by GDCM", &["gdcmconv", "--jpeg"]),
    lossy("JPEG extended, 12 bits, by DCMTK", &["dcmcjpeg", "+ee", "+bt"], &["dcmdjpeg"]),
    exact("JPEG-LS by DCMTK", &["dcmcjpls"]),
    exact("JPEG-LS by GDCM", &["gdcmconv", "--jpegls"]),
    exact("JPEG 2000 by GDCM", &["gdcmconv", "--j2k"]),
    exact("HTJ2K by OpenJPH", &[PEER, "htj2k"]),
    exact("HTJ2K, RPCL order, by OpenJPH", &[PEER, "htj2k_rpcl"]),
    exact("JPEG XL by libjxl", &[PEER, "jpegxl"]),
    exact("encapsulated, uncompressed", &[PEER, "encapsulated"]),
];

/// DCMTK's encoder knows unsigned values only.
const NEAR_LOSSLESS: Way = lossy("JPEG-LS near-lossless by DCMTK", &["dcmcjpls", "+en", "+md", "3"], &["dcmdjpls"]);

/// Slices that are written anew: enough for a volume.
const SLICES: usize = 4;

/// Damaged files of each way.
const MUTANTS: usize = 10;

/// The peer that encodes what DCMTK and GDCM do not.
const PEER: &str = "syntax.py";

pub(crate) fn run(command: &[&str], input: &Path, output: &Path) -> String {
    let (program, options) = command.split_first().unwrap();
    if *program == PEER {
        let options: Vec<&Path> = options.iter().map(Path::new).collect();
        return tools::peer(program, &[&options[..], &[input, output]].concat()).unwrap();
    }
    process::output(Command::new(program).args(options).arg(input).arg(output)).unwrap()
}

fn rewritten(files: &[PathBuf], command: &[&str], folder: &Path) -> Vec<PathBuf> {
    fs::create_dir_all(folder).unwrap();
    let new = |(index, file): (usize, &PathBuf)| {
        let path = folder.join(format!("{index}.dcm"));
        run(command, file, &path);
        path
    };
    files.iter().enumerate().map(new).collect()
}

pub(crate) fn read(files: &[PathBuf]) -> Result<Volume<'static>, ScanError> {
    scan::read(files, &Limits::default()).map(|read| read.volume)
}

/// The largest difference in stored values.
fn farthest(a: &Volume<'_>, b: &Volume<'_>) -> f32 {
    assert_eq!(a.geometry(), b.geometry());
    let (a, b) = (voxels(a), voxels(b));
    let farthest = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let mut sorted = b;
    sorted.sort_by(f32::total_cmp);
    let steps = sorted.windows(2).map(|pair| pair[1] - pair[0]).filter(|&step| step > 0.0);
    (farthest / steps.fold(f32::INFINITY, f32::min) * 1000.0).round() / 1000.0
}

#[test]
fn series_that_others_encode_come_out_the_same() {
    let unsigned = WAYS.into_iter().chain([NEAR_LOSSLESS]).collect();
    for (name, ways) in [("lung_pet_ct_dx_A0002/B40f", unsigned), ("lidc_idri_small/LIDC-IDRI-0002", Vec::from(WAYS))] {
        let Some(source) = place::data(name) else { continue };
        let series = scan::series_in(&source, &Limits::default()).unwrap();
        let files = &series[0].files[..SLICES];
        let original = read(files).unwrap();
        for way in ways {
            let folder = tempfile::tempdir().unwrap();
            let coded = rewritten(files, way.encode, &folder.path().join("coded"));
            let peer = (!way.back.is_empty()).then(|| {
                let back = rewritten(&coded, way.back, &folder.path().join("back"));
                read(&back).unwrap()
            });
            let ours = read(&coded).unwrap_or_else(|error| panic!("{name}, {}: {error}", way.name));
            let apart = farthest(&ours, peer.as_ref().unwrap_or(&original));
            println!("{name}, {}: {apart}", way.name);
            assert!(apart <= way.within, "{name}, {}: {apart}", way.name);
        }
    }
}

/// A series of three copies of a slice, its coded pixels as they are.
fn copies(slice: &Path, folder: &Path) -> Vec<PathBuf> {
    tools::peer(PEER, &[Path::new("copies"), slice, folder]).unwrap();
    (0..3).map(|number| folder.join(format!("{number}.dcm"))).collect()
}

/// Slices of the field in many syntaxes, beside the same slice uncompressed, or what DCMTK or GDCM decode.
#[test]
fn slices_that_others_encoded_long_ago_come_out_the_same() {
    let cornerstone = |name: &str| format!("cornerstone_ct_transfer_syntaxes/CTImage.dcm_{name}.dcm");
    let nema = |name: &str| format!("nema_wg04_ct/{name}");
    let plain = ("cornerstone_ct_transfer_syntaxes/CTImage.dcm".to_owned(), nema("CT1_UNC"));
    let of_cornerstone = [
        "BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2",
        "DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99",
        "JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90",
        "JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80",
        "JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70",
        "JPEGProcess14TransferSyntax_1.2.840.10008.1.2.4.57",
        "LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1",
        "LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2",
        "RLELosslessTransferSyntax_1.2.840.10008.1.2.5",
    ];
    let lossless = of_cornerstone.map(|name| (cornerstone(name), plain.0.clone()));
    let of_nema = ["CT1_HTJ2K_RPCL", "CT1_J2KR", "CT1_JLSL", "CT1_JPLL", "CT1_RLE"];
    for (name, plain) in lossless.into_iter().chain(of_nema.map(|name| (nema(name), plain.1.clone()))) {
        let (Some(slice), Some(plain)) = (place::data(&name), place::data(&plain)) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let [ours, original] =
            [(slice, "coded"), (plain, "plain")].map(|(slice, name)| copies(&slice, &folder.path().join(name)));
        let ours = read(&ours).unwrap_or_else(|error| panic!("{name}: {error}"));
        let apart = farthest(&ours, &read(&original).unwrap());
        assert!(apart <= 0.0, "{name}: {apart}");
    }
    let jpeg_ls = cornerstone("JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81");
    let jpeg_2000 = cornerstone("JPEG2000TransferSyntax_1.2.840.10008.1.2.4.91");
    let back: [(&str, &[&str]); 4] = [
        (&jpeg_ls, &["dcmdjpls"]),
        (&nema("CT1_JLSN"), &["dcmdjpls"]),
        (&jpeg_2000, &["gdcmconv", "--raw"]),
        (&nema("CT1_J2KI"), &["gdcmconv", "--raw"]),
    ];
    for (name, command) in back {
        let Some(slice) = place::data(name) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let coded = copies(&slice, &folder.path().join("coded"));
        let peer = rewritten(&coded, command, &folder.path().join("back"));
        let apart = farthest(&read(&coded).unwrap(), &read(&peer).unwrap());
        println!("{name}: {apart}");
        assert!(apart <= 1.0, "{name}: {apart}");
    }
}

#[test]
fn what_no_build_decodes_is_refused_by_name() {
    for (name, uid) in [
        ("JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.53"),
        ("JPEGProcess10_12TransferSyntax_1.2.840.10008.1.2.4.55", "1.2.840.10008.1.2.4.55"),
    ] {
        let Some(slice) = place::data(&format!("cornerstone_ct_transfer_syntaxes/CTImage.dcm_{name}.dcm")) else {
            continue;
        };
        let refused = read(&[slice]).unwrap_err();
        assert_eq!((refused.reason, refused.detail.as_str()), (Reason::UnsupportedTransferSyntax, uid));
    }
}

/// Damaged files end as a refusal or as a slice too few, whatever encoder wrote them: an abort or a hang would end the test.
#[test]
fn damaged_slices_of_every_syntax_are_refused() {
    let Some(source) = place::data("lung_pet_ct_dx_A0002/B40f") else { return };
    let file = &scan::series_in(&source, &Limits::default()).unwrap()[0].files[0];
    let (mut dice, seed) = Dice::any();
    println!("seed {seed}");
    for way in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let coded = fs::read(&rewritten(std::slice::from_ref(file), way.encode, folder.path())[0]).unwrap();
        let mutant = folder.path().join("mutant.dcm");
        for _ in 0..MUTANTS {
            let mut bytes = coded.clone();
            let length = u64::try_from(bytes.len()).unwrap();
            for _ in 0..=dice.below(8) {
                // Half of the damage lies where the lengths are.
                let reach = if dice.below(2) == 0 { 4096.min(length) } else { length };
                bytes[usize::try_from(dice.below(reach)).unwrap()] = u8::try_from(dice.below(256)).unwrap();
            }
            if dice.below(4) == 0 {
                bytes.truncate(usize::try_from(dice.below(length)).unwrap());
            }
            fs::write(&mutant, &bytes).unwrap();
            let refused = read(std::slice::from_ref(&mutant)).unwrap_err();
            assert!(!refused.detail.is_empty(), "{}: {refused}", way.name);
        }
    }
}
