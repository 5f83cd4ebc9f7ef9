//! ctedge: a DICOM drop folder in, abnormality flags over MQTT out.
//!
//! One corridor of rooms, in the order the data walks; each imports only its left neighbour, `floor` and
//! `ctedge-models`:
//!
//! `receive ► intake ► series ► choice ► volume ► infer ► report ► message ► outbox ► publish`
//!
//! Beside it stand `web`, which answers whoever watches, `command`, which holds what the device is told to do, and `update`,
//! which says which model runs.

mod choice;
mod cli;
mod command;
mod config;
mod evidence;
mod floor;
mod infer;
mod intake;
mod message;
mod outbox;
mod pipeline;
mod publish;
mod receive;
mod report;
mod series;
mod update;
mod volume;
mod web;

/// Runs the command line; returns the exit status.
pub fn main() -> std::process::ExitCode {
    cli::main()
}
