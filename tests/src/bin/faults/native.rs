//! What is loaded into the daemon before its own libraries, where no system call can be made to do the same.

use anyhow::Context;
use ctedge_tests::{place, process};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Compiles a library of C; it lies in the build's folder then.
pub(crate) fn library(name: &str, source: &str) -> anyhow::Result<PathBuf> {
    let folder = place::target().join("faults");
    fs::create_dir_all(&folder)?;
    // Several programs may do so at the same time.
    let work = tempfile::Builder::new().tempdir_in(&folder)?;
    let (text, half) = (work.path().join(format!("{name}.c")), work.path().join(name));
    fs::write(&text, source)?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]).arg(&half).arg(&text).arg("-ldl");
    process::output(&mut compiler).context("a C compiler is needed, as it is for Rust")?;
    let whole = folder.join(format!("{name}.so"));
    fs::rename(&half, &whole)?;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_write_writes_what_it_says() {
        let library = library("short", include_str!("calls/short.c")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let written = |order: &str| {
            let script = "exec 1> out; printf 12345678";
            let mut shell = Command::new("sh");
            shell.args(["-c", script, "run"]).env("LD_PRELOAD", &library).env("SHORT", order);
            let done = shell.current_dir(folder.path()).output().unwrap();
            (fs::read_to_string(folder.path().join("out")).unwrap(), done.status.success())
        };
        assert_eq!(written("main:write:1:half"), ("12345678".to_owned(), true), "the shell writes the rest");
        assert_eq!(written("main:write:1:full"), ("1234".to_owned(), false), "there was no room for it");
        assert_eq!(written("other:write:1:full"), ("12345678".to_owned(), true));
        assert_eq!(written("main:pwrite64:1:full"), ("12345678".to_owned(), true));
    }
}
