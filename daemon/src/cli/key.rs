//! `ctedge key`: generations of the site's key.

use super::{complain, say};
use crate::config::Config;
use crate::floor::phi::SiteKey;
use anyhow::Context;
use std::process::ExitCode;

/// What to do with the key.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Pseudonyms name their generation: sk1_…, sk2_…. While there are several, series that are under way \
                        keep their names, new ones get those of the newest generation, and results carry the older ones \
                        in `also`. The daemon notices at its next start, and its audit log tells."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum Action {
    /// Prints the numbers of the generations, the newest first
    List,
    /// Adds a generation; the older ones stay
    RotateSite,
    /// Forgets all generations but the newest: their pseudonyms can be computed no longer
    DropOld,
}

/// Lists, adds or drops generations.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let path = config.paths.site_key();
    let named = || format!("the site key {}", path.display());
    let site = SiteKey::load_or_create(&path).with_context(named)?;
    let site = match args.action {
        Action::List => site,
        Action::RotateSite => {
            let site = site.rotated(&path).with_context(named)?;
            complain(
                "a new generation is made; restart the daemon, and give the key to worklists that compute pseudonyms",
            );
            site
        }
        Action::DropOld => {
            let site = site.without_older(&path).with_context(named)?;
            complain("older generations are dropped; restart the daemon. A disk may keep what was deleted for a while");
            site
        }
    };
    for generation in site.generations() {
        say(&generation.to_string());
    }
    Ok(ExitCode::SUCCESS)
}
