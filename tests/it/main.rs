//! The house as a whole: its law, and the daemon from drop folder to subscriber beside other people's software.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on says where and stops")]

mod code;
mod rooms;
mod tidy;
