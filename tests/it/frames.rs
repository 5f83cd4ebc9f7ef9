//! Multi-frame CT: what highdicom and pydicom make of a series, coded by DCMTK and GDCM, is the series.

use crate::geometry::{files, voxels};
use crate::syntax::{read, run};
use ctedge_models::scan::{self, Limits, Patterns};
use ctedge_tests::{place, tools};
use std::path::{Path, PathBuf};

/// The multi-frame form of a series in `folder`.
pub(crate) fn converted(kind: &str, series: &Path, folder: &Path) -> Vec<PathBuf> {
    tools::peer("enhanced.py", &[Path::new(kind), series, folder]).unwrap();
    files(folder)
}

#[test]
fn a_series_is_the_same_in_one_file_or_two() {
    let Some(series) = place::data("lung_pet_ct_dx_A0002/B40f") else { return };
    let single = read(&files(&series)).unwrap();
    for (kind, count) in [("legacy", 1), ("enhanced", 1), ("parts", 2)] {
        let folder = tempfile::tempdir().unwrap();
        let converted = converted(kind, &series, folder.path());
        assert_eq!(converted.len(), count);
        assert!(read(&converted).unwrap() == single, "{kind}");
        let patterns = Patterns { kernel: ["b4?f".to_owned()].into(), ..Patterns::default() };
        let traits = scan::plan(&converted, &Limits::default()).unwrap().traits(&patterns);
        assert_eq!((traits.fitting.kernel, traits.thickness_mm), (patterns.kernel, 8.0), "{kind}");
    }
}

#[test]
fn frames_are_found_among_fragments() {
    let Some(series) = place::data("lung_pet_ct_dx_A0002/B40f") else { return };
    let single = read(&files(&series)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [file] = &converted("legacy", &series, folder.path())[..] else { panic!("not one file") };
    let ways: [&[&str]; 5] = [
        &["dcmcjpeg", "+e1"],
        &["dcmcjpeg", "+e1", "+fs", "32"],
        &["dcmcrle"],
        &["gdcmconv", "--jpegls"],
        &["dcmconv", "+tb"],
    ];
    for way in ways {
        let coded = folder.path().join("coded");
        run(way, file, &coded);
        assert!(read(&[coded]).unwrap() == single, "{way:?}");
    }
}

#[test]
fn a_multi_frame_object_of_another_tool_has_its_values() {
    let Some(file) = place::data("dcmqi_ct_3slice/tiny_multiframe_23x38x3.dcm") else { return };
    let peer = tools::peer("enhanced.py", &[Path::new("values"), &file]).unwrap();
    let peer: serde_json::Value = serde_json::from_str(&peer).unwrap();
    let volume = read(&[file]).unwrap();
    assert_eq!(serde_json::json!(volume.geometry().size()), peer["size"]);
    let hu = voxels(&volume);
    let mean = hu.iter().map(|&hu| f64::from(hu)).sum::<f64>() / f64::from(u32::try_from(hu.len()).unwrap());
    let ends = (hu.iter().copied().fold(f32::MAX, f32::min), hu.iter().copied().fold(f32::MIN, f32::max));
    let theirs = ["lowest", "highest", "mean"].map(|name| peer[name].as_f64().unwrap());
    for (ours, theirs) in [f64::from(ends.0), f64::from(ends.1), mean].into_iter().zip(theirs) {
        assert!((ours - theirs).abs() < 1e-6, "{ours}, theirs {theirs}");
    }
}
