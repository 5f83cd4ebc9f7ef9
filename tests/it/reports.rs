//! The reader of reports beside people: 800 reports of CT-RATE's hospital, whose 18 labels radiologists wrote.

use ctedge_models::labels::{LABEL_COUNT, Label};
use ctedge_tests::{appliance, place, process};
use serde_json::Value;
use std::path::Path;

/// The least macro F1 on the labelled reports, and the least F1 on any label.
const LEAST_MACRO_F1: f64 = 0.90;
const LEAST_F1: f64 = 0.80;

fn label(reports: &Path, out: &Path) -> Value {
    let mut command = appliance::trainer().unwrap();
    command.arg("--json").arg("label").arg(reports).arg("--out").arg(out);
    serde_json::from_str(&process::output(&mut command).unwrap()).unwrap()
}

#[test]
fn the_labels_that_are_read_are_those_that_radiologists_wrote() {
    let Some(reports) = place::data("ct_clip_reports_train/train.csv") else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("labels.csv");
    let said = label(&reports, &out);
    assert_eq!(said["reports"], 800);
    let scores = said["agreement"]["labels"].as_array().unwrap();
    assert_eq!(scores.len(), LABEL_COUNT);
    for score in scores {
        assert!(score["f1"].as_f64().unwrap() >= LEAST_F1, "{score}");
    }
    let mean = &said["agreement"]["macro"];
    println!("on 800 reports: {mean}");
    assert!(mean["f1"].as_f64().unwrap() >= LEAST_MACRO_F1, "{mean}");

    let written = std::fs::read_to_string(&out).unwrap();
    let titles: Vec<&str> = Label::all().map(Label::title).collect();
    assert_eq!(written.lines().next().unwrap(), format!("AccessionNo,{}", titles.join(",")));
    assert_eq!(written.lines().count(), 801);
}
