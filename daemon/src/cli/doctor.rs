//! `ctedge doctor`: is this device set up?

use super::{Outcomes, first_day, say};
use crate::config::Config;
use crate::floor::phi::SiteKey;
use crate::infer::{self, Inference, Model, Unscored};
use crate::update::transfer;
use crate::{pipeline, publish, receive, volume};
use comfy_table::{Table, presets};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;

/// How to print it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 when everything is well, 1 when something is not.")]
pub(crate) struct Args {
    /// One JSON object with all checks
    #[arg(long)]
    json: bool,
    /// What the device itself is as well: kernel, power, clocks, sensors, GPU, and the model on each provider alone
    #[arg(long)]
    first_day: bool,
}

pub(super) struct Check {
    /// What is looked at.
    pub(super) name: &'static str,
    /// What was found, or what is wrong with it.
    pub(super) result: Result<String, String>,
}

/// Looks at everything the daemon needs.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let mut checks = checks(config)?;
    if args.first_day {
        checks.extend(first_day::checks(config));
    }
    let all = if checks.iter().all(|check| check.result.is_ok()) { Outcomes::Good } else { Outcomes::Bad };
    if args.json {
        say(&serde_json::json!({ "checks": checks.iter().map(Check::told).collect::<Vec<_>>() }).to_string());
    } else {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
        for Check { name, result } in &checks {
            let (mark, detail) = match result {
                Ok(detail) => ("ok", detail),
                Err(detail) => ("PROBLEM", detail),
            };
            table.add_row([*name, mark, detail]);
        }
        say(&table.to_string());
    }
    Ok(all.exit_code())
}

impl Check {
    /// As JSON.
    pub(super) fn told(&self) -> serde_json::Value {
        let (ok, detail) = match &self.result {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        serde_json::json!({ "check": self.name, "ok": ok, "detail": detail })
    }
}

/// Everything the daemon needs, looked at once.
pub(super) fn checks(config: &Config) -> anyhow::Result<Vec<Check>> {
    let mut checks = vec![
        Check { name: "drop folder", result: writable(&config.paths.incoming) },
        Check { name: "spool", result: writable(&config.paths.spool).and_then(|text| same_filesystem(config, text)) },
        Check { name: "state", result: writable(&config.paths.state) },
        Check { name: "site key", result: site_key(config) },
    ];
    let isolation = volume::isolation(&config.volume).map(|()| "workers are walled in (landlock, seccomp)".to_owned());
    checks.push(Check { name: "isolation", result: isolation });
    checks.extend(receive::check(&config.receive).map(|result| Check { name: "receiver", result }));
    checks.extend(model(config));
    checks.push(Check { name: "servers of models", result: servers(config) });
    checks.push(Check { name: "broker", result: broker(config)? });
    Ok(checks)
}

fn writable(folder: &Path) -> Result<String, String> {
    let probe = folder.join(format!(".ctedge-doctor-{}", std::process::id()));
    fs::write(&probe, b"probe")
        .and_then(|()| fs::remove_file(&probe))
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder.display().to_string())
}

fn same_filesystem(config: &Config, text: String) -> Result<String, String> {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).map_err(|error| error.to_string());
    if device(&config.paths.incoming)? == device(&config.paths.spool)? {
        Ok(text)
    } else {
        Ok(format!("{text}; on another filesystem than the drop folder, so that every file is copied"))
    }
}

fn site_key(config: &Config) -> Result<String, String> {
    let path = config.paths.site_key();
    SiteKey::load_or_create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path.display().to_string())
}

fn model(config: &Config) -> [Check; 4] {
    let library = infer::find_library(config.infer.library.as_deref());
    let library = library.map(|path| path.display().to_string()).map_err(|missing| missing.to_string());
    match Inference::start(&config.setup(pipeline::bundle_of(config))) {
        Err(error) => [
            Check { name: "ONNX Runtime", result: library },
            Check { name: "model", result: Err(error.reason) },
            Check { name: "provider", result: Err("no model is loaded".to_owned()) },
            Check { name: "watches", result: Err("no model is loaded".to_owned()) },
        ],
        Ok(inference) => {
            let model = inference.model();
            let library = library.map(|path| format!("{} at {path}", model.runtime));
            let said = format!(
                "{} {}, {}, signed by {}, golden volume within {:.1e}",
                model.name,
                model.version,
                if model.trained { "trained" } else { "RANDOM WEIGHTS" },
                model.signer,
                model.golden_difference
            );
            let provider = match model.passed_over.as_slice() {
                [] => model.provider.name().to_owned(),
                reasons => format!("{}; not {}", model.provider.name(), reasons.join("; not ")),
            };
            [
                Check { name: "ONNX Runtime", result: library },
                Check { name: "model", result: Ok(said) },
                Check { name: "provider", result: Ok(provider) },
                Check { name: "watches", result: watches(config, model) },
            ]
        }
    }
}

/// Whether the model can score all that the site watches.
fn watches(config: &Config, model: &Model) -> Result<String, String> {
    let told = |(name, reason): &(String, Unscored)| format!("{name}: {reason}");
    match (config.watch.len(), model.unscored.as_slice()) {
        (0, _) => Ok("none; [[watch]] describes a finding in words".to_owned()),
        (count, []) => Ok(format!("{count}, each read by the model")),
        (_, unscored) => Err(unscored.iter().map(told).collect::<Vec<_>>().join("; ")),
    }
}

/// A device that takes models from no server lacks nothing where it trusts none.
fn servers(config: &Config) -> Result<String, String> {
    match transfer::trusted(&config.update).map_err(|error| error.to_string())? {
        0 => Ok("no authority is known, so that models come from no server; update.ca names one".to_owned()),
        count => Ok(format!("{count} authorities may vouch for them")),
    }
}

fn broker(config: &Config) -> anyhow::Result<Result<String, String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let place = format!("{}:{}", config.mqtt.host, config.mqtt.port);
    let probed = runtime.block_on(publish::probe(&config.mqtt));
    let probed = probed.map(|version| format!("{place}, MQTT {}", version.name()));
    Ok(probed.map_err(|error| format!("{place}: {error}")))
}
