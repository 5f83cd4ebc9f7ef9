//! `ctedge schema`.

use super::say;
use crate::config::Config;
use crate::floor::durable;
use crate::message::{self, Topics};
use anyhow::{Context, bail};
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which part of the contract.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Schemas are JSON Schema 2020-12. `asyncapi` names the topics of this device, by its configuration."
)]
pub(crate) struct Args {
    /// One of the names that the command prints without it, or `asyncapi`
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Writes all of them as files into this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "name")]
    write: Option<PathBuf>,
}

/// Name of the document of all topics.
const ASYNCAPI: &str = "asyncapi";

/// Prints names, one document, or writes all.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let topics = Topics::new(&config.mqtt.prefix, &config.mqtt.device)?;
    let mut all: Vec<(String, Value)> =
        message::documents().iter().map(|document| (document.name.to_owned(), document.schema())).collect();
    all.push((ASYNCAPI.to_owned(), message::asyncapi(&topics)));
    if let Some(folder) = &args.write {
        durable::make_folder(folder).with_context(|| folder.display().to_string())?;
        for (name, document) in all {
            let end = if name == ASYNCAPI { "json" } else { "schema.json" };
            let path = folder.join(format!("{name}.{end}"));
            std::fs::write(&path, pretty(&document)? + "\n").with_context(|| path.display().to_string())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let Some(wanted) = &args.name else {
        say(&all.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join("\n"));
        return Ok(ExitCode::SUCCESS);
    };
    let Some((_, document)) = all.iter().find(|(name, _)| name == wanted) else {
        bail!("there is no schema {wanted}; `ctedge schema` names them");
    };
    say(&pretty(document)?);
    Ok(ExitCode::SUCCESS)
}

fn pretty(document: &Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(document)?)
}
