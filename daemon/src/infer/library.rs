//! Where ONNX Runtime's library is looked for.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Looked for, and not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotFound {
    /// Every place that was searched, in order.
    pub(crate) searched: Vec<PathBuf>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ONNX Runtime (libonnxruntime.so, 1.24 or newer) was not found in")?;
        self.searched.iter().try_for_each(|place| write!(f, "\n    {}", place.display()))?;
        f.write_str(
            "\nInstall it with `pip install onnxruntime==1.28.0` (processor) or `pip install onnxruntime-gpu==1.28.0` \
             (CUDA), or take NVIDIA's build for your JetPack, and name the file in infer.library or ORT_DYLIB_PATH.",
        )
    }
}

impl std::error::Error for NotFound {}

const NAME: &str = "libonnxruntime.so";

/// The library: what is configured, else `ORT_DYLIB_PATH`, else the first found beside the binary, in our own runtime
/// folder, in the system's library folders and in Python's packages.
///
/// # Errors
/// All places that were searched. What is named explicitly is not replaced by something else.
pub(crate) fn find(configured: Option<&Path>) -> Result<PathBuf, NotFound> {
    let named = configured.map(Path::to_owned).or_else(|| std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from));
    if let Some(path) = named {
        return if path.is_file() { Ok(path) } else { Err(NotFound { searched: vec![path] }) };
    }
    let places = places();
    places.iter().find_map(|folder| library_in(folder)).ok_or(NotFound { searched: places })
}

fn places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some(beside) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        places.extend([beside.to_owned(), beside.join("../lib")]);
    }
    places.push("/var/lib/ctedge/runtime".into());
    let architecture = std::env::consts::ARCH;
    places.extend([
        "/usr/local/lib".into(),
        format!("/usr/lib/{architecture}-linux-gnu").into(),
        "/usr/lib".into(),
        "/opt/onnxruntime/lib".into(),
    ]);
    places.extend(python_packages());
    places
}

/// The folder of the `onnxruntime` package in the virtual environment, the user's and the system's packages.
fn python_packages() -> Vec<PathBuf> {
    let roots = [
        std::env::var_os("VIRTUAL_ENV").map(|root| PathBuf::from(root).join("lib")),
        std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/lib")),
        Some("/usr/local/lib".into()),
        Some("/usr/lib".into()),
    ];
    let versions = roots.into_iter().flatten().flat_map(|root| entries(&root, "python3"));
    versions
        .flat_map(|python| ["site-packages", "dist-packages"].map(|packages| python.join(packages)))
        .map(|packages| packages.join("onnxruntime/capi"))
        .filter(|folder| folder.is_dir())
        .collect()
}

/// The library in a folder; the highest of several versions.
fn library_in(folder: &Path) -> Option<PathBuf> {
    entries(folder, NAME).pop()
}

fn entries(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    let mut found: Vec<PathBuf> = all.filter(named).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_library_of_a_folder_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["libonnxruntime.so.1.24.0", "libonnxruntime.so.1.28.0", "libonnxruntime_providers_shared.so", "other.so"]
        {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(library_in(folder.path()), Some(folder.path().join("libonnxruntime.so.1.28.0")));
    }

    #[test]
    fn what_is_named_is_not_replaced() {
        let named = Path::new("/nowhere/libonnxruntime.so");
        let missing = find(Some(named)).unwrap_err();
        assert_eq!(missing.searched, [named]);
        assert!(missing.to_string().contains("pip install"), "the next step is named");
    }
}
