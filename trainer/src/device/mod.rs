//! The only room that names burn's backends and devices; it also holds what the framework walks over the numbers many
//! times for, and one walk can do.
//!
//! `Device::default()` is never used: it may pick a GPU that is not there, and then panics on first use.

mod choice;
mod flex;
mod fused;
mod gradient;
mod parts;
mod tape;
#[cfg(test)]
mod tests;
#[cfg(feature = "libtorch")]
mod torch;

pub use choice::{DeviceError, Kind, Place, Precision, cpu};
pub use fused::{CELLS, EDGE, attention, causal_attention, convolution, gelu, layer_norm, linear, residual};
pub use tape::{AdamW, Tape};
