//! Any bytes as a file of a series, its pixels included.
#![no_main]

use ctedge_fuzz::{Memory, limits};
use ctedge_models::scan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let file = Memory::new(bytes);
    // One slice alone is no volume, but is decoded to tell whether that is all that is wrong.
    if let Ok(read) = scan::read(&[file.path()], &limits()) {
        assert_eq!(read.facts.size, read.volume.geometry().size());
        assert!(read.facts.hu_range[0] <= read.facts.hu_range[1]);
    }
});
