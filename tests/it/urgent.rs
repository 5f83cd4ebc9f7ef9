//! Urgent series: read before all that wait, after at most the one that the model is at.

use crate::scene::Scene;
use ctedge_tests::arrival::Manner;
use ctedge_tests::series::{self, Plan};
use ctedge_tests::{gauge, process};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::process::Command;

const ROUTINE: usize = 12;
const URGENT: usize = 2;

#[test]
fn urgent_series_go_before_all_that_wait() {
    let made = series::make(&Plan::small(ROUTINE + URGENT, 61)).unwrap();
    let (urgent, routine) = made.series.split_at(URGENT);
    for files in urgent {
        let mut command = Command::new("dcmodify");
        process::output(command.args(["-nb", "-i", "(0040,1003)=STAT"]).args(files)).unwrap();
    }
    let scene = Scene::start();
    scene.wait(1, |message| message.topic.ends_with("/info") && message.payload["model"].is_object());
    let family = gauge::family(scene.appliance.pid().unwrap());
    let worker = family.into_iter().find(|pid| gauge::role(*pid) == "infer").unwrap();
    let worker = Pid::from_raw(i32::try_from(worker).unwrap()).unwrap();
    // While the model stands still, one series is with it, one is read, and all others wait.
    kill_process(worker, Signal::STOP).unwrap();
    for (number, files) in routine.iter().enumerate() {
        scene.drop_files(files, &format!("routine{number}"), Manner::Rename);
    }
    scene.wait(ROUTINE, |message| message.topic.ends_with("/event/series_complete"));
    for (number, files) in urgent.iter().enumerate() {
        scene.drop_files(files, &format!("urgent{number}"), Manner::Rename);
    }
    scene.wait(ROUTINE + URGENT, |message| message.topic.ends_with("/event/series_complete"));
    kill_process(worker, Signal::CONT).unwrap();
    let results = scene.results(ROUTINE + URGENT);
    let is_urgent = |seq: &u64| {
        let result = results.iter().find(|result| result.payload["seq"] == *seq);
        result.is_some_and(|result| result.text("priority") == "urgent")
    };
    let places: BTreeSet<u64> = (1..=u64::try_from(results.len()).unwrap()).filter(is_urgent).collect();
    assert_eq!(places, BTreeSet::from([2, 3]), "after the one that was running");
    scene.balanced(u64::try_from(ROUTINE + URGENT).unwrap());
}
