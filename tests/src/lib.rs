//! What the end-to-end tests, the benchmark and the workspace's commands share: other people's programs, the daemon as a
//! child process, brokers, subscribers, and the ways in which a scan arrives.

pub mod appliance;
pub mod arrival;
#[cfg(feature = "demo")]
pub mod broker;
#[cfg(feature = "reading")]
pub mod busy;
pub mod contract;
#[cfg(feature = "reading")]
pub mod drafts;
pub mod fuzzing;
pub mod gauge;
pub mod mosquitto;
#[cfg(feature = "reading")]
pub mod package;
#[cfg(feature = "reading")]
pub mod parcel;
#[cfg(feature = "demo")]
pub mod phantom;
pub mod place;
pub mod process;
pub mod progress;
pub mod runtime;
pub mod series;
pub mod stage;
pub mod subscriber;
pub mod tools;
#[cfg(feature = "reading")]
pub mod variant;
