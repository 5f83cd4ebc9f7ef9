//! Model bundles: one signed file that holds graphs, labels, input contract and a golden test. `BUNDLE.md` is normative.

mod manifest;

pub use manifest::{FileEntry, Golden, Graph, LabelSpec, Manifest, Requires, TensorIo, Training};
