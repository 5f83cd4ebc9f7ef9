//! What other people's test files are told to be: pydicom's own, which hold what goes wrong in the field, and charsets.

use ctedge_models::scan::{self, Limits, Urgent};
use ctedge_tests::{arrival, place};
use std::collections::BTreeMap;

/// Files of pydicom's tests, and why each alone is no volume.
const TOLD: [(&str, &str); 22] = [
    ("CT_small.dcm", "too_few_slices"),
    ("ExplVR_BigEnd.dcm", "not_ct"),
    ("J2K_pixelrep_mismatch.dcm", "too_few_slices"),
    ("JPEG2000-embedded-sequence-delimiter.dcm", "secondary_capture"),
    ("MR_small.dcm", "not_ct"),
    ("MR_small_RLE.dcm", "not_ct"),
    ("MR_small_bigendian.dcm", "not_ct"),
    ("MR_truncated.dcm", "not_ct"),
    ("UN_sequence.dcm", "missing_attribute"),
    ("badVR.dcm", "radiotherapy"),
    ("eCT_Supplemental.dcm", "too_few_slices"),
    ("empty_charset_LEI.dcm", "missing_attribute"),
    ("explicit_VR-UN.dcm", "too_few_slices"),
    ("image_dfl.dcm", "secondary_capture"),
    ("meta_missing_tsyntax.dcm", "missing_attribute"),
    ("nested_priv_SQ.dcm", "missing_attribute"),
    // Its first byte is lost.
    ("no_meta.dcm", "not_a_scan"),
    ("no_meta_group_length.dcm", "missing_attribute"),
    ("reportsi.dcm", "structured_report"),
    ("rtdose.dcm", "radiotherapy"),
    ("rtplan.dcm", "radiotherapy"),
    ("rtstruct.dcm", "radiotherapy"),
];

fn reason(path: &std::path::Path) -> &'static str {
    let read = scan::header(path, &Limits::default(), &Urgent::default())
        .and_then(|_| scan::read(&[path.to_owned()], &Limits::default()));
    read.map_or_else(|error| error.reason.name(), |_| "read")
}

#[test]
fn objects_of_the_field_are_told_for_what_they_are() {
    let Some(folder) = place::data("pydicom_tests") else { return };
    let told: BTreeMap<&str, &str> = TOLD.map(|(name, _)| (name, reason(&folder.join(name)))).into();
    assert_eq!(told, TOLD.into());
    assert_eq!(reason(&folder.join("DICOMDIR")), "dicomdir");
    let names: Vec<&str> = arrival::files(&folder.join("charset")).unwrap().iter().map(|path| reason(path)).collect();
    assert!(names.len() >= 17, "{names:?}");
    let known = ["secondary_capture", "not_ct", "missing_attribute", "not_a_scan"];
    assert!(names.iter().all(|reason| known.contains(reason)), "whatever the patient's name is written in: {names:?}");
    assert!(names.iter().filter(|&&reason| reason == "secondary_capture").count() >= 10, "{names:?}");
}

/// A scan of single pictures at one place is no volume.
#[test]
fn pictures_of_one_place_are_no_volume() {
    let Some(folder) = place::data("dicom2nifti_failing_ct/notavolume") else { return };
    for found in scan::series_in(&folder, &Limits::default()).unwrap() {
        if found.header.is_ok() {
            let error = scan::read(&found.files, &Limits::default()).unwrap_err();
            assert_eq!(error.reason.name(), "too_few_slices");
        }
    }
}
