//! `ctedge run`.

use crate::config::{Config, LogFormat};
use crate::pipeline;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Starts the daemon and stays until it is told to stop.
pub(crate) fn run(config: Config) -> anyhow::Result<ExitCode> {
    start_log(&config)?;
    pipeline::run(config)?;
    Ok(ExitCode::SUCCESS)
}

/// Log lines go to standard error, where systemd's journal picks them up.
fn start_log(config: &Config) -> anyhow::Result<()> {
    let filter: EnvFilter = config.log.level.parse()?;
    let json = match config.log.format {
        LogFormat::Json => true,
        LogFormat::Human => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(true);
    if json {
        builder.json().flatten_event(true).init();
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).init();
    }
    Ok(())
}
