use super::*;
use crate::device::cpu;
use crate::net::Array;

fn experiment() -> Experiment {
    Experiment::parse(include_str!("../../../models/catalog/scale-vlp-tiny/experiment.toml")).unwrap()
}

#[test]
fn a_run_is_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("run");
    let run = Run::init(experiment()).unwrap();
    run.create(&place).unwrap();
    assert_eq!(Run::open(&place).unwrap(), run);
    assert_eq!(fs::read_to_string(place.join(EXPERIMENT_FILE)).unwrap(), run.experiment.source());
    assert_eq!(fs::read_dir(&place).unwrap().count(), 2);
    let tower = run.tower(&cpu()).unwrap();
    assert_eq!(tower.input_size, [64, 80, 80]);
}

#[test]
fn a_folder_that_holds_something_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine"), "x").unwrap();
    let error = Run::init(experiment()).unwrap().create(folder.path()).unwrap_err();
    assert!(matches!(error, RunError::Occupied { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn weights_of_another_experiment_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("run");
    Run::init(experiment()).unwrap().create(&place).unwrap();
    let text = experiment().source().replace("seed = 2511", "seed = 2512");
    fs::write(place.join(EXPERIMENT_FILE), text).unwrap();
    let error = Run::open(&place).unwrap_err();
    assert!(matches!(error, RunError::Mismatch { .. }), "{error}");
}

#[test]
fn a_folder_without_a_run_names_the_command_that_makes_one() {
    let folder = tempfile::tempdir().unwrap();
    let error = Run::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("ctedge-trainer init"), "{error}");
}

#[test]
fn a_checkpoint_has_one_form() {
    let array = |values: &[f32]| Array { shape: vec![values.len()], values: values.to_vec() };
    let arrays = [("b.weight", array(&[1.0, -0.0])), ("a", array(&[f32::MIN_POSITIVE]))];
    let weights = crate::net::Weights(arrays.map(|(name, array)| (name.to_owned(), array)).into());
    let checkpoint = Checkpoint { weights, experiment_sha256: "00".into(), steps: 3, data: "phantoms".into() };
    let bytes = checkpoint.to_bytes().unwrap();
    assert_eq!(bytes, checkpoint.to_bytes().unwrap());
    assert_eq!(Checkpoint::from_bytes(&bytes).unwrap(), checkpoint);
    for length in [0, 7, 60, bytes.len() - 1] {
        assert!(matches!(Checkpoint::from_bytes(&bytes[..length]), Err(CheckpointError::Container { .. })));
    }
}

#[test]
fn a_foreign_file_is_named_as_such() {
    let none = safetensors::serialize(Vec::<(String, safetensors::tensor::TensorView<'_>)>::new(), None).unwrap();
    assert!(matches!(Checkpoint::from_bytes(&none), Err(CheckpointError::Foreign)));
}
