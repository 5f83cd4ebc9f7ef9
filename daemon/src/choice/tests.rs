use super::rules::{Preference, Rule, Standing};
use super::*;
use crate::floor::fate::Code;
use crate::floor::phi::SeriesKey;
use crate::floor::store::Store;
use crate::floor::subject::{CompleteBy, Priority, Subject, Verdict};
use crate::series::ledger::Ending;
use ctedge_models::scan::{Patterns, Reason};
use proptest::prelude::*;
use rusqlite::params;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn rule(name: &str, kernel: &[&str]) -> Rule {
    Rule {
        name: name.to_owned(),
        kernel: kernel.iter().map(|&pattern| pattern.to_owned()).collect(),
        image_type: Vec::new(),
        thickness_mm: None,
        coverage_mm: None,
        slices: None,
    }
}

fn best() -> Settings {
    let rules = vec![rule("soft", &["B3*", "B4*"]), rule("lung", &["B7*"])];
    Settings { mode: Mode::Best, study_quiet_s: 10.0, rules, ..Settings::default() }
}

/// A series whose kernel fits the patterns in `kernel`.
fn traits(kernel: &[&str], thickness_mm: f64, coverage_mm: f64) -> Traits {
    let kernel = kernel.iter().map(|&pattern| pattern.to_owned()).collect();
    let fitting = Patterns { kernel, ..Patterns::default() };
    Traits { fitting, thickness_mm, coverage_mm, slices: 100 }
}

fn series(key: &str) -> Completed {
    let subject = Subject {
        study_key: StudyKey("sk1_s".to_owned()),
        series_key: SeriesKey(key.to_owned()),
        digest: key.to_owned(),
        instances: 100,
        expected: None,
        complete_by: CompleteBy::QuietPeriod,
        revision: 1,
        replaces: None,
        completed_ms: 0,
        priority: Priority::Routine,
        choice: None,
    };
    Completed { series: Series { subject, folder: key.into() }, refusal: None }
}

fn judged(settings: &Settings, key: &str, traits: &Traits) -> Completed {
    let mut series = series(key);
    let (choice, refusal) = settings.judge(traits);
    (series.series.subject.choice, series.refusal) = (Some(choice), refusal);
    series
}

fn key(series: &Completed) -> &str {
    &series.series.subject.series_key.0
}

#[test]
fn the_first_rule_that_fits_counts_and_says_what_fitted() {
    let settings = best();
    let (choice, refusal) = settings.judge(&traits(&["B4*", "B7*"], 1.0, 300.0004));
    assert_eq!(refusal, None);
    assert_eq!(
        (choice.verdict, choice.rule.as_deref(), choice.rank, choice.of),
        (Verdict::Chosen, Some("soft"), Some(1), 2)
    );
    assert_eq!((choice.kernel.as_deref(), choice.coverage_mm.to_string()), (Some("B4*"), "300".to_owned()));
}

#[test]
fn a_series_that_no_rule_fits_is_told_what_each_rule_missed() {
    let mut settings = best();
    settings.rules[0] = Rule { thickness_mm: Some([0.5, 3.0]), coverage_mm: Some([150.0, 600.0]), ..rule("thin", &[]) };
    settings.rules[1] = Rule { slices: Some([1, 50]), image_type: vec!["AXIAL".to_owned()], ..rule("lung", &["B7*"]) };
    let (choice, refusal) = settings.judge(&traits(&[], 8.0, 240.0));
    let refusal = refusal.unwrap();
    assert_eq!((choice.verdict, choice.rank, refusal.code), (Verdict::NotChosen, None, Code::NotChosen));
    assert_eq!(refusal.detail, "no rule fits (thin: thickness_mm 8; lung: kernel, image_type, slices 100)");
}

#[test]
fn without_rules_every_series_fits() {
    let settings = Settings { mode: Mode::Best, ..Settings::default() };
    let (choice, refusal) = settings.judge(&traits(&[], 8.0, 240.0));
    assert_eq!((choice.verdict, choice.rule, refusal), (Verdict::Chosen, None, None));
    assert!(settings.asks() && !Settings::default().asks());
}

#[test]
fn wrong_rules_are_told_by_name() {
    let mut settings = best();
    settings.rules.push(Rule { thickness_mm: Some([3.0, 1.0]), ..rule("soft", &[""]) });
    let problems = settings.problems();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems.iter().all(|problem| problem.contains("choice.rules")), "{problems:?}");
}

#[test]
fn a_study_waits_until_it_is_quiet_and_its_series_are_tried_one_by_one() {
    let settings = best();
    let mut studies = Studies::new(&settings);
    let study = StudyKey("sk1_s".to_owned());
    studies.add(judged(&settings, "lung", &traits(&["B7*"], 1.0, 300.0)), secs(0));
    studies.add(judged(&settings, "thick", &traits(&["B3*"], 5.0, 300.0)), secs(5));
    assert!(studies.due(secs(14)).is_empty());
    studies.add(judged(&settings, "thin", &traits(&["B4*"], 1.0, 300.0)), secs(14));
    assert_eq!(studies.due(secs(24)), std::slice::from_ref(&study));
    let mut order = Vec::new();
    for second in 24..27 {
        let ready = studies.decide(&study, &settings, None, secs(second));
        order.extend(ready.iter().map(|series| key(series).to_owned()));
        assert_eq!(studies.released(&study).map(|key| key.0).as_ref(), order.last());
    }
    assert_eq!(order, ["thin", "thick", "lung"], "each is tried when the one before it has no flags");
    assert!(studies.decide(&study, &settings, None, secs(27)).is_empty());
    assert!(studies.due(secs(99)).is_empty(), "nothing is left");
}

#[test]
fn late_series_are_read_only_if_they_are_better() {
    let settings = best();
    let (mut studies, study) = (Studies::new(&settings), StudyKey("sk1_s".to_owned()));
    let before = judged(&settings, "first", &traits(&["B3*"], 3.0, 300.0));
    let chosen = Standing::of(&before.series.subject);
    studies.add(judged(&settings, "alike", &traits(&["B3*"], 3.0, 300.0)), secs(0));
    studies.add(judged(&settings, "better", &traits(&["B3*"], 1.0, 300.0)), secs(0));
    studies.add(before, secs(0));
    let ready = studies.decide(&study, &settings, chosen.as_ref(), secs(10));
    let told = |series: &Completed| {
        let choice = series.series.subject.choice.clone().unwrap();
        let keys = [choice.instead_of, choice.chosen_series_key].map(|key| key.map(|key| key.0).unwrap_or_default());
        (key(series).to_owned(), series.refusal.as_ref().map(|refusal| refusal.code), keys)
    };
    let (none, first) = (String::new(), "first".to_owned());
    assert_eq!(
        ready.iter().map(told).collect::<Vec<_>>(),
        [
            ("alike".to_owned(), Some(Code::OtherChosen), [none.clone(), first.clone()]),
            ("better".to_owned(), None, [first, none.clone()]),
        ]
    );
    let again = studies.decide(&study, &settings, chosen.as_ref(), secs(11));
    assert_eq!(told(&again[0]), ("first".to_owned(), None, [none.clone(), none]), "the chosen one may come again");
}

/// A series of some study: which patterns its kernel fits, thickness, coverage, and whether it will get flags.
type Made = (usize, u32, u32, bool);

fn made() -> impl Strategy<Value = Vec<Made>> {
    proptest::collection::vec((0..3usize, 1..3u32, 1..3u32, any::<bool>()), 0..7)
}

fn numbered(series: Vec<Made>) -> Vec<(usize, Made)> {
    series.into_iter().enumerate().collect()
}

/// Lets each batch arrive within the quiet period and ends what is released. Returns how each series ended, and which was
/// chosen last.
fn play(settings: &Settings, batches: &[&[(usize, Made)]]) -> (BTreeMap<String, Option<Code>>, Option<Standing>) {
    let (mut studies, study) = (Studies::new(settings), StudyKey("sk1_s".to_owned()));
    let (mut ended, mut chosen, mut now) = (BTreeMap::new(), None, secs(0));
    for batch in batches {
        for (number, made) in *batch {
            let one = judged(settings, &number.to_string(), &traits_of(*made));
            now += secs(1);
            match &one.refusal {
                Some(refusal) => assert_eq!(ended.insert(key(&one).to_owned(), Some(refusal.code)), None),
                None => studies.add(one, now),
            }
        }
        for _ in 0..20 {
            now += secs(10);
            for one in studies.decide(&study, settings, chosen.as_ref(), now) {
                let will = batch.iter().any(|(number, made)| number.to_string() == key(&one) && made.3);
                let broken = (!will).then_some(Code::Scan(Reason::Corrupt));
                let code = one.refusal.as_ref().map(|refusal| refusal.code).or(broken);
                if code.is_none() {
                    chosen = Standing::of(&one.series.subject);
                }
                assert_eq!(ended.insert(key(&one).to_owned(), code), None, "exactly one ending each");
            }
        }
    }
    (ended, chosen)
}

fn traits_of((fits, thickness, coverage, _): Made) -> Traits {
    let kernel: &[&str] = [&["B3*"][..], &["B7*"], &[]][fits];
    traits(kernel, f64::from(thickness), f64::from(coverage))
}

/// The best of those that fit a rule and can be read, by an order of its own.
fn best_readable(all: &[(usize, Made)]) -> Option<(usize, Made)> {
    let place = |&(number, (fits, thickness, coverage, _)): &(usize, Made)| (fits, thickness, 9 - coverage, number);
    all.iter().filter(|(_, made)| made.0 < 2 && made.3).copied().min_by_key(place)
}

proptest! {
    /// Whatever comes, in whatever order: every series ends once, and the best of those that can be read has flags.
    #[test]
    fn every_series_ends_once_and_the_best_readable_one_is_read(
        (all, order) in made().prop_map(numbered).prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))
    ) {
        let (ended, _) = play(&best(), &[&order]);
        prop_assert_eq!(&ended, &play(&best(), &[&all]).0, "the order does not matter");
        prop_assert_eq!(ended.len(), all.len());
        let read: Vec<String> = ended.into_iter().filter(|(_, code)| code.is_none()).map(|(key, _)| key).collect();
        let expected = best_readable(&all).map(|(number, _)| number.to_string());
        prop_assert_eq!(read, Vec::from_iter(expected));
    }

    /// However late: every series ends once, and in the end the chosen one is as good as any that can be read.
    #[test]
    fn late_or_not_the_last_chosen_is_the_best(all in made().prop_map(numbered), split in 0..7usize) {
        let (early, late) = all.split_at(split.min(all.len()));
        let (ended, chosen) = play(&best(), &[early, late]);
        prop_assert_eq!(ended.len(), all.len());
        let expected = best_readable(&all).map(|(_, (fits, thickness, coverage, _))| (fits, thickness, coverage));
        let made = chosen.and_then(|chosen| all.iter().find(|(number, _)| number.to_string() == chosen.series_key.0));
        prop_assert_eq!(made.map(|(_, made)| (made.0, made.1, made.2)), expected);
    }
}

/// A ledger beside the room, whose worker answers with the kernel pattern that is the series' folder.
struct Bench {
    settings: Settings,
    store: SharedStore,
}

impl Bench {
    fn new() -> Self {
        let settings = Settings { study_quiet_s: 0.1, ..best() };
        Self { settings, store: Arc::new(Mutex::new(Store::in_memory())) }
    }

    fn work(&self, series: &Completed, state: &str) {
        let Subject { series_key, study_key, .. } = &series.series.subject;
        let sql = "INSERT INTO work (series_key, study_key, state) VALUES (?1, ?2, ?3)";
        lock(&self.store).commit(|t| t.execute(sql, params![series_key.0, study_key.0, state])).unwrap();
    }

    fn end(&self, series: &Completed, reason: Option<&str>) {
        let subject = &series.series.subject;
        let ending = Ending { outcome: "clear", reason };
        let commit = |t: &rusqlite::Transaction<'_>| {
            crate::series::ledger::finish(t, subject, "r1", ending)?;
            ledger::settle(t, Mode::Best, subject, ending)
        };
        lock(&self.store).commit(commit).unwrap();
    }

    /// Runs the room on some series and hands what comes out to `then`, until so many have come out.
    fn run(&self, series: Vec<Completed>, count: usize, mut then: impl FnMut(&Completed)) -> Vec<String> {
        let (in_sender, in_receiver) = sync_channel(16);
        let (out_sender, out_receiver) = sync_channel(16);
        std::thread::scope(|scope| {
            let ended = scope.spawn(move || {
                let read_traits = |series: &Series| Some(Ok(traits(&[series.folder.to_str().unwrap()], 1.0, 300.0)));
                let room = Room { settings: &self.settings, store: &self.store, read_traits: Box::new(read_traits) };
                run(room, &in_receiver, &out_sender)
            });
            for one in series {
                in_sender.send(one).unwrap();
            }
            let mut come = Vec::new();
            for _ in 0..count {
                let one = out_receiver.recv_timeout(secs(10)).unwrap();
                then(&one);
                let reason = one.refusal.as_ref().map_or("read", |refusal| refusal.code.name());
                come.push(format!("{} {reason}", key(&one)));
            }
            drop(in_sender);
            ended.join().unwrap().unwrap();
            come
        })
    }
}

#[test]
fn the_next_best_is_read_when_the_best_is_broken_and_the_rest_is_closed_by_the_ledgers_word() {
    let bench = Bench::new();
    let all = ["B7*", "B3*", "B4*", "H10"].map(series);
    for series in &all {
        bench.work(series, "ready");
    }
    let come = bench.run(all.to_vec(), 4, |series| {
        let broken = (key(series) == "B3*").then_some("corrupt");
        let reason = series.refusal.as_ref().map(|refusal| refusal.code.name()).or(broken);
        bench.end(series, reason);
    });
    assert_eq!(come, ["H10 not_chosen", "B3* read", "B4* read", "B7* other_chosen"]);
    let late = series("B3*");
    bench.work(&late, "ready");
    let come = bench.run(vec![late.clone()], 1, |late| bench.end(late, Some("corrupt")));
    assert_eq!(come, ["B3* other_chosen"], "after a restart, too: no better than the chosen one");
}

#[test]
fn a_chosen_series_that_loses_its_flags_is_no_longer_chosen() {
    let bench = Bench::new();
    let (soft, lung) = (series("B3*"), series("B7*"));
    bench.work(&soft, "ready");
    bench.run(vec![soft.clone()], 1, |series| bench.end(series, None));
    bench.end(&soft, Some("mixed_geometry"));
    bench.work(&lung, "ready");
    assert_eq!(bench.run(vec![lung], 1, |_| {}), ["B7* read"]);
}

#[test]
fn a_study_of_which_a_series_is_still_filling_is_not_decided() {
    let bench = Bench::new();
    let (soft, lung) = (series("B3*"), series("B7*"));
    bench.work(&lung, "ready");
    bench.work(&lung, "open");
    bench.work(&soft, "open");
    let wait = Duration::from_millis(700);
    std::thread::scope(|scope| {
        // Its own late files cannot go on before it has ended and hold nobody up; those of another series do.
        scope.spawn(|| {
            std::thread::sleep(wait);
            lock(&bench.store).commit(|t| t.execute("DELETE FROM work WHERE series_key = 'B3*'", [])).unwrap();
        });
        let clock = Stopwatch::start();
        bench.run(vec![lung], 1, |_| assert!(clock.elapsed() >= wait));
    });
}

#[test]
fn preferences_are_asked_in_their_order() {
    let standing = |thickness_mm, coverage_mm| Standing {
        series_key: SeriesKey("ek1_s".to_owned()),
        rule: None,
        thickness_mm,
        coverage_mm,
    };
    let order = |prefer: &[Preference]| {
        let settings = Settings { prefer: prefer.to_vec(), ..Settings::default() };
        settings.compare(&standing(1.0, 100.0), &standing(5.0, 300.0))
    };
    assert_eq!(order(&[Preference::Thinner, Preference::Longer]), Ordering::Less);
    assert_eq!(order(&[Preference::Longer, Preference::Thinner]), Ordering::Greater);
    assert_eq!(order(&[Preference::Thicker]), Ordering::Greater);
    assert_eq!(order(&[]), Ordering::Equal);
}
