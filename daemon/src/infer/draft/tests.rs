use super::search::{End, Found, Grammar, Lost, Steps, write};
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::LazyLock;

const BEGIN: u32 = 0;
const END: u32 = 1;
const STOP: u32 = 2;
const WORDS: u32 = 8;
static NEVER: LazyLock<BTreeSet<u32>> = LazyLock::new(|| BTreeSet::from([BEGIN]));
static STOPS: LazyLock<BTreeSet<u32>> = LazyLock::new(|| BTreeSet::from([STOP]));

/// A decoder whose logits follow from the tokens alone.
struct Toy<F> {
    logits: F,
    calls: usize,
}

impl<F: Fn(&[u32]) -> Vec<f32>> Steps for Toy<F> {
    type State = Rc<Vec<u32>>;
    type Error = String;

    fn step(
        &mut self,
        past: Option<&Self::State>,
        token: u32,
        place: usize,
    ) -> Result<(Self::State, Vec<f32>), String> {
        self.calls += 1;
        let mut told = past.map(|past| past.to_vec()).unwrap_or_default();
        assert_eq!(told.len(), place, "a token stands where it stands");
        told.push(token);
        Ok((Rc::new(told.clone()), (self.logits)(&told)))
    }
}

fn grammar(forbids: &dyn Fn(&[u32]) -> bool) -> Grammar<'_> {
    Grammar { begin: BEGIN, end: END, never: &NEVER, stops: &STOPS, max_tokens: 24, forbids, owes: &|_| Vec::new() }
}

fn written(logits: impl Fn(&[u32]) -> Vec<f32>, settings: &Settings, forbids: &dyn Fn(&[u32]) -> bool) -> Found {
    write(&mut Toy { logits, calls: 0 }, &grammar(forbids), settings).unwrap()
}

/// Logits that make this token the likeliest by far.
fn sure(token: u32) -> Vec<f32> {
    (0..WORDS).map(|id| if id == token { 9.0 } else { 0.1 * f32::from(u16::try_from(id).unwrap()) }).collect()
}

/// Says `script`, whatever was said before.
fn reciting(script: &'static [u32]) -> impl Fn(&[u32]) -> Vec<f32> {
    move |told| sure(script.get(told.len() - 1).copied().unwrap_or(END))
}

fn settings() -> Settings {
    Settings { no_repeat: 0, ..Settings::default() }
}

#[test]
fn a_report_ends_with_its_second_section() {
    let found = written(reciting(&[3, 4, STOP, END, 5, END, 6, 7]), &settings(), &|_| false);
    assert_eq!((found.ids.as_slice(), found.end), ([3, 4, STOP, END, 5, END].as_slice(), End::Whole));
    assert_eq!(found.steps, 7);
}

#[test]
fn one_that_never_stops_is_cut_where_it_may_not_go_on() {
    let endless = |told: &[u32]| sure(3 + u32::try_from(told.len() % 3).unwrap());
    let found = written(endless, &settings(), &|_| false);
    assert_eq!((found.ids.len(), found.end), (23, End::Length));
    let short = written(endless, &Settings { max_tokens: 6, ..settings() }, &|_| false);
    assert_eq!((short.ids.len(), short.end), (5, End::Length));
    let slow = |told: &[u32]| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        endless(told)
    };
    let late = written(slow, &Settings { within_s: 0.05, ..settings() }, &|_| false);
    assert_eq!(late.end, End::Time);
    assert!(late.ids.len() < 8, "{late:?}");
}

#[test]
fn logits_that_are_no_numbers_are_no_words() {
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let broken = move |told: &[u32]| if told.len() > 3 { vec![0.0, wrong, 1.0] } else { sure(3) };
        for beams in [1, 3] {
            let settings = Settings { beams, ..settings() };
            let refused = write(&mut Toy { logits: broken, calls: 0 }, &grammar(&|_| false), &settings);
            assert_eq!(refused, Err(Lost::NotFinite));
        }
    }
}

#[test]
fn no_section_says_the_same_words_twice_in_a_row_of_the_stated_length() {
    let stuck = |told: &[u32]| sure([3, 4, 5][(told.len() - 1) % 3]);
    let found = written(stuck, &Settings { no_repeat: 3, ..settings() }, &|_| false);
    let mut seen = BTreeSet::new();
    for window in found.ids.split(|id| *id == END).flat_map(|section| section.windows(3)) {
        assert!(seen.insert(window.to_vec()), "{window:?} comes twice in {:?}", found.ids);
    }
}

#[test]
fn a_sentence_that_may_not_stand_is_written_otherwise() {
    // Likes 3 best, then 4, as the beginning of a sentence.
    let logits = |told: &[u32]| match told.last() {
        Some(&(BEGIN | STOP)) if told.len() > 6 => sure(END),
        Some(&(BEGIN | STOP)) => vec![0.0, 0.0, 0.0, 5.0, 4.0, 0.0, 0.0, 0.0],
        Some(&(3 | 4)) => sure(6),
        Some(&6) => sure(STOP),
        _ => sure(END),
    };
    let free = written(logits, &settings(), &|_| false);
    assert_eq!(free.ids, [3, 6, STOP, 3, 6, STOP, END, END]);
    let kept = written(logits, &settings(), &|section| section.contains(&3));
    assert_eq!(kept.ids, [4, 6, STOP, 4, 6, STOP, END, END]);
    assert!(kept.steps > free.steps);
    let all = written(logits, &settings(), &|_| true);
    assert_eq!(all.end, End::Whole, "what cannot be avoided is written, and marked later");
}

#[test]
fn no_section_says_a_sentence_twice() {
    // Likes 3 best as the beginning of a sentence, then 4, then to end.
    let logits = |told: &[u32]| match told.last() {
        Some(&(BEGIN | STOP | END)) => vec![0.0, 3.0, 0.0, 5.0, 4.0, 0.0, 0.0, 0.0],
        Some(&(3 | 4)) => sure(STOP),
        _ => sure(END),
    };
    let twice = written(logits, &settings(), &|_| false);
    assert_eq!(twice.ids[..4], [3, STOP, 3, STOP]);
    let once = written(logits, &Settings { no_repeat: 12, ..settings() }, &|_| false);
    assert_eq!(once.ids, [3, STOP, 4, STOP, END, 3, STOP, 4, STOP, END], "another section may say it again");
    assert_eq!(once.end, End::Whole);
}

#[test]
fn a_section_is_told_what_it_owes_before_it_ends() {
    let script = reciting(&[3, 4, STOP, END, 3, END, END, END, END, END, END, END]);
    let owes = |section: &[u32]| {
        let owed = [4, 5].into_iter().filter(|word| !section.contains(word));
        owed.flat_map(|word| [word, 6, STOP]).collect::<Vec<u32>>()
    };
    let owing = Grammar { owes: &owes, ..grammar(&|_| false) };
    let found = write(&mut Toy { logits: script, calls: 0 }, &owing, &settings()).unwrap();
    assert_eq!(found.ids, [3, 4, STOP, 5, 6, STOP, END, 4, 6, STOP, 5, 6, STOP, END], "in either section, each once");
    assert_eq!(found.end, End::Whole);
    let never = Grammar { owes: &|_| vec![6, STOP], ..grammar(&|_| false) };
    let found = write(&mut Toy { logits: reciting(&[END, END]), calls: 0 }, &never, &settings()).unwrap();
    assert_eq!(found.ids, [6, STOP, END, 6, STOP, END], "what is not understood is told once");
}

#[test]
fn a_beam_finds_what_greed_misses() {
    // 3 is the likelier first word, but what follows it is spread thin; after 4 everything is sure.
    let logits = |told: &[u32]| match told {
        [BEGIN] => vec![-9.0, -9.0, -9.0, 1.0, 0.8, -9.0, -9.0, -9.0],
        [BEGIN, 3, ..] => vec![-9.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        _ => sure(END),
    };
    assert_eq!(written(logits, &settings(), &|_| false).ids[0], 3);
    assert_eq!(written(logits, &Settings { beams: 3, ..settings() }, &|_| false).ids, [4, END, END]);
}

proptest! {
    /// With beams for everything, the beam search is an exhaustive one.
    #[test]
    fn a_wide_beam_finds_the_likeliest_report(table in prop::collection::btree_map(prop::collection::vec(1u32..4, 0..4), prop::collection::vec(-3.0f32..3.0, 4), 0..40)) {
        let logits = |told: &[u32]| table.get(&told[1..]).cloned().unwrap_or(vec![0.0, 0.5, 0.0, 0.0]);
        let grammar = Grammar { max_tokens: 4, ..grammar(&|_| false) };
        let settings = Settings { beams: 16, length: 0.0, ..settings() };
        let found = write(&mut Toy { logits, calls: 0 }, &grammar, &settings).unwrap();
        let mut best: BTreeMap<Vec<u32>, f64> = BTreeMap::new();
        let mut open = vec![(vec![], 0.0)];
        while let Some((ids, score)) = open.pop() {
            if ids.iter().filter(|id| **id == END).count() == 2 || ids.len() == 3 {
                best.insert(ids, score);
                continue;
            }
            let told = [&[BEGIN], ids.as_slice()].concat();
            let logits = logits(&told);
            let norm = logits.iter().map(|logit| f64::from(*logit).exp()).sum::<f64>().ln();
            for (token, logit) in (0..).zip(&logits).skip(1) {
                open.push(([ids.as_slice(), &[token]].concat(), score + f64::from(*logit) - norm));
            }
        }
        let highest = best.values().copied().fold(f64::MIN, f64::max);
        // With more reports than beams the search may end before the best is found, never with one that does not exist.
        prop_assert!(best.contains_key(&found.ids));
        if best.len() <= 16 {
            prop_assert!((best[&found.ids] - highest).abs() < 1e-9);
        }
    }
}
