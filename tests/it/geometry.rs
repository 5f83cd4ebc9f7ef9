//! What the reader makes of real scans, beside dcm2niix and nibabel.

use ctedge_models::scan::{self, Limits, Urgent};
use ctedge_models::volume::{Volume, Voxels};
use ctedge_tests::{arrival, place, tools};
use std::fs;
use std::path::{Path, PathBuf};

/// Reads a scan, writes it down for the peer, and returns what the peer says of it.
pub(crate) fn compared(source: &Path) -> String {
    compared_of(&files(source), source)
}

fn compared_of(files: &[PathBuf], source: &Path) -> String {
    let read = scan::read(files, &Limits::default()).unwrap();
    let dump = tempfile::tempdir().unwrap();
    write(&read.volume, dump.path());
    tools::peer("geometry.py", &[dump.path(), source]).unwrap()
}

/// The files of a scan that belong to a series.
pub(crate) fn files(source: &Path) -> Vec<PathBuf> {
    let files = if source.is_dir() {
        fs::read_dir(source).unwrap().map(|entry| entry.unwrap().path()).collect()
    } else {
        vec![source.to_owned()]
    };
    files.into_iter().filter(|file| scan::header(file, &Limits::default(), &Urgent::default()).is_ok()).collect()
}

/// A volume's voxels in HU.
pub(crate) fn voxels(volume: &Volume<'_>) -> Vec<f32> {
    match volume.voxels() {
        Voxels::I16(values) => values.iter().map(|&value| f32::from(value)).collect(),
        Voxels::F32(values) => values.to_vec(),
    }
}

fn write(volume: &Volume<'_>, folder: &Path) {
    let geometry = volume.geometry();
    let (origin, spacing) = (geometry.origin_mm(), geometry.spacing_mm());
    let row = |axis: usize| {
        // RAS, as NIfTI has it: the first two axes of LPS the other way round.
        let sign = if axis < 2 { -1.0 } else { 1.0 };
        let column = |index: usize| sign * geometry.direction()[index][axis] * spacing[index];
        [column(0), column(1), column(2), sign * origin[axis]]
    };
    let json = serde_json::json!({ "size": geometry.size(), "affine": [row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]] });
    fs::write(folder.join("volume.json"), json.to_string()).unwrap();
    let bytes: Vec<u8> = voxels(volume).into_iter().flat_map(f32::to_le_bytes).collect();
    fs::write(folder.join("voxels.f32"), bytes).unwrap();
}

#[test]
fn every_form_of_nifti_measures_as_nibabel_says() {
    let Some(source) = place::data("totalsegmentator/chest_cta_1p5mm.nii.gz") else { return };
    let folder = tempfile::tempdir().unwrap();
    tools::peer("nifti.py", &[&source, folder.path()]).unwrap();
    let forms = files(folder.path());
    assert_eq!(forms.len(), 44);
    for form in forms {
        println!("{}: {}", form.file_name().unwrap().display(), compared(&form).trim());
    }
}

/// Series that no regular grid fits, beside scipy at the same places, and dcm2niix.
#[test]
fn tilted_and_uneven_series_measure_as_scipy_says() {
    let names = [
        "dcm_qa_ct_GE",
        "dicom2nifti_failing_ct/gantrytilting/001",
        "dicom2nifti_failing_ct/sliceincrement/001",
        "dicom2nifti_failing_ct/sliceincrement/002",
    ];
    for name in names {
        let Some(source) = place::data(name) else { continue };
        let folder = tempfile::tempdir().unwrap();
        for (number, file) in files(&source).iter().enumerate() {
            fs::copy(file, folder.path().join(format!("{number:03}.dcm"))).unwrap();
        }
        let read = scan::read(&files(folder.path()), &Limits::default()).unwrap();
        println!(
            "{name}: tilt {:.2} degrees, {} gaps, {:?}",
            read.facts.tilt_deg, read.facts.gaps, read.facts.warnings
        );
        let dump = tempfile::tempdir().unwrap();
        write(&read.volume, dump.path());
        println!("{}", tools::peer("resample.py", &[dump.path(), folder.path()]).unwrap().trim());
    }
}

fn check(names: &[&str]) {
    for name in names {
        let Some(source) = place::data(name) else { continue };
        println!("{name}: {}", compared(&source).trim());
    }
}

#[test]
fn dicom_series_lie_and_measure_as_dcm2niix_says() {
    check(&["lung_pet_ct_dx_A0002/B70f", "lung_pet_ct_dx_A0002/B40f"]);
    if let Some(source) = place::data("totalsegmentator/abdomen_dicom_j2k") {
        // All its UIDs are empty: no file says which series it belongs to, but together they are one.
        assert!(files(&source).is_empty());
        println!("abdomen_dicom_j2k: {}", compared_of(&arrival::files(&source).unwrap(), &source).trim());
    }
    if let Some(source) = place::data("dcmqi_ct_3slice") {
        // Beside the slices lies a multi-frame object of another series.
        let folder = tempfile::tempdir().unwrap();
        for name in ["01.dcm", "02.dcm", "03.dcm"] {
            fs::copy(source.join(name), folder.path().join(name)).unwrap();
        }
        println!("dcmqi_ct_3slice: {}", compared(folder.path()).trim());
    }
    for name in ["lidc_idri_small/LIDC-IDRI-0002", "lidc_idri_small/LIDC-IDRI-0003"] {
        let Some(patient) = place::data(name) else { continue };
        for found in scan::series_in(&patient, &Limits::default()).unwrap() {
            let folder = found.files[0].parent().unwrap();
            println!("{name}: {}", compared(folder).trim());
        }
    }
}

#[test]
fn however_a_patient_lies_slices_do_as_dcm2niix_says() {
    let Some(source) = place::data("lung_pet_ct_dx_A0002/B40f") else { return };
    let folder = tempfile::tempdir().unwrap();
    tools::peer("turned.py", &[&source, folder.path()]).unwrap();
    let ways = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let told = ways.map(|way| {
        println!("{}: {}", way.file_name().unwrap().display(), compared(&way).trim());
        scan::read(&files(&way), &Limits::default()).unwrap().facts.orientation
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    assert_eq!(told.len(), 7);
    told.dedup();
    assert!(told.len() >= 6, "turned ways are told apart: {told:?}");
}

#[test]
fn nifti_files_lie_and_measure_as_nibabel_says() {
    let names = ["totalsegmentator/chest_cta_1p5mm.nii.gz", "totalsegmentator/abdomen_3mm.nii.gz"];
    check(&names);
    let Some(folder) = place::data("pyradiomics_lung1") else { return };
    for found in scan::series_in(&folder, &Limits::default()).unwrap() {
        if found.header.is_ok() {
            println!("pyradiomics_lung1: {}", compared(&found.files[0]).trim());
        }
    }
}
