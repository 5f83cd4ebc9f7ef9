//! The daemon dies at any moment, the broker is away: nothing is lost, nothing is told twice under two names.

use crate::scene::{PATIENCE, Scene, distinct};
use ctedge_tests::arrival::{Dice, Manner};
use ctedge_tests::process;
use ctedge_tests::series::{self, Plan};
use std::time::Duration;

const KILLS: u64 = 50;

#[test]
fn killed_at_fifty_random_moments_every_series_has_one_result_id() {
    let made = series::make(&Plan::small(10, 21)).unwrap();
    let (mut dice, seed) = Dice::any();
    println!("seed {seed}");
    let mut scene = Scene::waiting(|setup| setup.quiet_s = 0.5);
    let every = KILLS / made.series.len() as u64;
    for kill in 0..KILLS {
        scene.appliance.start().unwrap();
        if kill % every == 0 {
            let number = usize::try_from(kill / every).unwrap();
            scene.drop_files(&made.series[number], &format!("s{number}"), Manner::Copy);
        }
        // Not a wait for something, but the random moment itself.
        std::thread::sleep(Duration::from_millis(dice.below(1500)));
        scene.appliance.check().unwrap();
        scene.appliance.kill().unwrap();
    }
    scene.appliance.start().unwrap();
    scene.balanced(10);
    let results = scene.results(10);
    let keys = distinct(&results, "series_key");
    assert_eq!(keys.len(), 10, "seed {seed}: {results:?}");
    assert_eq!(distinct(&results, "id").len(), 10, "seed {seed}: one id a series: {results:?}");
    let odd: Vec<_> = results.iter().filter(|result| !crate::scene::read(result)).collect();
    assert!(odd.is_empty(), "seed {seed}: killed by us, not by their input: {odd:?}");
}

#[test]
fn a_broker_that_is_away_for_the_whole_run_gets_everything_later() {
    let made = series::make(&Plan::small(3, 22)).unwrap();
    let mut scene = Scene::waiting(|_setup| {});
    // The session of the subscriber stays behind in the broker's own database.
    scene.broker.stop().unwrap();
    scene.appliance.start().unwrap();
    for (number, files) in made.series.iter().enumerate() {
        scene.drop_files(files, &format!("s{number}"), Manner::Copy);
    }
    let done = scene.appliance.path("spool/done");
    let finished = || Ok(std::fs::read_dir(&done).map_or(0, Iterator::count) == 3);
    assert!(process::wait_until(PATIENCE, finished).unwrap(), "{}", scene.appliance.log_end());
    assert!(scene.subscriber.messages().is_empty());
    // It may be restarted while the broker is away, too.
    scene.appliance.kill().unwrap();
    scene.appliance.start().unwrap();
    scene.broker.resume().unwrap();
    let results = scene.results(3);
    assert_eq!(distinct(&results, "series_key").len(), 3);
    scene.balanced(3);
}

#[test]
fn a_broker_that_forgets_everything_gets_the_state_again() {
    let mut scene = Scene::start();
    let sessions = |messages: &[ctedge_tests::subscriber::Message]| {
        let online = messages.iter().filter(|m| m.topic.ends_with("/status") && m.text("state") == "online");
        online.map(|message| message.payload["session"].as_u64().unwrap_or_default()).max().unwrap_or_default()
    };
    let before = sessions(&scene.subscriber.messages());
    scene.broker.kill().unwrap();
    scene.broker.resume().unwrap();
    let messages = scene.subscriber.wait(PATIENCE, |messages| sessions(messages) > before).unwrap();
    assert!(sessions(&messages) > before, "a new connection has a higher session number");
}
