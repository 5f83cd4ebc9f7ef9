//! The reference model with an endless loop in it, packed and signed by a key of its own.

use crate::scene::Scene;
use anyhow::Context;
use ctedge_models::bundle;
use ctedge_models::trust::{self, SigningKey, TrustedKeys};
use ctedge_tests::{place, tools};
use std::fs;
use std::path::PathBuf;

/// A value that makes the model loop where it fills a volume, in HU.
pub(crate) const BRIGHT_HU: i16 = 2000;

/// Has the daemon run a model that loops for ever on bright volumes.
pub(crate) fn looping(scene: &mut Scene) -> anyhow::Result<()> {
    let reference = place::reference_bundle()?;
    let trusted = TrustedKeys::load(&place::reference_key()?)?;
    let folder = scene.trace("looping");
    fs::create_dir_all(folder.join("opened"))?;
    let opened = bundle::open(&reference, &trusted, &folder.join("opened"))?;
    let mut manifest = opened.manifest().clone();
    manifest.vision.control_flow = vec!["Loop".to_owned()];
    let graph = opened.path(&manifest.vision.file).context("its graph")?;
    let looping = folder.join("looping.onnx");
    tools::peer("looping.py", &[&graph, &looping])?;
    let files: Vec<(String, PathBuf)> = manifest
        .files
        .keys()
        .map(|name| {
            let file = if *name == manifest.vision.file { looping.clone() } else { opened.folder().join(name) };
            (name.clone(), file)
        })
        .collect();
    let packed = folder.join("looping.ctb");
    bundle::pack(&manifest, &files, &packed)?;
    let (secret, public, _) = trust::keygen(&folder, "looping", None)?;
    trust::sign(&packed, &SigningKey::load(&secret, None)?, "a model that loops")?;
    fs::copy(public, scene.appliance.path("trust/looping.pub"))?;
    scene.appliance.environment("CTEDGE__INFER__BUNDLE", packed);
    Ok(())
}
