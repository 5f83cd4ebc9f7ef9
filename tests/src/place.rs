//! Where things stand: the workspace, its build folder, the shared data.

use std::path::{Path, PathBuf};

/// The workspace's root.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The build folder: `CARGO_TARGET_DIR`, else `target` in the root.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |named| root().join(named))
}

/// A file or folder of the shared data: below `CTEDGE_TEST_DATA`, else `../shared/data` beside the workspace.
///
/// `None` where there is no such data; the caller says so and leaves. These scans are public, but too large to ship.
pub fn data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CTEDGE_TEST_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    crate::progress::say(&format!("no {name} below {}: this comparison is left out", folder.display()));
    None
}

/// The reference bundle of the catalog: the `.ctb` file of `models/catalog/scale-vlp-tiny`.
pub fn reference_bundle() -> anyhow::Result<PathBuf> {
    only_one("ctb")
}

/// The public key that signed the reference bundle.
pub fn reference_key() -> anyhow::Result<PathBuf> {
    only_one("pub")
}

fn only_one(extension: &str) -> anyhow::Result<PathBuf> {
    let folder = root().join("models/catalog/scale-vlp-tiny");
    let entries = std::fs::read_dir(&folder)?.filter_map(Result::ok).map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|is| is == extension)).collect();
    found.sort();
    found.pop().ok_or_else(|| anyhow::anyhow!("no .{extension} file in {}", folder.display()))
}
