//! `pack`, `sign` and `keygen`.
