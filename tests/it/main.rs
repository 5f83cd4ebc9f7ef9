//! The house as a whole: its law, and the daemon from drop folder to subscriber beside other people's software.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a test that cannot go on says where and stops"
)]

mod access;
mod answers;
mod archive;
mod arrival;
mod attacks;
mod broker;
mod byo;
mod carriage;
mod choice;
mod code;
mod commands;
mod crash;
mod decoder;
mod delivery;
mod door;
mod drafts;
mod engines;
mod evidence;
mod export;
mod faults;
mod fleet;
mod frames;
mod geometry;
mod graphs;
mod harness;
mod hostile;
mod models;
mod objects;
mod overload;
mod parity;
mod phantom;
mod preset;
mod privacy;
mod providers;
mod pseudonyms;
mod receive;
mod reports;
mod rooms;
mod scene;
mod syntax;
mod tidy;
mod training;
mod trust;
mod urgent;
mod walk;
mod walkthrough;
mod watches;
mod watching;
mod worker;
