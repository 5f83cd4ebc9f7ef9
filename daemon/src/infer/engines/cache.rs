//! What a provider builds from a graph on this device: engines and timings of TensorRT. Caches, never more: whatever is
//! missing is built again, nothing comes from outside, and each engine has to pass the golden test whenever it is loaded.

use crate::floor::durable;
use crate::infer::{Provider, Tensorrt};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// On what an engine depends. Another value of any of it is another engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::infer) struct Key<'a> {
    /// SHA-256 of the bundle, hex.
    pub(in crate::infer) digest: &'a str,
    /// The provider.
    pub(in crate::infer) provider: Provider,
    /// Version of ONNX Runtime.
    pub(in crate::infer) runtime: &'a str,
    /// Of the weights.
    pub(in crate::infer) precision: &'a str,
    /// Shape of the input.
    pub(in crate::infer) shape: &'a [usize],
    /// How it is built.
    pub(in crate::infer) tensorrt: &'a Tensorrt,
    /// The machine: [`machine`].
    pub(in crate::infer) machine: &'a str,
}

impl Key<'_> {
    /// The folder of this key below `models`, made if it is not there. Engines of the same bundle for another driver, runtime
    /// or graphics processor are of no use any more, and are deleted.
    ///
    /// # Errors
    /// The folder cannot be made, or an old one not deleted.
    pub(in crate::infer) fn folder(&self, models: &Path) -> io::Result<PathBuf> {
        let of_bundle = models.join(format!("{}.cache", self.digest));
        let name = self.name();
        let others =
            [Provider::Tensorrt, Provider::Cuda, Provider::Cpu].map(|provider| Key { provider, ..self.clone() }.name());
        for entry in entries(&of_bundle)? {
            let is_known = entry.file_name().is_some_and(|name| others.iter().any(|other| name == other.as_str()));
            if !is_known {
                if entry.is_dir() { fs::remove_dir_all(&entry)? } else { fs::remove_file(&entry)? }
            }
        }
        let folder = of_bundle.join(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        // It is in use from now on.
        durable::touch(&folder)?;
        Ok(folder)
    }

    fn name(&self) -> String {
        let Self { digest, provider, runtime, precision, shape, tensorrt, machine } = self;
        let all = format!("{digest}\n{}\n{runtime}\n{precision}\n{shape:?}\n{tensorrt:?}\n{machine}", provider.name());
        HEXLOWER.encode(Sha256::digest(all).get(..8).unwrap_or_default())
    }
}

/// What says which graphics processor, driver and libraries a machine has, below its root folder.
pub(in crate::infer) fn machine(root: &Path) -> String {
    let at = |path: &str| root.join(path);
    let mut files = ["proc/driver/nvidia/version", "etc/nv_tegra_release", "proc/device-tree/model"].map(at).to_vec();
    let cards = entries(&at("proc/driver/nvidia/gpus")).unwrap_or_default();
    files.extend(cards.into_iter().map(|card| card.join("information")));
    let mut said: Vec<String> = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    let libraries = ["usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/local/cuda/lib64"].map(at);
    let is_meant = |name: &str| name.starts_with("libnvinfer.so.") || name.starts_with("libcudart.so.");
    for folder in libraries {
        let names = entries(&folder).unwrap_or_default();
        said.extend(
            names.iter().filter_map(|path| path.file_name()?.to_str()).filter(|name| is_meant(name)).map(str::to_owned),
        );
    }
    said.join("\n")
}

/// Deletes the engines that were made or used longest ago until all of them together are no larger; the one that is in use
/// stays, whatever its size.
///
/// # Errors
/// One cannot be looked at or deleted.
pub(in crate::infer) fn bound(models: &Path, in_use: &Path, most_bytes: u64) -> io::Result<()> {
    let mut engines: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    let caches = entries(models)?.into_iter().filter(|path| path.extension().is_some_and(|it| it == "cache"));
    for engine in caches.flat_map(|cache| entries(&cache).unwrap_or_default()) {
        engines.push((fs::metadata(&engine)?.modified()?, size(&engine)?, engine));
    }
    engines.sort();
    let mut all: u64 = engines.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, engine) in engines.iter().filter(|(.., engine)| engine != in_use) {
        if all <= most_bytes {
            break;
        }
        if engine.is_dir() {
            fs::remove_dir_all(engine)?;
        } else {
            fs::remove_file(engine)?;
        }
        all = all.saturating_sub(*bytes);
    }
    Ok(())
}

fn size(path: &Path) -> io::Result<u64> {
    if !path.is_dir() {
        return Ok(fs::metadata(path)?.len());
    }
    entries(path)?.iter().map(|inner| size(inner)).sum()
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT: Tensorrt =
        Tensorrt { fp16: false, int8: false, layer_norm_fp32: true, workspace_mib: 1024, effort: 3 };
    const HALVED: Tensorrt = Tensorrt { fp16: true, ..EXACT };

    fn key<'a>(digest: &'a str, machine: &'a str) -> Key<'a> {
        let (shape, provider) = (&[1, 1, 80, 144, 144], Provider::Tensorrt);
        Key { digest, provider, runtime: "1.28.0", precision: "f16", shape, tensorrt: &EXACT, machine }
    }

    #[test]
    fn no_two_models_and_no_two_ways_to_build_share_an_engine() {
        let models = tempfile::tempdir().unwrap();
        let first = key("d1", "m");
        let others = [
            key("d2", "m"),
            Key { tensorrt: &HALVED, ..first.clone() },
            Key { runtime: "1.29.0", ..first.clone() },
            Key { precision: "f32", ..first.clone() },
            Key { shape: &[1, 1, 64, 80, 80], ..first.clone() },
        ];
        for other in others {
            assert_ne!(other.folder(models.path()).unwrap(), first.folder(models.path()).unwrap(), "{other:?}");
        }
    }

    #[test]
    fn another_driver_makes_another_engine_and_the_old_one_goes() {
        let models = tempfile::tempdir().unwrap();
        let before = key("d1", "driver 1").folder(models.path()).unwrap();
        fs::write(before.join("engine"), [0; 100]).unwrap();
        assert_eq!(key("d1", "driver 1").folder(models.path()).unwrap(), before);
        assert!(before.join("engine").exists(), "the same key keeps its engine");
        let cuda = Key { provider: Provider::Cuda, ..key("d1", "driver 1") }.folder(models.path()).unwrap();
        assert!(before.exists() && cuda != before, "each provider has its own");
        let after = key("d1", "driver 2").folder(models.path()).unwrap();
        assert!(after != before && !before.exists() && !cuda.exists());
    }

    #[test]
    fn engines_are_bounded_and_the_one_in_use_stays() {
        let models = tempfile::tempdir().unwrap();
        let folders = ["d1", "d2"].map(|digest| key(digest, "m").folder(models.path()).unwrap());
        for folder in &folders {
            fs::write(folder.join("engine"), [0; 1000]).unwrap();
        }
        bound(models.path(), &folders[0], 2000).unwrap();
        assert!(folders.iter().all(|folder| folder.exists()));
        bound(models.path(), &folders[0], 1500).unwrap();
        assert!(folders[0].exists() && !folders[1].exists());
        bound(models.path(), &folders[0], 10).unwrap();
        assert!(folders[0].exists());
    }

    #[test]
    fn a_machine_is_told_by_its_driver_cards_and_libraries() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(machine(root.path()), "");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/driver/nvidia/version", "NVRM version: 580.1");
        write("proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: H200");
        write("usr/lib/aarch64-linux-gnu/libnvinfer.so.10.3.0", "");
        write("usr/lib/aarch64-linux-gnu/libother.so.1", "");
        let told = machine(root.path());
        assert_eq!(told, "NVRM version: 580.1\nModel: H200\nlibnvinfer.so.10.3.0");
    }
}
