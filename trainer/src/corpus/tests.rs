use super::*;
use crate::experiment::{Corpus, Data, Experiment};
use crate::fixture::changed;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// An experiment of small tensors: about six thousand to a shard, unless `size` is large.
fn experiment(size: [usize; 3], spacing_mm: [f64; 3]) -> Experiment {
    let grid = [format!("input.grid.spacing = {{ spacing_mm = {spacing_mm:?}, size = {size:?} }}")];
    let shares = [("patch", 4), ("densities", 8)];
    let edges = shares.map(|(name, share)| format!("vision.{name} = {:?}", size.map(|edge| edge / share)));
    let lines: Vec<&str> = grid.iter().chain(&edges).map(String::as_str).collect();
    Experiment::parse(&changed(&lines)).unwrap()
}

fn coarse() -> Experiment {
    experiment([16, 16, 16], [20.0, 20.0, 20.0])
}

fn phantoms(count: usize, seed: u64) -> Listing {
    open(Corpus::Phantoms { count, seed }, None, &coarse().input).unwrap()
}

fn prepared(listing: Listing, experiment: &Experiment, out: &Path) -> Result<Prepared, CorpusError> {
    prepare(listing, experiment, out, &|_| {})
}

fn bare(patient: &str, group: &str, split: Option<Split>) -> Listed {
    let mut listed = phantoms(1, 0).cases.remove(0);
    listed.case.patient = patient.to_owned();
    listed.case.group = group.to_owned();
    Listed { split, ..listed }
}

fn shares(validation_share: f64, test_share: f64) -> Data {
    Data { corpus: Corpus::Folder, validation_share, test_share }
}

fn splits(patients: &[String], data: &Data, seed: u64) -> Vec<Split> {
    let cases = patients.iter().enumerate().map(|(scan, patient)| bare(patient, &scan.to_string(), None)).collect();
    split::assign(&mut Listing { cases, ..Listing::default() }, data, seed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_patient_is_in_two_splits_and_newcomers_move_nobody(
        old in prop::collection::vec("[a-c][0-9]{1,2}", 1..60),
        new in prop::collection::vec("[a-c][0-9]{1,2}", 0..60),
        seed: u64,
    ) {
        let data = shares(0.3, 0.3);
        let both: Vec<String> = new.iter().chain(&old).cloned().collect();
        let mut of_patient: BTreeMap<&String, Split> = BTreeMap::new();
        for (patient, split) in both.iter().zip(splits(&both, &data, seed)) {
            prop_assert_eq!(*of_patient.entry(patient).or_insert(split), split);
        }
        for (patient, split) in old.iter().zip(splits(&old, &data, seed)) {
            prop_assert_eq!(of_patient[patient], split);
        }
    }
}

#[test]
fn shares_come_out_about_right_and_follow_the_seed() {
    let patients: Vec<String> = (0..4000).map(|number| format!("patient {number}")).collect();
    let count = |splits: &[Split], split| splits.iter().filter(|&&of| of == split).count();
    let drawn = splits(&patients, &shares(0.1, 0.25), 7);
    // Three standard deviations of a binomial count of 4000.
    assert!(count(&drawn, Split::Validation).abs_diff(400) < 57, "{}", count(&drawn, Split::Validation));
    assert!(count(&drawn, Split::Test).abs_diff(1000) < 83, "{}", count(&drawn, Split::Test));
    assert_ne!(drawn, splits(&patients, &shares(0.1, 0.25), 8));
    assert_eq!(count(&splits(&patients, &shares(0.0, 0.0), 7), Split::Train), 4000);
}

#[test]
fn a_corpus_keeps_its_own_split_and_lends_validation_patients() {
    let own = |validation: bool| {
        let train = (0..200).map(|number| bare(&format!("train_{number}"), &number.to_string(), Some(Split::Train)));
        let test = (0..50).map(|number| bare(&format!("valid_{number}"), &format!("v{number}"), Some(Split::Test)));
        let given = validation.then(|| bare("given", "given", Some(Split::Validation)));
        let mut listing = Listing { cases: train.chain(test).chain(given).collect(), ..Listing::default() };
        split::assign(&mut listing, &shares(0.2, 0.5), 1)
    };
    let drawn = own(false);
    assert!(
        drawn[..200].iter().all(|&split| split != Split::Test),
        "test_share does not touch a corpus with a test set"
    );
    assert!((20..60).contains(&drawn[..200].iter().filter(|&&split| split == Split::Validation).count()));
    assert!(drawn[200..].iter().all(|&split| split == Split::Test));
    assert!(own(true)[..200].iter().all(|&split| split == Split::Train), "a corpus with both keeps both");
}

#[test]
fn evaluation_takes_the_first_reconstruction_of_a_scan_and_training_all() {
    let cases = vec![
        bare("a", "scan", Some(Split::Test)),
        bare("a", "scan", Some(Split::Test)),
        bare("a", "other scan", Some(Split::Test)),
        bare("b", "third", Some(Split::Train)),
        bare("b", "third", Some(Split::Train)),
    ];
    let mut listing = Listing { cases, ..Listing::default() };
    let splits = split::assign(&mut listing, &shares(0.0, 0.0), 1);
    assert_eq!(splits, [Split::Test, Split::Test, Split::Train, Split::Train]);
    assert_eq!(listing.left_out.iter().map(|left| left.why).collect::<Vec<_>>(), [Why::Reconstruction]);
}

#[test]
fn phantoms_are_stored_and_read_back_within_half_a_unit_of_sixteen_bits() {
    let folder = TempDir::new().unwrap();
    let experiment = coarse();
    let listing = phantoms(5, 40);
    let done = std::cell::Cell::new(0);
    let prepared = prepare(listing.clone(), &experiment, folder.path(), &|now: Progress| {
        assert!(now.done >= done.get() && now.total == 5);
        done.set(now.done);
    });
    let prepared = prepared.unwrap();
    assert_eq!((done.get(), prepared.shards, prepared.kept), (5, 1, 0));
    assert_eq!(prepared.stored.values().sum::<usize>(), 5);

    let shards = Shards::open(folder.path(), &experiment.input).unwrap();
    assert_eq!((shards.size(), shards.data()), ([16, 16, 16], &experiment.data));
    assert_eq!(shards.digest(), prepared.corpus_sha256);
    for (index, (stored, listed)) in shards.cases().iter().zip(&listing.cases).enumerate() {
        assert_eq!(stored.case, listed.case);
        let Source::Phantom(recipe) = &listed.source else { panic!("no phantom") };
        assert_eq!(stored.case.labels, Some(recipe.labels()));
        let exact = ctedge_models::preprocess::tensor(&recipe.volume().unwrap(), &experiment.input).into_values();
        let read = shards.volume(index).unwrap();
        assert_eq!(read.len(), exact.len());
        let worst = read.iter().zip(&exact).map(|(read, exact)| (read - exact).abs()).fold(0.0, f32::max);
        assert!(worst < 5e-4, "{worst}");
    }
    let error = shards.volume(5).unwrap_err();
    assert!(matches!(error, CorpusError::NoCase { index: 5, count: 5 }), "{error}");
    let ids: BTreeSet<&str> = shards.cases().iter().map(|stored| stored.case.id.as_str()).collect();
    assert_eq!(ids.len(), 5);
}

#[test]
fn values_of_the_usual_window_are_off_by_less_than_a_two_thousandth() {
    let values: Vec<f32> = (0..=65_535u16).map(|step| f32::from(step) / 32_767.5 - 1.0).collect();
    let bytes = shards::stored_bytes(&values);
    let read = bytes.chunks(2).map(|pair| half::f16::from_le_bytes([pair[0], pair[1]]).to_f32());
    let worst = values.iter().zip(read).map(|(value, read)| (value - read).abs()).fold(0.0, f32::max);
    assert!(worst <= 1.0 / 4096.0, "{worst}");
}

/// Tensors so large that a shard holds two of them.
fn large() -> Experiment {
    experiment([128, 224, 224], [4.0, 2.0, 2.0])
}

#[test]
fn preparing_goes_on_where_it_stopped_and_gives_the_same_bytes() {
    let (whole, broken) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let experiment = large();
    let first = prepared(phantoms(5, 1), &experiment, whole.path()).unwrap();
    assert_eq!((first.shards, first.kept), (3, 0));

    // Where the second shard should be written there is no room, as on a full disk.
    let blocked = broken.path().join("shard-00001.safetensors.partial");
    fs::create_dir(&blocked).unwrap();
    let error = prepared(phantoms(5, 1), &experiment, broken.path()).unwrap_err();
    assert!(matches!(error, CorpusError::Write { .. }) && error.to_string().contains("shard-00001"), "{error}");
    let error = Shards::open(broken.path(), &experiment.input).unwrap_err();
    assert!(matches!(error, CorpusError::NotPrepared { .. }), "{error}");

    fs::remove_dir(&blocked).unwrap();
    fs::write(broken.path().join("shard-00002.safetensors"), "half of one").unwrap();
    fs::write(broken.path().join("shard-00007.safetensors"), "of a larger corpus").unwrap();
    fs::write(broken.path().join("shard-00004.safetensors.partial"), "half").unwrap();
    let second = prepared(phantoms(5, 1), &experiment, broken.path()).unwrap();
    assert_eq!(second, Prepared { kept: 1, ..first });
    assert_eq!(contents(broken.path()), contents(whole.path()));

    let other = prepared(phantoms(5, 2), &experiment, broken.path()).unwrap();
    assert_eq!(other.kept, 0, "other patients are other shards");
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn damage_is_told_with_file_and_row() {
    let folder = TempDir::new().unwrap();
    let experiment = coarse();
    prepared(phantoms(3, 1), &experiment, folder.path()).unwrap();
    let path = folder.path().join("shard-00000.safetensors");
    let whole = fs::read(&path).unwrap();
    let row = 2 * 16 * 16 * 16;

    let shards = Shards::open(folder.path(), &experiment.input).unwrap();
    let mut bytes = whole.clone();
    let place = bytes.len() - row - 1;
    bytes[place] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(shards.volume(0).is_ok() && shards.volume(2).is_ok());
    let error = shards.volume(1).unwrap_err().to_string();
    assert!(error.contains("shard-00000.safetensors, row 1"), "{error}");

    fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    let error = shards.volume(2).unwrap_err().to_string();
    assert!(error.contains("row 2: cannot be read"), "{error}");
    for length in [0, 7, 100, whole.len() - 10] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = Shards::open(folder.path(), &experiment.input).unwrap_err();
        assert!(matches!(error, CorpusError::Damaged { .. }), "{length}: {error}");
    }
    fs::write(&path, &whole).unwrap();
    let index = folder.path().join("cases.jsonl");
    fs::write(&index, fs::read_to_string(&index).unwrap().replace("test", "train").replace("phantom-1", "phantom-9"))
        .unwrap();
    let error = Shards::open(folder.path(), &experiment.input).unwrap_err();
    assert!(matches!(error, CorpusError::Damaged { .. }) && error.to_string().contains("cases.jsonl"), "{error}");
}

#[test]
fn shards_of_another_input_and_foreign_folders_are_refused() {
    let folder = TempDir::new().unwrap();
    prepared(phantoms(2, 1), &coarse(), folder.path()).unwrap();
    let other = experiment([16, 16, 16], [20.0, 20.0, 21.0]);
    let error = Shards::open(folder.path(), &other.input).unwrap_err();
    assert!(matches!(error, CorpusError::OtherInput { .. }), "{error}");

    fs::write(folder.path().join("thesis.tex"), "mine").unwrap();
    let error = prepared(phantoms(2, 1), &coarse(), folder.path()).unwrap_err();
    assert!(error.to_string().contains("thesis.tex"), "{error}");
    assert!(Shards::open(folder.path(), &coarse().input).is_ok(), "left as it was");
}
