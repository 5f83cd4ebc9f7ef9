//! Real scans from drop folder to subscriber.

use crate::frames::converted;
use crate::geometry::files;
use crate::scene::{self, Scene, distinct};
use crate::syntax::run;
use ctedge_tests::arrival::Manner;
use ctedge_tests::place;
use ctedge_tests::runtime;
use std::fs;
use std::path::PathBuf;

/// Drops each scan of the shared data and expects one result for each of its series, made by the model.
fn walks(scans: &[&str]) {
    if let Some(paths) = scans.iter().map(|scan| place::data(scan)).collect::<Option<Vec<_>>>() {
        walk(&paths);
    }
}

fn walk(paths: &[PathBuf]) {
    let scene = Scene::start();
    for (number, path) in paths.iter().enumerate() {
        let label = format!("scan{number}");
        if path.is_file() {
            scene.drop_files(std::slice::from_ref(path), &label, Manner::Rename);
        } else {
            scene.drop_folder(path, &label);
        }
    }
    scene.results(paths.len());
    let books = scene.balanced(paths.len().try_into().unwrap());
    let results = scene.subscriber.results();
    assert_eq!(results.len(), paths.len(), "exactly one each: {results:?}");
    assert_eq!(distinct(&results, "series_key").len(), paths.len());
    for result in &results {
        assert!(scene::read(result), "not read: {}", result.raw);
        assert!(result.topic.ends_with(&format!("/result/{}", result.text("outcome"))) && !result.retained);
        assert_eq!(result.payload["flags"].as_array().unwrap().len(), 18, "{}", result.raw);
        assert_eq!(result.payload["model"]["ep"], "cpu");
        let version = result.payload["model"]["runtime"].as_str().unwrap();
        assert_eq!(version, runtime::version().unwrap(), "the pinned ONNX Runtime by its own word");
    }
    assert_eq!(scene::count(&books, "rejected") + scene::count(&books, "failed"), 0);
}

#[test]
fn a_whole_chest_in_two_kernels() {
    walks(&["lung_pet_ct_dx_A0002/B40f", "lung_pet_ct_dx_A0002/B70f"]);
}

#[test]
fn blocks_of_two_lidc_patients() {
    walks(&["lidc_idri_small/LIDC-IDRI-0002", "lidc_idri_small/LIDC-IDRI-0003"]);
}

#[test]
fn a_tilted_head_and_a_chest_in_one_compressed_object() {
    let (Some(head), Some(chest)) = (place::data("dcm_qa_ct_GE"), place::data("lung_pet_ct_dx_A0002/B40f")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // The head's slices without the licence that lies beside them.
    let slices = folder.path().join("head");
    fs::create_dir(&slices).unwrap();
    for file in files(&head) {
        fs::copy(&file, slices.join(file.file_name().unwrap())).unwrap();
    }
    let object = converted("legacy", &chest, &folder.path().join("chest")).remove(0);
    let coded = folder.path().join("coded.dcm");
    run(&["gdcmconv", "--jpegls"], &object, &coded);
    walk(&[slices, coded]);
}

#[test]
fn two_whole_chests_as_nifti() {
    walks(&["totalsegmentator/chest_cta_1p5mm.nii.gz", "pyradiomics_lung1/lung1_image.nii.gz"]);
}
