//! `ctedge pseudonym`.

use super::say;
use crate::config::Config;
use crate::floor::phi::SiteKey;
use anyhow::Context;
use std::process::ExitCode;

/// Which UID to translate.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A worklist that holds the same site key computes the same pseudonyms itself; MQTT.md has the recipe."
)]
pub(crate) struct Args {
    /// A Study Instance UID, or with `--series` a Series Instance UID
    #[arg(value_name = "UID")]
    uid: String,
    /// The UID is a Series Instance UID
    #[arg(long)]
    series: bool,
}

/// Prints `sk1_…` or `ek1_…`.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let path = config.paths.site_key();
    let site = SiteKey::load_or_create(&path).with_context(|| format!("the site key {}", path.display()))?;
    say(&if args.series { site.series(&args.uid).0 } else { site.study(&args.uid).0 });
    Ok(ExitCode::SUCCESS)
}
