#![expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a training that goes on must be the same to the last bit; indices are small"
)]

use super::step::Workers;
use super::*;
use crate::device::{Place, Precision, cpu};
use crate::fixture::{self, Classroom};
use crate::loss::{Knowledge, Objective, TokenGrid};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;

const VOCABULARY: &str = "{}";

fn experiment() -> Experiment {
    fixture::experiment(&[])
}

fn untrained() -> Run {
    Run::init(experiment(), 64).unwrap()
}

#[test]
fn a_run_is_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("run");
    let run = untrained();
    run.create(&place, VOCABULARY).unwrap();
    assert_eq!(Run::open(&place).unwrap(), run);
    assert_eq!(fs::read_to_string(place.join(EXPERIMENT_FILE)).unwrap(), run.experiment.source());
    assert_eq!(fs::read_dir(&place).unwrap().count(), 3);
    let tower = run.tower(&cpu()).unwrap();
    assert_eq!(tower.input_size, [16, 32, 32]);
}

#[test]
fn a_folder_that_holds_something_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine"), "x").unwrap();
    let error = untrained().create(folder.path(), VOCABULARY).unwrap_err();
    assert!(matches!(error, RunError::Occupied { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn weights_of_another_experiment_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("run");
    untrained().create(&place, VOCABULARY).unwrap();
    let text = fixture::small(&["seed = 2512"]);
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
    let weights = Weights(arrays.map(|(name, array)| (name.to_owned(), array)).into());
    let checkpoint =
        Checkpoint { weights, experiment_sha256: "00".into(), steps: 3, data: "phantoms".into(), pair_sha256: None };
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

/// Every gradient by the parameter's path.
fn named(network: &Pair, gradients: &GradientsParams) -> BTreeMap<String, Vec<f32>> {
    struct Names<'a>(Vec<String>, &'a GradientsParams, BTreeMap<String, Vec<f32>>);
    impl ModuleVisitor for Names<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.1.get::<D>(param.id) {
                self.2.insert(self.0.join("."), gradient.try_into_vec_as().unwrap());
            }
        }
    }
    let mut names = Names(Vec::new(), gradients, BTreeMap::new());
    network.visit(&mut names);
    names.2
}

fn classroom(changes: &[&str]) -> Classroom {
    let few = [
        "data.corpus.phantoms = { count = 24, seed = 1 }",
        "data.validation_share = 0.2",
        "training.batch = 8",
        "training.micro_batch = 4",
        "training.steps = 9",
        "training.warmup_steps = 2",
        "training.validate_every = 3",
    ];
    Classroom::new(fixture::experiment(&[&few, changes].concat()))
}

fn centres(experiment: &Experiment, device: &Device) -> Tensor<2> {
    let grid = TokenGrid::new(&experiment.input.grid, experiment.vision.patch);
    let values: Vec<f64> = grid.centres_mm().into_iter().flatten().collect();
    Tensor::from_data(TensorData::new(values, [grid.tokens(), 3]), device)
}

#[test]
fn gradients_are_the_same_however_the_batch_is_cut_and_on_however_many_threads() {
    let classroom = classroom(&[]);
    let cohort = classroom.cohort(Split::Train);
    let batch = cohort.step(0).unwrap();
    let device = cpu().autodiff();
    let experiment = &classroom.experiment;
    let knowledge = Knowledge::new(experiment.loss.knowledge.unwrap().source, &cohort, &BTreeMap::new()).unwrap();
    let objective = Objective::new(experiment.loss.clone(), centres(experiment, &device));
    let network = classroom.run().pair(&device).unwrap().train();
    let gradients = |micro_batch: usize, threads: usize| {
        let workers = Workers::new(threads).unwrap();
        let engine = Engine { objective: &objective, device: &device, precision: Precision::F32, workers: &workers };
        let loaded = Loaded::new(&batch, Some(&knowledge), micro_batch, (&device, Precision::F32));
        let found = engine.gradients(&network, &loaded);
        (f64::from(found.terms.total.into_scalar::<f32>()), named(&network, &found.parameters))
    };
    let (loss, whole) = gradients(8, 1);
    assert_eq!(whole.len(), Weights::of(&network).unwrap().0.len(), "every parameter has a gradient");
    for (micro_batch, threads) in [(4, 2), (4, 1), (2, 4), (2, 1), (1, 3)] {
        let (other, parts) = gradients(micro_batch, threads);
        assert!((loss - other).abs() < 1e-5 * loss.abs(), "{micro_batch}: {loss} {other}");
        for (name, gradient) in &whole {
            let largest = gradient.iter().fold(1e-3_f32, |largest, value| largest.max(value.abs()));
            let off = gradient.iter().zip(&parts[name]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 2e-4 * largest, "micro-batches of {micro_batch}: {name} is off by {off} of {largest}");
        }
    }
    assert!(gradients(4, 2) == gradients(4, 1), "with or without graphs kept, to the last bit");
    assert!(gradients(2, 4) == gradients(2, 3), "on four threads or three, to the last bit");
}

/// By libtorch's kernels and graph, on the processor; the numbers beside it are the framework's.
#[cfg(feature = "libtorch")]
#[test]
fn libtorch_takes_the_same_steps() {
    let classroom = classroom(&[]);
    let batch = classroom.cohort(Split::Train).step(0).unwrap();
    let weights = |kind, precision| {
        let place = Place::new(kind, Some(precision)).unwrap();
        let device = place.device.clone().autodiff();
        let objective = Objective::new(classroom.experiment.loss.clone(), centres(&classroom.experiment, &device));
        let mut network = classroom.run().pair(&device).unwrap().train();
        let mut optimiser = Optimiser::new(0.1, 1.0);
        let workers = Workers::new(1).unwrap();
        let engine = Engine { objective: &objective, device: &device, precision, workers: &workers };
        for micro_batch in [8, 4, 2] {
            let loaded = Loaded::new(&batch, None, micro_batch, (&device, precision));
            let found = engine.gradients(&network, &loaded);
            let gathered = Optimiser::gathered(&network, found.parameters).unwrap();
            network = optimiser.step(network, gathered, 1e-3);
        }
        Weights::of(&network).unwrap()
    };
    let expected = weights(crate::device::Kind::Cpu, Precision::F32);
    let before = Weights::of(&classroom.run().pair(&cpu()).unwrap()).unwrap();
    for (precision, share) in [(Precision::F32, 1e-3), (Precision::Bf16, 0.3)] {
        let found = weights(crate::device::Kind::LibtorchCpu, precision);
        let (mut apart, mut moved) = (0.0, 0.0);
        for (name, array) in &expected.0 {
            for ((ours, theirs), start) in array.values.iter().zip(&found.0[name].values).zip(&before.0[name].values) {
                apart += f64::from(ours - theirs).powi(2);
                moved += f64::from(ours - start).powi(2);
            }
        }
        assert!(apart.sqrt() < share * moved.sqrt(), "{precision}: {} of {}", apart.sqrt(), moved.sqrt());
    }
}

#[test]
fn adamw_takes_the_steps_of_its_paper() {
    // One number and one vector, three steps, written out in 64 bits.
    let network = classroom(&[]).run().pair(&cpu().autodiff()).unwrap().train();
    let mut optimiser = Optimiser::new(0.1, 1e9);
    let (mut expected, mut first, mut second) = (std::f64::consts::LN_10, 0.0, 0.0);
    let mut network = network;
    for (step, slope) in [0.5_f64, -0.25, 2.0].into_iter().enumerate() {
        let mut gradients = GradientsParams::new();
        gradients.register(network.log_scale.id, Tensor::<1>::from_data([slope], &cpu()));
        let gathered = Optimiser::gathered(&network, gradients).unwrap();
        assert!((gathered.length - slope.abs()).abs() < 1e-6);
        network = optimiser.step(network, gathered, 0.01);
        let count = i32::try_from(step).unwrap() + 1;
        first = 0.9 * first + 0.1 * slope;
        second = 0.98 * second + 0.02 * slope * slope;
        let (unbiased, spread) = (first / (1.0 - 0.9_f64.powi(count)), second / (1.0 - 0.98_f64.powi(count)));
        expected -= 0.01 * unbiased / (spread.sqrt() + 1e-8);
        let found = f64::from(network.log_scale.val().into_scalar::<f32>());
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

#[test]
fn long_gradients_are_shortened_and_no_numbers_move_nothing() {
    let network = classroom(&[]).run().pair(&cpu().autodiff()).unwrap().train();
    let before = Weights::of(&network).unwrap();
    let mut gradients = GradientsParams::new();
    gradients.register(network.bias.id, Tensor::<1>::from_data([f32::NAN], &cpu()));
    let gathered = Optimiser::gathered(&network, gradients).unwrap();
    assert!(gathered.length.is_nan());
    let network = Optimiser::new(0.1, 1.0).step(network, gathered, 0.01);
    assert_eq!(Weights::of(&network).unwrap(), before);
}

#[test]
fn the_learning_rate_rises_and_falls() {
    let training = crate::experiment::Training { steps: 100, warmup_steps: 10, ..experiment().training };
    let rate = |step| learning_rate(training.rate(), step) / training.learning_rate;
    assert!((rate(0) - 0.1).abs() < 1e-9 && (rate(9) - 1.0).abs() < 1e-9 && (rate(10) - 1.0).abs() < 1e-9);
    assert!((rate(99) - training.final_share).abs() < 1e-9);
    assert!((11..100).all(|step| rate(step) < rate(step - 1)));

    let twice = crate::experiment::Training { restart_at: Some(100), steps: 180, ..training };
    let again = |step| learning_rate(twice.rate(), step) / twice.learning_rate;
    assert!((0..100).all(|step| (again(step) - rate(step)).abs() < 1e-12), "the first time as if it were the only one");
    assert!((again(100) - 0.1).abs() < 1e-9 && (again(110) - 1.0).abs() < 1e-9);
    assert!((again(179) - twice.final_share).abs() < 1e-9);
}

/// Scores each look by its step, so that the best is known; stops after some steps as a killed process would.
struct Bystander {
    records: Vec<StepRecord>,
    dies_after: usize,
    scores: fn(usize) -> f64,
}

impl Bystander {
    fn until(dies_after: usize) -> Self {
        Self { records: Vec::new(), dies_after, scores: |step| step as f64 }
    }
}

impl Watcher for Bystander {
    fn step(&mut self, record: &StepRecord) {
        self.records.push(StepRecord { waited_s: 0.0, seconds: 0.0, ..*record });
    }

    fn look(&mut self, step: usize, network: &Pair) -> Result<Look, Box<dyn std::error::Error + Send + Sync>> {
        assert!(!network.log_scale.val().is_autodiff(), "a look records no graph");
        if step > self.dies_after {
            return Err("killed".into());
        }
        Ok(Look { score: (self.scores)(step), numbers: BTreeMap::from([("seen", 1.0)]) })
    }
}

fn taught(classroom: &Classroom, place: &Path, watcher: &mut Bystander) -> Result<Ended, TrainError> {
    if !place.exists() {
        classroom.run().create(place, VOCABULARY).unwrap();
    }
    let run = Run::open(place).unwrap();
    let cohort = classroom.cohort(Split::Train);
    let given = BTreeMap::new();
    let source = classroom.experiment.loss.knowledge.unwrap().source;
    let knowledge = Knowledge::new(source, &cohort, &given).unwrap();
    let lesson = Lesson { cohort: &cohort, knowledge: Some(&knowledge), place: Place::cpu(), threads: 2 };
    train(place, &run, &lesson, watcher)
}

fn losses(place: &Path) -> Vec<String> {
    let text = fs::read_to_string(place.join(STEPS_FILE)).unwrap();
    // All but the last column, which is time.
    text.lines().map(|line| line.rsplitn(3, ',').nth(2).unwrap().to_owned()).collect()
}

#[test]
fn a_training_that_was_stopped_goes_on_to_the_last_bit() {
    let classroom = classroom(&[]);
    let at = |name: &str| classroom.folder.path().join(name);
    let mut whole = Bystander::until(99);
    let ended = taught(&classroom, &at("whole"), &mut whole).unwrap();
    assert_eq!((ended.steps, ended.resumed_at, ended.best), (9, 0, Some((9, 9.0))));

    let error = taught(&classroom, &at("halves"), &mut Bystander::until(5)).unwrap_err();
    assert!(matches!(error, TrainError::Look { step: 6, .. }), "{error}");
    // A line that was being written, and a checkpoint that was.
    let steps = at("halves").join(STEPS_FILE);
    fs::write(&steps, [fs::read(&steps).unwrap(), b"7,0.1".to_vec()].concat()).unwrap();
    fs::write(at("halves").join(CHECKPOINTS).join("step-00000006.safetensors.partial"), "half").unwrap();
    let mut second = Bystander::until(99);
    let ended = taught(&classroom, &at("halves"), &mut second).unwrap();
    assert_eq!((ended.steps, ended.resumed_at), (9, 3));
    assert_eq!(second.records, whole.records[3..]);
    assert_eq!(losses(&at("halves")), losses(&at("whole")));
    let weights = |name: &str| fs::read(at(name).join(WEIGHTS_FILE)).unwrap();
    assert_eq!(weights("halves"), weights("whole"));
    let looks = fs::read_to_string(at("halves").join(LOOKS_FILE)).unwrap();
    assert_eq!(looks, "step,score,seen\n3,3,1\n6,6,1\n9,9,1\n");
}

#[test]
fn the_best_weights_are_kept_and_few_checkpoints() {
    let classroom = classroom(&["training.patience = 1", "training.keep_checkpoints = 1"]);
    let place = classroom.folder.path().join("run");
    let mut watcher = Bystander { scores: |step| -(step as f64), ..Bystander::until(99) };
    let ended = taught(&classroom, &place, &mut watcher).unwrap();
    assert_eq!((ended.steps, ended.early, ended.best), (6, true, Some((3, -3.0))));
    assert_eq!(Run::open(&place).unwrap().checkpoint.steps, 3);
    let kept = fs::read_dir(place.join(CHECKPOINTS)).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(kept.collect::<Vec<_>>(), ["step-00000006.safetensors"]);
}

#[test]
fn a_loss_that_is_no_number_stops_before_anything_is_written_of_it() {
    let classroom = classroom(&["training.learning_rate = 0.9", "loss.scale = 100.0"]);
    let place = classroom.folder.path().join("run");
    let mut run = classroom.run();
    run.checkpoint.weights.0.get_mut("vision.patch.bias").unwrap().values[0] = f32::NAN;
    run.create(&place, VOCABULARY).unwrap();
    let error = taught(&classroom, &place, &mut Bystander::until(99)).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { step: 1, .. }), "{error}");
    assert!(error.to_string().contains("learning_rate"), "{error}");
    let kept = fs::read_dir(place.join(CHECKPOINTS)).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(kept.collect::<Vec<_>>(), ["step-00000000.safetensors"], "where it began, and nothing after");
    assert_eq!(losses_or_none(&place), 0);
}

fn losses_or_none(place: &Path) -> usize {
    fs::read_to_string(place.join(STEPS_FILE)).map_or(0, |text| text.lines().count())
}

#[test]
fn a_frozen_tower_looks_at_every_case_once_and_learns_the_same() {
    let classroom = classroom(&[
        "vision.tune = \"frozen\"",
        "augment = { shift = [0, 0, 0], noise = 0.0, contrast = 0.0, prompts = 0.0 }",
    ]);
    let at = |name: &str| classroom.folder.path().join(name);
    let mut looking = Bystander::until(99);
    taught(&classroom, &at("looking"), &mut looking).unwrap();

    let run = classroom.run();
    run.create(&at("knowing"), VOCABULARY).unwrap();
    let workers = Workers::new(2).unwrap();
    let seen = std::cell::Cell::new(0);
    let cohort = || classroom.cohort(Split::Train);
    let features = |place: &Path, run: &Run| {
        remembered((place, run), &cohort(), (&cpu(), &workers), &|done| seen.set(done)).unwrap()
    };
    let kept = features(&at("knowing"), &run).unwrap();
    assert_eq!(seen.take(), cohort().len());
    let again = features(&at("knowing"), &run);
    assert!(again.is_some() && seen.get() == 0, "they are computed once");

    let learners = cohort().remembering(kept);
    let source = classroom.experiment.loss.knowledge.unwrap().source;
    let knowledge = Knowledge::new(source, &learners, &BTreeMap::new()).unwrap();
    let lesson = Lesson { cohort: &learners, knowledge: Some(&knowledge), place: Place::cpu(), threads: 2 };
    let mut knowing = Bystander::until(99);
    train(&at("knowing"), &run, &lesson, &mut knowing).unwrap();
    for (one, other) in looking.records.iter().zip(&knowing.records) {
        assert!((one.loss - other.loss).abs() < 1e-5 * one.loss.abs(), "{one:?} {other:?}");
    }
    let weights = |name: &str| Run::open(&at(name)).unwrap().checkpoint.weights;
    let start = run.checkpoint.weights;
    assert_eq!(weights("knowing").resting(), start.resting());
    assert_ne!(weights("knowing").part("vision.flags"), start.part("vision.flags"));
    assert!(features(&at("looking"), &learning_run(&classroom)).is_none(), "one that learns is not remembered");
}

/// An untrained run whose volume tower learns.
fn learning_run(classroom: &Classroom) -> Run {
    Run::init(experiment(), classroom.tokenizer.vocabulary()).unwrap()
}

#[test]
fn a_training_killed_before_its_second_checkpoint_begins_again_from_its_first_weights() {
    let classroom = classroom(&[]);
    let at = |name: &str| classroom.folder.path().join(name);
    taught(&classroom, &at("whole"), &mut Bystander::until(99)).unwrap();
    // The best weights are written before the checkpoint that goes with them.
    taught(&classroom, &at("cut"), &mut Bystander::until(0)).unwrap_err();
    fs::copy(at("whole").join(WEIGHTS_FILE), at("cut").join(WEIGHTS_FILE)).unwrap();
    taught(&classroom, &at("cut"), &mut Bystander::until(99)).unwrap();
    assert_eq!(losses(&at("cut")), losses(&at("whole")));
}
