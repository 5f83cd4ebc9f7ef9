use super::*;
use crate::device::cpu;
use crate::experiment::Experiment;
use crate::fixture;
use crate::net::{Weights, initial_decoder};
use burn::tensor::{Int, Tensor, TensorData};
use proptest::prelude::*;

const VOCABULARY: usize = 40;
const WORDS: usize = 30;

fn experiment() -> Experiment {
    fixture::experiment(&["decoder.max_tokens = 32"])
}

fn decoder() -> ReportDecoder {
    let experiment = experiment();
    let settings = experiment.decoder.as_ref().unwrap();
    let weights = initial_decoder(&experiment, settings, VOCABULARY).unwrap();
    ReportDecoder::new((&experiment, settings), VOCABULARY, &weights, &cpu()).unwrap()
}

/// What two volumes are seen as, and what is told of their flags.
fn seen() -> (Tensor<3>, Tensor<2>) {
    let values = |count: u16, salt: u16| -> Vec<f32> {
        (0..count).map(|index| f32::from((index * 37 + salt) % 101) / 50.0 - 1.0).collect()
    };
    let flags = (0..36_u8).map(|index| f32::from(index % 3) - 1.0).collect();
    let tokens = TensorData::new(values(2 * 8 * 24, 5), [2, 8, 24]);
    (Tensor::from_data(tokens, &cpu()), Tensor::from_data(TensorData::new::<f32, _>(flags, [2, 18]), &cpu()))
}

fn words(ids: &[u32]) -> Tensor<2, Int> {
    let rows: Vec<u32> = ids.iter().copied().chain(ids.iter().rev().copied()).collect();
    Tensor::from_data(TensorData::new(rows, [2, ids.len()]), &cpu())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

/// Logits of words that come in chunks of these lengths.
fn in_chunks(decoder: &ReportDecoder, ids: &Tensor<2, Int>, lengths: &[usize]) -> Tensor<3> {
    let (tokens, flags) = seen();
    let mut cache = decoder.begin(tokens, flags);
    let chunk = |length: &usize| {
        let first = cache.length();
        decoder.forward(ids.clone().slice_dim(1, first..first + length), &mut cache)
    };
    Tensor::cat(lengths.iter().map(chunk).collect(), 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn words_in_chunks_are_the_words_at_once(
        ids in proptest::collection::vec(0..40_u32, WORDS), cuts in proptest::collection::vec(1..9_usize, WORDS)
    ) {
        let (decoder, ids) = (decoder(), words(&ids));
        let whole = in_chunks(&decoder, &ids, &[WORDS]);
        let mut lengths: Vec<usize> = Vec::new();
        for cut in cuts {
            let left = WORDS - lengths.iter().sum::<usize>();
            lengths.extend((left > 0).then_some(cut.min(left)));
        }
        let prompt_then_words: Vec<usize> = [5].into_iter().chain([1; 18]).chain([7]).collect();
        for lengths in [lengths, prompt_then_words] {
            let apart: f32 = (whole.clone() - in_chunks(&decoder, &ids, &lengths)).abs().max().into_scalar();
            prop_assert!(apart < 1e-4, "{apart} apart in {lengths:?}");
        }
    }
}

#[test]
fn a_word_sees_none_that_comes_after_it() {
    let (decoder, mut ids) = (decoder(), vec![2; WORDS]);
    let before = in_chunks(&decoder, &words(&ids), &[WORDS]).slice([0..1, 0..20]);
    ids[20] = 9;
    let after = in_chunks(&decoder, &words(&ids), &[WORDS]);
    assert_eq!(values(before), values(after.clone().slice([0..1, 0..20])));
    assert_eq!(after.dims(), [2, WORDS, VOCABULARY]);
}

/// The likeliest next word, again and again, each time from the beginning and without a cache.
#[test]
fn greedy_decoding_is_the_full_pass_again_and_again() {
    let decoder = decoder();
    let (tokens, flags) = seen();
    let limits = Limits { start: 2, separator: 3, sections: 2 };
    let written = decoder.greedy(tokens.clone(), flags.clone(), limits).unwrap();
    for (row, report) in (0..).zip(&written) {
        let mut ids = vec![2];
        while ids.len() < 32 && ids.iter().filter(|&&id| id == 3).count() < 2 {
            let mut cache =
                decoder.begin(tokens.clone().slice_dim(0, row..row + 1), flags.clone().slice_dim(0, row..row + 1));
            let shown = Tensor::from_data(TensorData::new(ids.clone(), [1, ids.len()]), &cpu());
            let logits = decoder.forward(shown, &mut cache).slice_dim(1, ids.len() - 1..ids.len());
            ids.push(logits.argmax(2).into_scalar::<u32>());
        }
        assert_eq!(report.ids, ids);
        assert_eq!(report.is_whole, ids.iter().filter(|&&id| id == 3).count() == 2);
    }
}

#[test]
fn flags_and_tokens_both_change_what_is_written() {
    let decoder = decoder();
    let (tokens, flags) = seen();
    let first = |tokens: &Tensor<3>, flags: &Tensor<2>| {
        let mut cache = decoder.begin(tokens.clone(), flags.clone());
        values(decoder.forward(words(&[2]), &mut cache))
    };
    let told = first(&tokens, &flags);
    assert_ne!(told, first(&tokens, &(flags.clone() * -1.0)));
    assert_ne!(told, first(&tokens, &(flags.clone() * 0.0)));
    assert_ne!(told, first(&(tokens.clone() * -1.0), &flags));
}

#[test]
fn a_flag_that_nothing_is_known_of_has_its_base_alone() {
    let memory = decoder().memory;
    let rows = memory.flags.forward(Tensor::from_data(TensorData::new(vec![0.0_f32; 18], [1, 18]), &cpu()));
    assert_eq!(values(rows), values(memory.flags.base.val()));
    let told = memory.flags.forward(Tensor::ones([1, 18], &cpu()));
    let sum = memory.flags.base.val() + memory.flags.present.val();
    assert_eq!(values(told), values(sum));
}

#[test]
fn the_same_seed_gives_the_same_decoder_and_no_number_of_the_towers() {
    let drawn = |seed: u64| {
        let experiment = fixture::experiment(&[&format!("seed = {seed}")]);
        let decoder = experiment.decoder.clone().unwrap();
        initial_decoder(&experiment, &decoder, VOCABULARY).unwrap()
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    assert_eq!(Weights::of(&decoder()).unwrap().0.keys().collect::<Vec<_>>(), drawn(1).0.keys().collect::<Vec<_>>());
}
