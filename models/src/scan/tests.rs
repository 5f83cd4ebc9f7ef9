#![expect(clippy::float_cmp, reason = "numbers that must come out exact")]

use super::*;
use crate::volume::{Geometry, Voxels};
use ::dicom::core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use ::dicom::dictionary_std::{tags, uids};
use ::dicom::object::{FileMetaTableBuilder, InMemDicomObject};
use proptest::prelude::*;
use std::fs;
use tempfile::TempDir;

/// A made-up series of 4 columns, 3 rows and `places.len()` slices.
struct Series {
    folder: TempDir,
    count: usize,
}

const COLUMNS: u16 = 4;
const ROWS: u16 = 3;

impl Series {
    fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), count: 0 }
    }

    /// Slices 2 mm apart with stored value 1000 + slice number.
    fn regular(slices: u32) -> Self {
        let mut series = Self::empty();
        for number in 0..slices {
            series.add(number, |_| {});
        }
        series
    }

    fn add(&mut self, number: u32, change: impl FnOnce(&mut InMemDicomObject)) -> PathBuf {
        let mut object = slice(number);
        change(&mut object);
        self.count += 1;
        // Names run against the order of the slices.
        let path = self.folder.path().join(format!("{:04}", 9999 - self.count));
        save(object, &path);
        path
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn read(&self) -> Result<Scan, ScanError> {
        read(&self.files(), &Limits::default())
    }

    fn refusal(&self) -> Reason {
        self.read().unwrap_err().reason
    }
}

fn slice(number: u32) -> InMemDicomObject {
    let pixels: Vec<u16> =
        (0..COLUMNS * ROWS).map(|index| 1000 + u16::try_from(number).unwrap() + index * 10).collect();
    let mut object = InMemDicomObject::new_empty();
    put(&mut object, tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE);
    put(&mut object, tags::SOP_INSTANCE_UID, VR::UI, &format!("2.25.1{number}"));
    put(&mut object, tags::STUDY_INSTANCE_UID, VR::UI, "2.25.7");
    put(&mut object, tags::SERIES_INSTANCE_UID, VR::UI, "2.25.8");
    put(&mut object, tags::MODALITY, VR::CS, "CT");
    put(&mut object, tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\AXIAL");
    put(&mut object, tags::PIXEL_SPACING, VR::DS, "0.5\\0.7");
    put(&mut object, tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0");
    put(&mut object, tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("-10\\-20\\{}", f64::from(number) * 2.0));
    put(&mut object, tags::RESCALE_SLOPE, VR::DS, "1");
    put(&mut object, tags::RESCALE_INTERCEPT, VR::DS, "-1024");
    put(&mut object, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, ROWS),
        (tags::COLUMNS, COLUMNS),
        (tags::BITS_ALLOCATED, 16),
        (tags::BITS_STORED, 12),
        (tags::HIGH_BIT, 11),
        (tags::PIXEL_REPRESENTATION, 0),
    ] {
        object.put(DataElement::new(tag, VR::US, dicom_value!(U16, [value])));
    }
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into())));
    object
}

fn put(object: &mut InMemDicomObject, tag: Tag, vr: VR, text: &str) {
    object.put(DataElement::new(tag, vr, text));
}

fn save(object: InMemDicomObject, path: &Path) {
    let class = object.element(tags::SOP_CLASS_UID).unwrap().to_str().unwrap().into_owned();
    let uid = object.element(tags::SOP_INSTANCE_UID).unwrap().to_str().unwrap().into_owned();
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
        .media_storage_sop_class_uid(class)
        .media_storage_sop_instance_uid(uid);
    object.with_meta(meta).unwrap().write_to_file(path).unwrap();
}

#[test]
fn slices_are_ordered_by_place_and_scaled_one_by_one() {
    let mut series = Series::empty();
    for number in [3, 0, 2, 1] {
        series.add(number, |object| {
            if number == 2 {
                put(object, tags::RESCALE_INTERCEPT, VR::DS, "-1000");
            }
        });
    }
    let Scan { volume, facts } = series.read().unwrap();
    let geometry = volume.geometry();
    assert_eq!((geometry.size(), geometry.spacing_mm()), ([4, 3, 4], [0.7, 0.5, 2.0]));
    assert_eq!((geometry.origin_mm(), geometry.orientation().as_str()), ([-10.0, -20.0, 0.0], "LPS"));
    let first_of_each: Vec<f32> = (0..4).map(|k| volume.hu([0, 0, k]).unwrap()).collect();
    assert_eq!(first_of_each, [-24.0, -23.0, 2.0, -21.0]);
    assert_eq!(volume.hu([1, 2, 0]), Some(-24.0 + 90.0));
    assert!(matches!(volume.voxels(), Voxels::I16(_)));
    assert_eq!((facts.instances, facts.slices, facts.hu_range), (4, 4, [-24.0, 112.0]));
    assert_eq!(facts.transfer_syntax.as_deref(), Some(uids::EXPLICIT_VR_LITTLE_ENDIAN));
    assert_eq!(facts.warnings, [Warning::ImplausibleHu, Warning::ShortCoverage]);
}

#[test]
fn feet_first_rows_and_falling_normals_keep_their_place() {
    let mut series = Series::empty();
    for number in 0..3 {
        // Seen from the other side: the normal of this plane points to the feet.
        series.add(number, |object| put(object, tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "-1\\0\\0\\0\\1\\0"));
    }
    let volume = series.read().unwrap().volume;
    assert_eq!(volume.geometry().orientation(), "RPI");
    assert_eq!(volume.geometry().origin_mm(), [-10.0, -20.0, 4.0]);
    assert_eq!(volume.hu([0, 0, 0]), Some(-22.0), "the slice nearest to the head comes first");
}

#[test]
fn signed_and_narrow_values_are_read_as_the_header_says() {
    let mut series = Series::empty();
    for number in 0..3 {
        series.add(number, |object| {
            object.put(DataElement::new(tags::PIXEL_REPRESENTATION, VR::US, dicom_value!(U16, [1])));
            // Twelve bits, with something else above them: -1, 2047 and -2048.
            let pixels = [0x0fff, 0xf7ff, 0x0800].into_iter().chain([0; 9]).collect();
            object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels)));
            put(object, tags::RESCALE_INTERCEPT, VR::DS, "0");
        });
    }
    let volume = series.read().unwrap().volume;
    assert_eq!([0, 1, 2].map(|i| volume.hu([i, 0, 1]).unwrap()), [-1.0, 2047.0, -2048.0]);
}

#[test]
fn fractions_and_wide_values_become_f32() {
    let mut series = Series::empty();
    for number in 0..3 {
        series.add(number, |object| put(object, tags::RESCALE_SLOPE, VR::DS, "0.5"));
    }
    let volume = series.read().unwrap().volume;
    assert!(matches!(volume.voxels(), Voxels::F32(_)));
    assert_eq!(volume.hu([0, 0, 1]), Some(1001.0 * 0.5 - 1024.0));
    let mut series = Series::empty();
    for number in 0..3 {
        series.add(number, |object| put(object, tags::RESCALE_SLOPE, VR::DS, "100"));
    }
    let volume = series.read().unwrap().volume;
    assert!(matches!(volume.voxels(), Voxels::F32(_)), "whole, but beyond 16 bits");
    assert_eq!(volume.hu([0, 0, 0]), Some(98_976.0));
}

#[test]
fn copies_and_companions_are_left_out_and_counted() {
    let mut series = Series::regular(4);
    series.add(1, |_| {});
    series.add(7, |object| put(object, tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\LOCALIZER"));
    series.add(8, |object| {
        object.remove_element(tags::ROWS);
        object.remove_element(tags::PIXEL_DATA);
    });
    series.add(2, |object| {
        put(object, tags::SOP_INSTANCE_UID, VR::UI, "2.25.99");
        put(object, tags::ACQUISITION_NUMBER, VR::IS, "5");
        put(object, tags::RESCALE_INTERCEPT, VR::DS, "0");
    });
    let Scan { volume, facts } = series.read().unwrap();
    assert_eq!((facts.instances, facts.slices), (8, 4));
    let every = [Dropped::DuplicateInstance, Dropped::DuplicatePosition, Dropped::Localizer, Dropped::NotImage];
    assert_eq!(facts.dropped, every.map(|why| (why, 1)).into());
    assert_eq!(volume.hu([0, 0, 2]), Some(1002.0), "the later acquisition stays");
}

#[test]
fn of_two_slices_of_one_acquisition_the_later_stays() {
    for (time, expected) in [("101113", 1002.0), ("101111.5", -22.0)] {
        let mut series = Series::empty();
        for number in 0..4 {
            series.add(number, |object| put(object, tags::CONTENT_TIME, VR::TM, "101112"));
        }
        series.add(2, |object| {
            put(object, tags::SOP_INSTANCE_UID, VR::UI, "2.25.99");
            put(object, tags::CONTENT_TIME, VR::TM, time);
            put(object, tags::RESCALE_INTERCEPT, VR::DS, "0");
        });
        let Scan { volume, facts } = series.read().unwrap();
        assert_eq!((facts.slices, facts.dropped), (4, [(Dropped::DuplicatePosition, 1)].into()));
        assert_eq!(volume.hu([0, 0, 2]), Some(expected));
    }
}

#[test]
fn white_on_black_means_the_same_hounsfield_units() {
    let mut series = Series::empty();
    for number in 0..4 {
        series.add(number, |object| put(object, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1"));
    }
    assert_eq!(series.read().unwrap().volume, Series::regular(4).read().unwrap().volume);
    series.add(4, |object| put(object, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "PALETTE COLOR"));
    assert_eq!(series.refusal(), Reason::UnsupportedPixels);
}

#[test]
fn a_missing_slice_is_interpolated_and_counted() {
    let mut series = Series::regular(3);
    series.add(5, |_| {});
    let Scan { volume, facts } = series.read().unwrap();
    assert_eq!((facts.slices, facts.gaps), (6, 2));
    assert!(facts.warnings.contains(&Warning::MissingSlices) && facts.warnings.contains(&Warning::UnevenSpacing));
    // Stored values rise by one from slice to slice, so that those between are known.
    assert_eq!(volume, Series::regular(6).read().unwrap().volume);
}

#[test]
fn a_tilted_gantry_is_sheared_back_by_positions() {
    let mut series = Series::empty();
    for number in 0..4 {
        // One row of 0.5 mm from slice to slice, 2 mm apart.
        let position = format!("-10\\{}\\{}", -20.0 - f64::from(number) * 0.5, f64::from(number) * 2.0);
        series.add(number, |object| put(object, tags::IMAGE_POSITION_PATIENT, VR::DS, &position));
    }
    let Scan { volume, facts } = series.read().unwrap();
    assert!((facts.tilt_deg - 14.036).abs() < 1e-3 && facts.warnings.contains(&Warning::TiltCorrected), "{facts:?}");
    let geometry = volume.geometry();
    assert_eq!((geometry.size(), geometry.origin_mm()), ([4, 6, 4], [-10.0, -21.5, 0.0]));
    for k in 0..4 {
        let rows: Vec<f32> = (0..6).map(|j| volume.hu([0, j, k]).unwrap()).collect();
        let first = 3 - k;
        for (j, hu) in rows.into_iter().enumerate() {
            let of_slice = j.checked_sub(first).filter(|&row| row < usize::from(ROWS));
            let expected =
                of_slice.map_or(-1000.0, |row| f32::from(u16::try_from(1000 + k + row * 40).unwrap()) - 1024.0);
            assert_eq!(hu, expected, "row {j} of slice {k}");
        }
    }
}

#[test]
fn what_makes_no_regular_volume_is_refused_by_name() {
    let mut gap = Series::regular(3);
    gap.add(8, |_| {});
    assert_eq!(gap.refusal(), Reason::UnevenSpacing);
    let mut size = Series::regular(3);
    size.add(3, |object| drop(object.put(DataElement::new(tags::ROWS, VR::US, dicom_value!(U16, [2])))));
    assert_eq!(size.refusal(), Reason::MixedGeometry);
    let mut twice = Series::regular(3);
    twice.add(1, |object| put(object, tags::SOP_INSTANCE_UID, VR::UI, "2.25.99"));
    assert_eq!(twice.refusal(), Reason::MixedGeometry);
    let mut tilted = Series::empty();
    for number in 0..4 {
        let position = format!("0\\{}\\{}", f64::from(number) * 3.0, f64::from(number) * 2.0);
        tilted.add(number, |object| put(object, tags::IMAGE_POSITION_PATIENT, VR::DS, &position));
    }
    assert_eq!(tilted.refusal(), Reason::GantryTilt);
    assert_eq!(Series::regular(2).refusal(), Reason::TooFewSlices);
    let mut shifted = Series::regular(4);
    shifted.add(4, |object| put(object, tags::IMAGE_POSITION_PATIENT, VR::DS, "-10\\-20.01\\8"));
    assert_eq!(shifted.read().unwrap().facts.slices, 5, "rounding is no tilt");
}

#[test]
fn slices_without_voxels_are_refused_even_where_a_tilt_would_widen_them() {
    let mut empty = Series::empty();
    for number in 0..4 {
        let position = format!("0\\{}\\{}", f64::from(number) * 0.5, f64::from(number) * 2.0);
        empty.add(number, |object| {
            put(object, tags::IMAGE_POSITION_PATIENT, VR::DS, &position);
            object.put(DataElement::new(tags::ROWS, VR::US, dicom_value!(U16, [0])));
        });
    }
    assert_eq!(empty.refusal(), Reason::MissingAttribute);
}

#[test]
fn directions_that_drift_mean_the_same_in_every_order_of_files() {
    let mut drifting = Series::empty();
    for (number, sine) in [(0, "0.0008"), (1, "0"), (2, "0.0016"), (3, "0.0008")] {
        let axes = format!("1\\{sine}\\0\\0\\1\\0");
        drifting.add(number, |object| put(object, tags::IMAGE_ORIENTATION_PATIENT, VR::DS, &axes));
    }
    let mut files = drifting.files();
    let verdict = read(&files, &Limits::default()).map_err(|error| error.reason);
    for _turn in 0..3 {
        files.rotate_left(1);
        assert_eq!(read(&files, &Limits::default()).map_err(|error| error.reason), verdict);
    }
}

#[test]
fn each_missing_or_odd_attribute_is_refused_by_name() {
    let refusal = |change: fn(&mut InMemDicomObject)| {
        let mut series = Series::regular(3);
        series.add(3, change);
        series.refusal()
    };
    for tag in
        [tags::PIXEL_SPACING, tags::IMAGE_POSITION_PATIENT, tags::RESCALE_SLOPE, tags::MODALITY, tags::BITS_ALLOCATED]
    {
        let mut series = Series::regular(3);
        series.add(3, |object| assert!(object.remove_element(tag)));
        assert_eq!(series.refusal(), Reason::MissingAttribute, "{tag}");
    }
    assert_eq!(refusal(|object| put(object, tags::MODALITY, VR::CS, "MR")), Reason::NotCt);
    assert_eq!(refusal(|object| put(object, tags::RESCALE_TYPE, VR::LO, "Z_EFF")), Reason::NotHounsfield);
    assert_eq!(
        refusal(|object| put(object, tags::IMAGE_POSITION_PATIENT, VR::DS, "1\\2\\x")),
        Reason::MissingAttribute
    );
    assert_eq!(
        refusal(|object| put(object, tags::SOP_CLASS_UID, VR::UI, uids::MR_IMAGE_STORAGE)),
        Reason::UnsupportedSopClass
    );
    let no_frames = |object: &mut InMemDicomObject| {
        put(object, tags::SOP_CLASS_UID, VR::UI, uids::ENHANCED_CT_IMAGE_STORAGE);
        put(object, tags::NUMBER_OF_FRAMES, VR::IS, "3");
    };
    assert_eq!(refusal(no_frames), Reason::Corrupt);
    let three_samples = |object: &mut InMemDicomObject| {
        drop(object.put(DataElement::new(tags::SAMPLES_PER_PIXEL, VR::US, dicom_value!(U16, [3]))));
    };
    assert_eq!(refusal(three_samples), Reason::UnsupportedPixels);
    let short = |object: &mut InMemDicomObject| {
        drop(object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16([1, 2].into_iter().collect()))));
    };
    assert_eq!(refusal(short), Reason::Truncated);
}

#[test]
fn files_that_are_no_scan_are_told_apart() {
    let series = Series::regular(3);
    let folder = tempfile::tempdir().unwrap();
    let reason = |bytes: &[u8]| {
        let path = folder.path().join("file.dcm");
        fs::write(&path, bytes).unwrap();
        header(&path, &Limits::default(), &Urgent::default()).unwrap_err().reason
    };
    let whole = fs::read(&series.files()[0]).unwrap();
    assert_eq!(reason(b""), Reason::EmptyFile);
    assert_eq!(reason(b"Dear colleague, thank you for referring this patient."), Reason::NotAScan);
    assert_eq!(reason(&whole[..130]), Reason::NotAScan);
    assert_eq!(reason(&whole[..200]), Reason::Truncated);
    assert_eq!(reason(&[0x1f, 0x8b, 8, 0, 0]), Reason::NotAScan);
    let small = Limits { file_bytes: 100, ..Limits::default() };
    assert_eq!(header(&series.files()[0], &small, &Urgent::default()).unwrap_err().reason, Reason::LimitExceeded);
    assert_eq!(header(&folder.path().join("none"), &small, &Urgent::default()).unwrap_err().reason, Reason::Unreadable);
}

#[test]
fn urgency_is_asked_of_words_and_only_the_answer_leaves() {
    let urgent = |tag, vr, word: &str, asked: &Urgent| {
        let mut series = Series::empty();
        let path = series.add(0, |object| put(object, tag, vr, word));
        header(&path, &Limits::default(), asked).unwrap().urgent
    };
    let usual = Urgent::default();
    let site = Urgent { description: ["*polytrauma*".to_owned()].into(), ..Urgent::default() };
    let (priority, study, series) =
        (tags::REQUESTED_PROCEDURE_PRIORITY, tags::STUDY_DESCRIPTION, tags::SERIES_DESCRIPTION);
    assert!(urgent(priority, VR::SH, "STAT", &usual) && urgent(priority, VR::SH, "HIGH ", &usual));
    assert!(!urgent(priority, VR::SH, "ROUTINE", &usual));
    assert!(urgent(study, VR::LO, "CT Polytrauma", &site) && urgent(series, VR::LO, "POLYTRAUMA thorax", &site));
    assert!(!urgent(study, VR::LO, "CT Polytrauma", &usual) && !urgent(study, VR::LO, "CT Thorax", &site));
}

#[test]
fn a_file_cut_off_in_its_pixels_refuses_the_series() {
    let series = Series::regular(4);
    let last = series.files().pop().unwrap();
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..bytes.len() - 5]).unwrap();
    assert_eq!(
        header(&last, &Limits::default(), &Urgent::default()).unwrap().series_uid,
        "2.25.8",
        "its header still says where it belongs"
    );
    assert_eq!(series.refusal(), Reason::Truncated);
}

#[test]
fn limits_are_kept() {
    let series = Series::regular(4);
    let limited = |limits: &Limits| read(&series.files(), limits).unwrap_err().reason;
    assert_eq!(limited(&Limits { files: 3, ..Limits::default() }), Reason::LimitExceeded);
    assert_eq!(limited(&Limits { voxels: 47, ..Limits::default() }), Reason::LimitExceeded);
    assert!(read(&series.files(), &Limits { files: 4, voxels: 48, ..Limits::default() }).is_ok());
}

#[test]
fn a_folder_is_sorted_into_series() {
    let series = Series::regular(3);
    let inner = series.folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let mut object = slice(9);
    put(&mut object, tags::SERIES_INSTANCE_UID, VR::UI, "2.25.9");
    save(object, &inner.join("other"));
    fs::write(inner.join("letter.txt"), "no scan").unwrap();
    let found = series_in(series.folder.path(), &Limits::default()).unwrap();
    let told: Vec<(usize, Result<String, Reason>)> = found
        .iter()
        .map(|found| (found.files.len(), found.header.as_ref().map(|h| h.series_uid.clone()).map_err(|e| e.reason)))
        .collect();
    assert_eq!(told, [(3, Ok("2.25.8".into())), (1, Ok("2.25.9".into())), (1, Err(Reason::NotAScan))]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_dicom_is_refused_without_a_panic(at in 0usize..1200, byte: u8, cut in 0usize..1200) {
        let series = Series::regular(1);
        let path = series.files().pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length.saturating_sub(cut / 10));
        fs::write(&path, &bytes).unwrap();
        let limits = Limits::default();
        drop(header(&path, &limits, &Urgent::default()));
        prop_assert!(read(&[path], &limits).is_err());
    }

    #[test]
    fn order_and_names_of_files_change_nothing(shift in 0usize..7) {
        let series = Series::regular(7);
        let expected = series.read().unwrap();
        let mut files = series.files();
        files.rotate_left(shift);
        prop_assert_eq!(read(&files, &Limits::default()).unwrap(), expected);
    }
}

#[test]
fn what_is_written_is_read_back() {
    use crate::phantom::Recipe;
    let recipe = Recipe { size: [40, 32, 12], spacing_mm: [9.0, 9.0, 28.0], ..Recipe::example() };
    let volume = recipe.volume().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = write::dicom_series(&volume, &write::SeriesTags::synthetic(1), folder.path()).unwrap();
    assert_eq!(read(&files, &Limits::default()).unwrap().volume, volume);
    for name in ["phantom.nii", "phantom.nii.gz"] {
        let path = folder.path().join(name);
        write::nifti(&volume, &path).unwrap();
        let Scan { volume: again, facts } = read(&[path], &Limits::default()).unwrap();
        assert_eq!((again, facts.format), (volume.clone(), Format::Nifti));
    }
    let oblique =
        Geometry::new([2, 2, 3], [1.0; 3], [0.0; 3], [[0.0, 0.6, 0.8], [1.0, 0.0, 0.0], [0.0, 0.8, -0.6]]).unwrap();
    let halves = Volume::new(oblique, Voxels::F32(vec![0.5; 12].into())).unwrap();
    let path = folder.path().join("oblique.nii");
    write::nifti(&halves, &path).unwrap();
    let again = read(&[path], &Limits::default()).unwrap().volume;
    assert_eq!((again.geometry().orientation(), again.hu([1, 1, 1])), (halves.geometry().orientation(), Some(0.5)));
    assert!(write::dicom_series(&halves, &write::SeriesTags::synthetic(1), folder.path()).is_err());
}

/// The bytes of a file in parts: preamble and prefix, meta information, data set.
fn parted(path: &Path) -> [Vec<u8>; 3] {
    let bytes = fs::read(path).unwrap();
    let length = u32::from_le_bytes(bytes[140..144].try_into().unwrap());
    let data = 144 + usize::try_from(length).unwrap();
    [bytes[..132].to_vec(), bytes[132..data].to_vec(), bytes[data..].to_vec()]
}

#[test]
fn files_without_the_head_that_they_should_have_are_read() {
    let whole = Series::regular(4).read().unwrap().volume;
    let explicit = |[_, _, data]: [Vec<u8>; 3]| data;
    let no_preamble = |[_, meta, data]: [Vec<u8>; 3]| [b"DICM".to_vec(), meta, data].concat();
    let no_prefix = |[_, meta, data]: [Vec<u8>; 3]| [meta, data].concat();
    let wrong_length = |[preamble, mut meta, data]: [Vec<u8>; 3]| {
        meta[8] -= 2;
        [preamble, meta, data].concat()
    };
    for mend in [explicit, no_preamble, no_prefix, wrong_length] {
        let series = Series::regular(4);
        for path in series.files() {
            fs::write(&path, mend(parted(&path))).unwrap();
        }
        assert_eq!(series.read().unwrap().volume, whole);
    }
}

#[test]
fn a_file_that_only_begins_like_dicom_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for (bytes, reason) in [
        (&b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100"[..], Reason::MissingAttribute),
        (b"\x08\x00\x05\x00CS\xff\x00ISO_IR 100", Reason::Truncated),
        (b"\x08\x00\x05\x00\xff\xff\xff\xffISO_IR 100", Reason::NotAScan),
        (b"\x02\x00\x10\x00UI\x20\x001.2", Reason::Truncated),
        (b"DICM", Reason::MissingAttribute),
    ] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(header(&path, &Limits::default(), &Urgent::default()).unwrap_err().reason, reason, "{bytes:?}");
    }
}

/// The tensor that is made of blocks of slices is that of the whole volume, bit for bit.
#[test]
fn a_tensor_needs_no_volume() {
    use crate::preprocess;
    use crate::spec::{Grid, PreprocessSpec};
    let spec = |orientation: &str, grid| PreprocessSpec {
        orientation: orientation.to_owned().try_into().unwrap(),
        grid,
        window_hu: [-1000.0, 1000.0],
        output_range: [-1.0, 1.0],
        fill_hu: -1000.0,
    };
    let grids = [
        Grid::Resize { size: [5, 4, 3] },
        Grid::Resize { size: [150, 3, 4] },
        Grid::Spacing { spacing_mm: [3.0, 1.0, 1.0], size: [60, 6, 6] },
    ];
    let falling =
        |object: &mut InMemDicomObject| put(object, tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\-1\\0");
    let sagittal =
        |object: &mut InMemDicomObject| put(object, tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "0\\1\\0\\0\\0\\1");
    let steep = |object: &mut InMemDicomObject| put(object, tags::RESCALE_SLOPE, VR::DS, "40");
    let plain = |_: &mut InMemDicomObject| {};
    let changes: [&dyn Fn(&mut InMemDicomObject); 4] = [&plain, &falling, &sagittal, &steep];
    for (slices, change) in
        [3, 32, 33, 63, 64, 95].into_iter().flat_map(|slices| changes.map(|change| (slices, change)))
    {
        let mut series = Series::empty();
        for number in 0..slices {
            series.add(number, |object| {
                change(object);
                if object.element(tags::IMAGE_ORIENTATION_PATIENT).unwrap().to_str().unwrap().starts_with('0') {
                    put(object, tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("{number}\\0\\0"));
                }
            });
        }
        let scan = series.read().unwrap();
        for (grid, orientation) in grids.iter().flat_map(|grid| ["LPS", "RAI", "PSL"].map(|axes| (grid.clone(), axes)))
        {
            let spec = spec(orientation, grid);
            let (tensor, facts) = plan(&series.files(), &Limits::default()).unwrap().tensor(&spec).unwrap();
            assert_eq!(tensor, preprocess::tensor(&scan.volume, &spec), "{slices} slices, {spec:?}");
            assert_eq!(facts, scan.facts);
        }
    }
}

#[test]
fn of_several_phases_the_longest_is_read() {
    let phase = |number: &'static str, shift: f64| {
        move |slice: u32, object: &mut InMemDicomObject| {
            put(object, tags::SOP_INSTANCE_UID, VR::UI, &format!("2.25.{number}{slice}"));
            put(object, tags::ACQUISITION_NUMBER, VR::IS, number);
            put(object, tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("0\\0\\{}", f64::from(slice) * 2.0 + shift));
            put(object, tags::RESCALE_INTERCEPT, VR::DS, &format!("-{number}00"));
        }
    };
    let read = |parts: &[(u32, u32, &'static str, f64)]| {
        let mut series = Series::empty();
        for &(from, to, number, shift) in parts {
            (from..to).for_each(|slice| drop(series.add(slice, |object| phase(number, shift)(slice, object))));
        }
        series.read().unwrap()
    };
    // Two whole ones, half a step apart: the last. One shorter than the other: the longer, whatever its number.
    for (parts, kept, number) in [
        ([(0, 8, "1", 0.0), (0, 8, "2", 1.0)], 8, 200.0),
        ([(0, 8, "1", 0.0), (2, 7, "2", 0.0)], 8, 100.0),
        ([(3, 8, "1", 0.0), (0, 8, "2", 0.0)], 8, 200.0),
    ] {
        let Scan { volume, facts } = read(&parts);
        assert!(facts.warnings.contains(&Warning::SeveralPhases), "{parts:?}");
        assert_eq!((facts.slices, facts.dropped[&Dropped::OtherPhase]), (kept, facts.instances - kept), "{parts:?}");
        assert_eq!(volume.hu([0, 0, 0]), Some(1000.0 - number), "{parts:?}");
    }
    // Parts that follow each other, one place in common, are one volume; so is what was scanned again in between.
    for parts in [[(0, 5, "1", 0.0), (4, 9, "2", 0.0)], [(0, 9, "1", 0.0), (3, 5, "2", 0.0)]] {
        let Scan { facts, .. } = read(&parts);
        assert_eq!((facts.slices, facts.dropped.contains_key(&Dropped::OtherPhase)), (9, false), "{parts:?}");
        assert!(!facts.warnings.contains(&Warning::SeveralPhases), "{parts:?}");
    }
}

#[test]
fn what_is_no_slice_is_told_by_its_kind() {
    let kinds = [
        ("1.2.840.10008.5.1.4.1.1.88.67", Reason::DoseReport, "X-Ray Radiation Dose SR Storage"),
        ("1.2.840.10008.5.1.4.1.1.88.33", Reason::StructuredReport, "Comprehensive SR Storage"),
        ("1.2.840.10008.5.1.4.1.1.7", Reason::SecondaryCapture, "Secondary Capture Image Storage"),
        ("1.2.840.10008.5.1.4.1.1.481.3", Reason::Radiotherapy, "RT Structure Set Storage"),
        ("1.2.840.10008.5.1.4.1.1.11.1", Reason::NotImage, "Grayscale Softcopy Presentation State Storage"),
        ("1.2.3.4", Reason::NotImage, "a class that the standard does not have"),
    ];
    for (class, reason, name) in kinds {
        let alone = |object: &mut InMemDicomObject| {
            put(object, tags::SOP_CLASS_UID, VR::UI, class);
            if reason != Reason::SecondaryCapture {
                object.remove_element(tags::ROWS);
                object.remove_element(tags::PIXEL_DATA);
            }
        };
        let mut series = Series::empty();
        series.add(0, alone);
        assert_eq!(series.read().unwrap_err(), ScanError::new(reason, name));
        // Among slices it is left out and counted.
        let mut series = Series::regular(3);
        series.add(7, alone);
        assert_eq!(series.read().unwrap().facts.dropped, [(Dropped::NotImage, 1)].into(), "{name}");
    }
}

#[test]
fn patterns_are_compared_with_the_words_of_every_slice_and_only_patterns_come_back() {
    let asked = |kernel: &[&str]| Patterns {
        kernel: kernel.iter().map(|&pattern| pattern.to_owned()).collect(),
        image_type: ["original", "MPR"].map(str::to_owned).into(),
    };
    let traits = |change: fn(u32, &mut InMemDicomObject)| {
        let mut series = Series::empty();
        for number in 0..4 {
            series.add(number, |object| change(number, object));
        }
        plan(&series.files(), &Limits::default()).unwrap().traits(&asked(&["b4*", "Doe*", "3", "B?0"]))
    };
    let told = traits(|_, object| {
        put(object, tags::CONVOLUTION_KERNEL, VR::SH, "B40f\\3");
        put(object, tags::SLICE_THICKNESS, VR::DS, "5");
    });
    assert_eq!(told.fitting.kernel, ["3", "b4*"].map(str::to_owned).into());
    assert_eq!(told.fitting.image_type, ["original"].map(str::to_owned).into());
    assert_eq!((told.thickness_mm, told.coverage_mm, told.slices), (5.0, 8.0, 4));
    let mixed = traits(|number, object| {
        put(object, tags::CONVOLUTION_KERNEL, VR::SH, if number == 2 { "Doe^Jane" } else { "B40f" });
    });
    assert_eq!(mixed.fitting.kernel, std::collections::BTreeSet::new(), "one slice is of another kernel");
    assert_eq!(mixed.thickness_mm, 2.0, "the step, where the header says nothing");
    assert!(traits(|_, _| {}).fitting.kernel.is_empty());
}

#[test]
fn identifiers_come_only_as_far_as_they_are_asked_for() {
    let mut series = Series::empty();
    let text = |object: &mut InMemDicomObject, tag: Tag, vr, value: &str| {
        object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
    };
    let path = series.add(0, |object| {
        text(object, tags::ACCESSION_NUMBER, VR::SH, "A 17 ");
        text(object, tags::PATIENT_ID, VR::LO, "P-4");
    });
    let limits = Limits::default();
    let asked = |which| identifiers(&path, &limits, which).unwrap();
    let accession_number = Some("A 17".to_owned());
    assert_eq!(asked(Which::Accession), Identifiers { accession_number: accession_number.clone(), patient_id: None });
    let all = Identifiers { accession_number, patient_id: Some("P-4".to_owned()) };
    assert_eq!(asked(Which::AccessionAndPatient), all);
    assert_eq!(format!("{all:?}"), "Identifiers(redacted)");
    let path = series.add(1, |object| {
        text(object, tags::ACCESSION_NUMBER, VR::SH, &"9".repeat(65));
        text(object, tags::PATIENT_ID, VR::LO, "a\u{7}b");
    });
    let none = identifiers(&path, &limits, Which::AccessionAndPatient).unwrap();
    assert_eq!(none, Identifiers::default(), "what no such value can be is none");
}
