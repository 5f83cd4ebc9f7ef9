//! The evaluation of a model.
//!
//! In: what a model said of examples that it has not learnt from, and what is true of them. Out: numbers, each with its
//! definition, its chance level and its interval. Owns nothing on disk.

pub mod metrics;
