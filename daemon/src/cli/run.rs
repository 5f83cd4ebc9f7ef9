//! `ctedge run`.

use crate::config::{Config, LogFormat};
use crate::pipeline::{self, Farewell};
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Starts the daemon and stays until it is told to stop.
pub(crate) fn run(config: Config) -> anyhow::Result<ExitCode> {
    start_log(&config)?;
    Ok(match pipeline::run(config)? {
        Farewell::Stop => ExitCode::SUCCESS,
        Farewell::Restart => ExitCode::from(pipeline::RESTART),
    })
}

/// Log lines go to standard error, where systemd's journal picks them up.
fn start_log(config: &Config) -> anyhow::Result<()> {
    let filter: EnvFilter = config.log.level.parse()?;
    let json = match config.log.format {
        LogFormat::Json => true,
        LogFormat::Human => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let heard = filter.and(filter_fn(is_heard));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if json {
        tracing_subscriber::registry().with(lines.json().flatten_event(true).with_filter(heard)).init();
    } else {
        let lines = lines.with_ansi(std::io::stderr().is_terminal());
        tracing_subscriber::registry().with(lines.with_filter(heard)).init();
    }
    Ok(())
}

/// Other people's libraries are heard from warnings up, whatever the filter says: in their finer messages they name the
/// files of the drop folder, and those names may hold a patient's.
fn is_heard(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("ctedge") || *metadata.level() <= Level::WARN
}
