//! The only room that names burn's backends and devices; it also holds what the framework walks over the numbers many
//! times for, and one walk can do.
//!
//! `Device::default()` is never used: it may pick a GPU that is not there, and then panics on first use.

mod fused;
mod gradient;
mod kernels;
mod numbers;
mod rows;
#[cfg(test)]
mod tests;

pub use fused::{gelu, layer_norm, softmax};

use burn::tensor::Device;

/// The processor: runs everywhere, pure Rust.
pub fn cpu() -> Device {
    Device::flex()
}
