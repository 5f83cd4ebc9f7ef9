//! The slots against their law: at most one model counts, and no model that is proved goes before the next one is.

use super::*;
use crate::floor::store::Store;
use proptest::prelude::*;

fn bundle(serial: u64) -> Bundle {
    Bundle {
        name: "model".to_owned(),
        version: format!("{serial}.0.0"),
        serial,
        digest: format!("{serial:064x}"),
        signer: "0".repeat(16),
        trained: true,
        precision: "f32".to_owned(),
        provider: "cpu".to_owned(),
    }
}

#[test]
fn a_model_comes_beside_counts_on_probation_and_proves_itself() {
    let mut slots = Slots::default();
    slots.adopt(bundle(1), 1);
    assert_eq!(slots.stage(bundle(2), Standing::Staged, 2), Ok(Place::B));
    assert_eq!(slots.active().unwrap().0, Place::A);
    assert_eq!(slots.activate(3), Ok(Place::B));
    assert_eq!(slots.get(Place::A).unwrap().standing, Standing::Standby);
    assert_eq!(slots.stage(bundle(3), Standing::Staged, 4), Err(Unable::Unproved));
    assert_eq!(slots.proves(5), Some(Place::B));
    assert_eq!(slots.stage(bundle(3), Standing::Staged, 6), Ok(Place::A));
    assert_eq!(slots.gives_way("x", "", 7), Err(Unable::NothingBefore), "what was before has been replaced");
}

#[test]
fn a_model_that_does_not_prove_itself_gives_way_after_so_many_starts() {
    let mut slots = Slots::default();
    slots.adopt(bundle(1), 1);
    slots.stage(bundle(2), Standing::Shadow, 2).unwrap();
    slots.activate(3).unwrap();
    for _ in 0..TRIES {
        assert_eq!(slots.starts(4), None);
    }
    assert_eq!(slots.starts(5), Some(Place::A));
    assert_eq!(slots.active().unwrap().1.bundle.serial, 1);
    assert!(matches!(&slots.get(Place::B).unwrap().standing, Standing::Failed { code, .. } if code == "tries"));
    assert_eq!(slots.activate(6), Err(Unable::NoCandidate), "what has failed does not count again");
}

#[test]
fn the_ledger_keeps_what_was_said() {
    let mut store = Store::in_memory();
    let mut slots = Slots::default();
    slots.adopt(bundle(7), 1);
    slots.stage(bundle(8), Standing::Staged, 2).unwrap();
    slots.activate(3).unwrap();
    let trial = Trial::begins(&bundle(8).digest, 3);
    store
        .commit(|transaction| {
            table::keep(transaction, &slots)?;
            table::keep_trial(transaction, Some(&trial))?;
            table::proves(transaction, slots.get(Place::A).unwrap())?;
            table::use_up(transaction, "n1", 4)?;
            table::sees(transaction, 100)?;
            table::sees(transaction, 50)
        })
        .unwrap();
    store
        .read(|connection| {
            assert_eq!(table::slots(connection)?, slots);
            assert_eq!(table::trial(connection)?, Some(trial));
            assert_eq!(table::proved(connection)?["model"].serial, 7);
            assert!(table::is_used(connection, "n1")? && !table::is_used(connection, "n2")?);
            assert_eq!(table::seen_ms(connection)?, 100);
            Ok(())
        })
        .unwrap();
}

#[test]
fn two_models_that_count_are_not_believed() {
    let slot = |serial, standing| Some(Slot { bundle: bundle(serial), standing, since_ms: 0 });
    let slots = Slots::kept(slot(1, Standing::Active), slot(2, Standing::Probation { tries: 1 }));
    assert_eq!(slots.active().unwrap().0, Place::A);
    assert_eq!(slots.candidate().unwrap().0, Place::B);
}

#[derive(Debug, Clone)]
enum Step {
    Adopt,
    Stage(bool),
    Activate,
    Starts,
    Proves,
    GivesWay,
    FailsCandidate,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Adopt),
        any::<bool>().prop_map(Step::Stage),
        Just(Step::Activate),
        Just(Step::Starts),
        Just(Step::Proves),
        Just(Step::GivesWay),
        Just(Step::FailsCandidate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn whatever_happens_one_model_counts_and_a_proved_one_is_there(steps in prop::collection::vec(step(), 0..60)) {
        let (mut slots, mut serial) = (Slots::default(), 0);
        for step in steps {
            let before = slots.clone();
            match step {
                Step::Adopt => {
                    serial += 1;
                    slots.adopt(bundle(serial), 0);
                }
                Step::Stage(shadow) => {
                    serial += 1;
                    let standing = if shadow { Standing::Shadow } else { Standing::Staged };
                    slots.stage(bundle(serial), standing, 0).ok();
                }
                Step::Activate => {
                    slots.activate(0).ok();
                }
                Step::Starts => {
                    slots.starts(0);
                }
                Step::Proves => {
                    slots.proves(0);
                }
                Step::GivesWay => {
                    slots.gives_way("x", "y", 0).ok();
                }
                Step::FailsCandidate => {
                    if let Some((place, _)) = slots.candidate() {
                        slots.fails(place, "x", "y", 0);
                    }
                }
            }
            let standing = |slots: &Slots, of: fn(&Standing) -> bool| {
                Place::ALL.iter().filter(|place| slots.get(**place).is_some_and(|slot| of(&slot.standing))).count()
            };
            prop_assert!(standing(&slots, Standing::counts) <= 1);
            // Once a model counts, there is always one that does.
            prop_assert!(before.active().is_none() || slots.active().is_some());
            let proved = |slots: &Slots| standing(slots, |it| matches!(it, Standing::Active | Standing::Standby));
            // What is proved stays until the next one is.
            prop_assert!(proved(&before) == 0 || proved(&slots) > 0);
            prop_assert_eq!(&Slots::kept(slots.get(Place::A).cloned(), slots.get(Place::B).cloned()), &slots);
        }
    }
}
