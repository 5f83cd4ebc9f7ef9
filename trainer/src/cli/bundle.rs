//! `pack`, `sign` and `keygen`: an exported folder to a signed bundle.

use super::{Outcome, Progress};
use crate::export;
use crate::export::foreign::{self, Foreign, Recipe};
use crate::run;
use anyhow::{Context, ensure};
use clap::Args;
use ctedge_models::bundle::{self, BundleDigest};
use ctedge_models::trust::{self, Root, SigningKey};
use jiff::Timestamp;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Pack an exported folder, or a model that was made elsewhere, into one bundle file, NAME-VERSION.ctb.
///
/// Of a folder everything goes in; name and version come from its manifest.json. The same folder gives the same bytes. A model
/// made elsewhere is an ONNX graph from one volume to one row of logits; what an appliance must know of it stands in a recipe
/// (BUNDLE.md, "Bring your own model"). Either way the graphs must pass the checks that they meet on a device.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ctedge-trainer pack exported --out bundles\n  \
    ctedge-trainer pack --onnx model.onnx --recipe byo.toml --logits golden.json --out bundles")]
pub(super) struct Pack {
    /// The folder that `ctedge-trainer export` wrote.
    #[arg(required_unless_present = "onnx")]
    folder: Option<PathBuf>,
    /// A model that was made elsewhere.
    #[arg(long, value_name = "FILE", conflicts_with = "folder", requires = "recipe", requires = "logits")]
    onnx: Option<PathBuf>,
    /// Its recipe (TOML).
    #[arg(long, value_name = "FILE", requires = "onnx")]
    recipe: Option<PathBuf>,
    /// What its own framework computes for the volume that `ctedge-trainer golden` writes: a JSON list.
    #[arg(long, value_name = "FILE", requires = "onnx")]
    logits: Option<PathBuf>,
    /// Folder for the bundle.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

impl Pack {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        if let (Some(onnx), Some(recipe), Some(logits)) = (&self.onnx, &self.recipe, &self.logits) {
            progress.say("reading the model");
            let recipe = Recipe::read(recipe)?;
            let created = Timestamp::from_second(Timestamp::now().as_second())?.to_string();
            let foreign = Foreign::of(onnx, &recipe, foreign::logits(logits)?, created)?;
            run::make_folder(&self.out)?;
            let staging = self.out.join(format!(".{}-{}.partial", recipe.name, recipe.version));
            let packed = foreign.write(&staging).map_err(Into::into).and_then(|()| self.packed(&staging, progress));
            drop(fs::remove_dir_all(&staging));
            return packed;
        }
        self.packed(self.folder.as_deref().unwrap_or(Path::new(".")), progress)
    }

    /// Packs a folder.
    fn packed(&self, folder: &Path, progress: &Progress) -> anyhow::Result<Outcome> {
        progress.say("checking the folder");
        let (manifest, files) = export::contents(folder)?;
        let out = self.out.join(format!("{}-{}.ctb", manifest.name, manifest.version));
        ensure!(
            !out.exists(),
            "{} exists, and a released version never changes; raise its version and serial in the experiment or \
             recipe, or remove the file",
            out.display()
        );
        run::make_folder(&self.out)?;
        progress.say("packing");
        let digest = packed(&manifest, &files, &out)?;
        let bytes = fs::metadata(&out).with_context(|| out.display().to_string())?.len();
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        let text = format!(
            "wrote {file} ({bytes} bytes): manifest.json, {names}\nsha256 {digest}\n\
             next: ctedge-trainer sign {file} --key keys/site.key",
            file = out.display(),
            names = names.join(", "),
        );
        let json = json!({
            "bundle": out, "bytes": bytes, "sha256": digest.as_str(), "name": manifest.name,
            "version": manifest.version, "serial": manifest.serial, "files": names,
        });
        Ok(Outcome { text, json })
    }
}

/// Write the volume on which an appliance tests a model that was made elsewhere, as its framework takes it.
///
/// Run the model on it there, and hand the logits to `ctedge-trainer pack --logits`: an appliance takes the model only if its own
/// runtime computes the same.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ctedge-trainer golden byo.toml --out golden.npy\n\n\
    The next steps stand in models/BUNDLE.md, \"Bring your own model\".")]
pub(super) struct Golden {
    /// The recipe (TOML).
    recipe: PathBuf,
    /// The file: 32-bit floats `[1, 1, z, y, x]` in numpy's format.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Golden {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let recipe = Recipe::read(&self.recipe)?;
        progress.say("making the volume");
        let tensor = export::golden_tensor(&recipe.golden, &recipe.input)?;
        let sha256 = tensor.sha256();
        let ([z, y, x], values) = (recipe.input.grid.size(), tensor.into_values());
        let bytes = export::npy([z, y, x], &values.into_iter().collect::<Vec<f32>>());
        fs::write(&self.out, bytes).with_context(|| self.out.display().to_string())?;
        let text = format!(
            "wrote {out}: float32 [1, 1, {z}, {y}, {x}], values {sha256}\n\
             next: run the model on it, write its {labels} logits as a JSON list, and\n      \
             ctedge-trainer pack --onnx MODEL.onnx --recipe {recipe} --logits golden.json",
            out = self.out.display(),
            labels = recipe.labels.len(),
            recipe = self.recipe.display(),
        );
        let json = json!({ "file": self.out, "shape": [1, 1, z, y, x], "tensor_sha256": sha256, "labels": recipe.labels.len() });
        Ok(Outcome { text, json })
    }
}

/// Packs under another name first, so that nobody ever reads half a bundle.
fn packed(manifest: &bundle::Manifest, files: &[(String, PathBuf)], out: &Path) -> anyhow::Result<BundleDigest> {
    let partial = out.with_extension("partial");
    let digest = bundle::pack(manifest, files, &partial).inspect_err(|_failed| drop(fs::remove_file(&partial)))?;
    fs::rename(&partial, out).with_context(|| out.display().to_string())?;
    Ok(digest)
}

/// Sign a bundle or a root document: writes the signature beside it.
///
/// Appliances take a bundle only with a signature by a key they trust: NAME-VERSION.ctb.minisig. A root document is signed
/// by several keys: root-N.json.KEYID.minisig. Anybody can check either with minisign.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ctedge-trainer sign scale-vlp-tiny-0.5.0.ctb --key keys/site.key\n  \
    minisign -V -p keys/site.pub -m scale-vlp-tiny-0.5.0.ctb")]
pub(super) struct Sign {
    /// The bundle that `ctedge-trainer pack` wrote, or the document that `ctedge-trainer root` did.
    file: PathBuf,
    /// The secret key that `ctedge-trainer keygen` made.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File whose first line is the key's password, if it has one.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Sign {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let comment = comment(&self.file)?;
        progress.say("opening the key");
        let key = signing_key(&self.key, self.password_file.as_deref())?;
        progress.say("signing");
        let (signature, next) = match comment {
            Comment::Bundle(ref text) => (
                trust::sign(&self.file, &key, text)?,
                "give the appliance both files, and the key's .pub if it does not trust it yet",
            ),
            Comment::Root(ref text) => (
                trust::sign_beside(&self.file, &key, text)?,
                "`ctedge-trainer root check` says whether enough have signed",
            ),
        };
        let (Comment::Bundle(comment) | Comment::Root(comment)) = comment;
        let text = format!("wrote {} by key {}\nnext: {next}", signature.display(), key.id());
        let json = json!({ "file": self.file, "signature": signature, "key_id": key.id(), "comment": comment });
        Ok(Outcome { text, json })
    }
}

/// The secret key in a file, opened with the password in another one.
pub(super) fn signing_key(path: &Path, password_file: Option<&Path>) -> anyhow::Result<SigningKey> {
    let password = password_file.map(password).transpose()?;
    let advice = match (&password, path.exists()) {
        (_, false) => "there is no such key; `ctedge-trainer keygen` makes one",
        (None, true) => "the key cannot be used; one made with a password needs --password-file",
        (Some(_), true) => "the key cannot be used with this password",
    };
    SigningKey::load(path, password).context(advice)
}

/// What a signature says of its file.
enum Comment {
    Bundle(String),
    Root(String),
}

fn comment(file: &Path) -> anyhow::Result<Comment> {
    if file.extension().is_some_and(|extension| extension == "json") {
        let root = Root::read(file).context("`ctedge-trainer root` writes root documents")?;
        return Ok(Comment::Root(format!("root {}", root.version)));
    }
    let manifest = bundle::manifest_of(file)
        .with_context(|| format!("{} is no bundle; `ctedge-trainer pack` makes one", file.display()))?;
    Ok(Comment::Bundle(format!("{} {} serial {}", manifest.name, manifest.version, manifest.serial)))
}

/// Make a key pair for signing bundles or root documents: NAME.key (secret, mode 0600) and NAME.pub.
///
/// Keep the secret key off the appliances; they need only NAME.pub in their trust folder (infer.trust). Existing files
/// are never overwritten.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ctedge-trainer keygen --out keys")]
pub(super) struct Keygen {
    /// Folder for the two files.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What the files are called, without extension.
    #[arg(long, default_value = "site")]
    name: String,
    /// File whose first line becomes the password of the secret key; without it the key has none.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Keygen {
    pub(super) fn run(self, progress: &Progress) -> anyhow::Result<Outcome> {
        let plain = !self.name.is_empty() && !self.name.starts_with('.') && !self.name.contains(['/', '\\']);
        ensure!(plain, "--name {:?} is no file name; use letters, digits and -", self.name);
        let password = self.password_file.as_deref().map(password).transpose()?;
        for kind in ["key", "pub"] {
            let path = self.out.join(format!("{}.{kind}", self.name));
            ensure!(
                !path.exists(),
                "{} exists, and keys are never overwritten; choose another --name or --out",
                path.display()
            );
        }
        run::make_folder(&self.out)?;
        progress.say("making a key pair");
        let locked = password.is_some();
        let (secret, public, id) = trust::keygen(&self.out, &self.name, password)?;
        let lock = if locked { "with a password" } else { "without a password: guard the file itself" };
        let text = format!(
            "key {id}\nwrote {} (secret, {lock})\nwrote {} (for the trust folder of the appliances)\n\
             next: ctedge-trainer sign NAME-VERSION.ctb --key {}",
            secret.display(),
            public.display(),
            secret.display()
        );
        let json = json!({ "key_id": id, "secret": secret, "public": public, "password": locked });
        Ok(Outcome { text, json })
    }
}

/// The first line of a file.
pub(super) fn password(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("the password file {}", path.display()))?;
    let line = text.lines().next().unwrap_or_default().to_owned();
    ensure!(!line.is_empty(), "the first line of the password file {} is empty", path.display());
    Ok(line)
}
