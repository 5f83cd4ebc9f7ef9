//! `ctedge diag`: the bundle for support.

use super::{complain, doctor, say};
use crate::config::Config;
use crate::floor::clock;
use crate::pipeline::{self, Heard};
use crate::web;
use anyhow::Context;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// Where it is written.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The bundle is a tar packed by Zstandard that only you may read: versions, settings without names, \
                        health, metrics, the rows of `ctedge doctor`, numbers of the ledger, the flight recorder, and what \
                        lies in quarantine (reasons and sizes). It holds pseudonyms, and no log: look into it before you \
                        send it on."
)]
pub(crate) struct Args {
    /// The file [default: ctedge-diag-TIME.tar.zst in the current folder]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Leave `ctedge doctor` out, which loads the model
    #[arg(long)]
    quick: bool,
}

/// Gathers and writes it.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let stamp: String = clock::rfc3339(clock::now_ms()).chars().filter(char::is_ascii_digit).take(14).collect();
    let output = args.output.clone().unwrap_or_else(|| format!("ctedge-diag-{stamp}.tar.zst").into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut heard = runtime.block_on(heard(config));
    if !args.quick {
        complain("looking at folders, model and broker");
        heard.doctor = doctor::checks(config)?.iter().map(doctor::Check::told).collect();
    }
    pipeline::diag(config, heard, &output).with_context(|| output.display().to_string())?;
    say(&output.display().to_string());
    Ok(ExitCode::SUCCESS)
}

/// What the daemon says of itself; of one that does not answer, what the ledger does.
async fn heard(config: &Config) -> Heard {
    let ask = async |path: &str| match config.web.listen.address() {
        Some(address) => web::fetch(address, path).await.ok(),
        None => None,
    };
    let json = |body: Option<Vec<u8>>| body.and_then(|body| serde_json::from_slice::<Value>(&body).ok());
    let status = json(ask("/status").await).or_else(|| pipeline::of_ledger(config).ok());
    Heard {
        health: json(ask("/healthz?verbose").await),
        metrics: ask("/metrics").await.and_then(|body| String::from_utf8(body).ok()),
        status: status.unwrap_or_default(),
        doctor: Vec::new(),
    }
}
