//! `tch` 0.24 under the number that burn's libtorch backend asks for, 0.22: the one is for PyTorch 2.11, the other for 2.9, and
//! what burn calls is the same in both.

pub use current::*;
