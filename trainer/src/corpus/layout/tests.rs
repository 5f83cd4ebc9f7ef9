use super::*;
use crate::corpus::Report;
use crate::corpus::{Prepared, Shards, Source, Split, Why, prepare};
use crate::experiment::Experiment;
use crate::fixture::changed;
use ctedge_models::labels::Label;
use ctedge_models::phantom::Recipe;
use ctedge_models::preprocess;
use ctedge_models::scan::write;
use ctedge_models::volume::{Geometry, Volume, Voxels};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use tempfile::TempDir;

/// 16 voxels of 20 mm along each axis.
fn experiment(corpus: &str) -> Experiment {
    let corpus = format!("data.corpus = \"{corpus}\"");
    let small = [
        "input.grid.spacing = { spacing_mm = [20.0, 20.0, 20.0], size = [16, 16, 16] }",
        "vision.patch = [4, 4, 4]",
        "vision.densities = [2, 2, 2]",
    ];
    Experiment::parse(&changed(&[&small[..], &[&corpus]].concat())).unwrap()
}

fn recipe(seed: u64) -> Recipe {
    Recipe { size: [48, 40, 24], spacing_mm: [8.0, 8.0, 14.0], ..Recipe::chest(seed) }
}

/// A layout under construction.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn volume(&self, path: &str, volume: &Volume<'_>) {
        self.write(path, "");
        write::nifti(volume, &self.0.path().join(path)).unwrap();
    }

    fn list(&self, corpus: Corpus) -> Listing {
        open(corpus, Some(self.0.path()), &experiment("folder").input).unwrap()
    }

    fn complaint(&self, corpus: Corpus) -> String {
        open(corpus, Some(self.0.path()), &experiment("folder").input).unwrap_err().to_string()
    }
}

/// A phantom as CT-RATE stores raw volumes: whole numbers above `intercept`, and a header that does not know the spacing.
fn raw(seed: u64, intercept: i16) -> Volume<'static> {
    let volume = recipe(seed).volume().unwrap();
    let geometry = volume.geometry();
    let geometry = Geometry::new(geometry.size(), [1.0; 3], geometry.origin_mm(), geometry.direction()).unwrap();
    let Voxels::I16(values) = volume.into_voxels() else { panic!("whole HU") };
    // Out of the field of view: the lowest number there is.
    let corner = |index: usize| index < 3;
    let stored = values.iter().enumerate().map(|(index, &hu)| if corner(index) { 0 } else { hu - intercept }).collect();
    Volume::new(geometry, Voxels::I16(Cow::Owned(stored))).unwrap()
}

fn ids(listing: &Listing) -> Vec<&str> {
    listing.cases.iter().map(|listed| listed.case.id.as_str()).collect()
}

fn reasons(listing: &Listing) -> BTreeMap<&str, Why> {
    listing.left_out.iter().map(|left| (left.id.as_str(), left.why)).collect()
}

fn prepared(listing: Listing, experiment: &Experiment, out: &TempDir) -> (Prepared, Shards) {
    let prepared = prepare(listing, experiment, out.path(), &|_| {}).unwrap();
    (prepared, Shards::open(out.path(), &experiment.input).unwrap())
}

/// Largest difference between a stored tensor and the one of the phantom that it should be.
fn error_of(shards: &Shards, id: &str, recipe: &Recipe, experiment: &Experiment) -> f32 {
    let index = shards.cases().iter().position(|stored| stored.case.id == id).unwrap();
    let exact = preprocess::tensor(&recipe.volume().unwrap(), &experiment.input).into_values();
    let stored = shards.volume(index).unwrap();
    stored.iter().zip(&exact).map(|(stored, exact)| (stored - exact).abs()).fold(0.0, f32::max)
}

const TRAIN: [&str; 13] = [
    "train_1_a_1",
    "train_1_a_2",
    "train_2_a_1",
    "train_3_a_1",
    "train_4_a_1",
    "train_5_a_1",
    "train_6_a_1",
    "train_7_a_1",
    "train_8_a_1",
    "train_10_b_1",
    "train_10_aa_1",
    "train_11_a_1",
    "train_012_a_1",
];

/// CT-RATE with every trap.
fn ct_rate() -> Place {
    let place = Place::new();
    let path = |folder: &str, id: &str| {
        let mut words = id.splitn(4, '_');
        let [part, patient, scan] = [(); 3].map(|()| words.next().unwrap());
        format!("dataset/{folder}/{part}_{patient}/{part}_{patient}_{scan}/{id}.nii.gz")
    };
    for id in TRAIN.iter().filter(|&&id| id != "train_4_a_1") {
        place.volume(&path("train", id), &raw(1, if *id == "train_1_a_2" { -8192 } else { -1024 }));
    }
    place.volume(&path("train_fixed", "train_2_a_1"), &recipe(2).volume().unwrap());
    let whole = fs::read(place.0.path().join(path("train", "train_11_a_1"))).unwrap();
    fs::write(place.0.path().join(path("train", "train_11_a_1")), &whole[..whole.len() / 2]).unwrap();
    for id in ["valid_1_a_2", "valid_1_a_3"] {
        place.volume(&path("valid_fixed", id), &recipe(3).volume().unwrap());
    }

    let report = |id: &str| match id {
        "train_5_a_1" => format!("{id}.nii.gz,Not given.,Not given.,Not given.,Not given.\n"),
        "train_8_a_1" => format!("{id}.nii.gz,Not given.,CT,\"Nodule, 4 mm.\nNo effusion.\",Not given.\n"),
        _ => format!("{id}.nii.gz,Cough,CT,\"Heart, lungs: normal.\",Normal.\n"),
    };
    let head = "VolumeName,ClinicalInformation_EN,Technique_EN,Findings_EN,Impressions_EN\n";
    let tables = "dataset/radiology_text_reports";
    place.write(&format!("{tables}/train_reports.csv"), &(head.to_owned() + &TRAIN.map(report).concat()));
    let valid = ["valid_1_a_1", "valid_1_a_2", "valid_1_a_3"];
    place.write(&format!("{tables}/validation_reports.csv"), &(head.to_owned() + &valid.map(report).concat()));

    let titles: Vec<&str> = Label::all().map(Label::title).collect();
    let head = format!("VolumeName,{}\n", titles.join(","));
    let labels = |id: &str| format!("{id}.nii.gz,1,0,1{}\n", ",0".repeat(15));
    let tables = "dataset/multi_abnormality_labels";
    place.write(&format!("{tables}/train_predicted_labels.csv"), &(head.clone() + &TRAIN.map(labels).concat()));
    place.write(&format!("{tables}/valid_predicted_labels.csv"), &(head + &valid.map(labels).concat()));

    let metadata = |id: &str| {
        let intercept = if id == "train_1_a_2" { -8192 } else { -1024 };
        let plane = if id == "train_7_a_1" { "[8.0]" } else { "[8.0, 8.0]" };
        format!("{id}.nii.gz,\"['B30f', '2']\",\"{plane}\",{intercept},1,14.0\n")
    };
    let rows: Vec<String> = TRAIN.iter().filter(|&&id| id != "train_6_a_1").map(|id| metadata(id)).collect();
    let head = "VolumeName,ConvolutionKernel,XYSpacing,RescaleIntercept,RescaleSlope,ZSpacing\n";
    place.write("dataset/metadata/train_metadata.csv", &(head.to_owned() + &rows.concat()));
    place.write("dataset/metadata/no_chest_train.txt", "train_3_a_1.nii.gz\n\n");
    place.write("dataset/metadata/no_chest_valid.txt", "");
    place
}

#[test]
fn ct_rate_is_listed_with_every_trap_avoided() {
    let place = ct_rate();
    let listing = place.list(Corpus::CtRate);
    let used = ["train_1_a_1", "train_1_a_2", "train_2_a_1", "train_8_a_1", "train_10_b_1", "train_10_aa_1"];
    assert_eq!(ids(&listing), [&used[..], &["train_11_a_1", "valid_1_a_2", "valid_1_a_3"]].concat());
    let expected = BTreeMap::from([
        ("train_3_a_1", Why::NoChest),
        ("train_4_a_1", Why::NoFile),
        ("train_5_a_1", Why::NoReport),
        ("train_6_a_1", Why::NoMetadata),
        ("train_7_a_1", Why::NoMetadata),
        ("train_012_a_1", Why::Name),
        ("valid_1_a_1", Why::NoFile),
    ]);
    assert_eq!(reasons(&listing), expected);
    let seventh = listing.left_out.iter().find(|left| left.id == "train_7_a_1").unwrap();
    assert_eq!(seventh.detail, "train_metadata.csv, line 8: scale or spacing is no number");

    let case = |id: &str| &listing.cases.iter().find(|listed| listed.case.id == id).unwrap().case;
    let (first, second) = (case("train_1_a_1"), case("train_1_a_2"));
    assert_eq!((first.patient.as_str(), first.group.as_str()), ("train_1", "train_1_a"));
    assert_eq!(first.group, second.group);
    assert_eq!(first.report.findings, "Heart, lungs: normal.");
    assert_eq!(
        case("train_8_a_1").report,
        Report { findings: "Nodule, 4 mm.\nNo effusion.".into(), impression: String::new() }
    );
    let labels = first.labels.unwrap();
    assert!(labels[0] && labels[2] && labels.iter().filter(|&&flag| flag).count() == 2);
    let splits: Vec<Option<Split>> = listing.cases.iter().map(|listed| listed.split).collect();
    assert_eq!(splits, [[Some(Split::Train)].repeat(7), [Some(Split::Test)].repeat(2)].concat());
}

#[test]
fn ct_rate_gives_the_tensors_that_its_metadata_mean() {
    let (place, out) = (ct_rate(), TempDir::new().unwrap());
    let experiment = experiment("ct_rate");
    let (prepared, shards) = prepared(place.list(Corpus::CtRate), &experiment, &out);
    for (id, seed) in [("train_1_a_1", 1), ("train_1_a_2", 1), ("train_2_a_1", 2), ("valid_1_a_2", 3)] {
        let error = error_of(&shards, id, &recipe(seed), &experiment);
        assert!(error < 5e-4, "{id}: {error}");
    }
    assert_eq!(prepared.stored[&Split::Test], 1, "one reconstruction of the scan is evaluated");
    assert_eq!(prepared.skipped["reconstruction"], 1);
    assert_eq!(prepared.skipped["truncated"], 1);
    let skipped = fs::read_to_string(out.path().join("skipped.csv")).unwrap();
    let line = skipped.lines().find(|line| line.starts_with("train_11_a_1,")).unwrap();
    assert!(line.contains("train/train_11/train_11_a/train_11_a_1.nii.gz,truncated,"), "{line}");
}

#[test]
fn a_folder_that_is_no_ct_rate_says_what_is_missing() {
    let place = Place::new();
    assert!(place.complaint(Corpus::CtRate).contains("dataset/train"));
    let place = ct_rate();
    fs::remove_file(place.0.path().join("dataset/metadata/no_chest_train.txt")).unwrap();
    assert!(place.complaint(Corpus::CtRate).contains("no_chest_train.txt cannot be read"));
    let labels = "dataset/multi_abnormality_labels/train_predicted_labels.csv";
    place.write("dataset/metadata/no_chest_train.txt", "");
    let text = fs::read_to_string(place.0.path().join(labels)).unwrap();
    place.write(labels, &text.replace("train_1_a_2.nii.gz,1,0", "train_1_a_2.nii.gz,1,?"));
    let complaint = place.complaint(Corpus::CtRate);
    assert!(complaint.contains("line 3, column \"Arterial wall calcification\": expected 0 or 1"), "{complaint}");
    place.write(labels, &text.replace("Cardiomegaly", "Cardiomegalie"));
    assert!(place.complaint(Corpus::CtRate).contains("no column \"Cardiomegaly\"; did you mean \"Cardiomegalie\"?"));
    let error = open(Corpus::CtRate, None, &experiment("folder").input).unwrap_err();
    assert!(error.to_string().contains("--corpus"), "{error}");
}

#[test]
fn bimcv_r_leaves_out_what_is_paired_with_another_patient() {
    let (place, out) = (Place::new(), TempDir::new().unwrap());
    let name = |patient: &str, session: &str| format!("sub-{patient}_ses-{session}_run-1_bp-chest_ct.nii.gz");
    let sound = recipe(5).volume().unwrap();
    // z spacing of the whole field of view.
    let geometry = sound.geometry();
    let stretched = [8.0, 8.0, 336.0];
    let broken = Geometry::new(geometry.size(), stretched, geometry.origin_mm(), geometry.direction()).unwrap();
    let broken = Volume::new(broken, sound.voxels().clone()).unwrap();
    for (patient, session) in [("S01", "E1"), ("S02", "E2"), ("S03", "E3"), ("S04", "E4"), ("S05", "E5")] {
        let volume = if patient == "S05" { &broken } else { &sound };
        place.volume(&format!("CT1/ct/{}", name(patient, session)), volume);
    }
    let row = |patient: &str, session: &str, file: &str, report: &str| {
        format!("{patient},{session},informe,/raid/x/mod-rx,\"{report}\",/raid/x/{file}\n")
    };
    let rows = [
        row("sub-S01", "ses-E1", &name("S01", "E1"), "Clear lungs, no effusion."),
        row("sub-S09", "ses-E2", &name("S02", "E2"), "Of another patient."),
        row("sub-S03", "ses-E9", &name("S03", "E3"), "Of another session."),
        row("S04", "E4", &name("S04", "E4"), ""),
        row("sub-S05", "ses-E5", &name("S05", "E5"), "Broken header."),
        row("sub-S06", "ses-E6", &name("S06", "E6"), "No file."),
        row("sub-S01", "ses-E1", &name("S01", "E1"), "Again."),
        row("sub-S07", "ses-E7", "scan.nii.gz", "No marks."),
    ];
    place.write("BIMCV-R.csv", &("PatientID,ReportID,Report,path,Report_en,ct_path\n".to_owned() + &rows.concat()));
    let listing = place.list(Corpus::BimcvR);
    let whys: Vec<Why> = listing.left_out.iter().map(|left| left.why).collect();
    let expected = [Why::OtherPatient, Why::OtherPatient, Why::NoReport, Why::NoFile, Why::Repeated, Why::Name];
    assert_eq!(whys, expected);
    assert!(listing.left_out[0].detail.starts_with("BIMCV-R.csv, line 3: "), "{:?}", listing.left_out[0]);
    let first = &listing.cases[0].case;
    assert_eq!((first.patient.as_str(), first.group.as_str()), ("S01", "S01_E1"));
    assert_eq!((first.report.findings.as_str(), first.labels), ("Clear lungs, no effusion.", None));

    let experiment = experiment("bimcv_r");
    let (prepared, shards) = prepared(listing, &experiment, &out);
    assert_eq!((shards.cases().len(), prepared.skipped["implausible"]), (1, 1));
    assert_eq!(prepared.skipped["other_patient"], 2);
    assert!(error_of(&shards, &first_id(&shards), &recipe(5), &experiment) < 5e-4);
    let skipped = fs::read_to_string(out.path().join("skipped.csv")).unwrap();
    assert!(skipped.contains("voxels 336.0 mm apart"), "{skipped}");
    assert!(!skipped.contains("Broken header."), "no report in the list");
    assert!(Place::new().complaint(Corpus::BimcvR).contains("BIMCV-R.csv"));
}

fn first_id(shards: &Shards) -> String {
    shards.cases()[0].case.id.clone()
}

#[test]
fn written_phantoms_are_read_back_as_the_phantoms_they_are() {
    let experiment = experiment("folder");
    let drawn = open(Corpus::Phantoms { count: 2, seed: 30 }, None, &experiment.input).unwrap();
    for format in [ScanFormat::Nifti, ScanFormat::Dicom] {
        let (place, out) = (Place::new(), TempDir::new().unwrap());
        write_phantoms(place.0.path(), 30..32, format, &experiment.input, &|_| {}).unwrap();
        let listing = place.list(Corpus::Folder);
        let cases = |listing: &Listing| listing.cases.iter().map(|listed| listed.case.clone()).collect::<Vec<_>>();
        assert_eq!(cases(&listing), cases(&drawn), "{format:?}");
        assert_eq!(listing.left_out, []);
        let (_, shards) = prepared(listing, &experiment, &out);
        for listed in &drawn.cases {
            let Source::Phantom(recipe) = &listed.source else { panic!("no phantom") };
            let error = error_of(&shards, &listed.case.id, recipe, &experiment);
            // NIfTI keeps the spacing in 32 bits.
            assert!(error < 1e-3, "{format:?} {error}");
        }
        let recipes = fs::read_to_string(place.0.path().join("recipes.jsonl")).unwrap();
        let recipes: Vec<Recipe> = recipes.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(recipes.iter().map(|recipe| recipe.seed).collect::<Vec<_>>(), [30, 31]);
        let again = write_phantoms(place.0.path(), 30..32, format, &experiment.input, &|_| {}).unwrap_err();
        assert!(again.to_string().contains("name a new folder"), "{again}");
    }
}

#[test]
fn a_table_of_ones_own_may_be_short() {
    let place = Place::new();
    place.volume("a.nii", &recipe(1).volume().unwrap());
    let rows = "s1,p1,a.nii,\"Nodule, 4 mm.\",test\ns2,p1,a.nii,,test\ns3,p2,b.nii,Clear.,\n";
    place.write("cases.csv", &("\u{feff}id,patient,path,report,split\n".to_owned() + rows));
    let listing = place.list(Corpus::Folder);
    assert_eq!(ids(&listing), ["s1"]);
    assert_eq!(reasons(&listing), BTreeMap::from([("s2", Why::NoReport), ("s3", Why::NoFile)]));
    let listed = &listing.cases[0];
    assert_eq!((listed.split, listed.case.labels, listed.case.visible), (Some(Split::Test), None, None));
    assert_eq!((listed.case.group.as_str(), listed.case.report.findings.as_str()), ("s1", "Nodule, 4 mm."));
}

#[test]
fn wrong_tables_are_refused_with_line_and_column() {
    let place = Place::new();
    let head = "id,patient,path,report,split,visible";
    let cases = [
        ("id,patient,path,raport\n".to_owned(), "unknown column \"raport\"; did you mean \"report\"?"),
        ("id,patient,report\n".to_owned(), "no column \"path\""),
        ("id,patient,path,report,findings\n".to_owned(), "\"findings beside report\""),
        ("id,patient,path,report,cardiomegaly\n".to_owned(), "no column \"Medical material\""),
        (format!("{head}\n,p,a,r,,\n"), "line 2, column \"id\": expected a name"),
        (format!("{head}\na,p,a,r,,\na,p,a,r,,\n"), "line 3, column \"id\": the same as in line 2"),
        (format!("{head}\na,p,a,r,tset,\n"), "line 2, column \"split\": expected train"),
        (
            format!("{head}\na,p,a,\"r\nr\",test,\nb,p,a,r,,\n"),
            "line 4, column \"split\": not that of the same patient in line 2",
        ),
        (format!("{head}\na,p,../a,r,,\n"), "line 2, column \"path\": expected a path below"),
        (format!("{head}\na,p,/etc/passwd,r,,\n"), "line 2, column \"path\""),
        (format!("{head}\na,p,a,r,,nodule\n"), "line 2, column \"visible\": expected names of labels"),
        (format!("{head}\na,p,a\n"), "no table of comma-separated values"),
    ];
    for (text, expected) in cases {
        place.write("cases.csv", &text);
        let complaint = place.complaint(Corpus::Folder);
        let complaint = complaint.replace("is not a table", "is no table");
        assert!(complaint.contains(expected), "{text}: {complaint}");
    }
    assert!(Place::new().complaint(Corpus::Folder).contains("cases.csv"));
}
