//! `root`: the document that says which keys appliances trust, from one version to the next.

use super::{Outcome, Progress};
use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use ctedge_models::trust::{self, Root, TrustError};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Write root documents: which keys appliances trust, and who may change that.
///
/// Appliances pin the first one when they are set up (`ctedge key trust root-1.json`). Every later one counts only with the
/// signatures of as many root keys as the one before it asks for, and as it asks for itself. Keep the secret root keys
/// offline and in different hands; keys for bundles may lie where models are made.
#[derive(Debug, Args)]
#[command(after_help = "From nothing to a pinned root that two of three people can change:\n  \
    ctedge-trainer keygen --out keys --name ann      # and bea, and cem, each at home; and models, where models are made\n  \
    ctedge-trainer root new --root-key ann.pub --root-key bea.pub --root-key cem.pub --threshold 2 --bundle-key models.pub\n  \
    ctedge-trainer sign root-1.json --key ann.key    # and with bea.key; signatures of others are just laid beside it\n  \
    ctedge-trainer root check root-1.json\n\n\
    A key for bundles is stolen:\n  \
    ctedge-trainer root next root-1.json --revoke B7EDCC029069F5D8 --bundle-key new.pub")]
pub(super) struct RootCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    New(New),
    Next(Next),
    Check(Check),
}

/// What may be said in a new document and in the next one.
#[derive(Debug, Args)]
struct Said {
    /// Public key (.pub) that signs root documents; may be given several times
    #[arg(long, value_name = "FILE")]
    root_key: Vec<PathBuf>,
    /// Public key (.pub) that signs bundles; may be given several times
    #[arg(long, value_name = "FILE")]
    bundle_key: Vec<PathBuf>,
    /// NAME=SERIAL: bundles of this model below this serial are not installed any more; may be given several times
    #[arg(long, value_name = "NAME=SERIAL", value_parser = floor)]
    floor: Vec<(String, u64)>,
    /// Folder for the document
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

/// Write the first document
#[derive(Debug, Args)]
struct New {
    /// How many of the root keys must sign the next document
    #[arg(long, value_name = "N")]
    threshold: usize,
    #[command(flatten)]
    said: Said,
}

/// Write the document after another one
#[derive(Debug, Args)]
struct Next {
    /// The document that counts now
    before: PathBuf,
    /// How many of the root keys must sign the one after it
    #[arg(long, value_name = "N")]
    threshold: Option<usize>,
    /// Id of a key that is named no more; may be given several times
    #[arg(long, value_name = "ID", value_parser = key_id)]
    drop: Vec<String>,
    /// Id of a key that never counts again, on nothing; may be given several times
    #[arg(long, value_name = "ID", value_parser = key_id)]
    revoke: Vec<String>,
    #[command(flatten)]
    said: Said,
}

/// Say whether appliances will take a document, and whose signatures are missing
#[derive(Debug, Args)]
struct Check {
    /// The document, its signatures beside it
    document: PathBuf,
    /// The document that counts on the appliances now
    #[arg(long, value_name = "FILE")]
    after: Option<PathBuf>,
}

impl RootCommand {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        progress.say("reading keys");
        match self.action {
            Action::New(new) => new.run(),
            Action::Next(next) => next.run(),
            Action::Check(check) => check.run(),
        }
    }
}

impl New {
    fn run(self) -> anyhow::Result<Outcome> {
        let root = Root {
            schema: trust::SCHEMA.to_owned(),
            version: 1,
            created: jiff::Timestamp::now().to_string(),
            threshold: self.threshold,
            root_keys: Vec::new(),
            bundle_keys: Vec::new(),
            revoked: std::collections::BTreeSet::new(),
            floors: BTreeMap::new(),
        };
        self.said.written(root)
    }
}

impl Next {
    fn run(self) -> anyhow::Result<Outcome> {
        let before = Root::read(&self.before)?;
        let mut root = Root {
            version: before.version.saturating_add(1),
            created: jiff::Timestamp::now().to_string(),
            threshold: self.threshold.unwrap_or(before.threshold),
            ..before
        };
        for id in &self.drop {
            ensure!(root.drop_key(id), "{} names no key {id}", self.before.display());
        }
        // It may have been dropped before.
        self.revoke.iter().for_each(|id| root.revoke_key(id));
        self.said.written(root)
    }
}

impl Said {
    /// Adds what was said, and writes the document.
    fn written(self, mut root: Root) -> anyhow::Result<Outcome> {
        let texts = |files: &[PathBuf]| files.iter().map(|file| trust::key_text(file)).collect::<Result<Vec<_>, _>>();
        root.root_keys.extend(texts(&self.root_key)?);
        root.bundle_keys.extend(texts(&self.bundle_key)?);
        root.floors.extend(self.floor);
        root.check().map_err(|reason| anyhow::anyhow!("{reason}; see `ctedge-trainer root --help`"))?;
        let path = self.out.join(format!("root-{}.json", root.version));
        ensure!(
            !path.exists(),
            "{} exists, and a document that was signed never changes; remove it first",
            path.display()
        );
        crate::run::make_folder(&self.out)?;
        fs::write(&path, serde_json::to_vec_pretty(&root)?).with_context(|| path.display().to_string())?;
        let [roots, bundles] = root.ids();
        let text = format!(
            "wrote {path}: root {version}; {threshold} of {roots} sign the next; bundles: {bundles}\n\
             next: ctedge-trainer sign {path} --key SECRET.key",
            path = path.display(),
            version = root.version,
            threshold = root.threshold,
            roots = roots.join(", "),
            bundles = bundles.join(", "),
        );
        let json = json!({ "document": path, "version": root.version, "root_keys": roots, "bundle_keys": bundles });
        Ok(Outcome { text, json })
    }
}

impl Check {
    fn run(self) -> anyhow::Result<Outcome> {
        let before = self.after.as_deref().map(Root::read).transpose()?;
        let root = match Root::after(before.as_ref(), &self.document) {
            Err(TrustError::RootThreshold { version, of, have, need }) => anyhow::bail!(
                "root {version} is signed by {have} of the keys of root {of}, and {need} are needed: {}; \
                 `ctedge-trainer sign {} --key SECRET.key` with one of them",
                missing(&self.document, before.filter(|before| before.version == of).as_ref())?,
                self.document.display()
            ),
            other => other?,
        };
        let follows = before.map_or_else(
            || "appliances that have none yet will pin it".to_owned(),
            |before| format!("appliances that have root {} will take it", before.version),
        );
        let [roots, bundles] = root.ids();
        let text = format!(
            "root {}: signed by enough; {follows}\nnext: ctedge key trust {}",
            root.version,
            self.document.display()
        );
        let json =
            json!({ "document": self.document, "version": root.version, "root_keys": roots, "bundle_keys": bundles });
        Ok(Outcome { text, json })
    }
}

/// Ids of the root keys, of `of` or of the document itself, that could still sign.
fn missing(document: &Path, of: Option<&Root>) -> anyhow::Result<String> {
    let [keys, _] = match of {
        Some(root) => root.ids(),
        None => Root::read(document)?.ids(),
    };
    Ok(keys.join(", "))
}

fn floor(text: &str) -> Result<(String, u64), String> {
    let (name, serial) = text.split_once('=').ok_or("it is NAME=SERIAL")?;
    Ok((name.to_owned(), serial.parse().map_err(|_error| "SERIAL is a whole number")?))
}

fn key_id(text: &str) -> Result<String, String> {
    trust::canonical_id(text)
        .ok_or_else(|| "it is no id of a key: 16 of 0-9 and A-F, as minisign prints them".to_owned())
}
