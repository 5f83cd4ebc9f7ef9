//! The `ctedge` binary.

fn main() {}
