//! `permit`: leave for one device to install one older bundle, once.

use super::bundle::signing_key;
use super::{Outcome, Progress};
use anyhow::{Context, ensure};
use clap::Args;
use ctedge_models::bundle::{self, BundleDigest};
use ctedge_models::trust::{self, Permit as Document};
use jiff::{Timestamp, ToSpan};
use serde_json::json;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// Permit one device to install one bundle whose serial is lower than that of the model it has.
///
/// Writes the permit and its signature; `ctedge-trainer publish --permit` sends both. A device takes a permit once.
/// Floors of the root document stay: no permit lets anything in below them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    ctedge-trainer permit --device ct-1 scale-vlp-tiny-0.2.0.ctb --key keys/site.key --days 2")]
pub(super) struct Permit {
    /// The bundle.
    bundle: PathBuf,
    /// The device, by its name on the broker (mqtt.device).
    #[arg(long, value_name = "DEVICE")]
    device: String,
    /// A secret key that may sign bundles.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File whose first line is the key's password, if it has one.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Days until it permits nothing any more.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(i64).range(1..=366))]
    days: i64,
    /// Where it is written; its signature goes beside it.
    #[arg(long, value_name = "FILE", default_value = "permit.json")]
    out: PathBuf,
}

impl Permit {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        ensure!(
            !self.out.exists(),
            "{} exists, and a signed permit never changes; choose another --out",
            self.out.display()
        );
        let manifest = bundle::manifest_of(&self.bundle)
            .with_context(|| format!("{} is no bundle; `ctedge-trainer pack` makes one", self.bundle.display()))?;
        progress.say("opening the key");
        let key = signing_key(&self.key, self.password_file.as_deref())?;
        progress.say("signing");
        let digest = BundleDigest::of(&self.bundle).with_context(|| self.bundle.display().to_string())?;
        let expires = Timestamp::from_second(Timestamp::now().as_second())? + (self.days * 24).hours();
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
        let permit = Document::new(&self.device, digest.as_str(), nonce, expires).map_err(anyhow::Error::msg)?;
        let text = serde_json::to_vec_pretty(&permit)?;
        let file = OpenOptions::new().write(true).create_new(true).open(&self.out);
        file.and_then(|mut file| file.write_all(&text)).with_context(|| self.out.display().to_string())?;
        let signature = trust::sign(&self.out, &key, &permit.comment())?;
        let text = format!(
            "wrote {out} and {signature} by key {id}: {device} may install {name} {version} (serial {serial}) once until \
             {expires}\nnext: ctedge-trainer publish {bundle} --broker HOST --device {device} --permit {out}",
            out = self.out.display(),
            signature = signature.display(),
            id = key.id(),
            device = self.device,
            name = manifest.name,
            version = manifest.version,
            serial = manifest.serial,
            bundle = self.bundle.display(),
        );
        let json = json!({
            "permit": self.out, "signature": signature, "key_id": key.id(), "device": permit.device,
            "digest": permit.digest, "nonce": permit.nonce, "expires": permit.expires,
        });
        Ok(Outcome { text, json })
    }
}
