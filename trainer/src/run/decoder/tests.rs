use super::super::{CHECKPOINTS, Dictation, Limits, STEPS_FILE, TrainError, Workers, looked_at};
use super::*;
use crate::device::cpu;
use crate::fixture::{self, Classroom};
use crate::loss::Split;
use ctedge_models::bundle::LabelSpec;
use ctedge_models::labels::Label;
use std::error::Error;
use std::path::PathBuf;

fn classroom(changes: &[&str]) -> Classroom {
    let few = [
        "data.corpus.phantoms = { count = 24, seed = 1 }",
        "data.validation_share = 0.2",
        "training.micro_batch = 2",
        "decoder.steps = 6",
        "decoder.batch = 5",
        "decoder.warmup_steps = 2",
        "decoder.validate_every = 2",
    ];
    Classroom::new(fixture::experiment(&[&few, changes].concat()))
}

/// Watches, and gives up at the look after so many steps.
struct Bystander {
    until: usize,
    drafts: Vec<(usize, super::super::Written)>,
}

impl Bystander {
    fn until(until: usize) -> Self {
        Self { until, drafts: Vec::new() }
    }
}

impl DecoderWatcher for Bystander {
    fn step(&mut self, _: &DecoderRecord) {}

    fn look(&mut self, step: usize, look: &DecoderLook) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.drafts.clone_from(&look.drafts);
        if step < self.until { Ok(()) } else { Err("seen enough".into()) }
    }
}

fn specs() -> Vec<LabelSpec> {
    Label::all().map(|label| LabelSpec { label, threshold: 0.5, temperature: 1.0 }).collect()
}

fn taught(
    classroom: &Classroom,
    place: &Path,
    threads: usize,
    watcher: &mut Bystander,
) -> Result<super::super::Ended, TrainError> {
    let run = classroom.run();
    if !place.exists() {
        run.create(place, &classroom.tokenizer.to_json().unwrap()).unwrap();
    }
    let (device, workers, specs) = (cpu(), Workers::new(threads).unwrap(), specs());
    let settings = run.decoder_settings().unwrap();
    let [learners, judges] = [Split::Train, Split::Validation].map(|split| classroom.cohort(split));
    fs::create_dir_all(place.join(DECODER_FOLDER)).unwrap();
    let [learners, judges] = [&learners, &judges].map(|cohort| {
        let features = looked_at((&place.join(DECODER_FOLDER), &run), cohort, (&device, &workers), &|_| {}).unwrap();
        Dictation::new(cohort, (&run.experiment, settings), &specs, features).unwrap()
    });
    let limits = Limits::of(&classroom.tokenizer);
    let lesson =
        DecoderLesson { learners: &learners, judges: &judges, drafts: 2, limits, device: &device, workers: &workers };
    train_decoder(place, &run, &lesson, watcher)
}

/// Weights and table of steps, without the times.
fn left(place: &Path) -> (Vec<u8>, Vec<String>) {
    let steps = fs::read_to_string(place.join(DECODER_FOLDER).join(STEPS_FILE)).unwrap();
    let timeless = steps.lines().map(|line| line.rsplitn(3, ',').nth(2).unwrap().to_owned());
    (fs::read(place.join(DECODER_FILE)).unwrap(), timeless.collect())
}

#[test]
fn a_training_of_a_decoder_that_is_cut_ends_with_the_same_bits_on_any_number_of_threads() {
    let classroom = classroom(&["decoder.scheduled_sampling = 0.3"]);
    let at = |name: &str| -> PathBuf { classroom.folder.path().join(name) };
    let mut watcher = Bystander::until(99);
    let ended = taught(&classroom, &at("whole"), 2, &mut watcher).unwrap();
    assert_eq!((ended.steps, ended.resumed_at), (6, 0));
    assert_eq!(watcher.drafts.len(), 2);
    assert!(watcher.drafts.iter().all(|(_, draft)| draft.ids[0] == classroom.tokenizer.begin()));
    // The look after the fourth step ends it before its checkpoint: it goes on from the second.
    let cut = taught(&classroom, &at("cut"), 1, &mut Bystander::until(4)).unwrap_err();
    assert!(matches!(cut, TrainError::Look { step: 4, .. }), "{cut}");
    let ended = taught(&classroom, &at("cut"), 1, &mut Bystander::until(99)).unwrap();
    assert_eq!((ended.steps, ended.resumed_at), (6, 2));
    assert_eq!(left(&at("cut")), left(&at("whole")));
    assert_eq!(left(&at("whole")).1.len(), 7);
    let kept = fs::read_dir(at("whole").join(DECODER_FOLDER).join(CHECKPOINTS)).unwrap().count();
    assert_eq!(kept, classroom.experiment.training.keep_checkpoints);
}

#[test]
fn a_decoder_learns_the_words_of_its_reports() {
    let classroom = classroom(&["decoder.steps = 40", "decoder.learning_rate = 1e-2", "decoder.validate_every = 40"]);
    let place = classroom.folder.path().join("run");
    taught(&classroom, &place, 2, &mut Bystander::until(99)).unwrap();
    let (_, lines) = left(&place);
    let loss = |line: &String| -> f64 { line.split(',').nth(1).unwrap().parse().unwrap() };
    let (first, last) = (loss(&lines[1]), loss(lines.last().unwrap()));
    assert!(first > 4.5 && last < 0.85 * first, "{first} to {last}");
}

#[test]
fn a_decoder_of_other_towers_is_refused() {
    let classroom = classroom(&["decoder.steps = 2", "decoder.warmup_steps = 1"]);
    let place = classroom.folder.path().join("run");
    taught(&classroom, &place, 2, &mut Bystander::until(99)).unwrap();
    let mut run = classroom.run();
    let there = run.trained_decoder(&place).unwrap().unwrap();
    assert_eq!((there.steps, there.pair_sha256), (2, Some(run.checkpoint.weights.sha256())));
    run.checkpoint.weights.0.get_mut("vision.flags.bias").unwrap().values[0] += 1.0;
    let error = run.trained_decoder(&place).unwrap_err();
    assert!(matches!(error, RunError::OtherPair { .. }) && error.to_string().contains(DECODER_FILE), "{error}");
    assert!(run.trained_decoder(classroom.folder.path()).unwrap().is_none());
    run.experiment.decoder = None;
    assert!(matches!(run.untrained_decoder().unwrap_err(), RunError::NoDecoder));
}
