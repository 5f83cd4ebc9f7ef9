//! A model that PyTorch made, not we: packed by its recipe, proved by a device with the logits that PyTorch computed.

use ctedge_models::bundle;
use ctedge_models::trust::TrustedKeys;
use ctedge_tests::appliance::{self, Appliance, Setup};
use ctedge_tests::series::{self, Plan};
use ctedge_tests::{place, process, tools};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Somebody with a model, a key and a device.
struct Guest {
    folder: TempDir,
    appliance: Appliance,
}

const BUNDLE: &str = "out/pooled-conv-1.0.0.ctb";

impl Guest {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in fs::read_dir(place::root().join("tests/data/byo")).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        let mut appliance = Appliance::new(&Setup::quick(process::free_port().unwrap())).unwrap();
        let guest = |folder: &TempDir, line: &str| trainer(folder.path(), line);
        assert_eq!(guest(&folder, "keygen --out keys").0, 0);
        fs::copy(folder.path().join("keys/site.pub"), appliance.path("trust/site.pub")).unwrap();
        appliance.environment("CTEDGE__INFER__BUNDLE", folder.path().join(BUNDLE));
        Self { folder, appliance }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Packs and signs; what the packing said.
    fn bundled(&self, model: &Path) -> (i32, Value) {
        if self.at(BUNDLE).exists() {
            fs::remove_file(self.at(BUNDLE)).unwrap();
        }
        let line = format!("pack --onnx {} --recipe byo.toml --logits golden.json --out out", model.display());
        let packed = trainer(self.folder.path(), &line);
        if packed.0 == 0 {
            assert_eq!(trainer(self.folder.path(), &format!("sign {BUNDLE} --key keys/site.key")).0, 0);
        }
        packed
    }

    /// What `ctedge doctor` says of the model.
    fn model(&self) -> (bool, String) {
        let told = self.appliance.command(&["doctor", "--json"]).output().unwrap();
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        let row = told["checks"].as_array().unwrap().iter().find(|row| row["check"] == "model").unwrap();
        (row["ok"] == true, row["detail"].as_str().unwrap().to_owned())
    }
}

fn trainer(folder: &Path, line: &str) -> (i32, Value) {
    let mut command = appliance::trainer().unwrap();
    let done = command.current_dir(folder).arg("--json").args(line.split_whitespace()).output().unwrap();
    (done.status.code().unwrap(), serde_json::from_slice(&done.stdout).unwrap())
}

#[test]
fn a_model_of_pytorch_is_packed_proved_and_reads_a_series() {
    let guest = Guest::new();
    let (status, said) = trainer(guest.folder.path(), "golden byo.toml --out golden.npy");
    assert_eq!(status, 0, "{said}");
    let script = "import sys, hashlib, numpy; a = numpy.load(sys.argv[1]); print(a.dtype, a.shape, hashlib.sha256(a.tobytes()).hexdigest())";
    let mut numpy = Command::new(tools::python().unwrap());
    let read = process::output(numpy.args(["-c", script]).arg(guest.at("golden.npy"))).unwrap();
    assert_eq!(read.trim(), format!("float32 (1, 1, 24, 32, 32) {}", said["tensor_sha256"].as_str().unwrap()));

    let (status, said) = guest.bundled(&guest.at("model.onnx"));
    assert_eq!(status, 0, "{said}");
    assert_eq!(fs::read_dir(guest.at("out")).unwrap().count(), 2, "bundle and signature, and nothing else");
    let trusted = TrustedKeys::load(&guest.at("keys")).unwrap();
    let opened = bundle::open(&guest.at(BUNDLE), &trusted, &guest.at("opened")).unwrap();
    let packed = opened.path("vision.onnx").unwrap();
    assert_eq!(tools::peer("byo_variants.py", &[&guest.at("model.onnx"), &packed]).unwrap().trim(), "the same");
    let (is_well, detail) = guest.model();
    assert!(is_well && detail.contains("pooled-conv"), "{detail}");

    let made = series::make(&Plan::small(1, 5)).unwrap();
    let scan = tempfile::tempdir().unwrap();
    for (number, file) in made.series[0].iter().enumerate() {
        fs::copy(file, scan.path().join(number.to_string())).unwrap();
    }
    let printed = guest.appliance.command(&["process", "--json"]).arg(scan.path()).output().unwrap();
    let result: Value = serde_json::from_slice(&printed.stdout).unwrap_or_else(|_| panic!("{printed:?}"));
    let flags = result["flags"].as_array().unwrap().iter();
    let told: Vec<_> = flags.map(|flag| (flag["code"].as_str().unwrap(), flag["t"].as_f64().unwrap())).collect();
    assert_eq!(told, [("cardiomegaly", 0.5), ("lung_nodule", 0.4), ("pleural_effusion", 0.5)], "{result}");
    assert_eq!((&result["model"]["name"], &result["model"]["trained"]), (&"pooled-conv".into(), &false.into()));

    // Logits of another model: the device finds that this is not the one that was meant.
    fs::write(guest.at("golden.json"), "[0.2, 0.4, -0.03]").unwrap();
    assert_eq!(guest.bundled(&guest.at("model.onnx")).0, 0);
    let (is_well, detail) = guest.model();
    assert!(!is_well && detail.contains("golden"), "{detail}");
}

#[test]
fn other_tools_ways_of_writing_it_are_taken_or_refused_in_words() {
    let guest = Guest::new();
    tools::peer("byo_variants.py", &[&guest.at("model.onnx"), &guest.at("variants")]).unwrap();
    let mut seen = 0;
    for variant in fs::read_dir(guest.at("variants")).unwrap().map(Result::unwrap) {
        let name = variant.file_name().into_string().unwrap();
        let (status, said) = guest.bundled(&variant.path().join("model.onnx"));
        let expected = match name.as_str() {
            "wrong-size" => "[1, 1, 25, 32, 32]",
            "wrong-labels" => "[1, 4]",
            "wrong-kind" => "32-bit floats",
            "wrong-outputs" => "2 outputs",
            "wrong-operator" => "onnx_domain",
            other => other.strip_prefix("fine-").map(|_| "").unwrap(),
        };
        if expected.is_empty() {
            assert_eq!(status, 0, "{name}: {said}");
            let (is_well, detail) = guest.model();
            assert!(is_well, "{name}: {detail}");
        } else {
            assert!(status == 1 && said["error"].to_string().contains(expected), "{name}: {said}");
        }
        seen += 1;
    }
    assert_eq!(seen, 11);
    for (change, complaint) in [("serial = 1", "serial"), ("\"LPS\"", "orientation"), ("seed = 3", "seed")] {
        let recipe = fs::read_to_string(guest.at("byo.toml")).unwrap();
        fs::write(guest.at("wrong.toml"), recipe.replacen(change, "surprise = 1 #", 1)).unwrap();
        let (status, said) = trainer(guest.folder.path(), "golden wrong.toml --out x.npy");
        assert!(status == 1 && said["error"].to_string().contains(complaint), "{change}: {said}");
    }
    fs::write(guest.at("golden.json"), "[1.0]").unwrap();
    let (status, said) = guest.bundled(&guest.at("model.onnx"));
    assert!(status == 1 && said["error"].to_string().contains("one finite logit a label"), "{said}");
}
