//! A bundle that a device takes, as long as one likes, and somebody who serves it over the broker.

use crate::process::Running;
use crate::{place, tools};
use anyhow::Context;
use ctedge_models::bundle::{self, file_digest};
use ctedge_models::trust::{self, SigningKey, TrustedKeys};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;

/// A bundle that a device takes, and the key that it has to trust.
#[derive(Debug)]
pub struct Parcel {
    _folder: TempDir,
    /// The bundle; its signature lies beside it.
    pub path: PathBuf,
    /// The key that a device has to trust.
    pub public: PathBuf,
    /// Length of the bundle.
    pub bytes: u64,
    /// Its SHA-256, hex.
    pub digest: String,
}

impl Parcel {
    /// The catalog's model with so many MiB beside it that no compression makes smaller.
    pub fn of(mib: u64) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ctedge-parcel-").tempdir()?;
        let trusted = TrustedKeys::load(&place::reference_key()?)?;
        let opened = bundle::open(&place::reference_bundle()?, &trusted, &folder.path().join("opened"))?;
        let mut manifest = opened.manifest().clone();
        (manifest.serial, manifest.version) = (manifest.serial + 1, "9.0.0".to_owned());
        let named =
            manifest.files.keys().map(|name| Ok((name.clone(), opened.path(name).context("a file of the model")?)));
        let mut files = named.collect::<anyhow::Result<Vec<(String, PathBuf)>>>()?;
        let ballast = folder.path().join("ballast");
        std::io::copy(&mut File::open("/dev/urandom")?.take(mib << 20), &mut File::create(&ballast)?)?;
        files.push(("ballast.bin".to_owned(), ballast));
        let path = folder.path().join("parcel.ctb");
        bundle::pack(&manifest, &files, &path)?;
        let (secret, public, _) = trust::keygen(folder.path(), "parcel", None)?;
        trust::sign(&path, &SigningKey::load(&secret, None)?, "parcel")?;
        let (bytes, digest) = file_digest(&path)?;
        Ok(Self { _folder: folder, path, public, bytes, digest })
    }
}

/// Somebody who serves a bundle by the contract's recipe.
#[derive(Debug)]
pub struct Publisher {
    _running: Running,
    /// What `model_update` takes.
    pub offer: Value,
    sent: Arc<AtomicU64>,
}

impl Publisher {
    /// Begins to; `kind` as `tests/peers/publish_bundle.py` knows them.
    pub fn start(parcel: &Path, port: u16, kind: &str) -> anyhow::Result<Self> {
        let script = place::root().join("tests/peers/publish_bundle.py");
        let mut command = Command::new(tools::python()?);
        command.arg(script).arg(place::root().join("daemon/MQTT.md")).args([&port.to_string(), "test"]);
        let mut running = Running::start(command.arg(parcel).arg(kind).stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let mut printed = BufReader::new(running.child().stdout.take().context("its output")?);
        let mut first = String::new();
        printed.read_line(&mut first)?;
        let offer = serde_json::from_str(&first).context("the publisher offers nothing")?;
        let sent = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&sent);
        let count = move || {
            for line in printed.lines().map_while(Result::ok) {
                counted.store(line.parse().unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        };
        std::thread::Builder::new().name("publisher".to_owned()).spawn(count)?;
        Ok(Self { _running: running, offer, sent })
    }

    /// Bytes of pieces that were sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}
