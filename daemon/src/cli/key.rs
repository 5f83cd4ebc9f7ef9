//! `ctedge key`: generations of the site's key, and the keys that models are signed with.

use super::{complain, say};
use crate::config::Config;
use crate::floor::phi::SiteKey;
use anyhow::Context;
use ctedge_models::trust::{self, Accepted, TrustStore};
use serde_json::json;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to do with which key.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Pseudonyms name the generation of the site's key: sk1_…, sk2_…. While there are several, series that are \
                        under way keep their names, new ones get those of the newest generation, and results carry the \
                        older ones in `also`. The daemon notices at its next start, and its audit log tells.\n\n\
                        Keys of models are looked at whenever a model is loaded. A device that has a root document \
                        (`ctedge-trainer root`) takes from then on only what its keys have signed, and only the next root \
                        that old and new root keys have signed."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Prints the generations of the site's key, the newest first, and the keys that models may be signed with
    List {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Adds a generation; the older ones stay
    RotateSite,
    /// Forgets all generations but the newest: their pseudonyms can be computed no longer
    DropOld,
    /// Takes a root document: the first is pinned in `infer.trust`, a later one must follow the one before
    Trust {
        /// root-N.json; its signatures, root-N.json.*.minisig, lie beside it
        root: PathBuf,
    },
    /// From now on takes nothing that a key has signed, on this device; there is no way back but a new key
    Revoke {
        /// Its id, as `ctedge key list` and minisign print it
        key_id: String,
    },
}

/// Does it.
pub(crate) fn run(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::List { json } => {
            let known = known(config, store(config)?)?;
            say(&if *json { known.told().to_string() } else { known.to_string() });
            Ok(ExitCode::SUCCESS)
        }
        Action::RotateSite => {
            let (site, path) = site(config)?;
            let site = site.rotated(&path).with_context(|| named(&path))?;
            complain(
                "a new generation is made; restart the daemon, and give the key to worklists that compute pseudonyms",
            );
            say_generations(&site);
            Ok(ExitCode::SUCCESS)
        }
        Action::DropOld => {
            let (site, path) = site(config)?;
            let site = site.without_older(&path).with_context(|| named(&path))?;
            complain("older generations are dropped; restart the daemon. A disk may keep what was deleted for a while");
            say_generations(&site);
            Ok(ExitCode::SUCCESS)
        }
        Action::Trust { root } => take(config, root),
        Action::Revoke { key_id } => revoke(config, key_id),
    }
}

fn site(config: &Config) -> anyhow::Result<(SiteKey, PathBuf)> {
    let path = config.paths.site_key();
    Ok((SiteKey::load_or_create(&path).with_context(|| named(&path))?, path))
}

fn named(path: &Path) -> String {
    format!("the site key {}", path.display())
}

fn say_generations(site: &SiteKey) {
    for generation in site.generations() {
        say(&generation.to_string());
    }
}

fn store(config: &Config) -> anyhow::Result<TrustStore> {
    let accepted = config.paths.of_models().trust;
    TrustStore::open(&config.infer.trust, &accepted).with_context(|| {
        format!("the keys of models, in {} (infer.trust) and {}", config.infer.trust.display(), accepted.display())
    })
}

/// What this device knows of keys.
struct Known {
    generations: Vec<u32>,
    store: TrustStore,
}

fn known(config: &Config, store: TrustStore) -> anyhow::Result<Known> {
    Ok(Known { generations: site(config)?.0.generations(), store })
}

impl Known {
    fn models(&self) -> Vec<String> {
        self.store.keys().ids()
    }

    fn revoked(&self) -> Vec<String> {
        self.store.keys().revoked().map(str::to_owned).collect()
    }

    fn told(&self) -> serde_json::Value {
        let root = self.store.root().map(|root| {
            let [keys, _] = root.ids();
            json!({ "version": root.version, "threshold": root.threshold, "keys": keys, "floors": root.floors })
        });
        let (models, revoked) = (self.models(), self.revoked());
        json!({ "site": self.generations, "root": root, "models": models, "revoked": revoked })
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |ids: &[String]| if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
        let generations: Vec<String> = self.generations.iter().map(u32::to_string).collect();
        writeln!(f, "site key     generations {}", generations.join(", "))?;
        match self.store.root() {
            Some(root) => {
                let [keys, _] = root.ids();
                writeln!(
                    f,
                    "root         version {}; {} of {} sign the next",
                    root.version,
                    root.threshold,
                    words(&keys)
                )?;
            }
            None => {
                writeln!(f, "root         none: keys of models are replaced by hand, see `ctedge key trust --help`")?;
            }
        }
        write!(f, "models       {}\nrevoked      {}", words(&self.models()), words(&self.revoked()))
    }
}

fn take(config: &Config, document: &Path) -> anyhow::Result<ExitCode> {
    let mut store = store(config)?;
    let before = store.keys().ids();
    let accepted = store.accept(document).with_context(|| format!("{} is not taken", document.display()))?;
    match accepted {
        Accepted::Known(version) => complain(&format!("root {version} is the one that counts already")),
        Accepted::Followed(version) => complain(&format!("root {version} counts from now on")),
        Accepted::Pinned(version) => {
            let plain = if before.is_empty() { "" } else { "; the .pub files there do not count any more" };
            complain(&format!("root {version} is pinned in {}{plain}", config.infer.trust.display()));
        }
    }
    say(&known(config, store)?.to_string());
    Ok(ExitCode::SUCCESS)
}

fn revoke(config: &Config, key_id: &str) -> anyhow::Result<ExitCode> {
    let key_id = trust::canonical_id(key_id).with_context(|| {
        format!("{key_id:?} is no id of a key: 16 of 0-9 and A-F, as `ctedge key list` prints them")
    })?;
    let mut store = store(config)?;
    store.revoke(&key_id).context("it is not revoked")?;
    complain(
        "revoked here. A model that is running goes on until the daemon is restarted; tell whoever writes the root document",
    );
    say(&known(config, store)?.to_string());
    Ok(ExitCode::SUCCESS)
}
