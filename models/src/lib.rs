//! The ground that trainer and daemon both stand on: how a scan becomes a tensor, and what a model bundle is.
//!
//! `scan` reads DICOM and NIfTI into a [`volume::Volume`] in Hounsfield units; `preprocess` turns a volume into the
//! tensor that a model was trained on; `bundle` packs and opens models, `onnx` reads their graphs, `trust` says whose
//! signature counts; `phantom` makes synthetic chest CT with known findings, and `report` reads reports. No async runtime, no ONNX Runtime, no CUDA, no
//! MQTT and no global state: everything here is synchronous, and pure but for reading the files it is handed.

pub mod bundle;
pub mod evidence;
pub mod labels;
pub mod offer;
pub mod onnx;
pub mod phantom;
pub mod preprocess;
pub mod report;
pub mod scan;
pub mod spec;
pub mod text;
pub mod trust;
pub mod volume;
