//! `ctedge-trainer`: the command line. Everything it does is in the library.

use clap::Parser;
use ctedge_trainer::cli::Cli;
use std::process::ExitCode;

/// Training takes and returns many megabytes with every operation. The system's allocator hands them back to the kernel
/// each time, which cost a fifth of the processor's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h, which the bindings have no name for.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> ExitCode {
    keep_memory();
    Cli::parse().run()
}

/// Keeps memory that was given back for the next operation, which wants as much: purged pages come back from the kernel one
/// by one, each filled with zeros first, and that was a fifth of a step on one thread.
fn keep_memory() {
    // SAFETY: sets a number in the allocator's table of options, before there is a second thread that could read it.
    #[expect(unsafe_code, reason = "the allocator's options are set in C")]
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, -1);
    }
}
