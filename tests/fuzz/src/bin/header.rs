//! Any bytes as a file: which series does it belong to?
#![no_main]

use ctedge_fuzz::{Memory, limits};
use ctedge_models::scan::{self, Urgent};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let file = Memory::new(bytes);
    if let Ok(header) = scan::header(&file.path(), &limits(), &Urgent::default()) {
        assert!(header.digest.len() == 64 && !header.series_uid.is_empty() && !header.study_uid.is_empty());
    }
});
