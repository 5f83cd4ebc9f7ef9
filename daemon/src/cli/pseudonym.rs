//! `ctedge pseudonym`.

use super::say;
use crate::config::Config;
use crate::floor::phi::{Names, SiteKey};
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

/// Prints `sk1_…` or `ek1_…`, one line a generation of the site's key, the newest first.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let path = config.paths.site_key();
    let site = SiteKey::load_or_create(&path).with_context(|| format!("the site key {}", path.display()))?;
    let (newest, older) = site.names(&args.uid, &args.uid);
    for Names { study_key, series_key } in std::iter::once(newest).chain(older) {
        say(if args.series { &series_key.0 } else { &study_key.0 });
    }
    Ok(ExitCode::SUCCESS)
}
