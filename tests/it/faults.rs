//! A share of the faults of `tests/src/bin/faults/`; the program plays as many as it is asked for.

use std::process::Command;

fn faults(arguments: &[&str]) {
    let done = Command::new(env!("CARGO_BIN_EXE_faults")).args(arguments).output().unwrap();
    let [told, complaint] = [&done.stdout, &done.stderr].map(|text| String::from_utf8_lossy(text));
    println!("{told}");
    assert!(done.status.success(), "{}\n{complaint}", done.status);
}

#[test]
fn killed_at_single_system_calls_it_loses_nothing() {
    faults(&["kill", "--points", "24"]);
}

#[test]
fn killed_again_while_it_recovers_it_loses_nothing() {
    faults(&["recover", "--points", "8"]);
}

#[test]
fn told_that_the_disk_fails_it_loses_nothing_and_does_not_panic() {
    faults(&["io", "--points", "24"]);
}

#[test]
fn file_and_folder_are_synced_before_the_broker_is_told() {
    faults(&["fsync"]);
}

#[test]
fn whatever_happens_to_broker_and_wire_every_result_arrives() {
    faults(&["broker", "--points", "3"]);
}

#[test]
fn a_full_disk_loses_nothing_and_ends_nothing() {
    faults(&["disk"]);
}

#[test]
fn whatever_a_power_cut_leaves_of_the_disk_nothing_acknowledged_is_lost() {
    faults(&["power", "--points", "12"]);
}

#[test]
fn cut_after_single_bytes_of_an_exchange_every_result_arrives() {
    faults(&["wire", "--points", "16"]);
}

#[test]
fn what_a_broker_does_not_keep_for_a_subscriber_that_is_away_arrives() {
    faults(&["offline", "--points", "150"]);
}

#[test]
fn a_bundle_arrives_over_a_connection_that_breaks_and_results_go_first() {
    faults(&["carry", "--mib", "6", "--drops", "3"]);
}

#[test]
fn a_burst_of_files_is_accounted_for() {
    faults(&["burst", "--points", "500"]);
}

#[test]
fn a_series_that_takes_its_worker_down_does_so_twice_and_the_others_are_read() {
    faults(&["poison", "--points", "6"]);
}

#[test]
fn hung_runs_are_ended_and_climb_the_ladder() {
    faults(&["wedge", "--points", "2"]);
}

#[test]
fn killed_while_models_change_one_counts_and_it_is_whole() {
    faults(&["update", "--points", "12"]);
}

#[test]
fn whatever_a_power_cut_leaves_while_models_change_one_counts_and_it_is_whole() {
    faults(&["update-power", "--points", "8"]);
}
