//! The only file that names burn's backends and devices.
//!
//! `Device::default()` is never used: it may pick a GPU that is not there, and then panics on first use.

use burn::tensor::Device;

/// The processor: runs everywhere, pure Rust.
pub fn cpu() -> Device {
    Device::flex()
}
