//! `torch-sys` 0.24 under the number that burn's libtorch backend asks for; see `tch` beside it.

pub use current::*;
