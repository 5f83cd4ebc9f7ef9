//! A network as files that runtimes read.
//!
//! In: a [`Trained`] run. Out: the graphs, card and manifest of its bundle. It owns the exported folder, a bundle before
//! packing:
//!
//! ```text
//! DIR/manifest.json   what the bundle says of itself; packing fills in its table of files
//! DIR/vision.onnx     the volume graph
//! DIR/text.onnx       the report graph
//! DIR/tokenizer.json  what makes the report graph's ids
//! DIR/cross_kv.onnx, DIR/decoder_step.onnx  the decoder's graphs, where one was trained
//! DIR/CARD.md         what a person should know of the model
//! ```
//! Never changes a weight but to store it in fewer bits, and never asks a runtime: that both agree is checked by tests.

mod card;
mod error;
mod folder;
pub mod foreign;
pub mod int8;
mod manifest;
pub mod onnx;
mod trace;
mod trained;

pub use card::quantisation;
pub use error::ExportError;
pub use folder::{Exported, Plan, contents, write};
pub use manifest::{CROSS_FILE, STEP_FILE, TEXT_FILE, TOKENIZER_FILE, VISION_FILE};
pub use trace::{DraftTrace, TextTrace, Trace, golden_tensor, npy, phantom_tensor, write_arrays, write_ids};
pub use trained::{Evaluated, Measure, Patients, Trained};

#[cfg(test)]
mod tests;
