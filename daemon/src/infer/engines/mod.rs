//! The graph on the first provider that takes it and passes the golden test, and what providers build for that.

mod cache;
mod seal;

pub(in crate::infer) use seal::Key;

use super::onnx::{Engine, Graph, Runtime};
use super::{Engines, Provider, Setup, model, seconds};
use ctedge_models::bundle::VerifiedBundle;
use seal::Kept;
use std::io;
use std::path::Path;

/// A volume graph that has passed the golden test.
pub(super) struct Running {
    /// It.
    pub(super) engine: Engine,
    /// Its graph, and where the provider keeps what it builds.
    pub(super) graph: Graph,
    /// Largest difference of a logit from the trainer's.
    pub(super) golden_difference: f32,
    /// Why the providers before this one do not run.
    pub(super) passed_over: Vec<String>,
    /// The one among them whose engine is not built yet.
    pub(super) unbuilt: Option<Provider>,
    /// Whether engines lay here that this device has not built. They were deleted.
    pub(super) discarded: bool,
}

/// Why no provider runs the graph.
pub(super) enum Halted {
    /// None of them takes it and passes.
    None(Vec<String>),
    /// The device's disk does not do what it is asked for.
    Disk(String),
}

/// The graph on the first provider of the settings that takes it and passes the golden test. Where engines are not to be built now,
/// one that would have to build its own is passed over; if no other runs the graph, it builds all the same.
pub(super) fn running(setup: &Setup, runtime: &Runtime, bundle: &VerifiedBundle) -> Result<Running, Halted> {
    match walk(setup, runtime, bundle, setup.engines) {
        Err(Halted::None(_)) if setup.engines == Engines::Kept => walk(setup, runtime, bundle, Engines::Build),
        walked => walked,
    }
}

fn walk(setup: &Setup, runtime: &Runtime, bundle: &VerifiedBundle, which: Engines) -> Result<Running, Halted> {
    let (settings, models) = (&setup.settings, setup.folders.models.as_path());
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| Halted::Disk(format!("{path}: {error}"))
    };
    let key = Key::read(&setup.folders.engine_key).map_err(failed(&setup.folders.engine_key))?;
    let (mut passed_over, mut unbuilt, mut discarded) = (Vec::new(), None, false);
    for &wanted in settings.chain() {
        let graph = graph(setup, wanted, runtime, bundle).map_err(Halted::Disk)?;
        let (built, kept) = engines(runtime, &graph, (wanted, which), &key).map_err(failed(&graph.cache))?;
        if kept != Kept::Ours && which == Engines::Kept {
            unbuilt = Some(wanted);
            passed_over.push(format!("{}: its engine for this model is not built yet", wanted.name()));
            continue;
        }
        if let Some(built) = built.as_ref().filter(|_| kept != Kept::Ours) {
            discarded |= kept == Kept::Foreign;
            built.clear().map_err(failed(&graph.cache))?;
        }
        match load(setup, (runtime, bundle), &graph, wanted) {
            Ok((engine, golden_difference)) => {
                if let Some(built) = built.filter(|_| kept != Kept::Ours) {
                    built.seal().map_err(failed(&graph.cache))?;
                }
                let bounded = cache::bound(models, &graph.cache, settings.engines_mib.saturating_mul(1 << 20));
                bounded.map_err(failed(models))?;
                return Ok(Running { engine, graph, golden_difference, passed_over, unbuilt, discarded });
            }
            Err(reason) => passed_over.push(format!("{}: {reason}", wanted.name())),
        }
    }
    Err(Halted::None(passed_over))
}

/// The engines of a provider, for us alone, and what they are. One that needs none has them, and so has one that cannot build any:
/// that shows when it is asked to run the graph.
fn engines<'a>(
    runtime: &Runtime,
    graph: &'a Graph,
    (wanted, which): (Provider, Engines),
    key: &'a Key,
) -> io::Result<(Option<seal::Engines<'a>>, Kept)> {
    if wanted != Provider::Tensorrt || !runtime.has_tensorrt() {
        return Ok((None, Kept::Ours));
    }
    let built = seal::Engines::open(&graph.cache, key, which)?;
    let kept = built.as_ref().map_or(Ok(Kept::Nothing), seal::Engines::look)?;
    Ok((built, kept))
}

/// Loads the graph with one provider, builds its engine if that is not here, and runs the golden test.
fn load(
    setup: &Setup,
    (runtime, bundle): (&Runtime, &VerifiedBundle),
    graph: &Graph,
    wanted: Provider,
) -> Result<(Engine, f32), String> {
    let mut engine = Engine::load(runtime, &setup.settings, graph, wanted)?;
    let provider = engine.provider();
    if provider != wanted {
        return Err(format!("ONNX Runtime gave the graph to {}", provider.name()));
    }
    let manifest = bundle.manifest();
    let within = seconds(setup.settings.load_s);
    let difference = model::golden(&mut engine, &manifest.golden, &manifest.input, within)?;
    Ok((engine, difference))
}

/// The graph, and where a provider keeps what it builds from it.
fn graph(setup: &Setup, wanted: Provider, runtime: &Runtime, bundle: &VerifiedBundle) -> Result<Graph, String> {
    let (manifest, models) = (bundle.manifest(), &setup.folders.models);
    let path = bundle.path(&manifest.vision.file).ok_or("the bundle has no volume graph")?;
    let digest = bundle.digest().as_str();
    let machine = cache::machine(Path::new("/"));
    let input = manifest.vision.inputs.first();
    let shape = input.map(|input| input.shape.as_slice()).unwrap_or_default();
    let profile = input.map(|input| format!("{}:{}", input.name, sides(&input.shape))).unwrap_or_default();
    let (runtime, precision) = (runtime.version(), manifest.vision.precision.as_str());
    let tensorrt = &setup.settings.tensorrt;
    let key = cache::Key { digest, provider: wanted, runtime, precision, shape, tensorrt, machine: &machine };
    let cache = key.folder(models).map_err(|error| format!("{}: {error}", models.display()))?;
    let engines = seal::folder(&cache);
    Ok(Graph { path, cache, engines, profile, digest: digest.to_owned(), labels: manifest.labels.len() })
}

/// A shape as TensorRT's profiles spell it.
fn sides(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}
