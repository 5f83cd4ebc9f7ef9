//! Well-formed slices with any numbers in them: does their assembly hold?
#![no_main]

use arbitrary::Arbitrary;
use ctedge_fuzz::{Memory, limits};
use ctedge_models::scan;
use dicom::core::{DataElement, PrimitiveValue, Tag, VR};
use dicom::dictionary_std::{tags, uids};
use dicom::object::{FileMetaTableBuilder, InMemDicomObject};
use libfuzzer_sys::fuzz_target;

/// A slice of a few voxels. Most of what is not said is as in the one before.
#[derive(Debug, Arbitrary)]
struct Slice {
    place: Place,
    change: Option<Change>,
    acquisition: Option<u8>,
    time: Option<u8>,
    copy_of_last: bool,
    pixels: [u16; 4],
}

#[derive(Debug, Arbitrary)]
enum Place {
    Step(i8),
    Beside { step: i8, across: [i8; 2] },
    Exactly([f32; 3]),
}

#[derive(Debug, Arbitrary)]
enum Change {
    Columns(u8),
    Spacing([f32; 2]),
    Axes([f32; 6]),
    Rescale([f32; 2]),
    Stored { bits: u8, high: u8, signed: bool },
    ImageType(bool),
    Text(u8, Vec<u8>),
}

/// Elements that hold text or lists, for anything to stand in.
const TEXTS: [(Tag, VR); 8] = [
    (tags::IMAGE_POSITION_PATIENT, VR::DS),
    (tags::IMAGE_ORIENTATION_PATIENT, VR::DS),
    (tags::PIXEL_SPACING, VR::DS),
    (tags::RESCALE_SLOPE, VR::DS),
    (tags::RESCALE_TYPE, VR::LO),
    (tags::CONTENT_TIME, VR::TM),
    (tags::ACQUISITION_NUMBER, VR::IS),
    (tags::IMAGES_IN_ACQUISITION, VR::IS),
];

fuzz_target!(|slices: Vec<Slice>| {
    let mut object = first();
    let mut place = [0.0f64; 3];
    let mut files = Vec::new();
    for (number, slice) in slices.iter().take(24).enumerate() {
        match slice.place {
            Place::Step(step) => place[2] += f64::from(step) / 8.0,
            Place::Beside { step, across: [x, y] } => {
                place = [place[0] + f64::from(x) / 8.0, place[1] + f64::from(y) / 8.0, place[2] + f64::from(step) / 8.0];
            }
            Place::Exactly(exact) => place = exact.map(f64::from),
        }
        list(&mut object, tags::IMAGE_POSITION_PATIENT, &place);
        if !slice.copy_of_last {
            text(&mut object, tags::SOP_INSTANCE_UID, VR::UI, &format!("2.25.{number}"));
        }
        if let Some(acquisition) = slice.acquisition {
            text(&mut object, tags::ACQUISITION_NUMBER, VR::IS, &acquisition.to_string());
        }
        if let Some(time) = slice.time {
            text(&mut object, tags::CONTENT_TIME, VR::TM, &format!("{time:06}"));
        }
        if let Some(change) = &slice.change {
            apply(&mut object, change);
        }
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(slice.pixels.to_vec().into())));
        files.extend(written(&object));
    }
    let paths: Vec<_> = files.iter().map(Memory::path).collect();
    if let Ok(read) = scan::read(&paths, &limits()) {
        let geometry = read.volume.geometry();
        assert!(geometry.spacing_mm().iter().all(|spacing| spacing.is_finite() && *spacing > 0.0));
        assert!(geometry.origin_mm().iter().all(|place| place.is_finite()));
        assert_eq!(read.facts.slices as usize, geometry.size()[2]);
        let dropped: u32 = read.facts.dropped.values().sum();
        assert!(read.facts.instances >= dropped && read.facts.instances as usize == paths.len());
        let mut turned = paths.clone();
        turned.reverse();
        let again = scan::read(&turned, &limits()).expect("the order of files means nothing");
        assert_eq!(again.volume.geometry(), geometry);
    }
});

fn apply(object: &mut InMemDicomObject, change: &Change) {
    match change {
        Change::Columns(columns) => number(object, tags::COLUMNS, (*columns).into()),
        Change::Spacing(spacing) => list(object, tags::PIXEL_SPACING, &spacing.map(f64::from)),
        Change::Axes(axes) => list(object, tags::IMAGE_ORIENTATION_PATIENT, &axes.map(f64::from)),
        Change::Rescale([slope, intercept]) => {
            list(object, tags::RESCALE_SLOPE, &[f64::from(*slope)]);
            list(object, tags::RESCALE_INTERCEPT, &[f64::from(*intercept)]);
        }
        Change::Stored { bits, high, signed } => {
            number(object, tags::BITS_STORED, (*bits).into());
            number(object, tags::HIGH_BIT, (*high).into());
            number(object, tags::PIXEL_REPRESENTATION, (*signed).into());
        }
        Change::ImageType(localizer) => {
            text(object, tags::IMAGE_TYPE, VR::CS, if *localizer { "ORIGINAL\\PRIMARY\\LOCALIZER" } else { "ORIGINAL" });
        }
        Change::Text(which, bytes) => {
            let (tag, vr) = TEXTS[usize::from(*which) % TEXTS.len()];
            text(object, tag, vr, &String::from_utf8_lossy(bytes));
        }
    }
}

fn first() -> InMemDicomObject {
    let mut object = InMemDicomObject::new_empty();
    text(&mut object, tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE);
    text(&mut object, tags::MODALITY, VR::CS, "CT");
    list(&mut object, tags::PIXEL_SPACING, &[0.5, 0.7]);
    list(&mut object, tags::IMAGE_ORIENTATION_PATIENT, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    list(&mut object, tags::RESCALE_SLOPE, &[1.0]);
    list(&mut object, tags::RESCALE_INTERCEPT, &[-1024.0]);
    let numbers = [
        (tags::ROWS, 2),
        (tags::COLUMNS, 2),
        (tags::BITS_ALLOCATED, 16),
        (tags::BITS_STORED, 16),
        (tags::HIGH_BIT, 15),
        (tags::PIXEL_REPRESENTATION, 0),
    ];
    numbers.into_iter().for_each(|(tag, value)| number(&mut object, tag, value));
    object
}

fn text(object: &mut InMemDicomObject, tag: Tag, vr: VR, value: &str) {
    object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
}

fn number(object: &mut InMemDicomObject, tag: Tag, value: u16) {
    object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
}

fn list(object: &mut InMemDicomObject, tag: Tag, values: &[f64]) {
    let written: Vec<String> = values.iter().map(f64::to_string).collect();
    text(object, tag, VR::DS, &written.join("\\"));
}

/// `None` where the writer itself refuses.
fn written(object: &InMemDicomObject) -> Option<Memory> {
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
        .media_storage_sop_class_uid(uids::CT_IMAGE_STORAGE)
        .media_storage_sop_instance_uid("2.25.1");
    let mut bytes = Vec::new();
    object.clone().with_meta(meta).ok()?.write_all(&mut bytes).ok()?;
    Some(Memory::new(&bytes))
}
