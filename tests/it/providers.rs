//! The chain of execution providers, against ONNX Runtime's own libraries: what is refused says why, and the policy decides.

use ctedge_tests::appliance::{Appliance, Setup};
use ctedge_tests::{phantom, process, runtime};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A scan, and a program that reads it.
struct Bench {
    folder: TempDir,
    appliance: Appliance,
}

/// What `ctedge process` said: the execution provider of the result, if there is one, and its words for people.
struct Said {
    provider: Option<String>,
    words: String,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        phantom::write(&folder.path().join("scan")).unwrap();
        Self { folder, appliance: Appliance::new(&Setup::quick(process::free_port().unwrap())).unwrap() }
    }

    fn process(&self, library: Option<&Path>, settings: &[&str]) -> Said {
        let mut command: Command = self.appliance.command(&["process", "--json"]);
        command.arg(self.folder.path().join("scan"));
        for setting in settings {
            command.args(["--set", setting]);
        }
        if let Some(library) = library {
            command.env("CTEDGE__INFER__LIBRARY", library);
        }
        let done = command.output().unwrap();
        let result: Option<Value> = serde_json::from_slice(&done.stdout).ok();
        assert_eq!(result.is_some(), done.status.success());
        let provider = result.map(|result| result["model"]["ep"].as_str().unwrap().to_owned());
        Said { provider, words: String::from_utf8_lossy(&done.stderr).into_owned() }
    }
}

const ALL: &str = r#"infer.providers=["tensorrt", "cuda", "cpu"]"#;
const FAIL: &str = r#"infer.policy="fail""#;

#[test]
fn what_a_library_lacks_is_told_and_the_policy_decides() {
    let bench = Bench::new();
    let degraded = bench.process(None, &[ALL]);
    assert_eq!(degraded.provider.as_deref(), Some("cpu"), "{}", degraded.words);
    for provider in ["tensorrt: ", "cuda: "] {
        assert!(degraded.words.contains(provider), "{}", degraded.words);
    }
    let refused = bench.process(None, &[ALL, FAIL]);
    assert_eq!(refused.provider, None, "{}", refused.words);
    assert!(refused.words.contains("tensorrt: ") && !refused.words.contains("cuda: "), "{}", refused.words);
    let sought = bench.process(None, &[r#"infer.providers=["cpu", "cuda"]"#, FAIL]);
    assert_eq!(sought.provider.as_deref(), Some("cpu"), "the first of the list: {}", sought.words);
    assert!(!sought.words.contains("cuda"), "nothing was passed over: {}", sought.words);
}

#[test]
fn a_library_for_a_gpu_without_cuda_is_no_silent_fall_to_the_processor() {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let library = runtime::gpu_library().unwrap();
    let bench = Bench::new();
    let degraded = bench.process(Some(&library), &[ALL]);
    // Beside a GPU with its libraries, it runs there.
    let provider = degraded.provider.clone().unwrap();
    assert!(provider != "cpu" || degraded.words.contains(".so"), "the library that is missing: {}", degraded.words);
    let refused = bench.process(Some(&library), &[ALL, FAIL]);
    assert_eq!(refused.provider.is_none(), provider != "tensorrt", "{}", refused.words);
    assert!(refused.provider.is_some() || refused.words.contains("tensorrt: "), "{}", refused.words);
}

#[test]
fn a_bench_tells_what_ran_where_and_how_long() {
    let bench = Bench::new();
    let mut command = bench.appliance.command(&["bench", "--json", "--runs", "3", "--drafts", "2"]);
    let told: Value = serde_json::from_str(&process::output(&mut command).unwrap()).unwrap();
    assert_eq!((&told["provider"], &told["infer_ms"]["of"]), (&json!("cpu"), &json!(3)), "{told}");
    let nodes = told["nodes"].as_object().unwrap();
    assert!(nodes.len() == 1 && nodes["CPUExecutionProvider"].as_u64().unwrap() > 20, "{told}");
    assert!(told["golden_difference"].as_f64().unwrap() < 0.05 && told["worker_peak_mib"].as_u64().unwrap() > 10);
    assert!(told["infer_ms"]["p50"].as_u64() <= told["infer_ms"]["most"].as_u64());
    assert_eq!((&told["draft_ms"]["of"], &told["drift"]["logit"]), (&json!(2), &Value::Null), "{told}");
    let people = process::output(&mut bench.appliance.command(&["bench", "--runs", "2", "--drafts", "0"])).unwrap();
    assert!(people.contains("CPUExecutionProvider") && people.contains("passed over"), "{people}");
}

#[test]
fn a_library_that_is_none_is_named() {
    let bench = Bench::new();
    let missing = bench.folder.path().join("libonnxruntime.so");
    let another = bench.folder.path().join("scan/slice-0001.dcm");
    for library in [missing, another] {
        let refused = bench.process(Some(&library), &[]);
        assert_eq!(refused.provider, None);
        assert!(refused.words.contains(library.to_str().unwrap()), "{}", refused.words);
    }
}
