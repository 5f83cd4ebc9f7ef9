//! `ctedge manual`.

use super::Cli;
use crate::floor::durable;
use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where it goes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder for `ctedge.1` and a page for each command, and for `ctedge.bash`, `ctedge.fish` and `_ctedge`
    #[arg(long, value_name = "FOLDER")]
    write: PathBuf,
}

/// Shells that there are completions for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Fish, Shell::Zsh];

/// Writes all of it.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    write(&args.write).with_context(|| args.write.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path) -> std::io::Result<()> {
    durable::make_folder(folder)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder)?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut Cli::command(), "ctedge", folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;

    fn texts(folder: &Path) -> BTreeMap<String, String> {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        files.map(|file| (file.file_name().into_string().unwrap(), fs::read_to_string(file.path()).unwrap())).collect()
    }

    /// `ctedge manual --write daemon/manual` makes the committed files.
    #[test]
    fn the_committed_manual_is_that_of_the_code() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let (made, committed) = (texts(folder.path()), texts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("manual")));
        assert_eq!(made.keys().collect::<Vec<_>>(), committed.keys().collect::<Vec<_>>());
        for (name, text) in &made {
            assert_eq!(Some(text), committed.get(name), "{name}");
        }
        assert!(made["ctedge-run.1"].contains("Runs the daemon"));
        assert!(!made.keys().any(|name| name.contains("worker")), "workers are not for people");
    }
}
