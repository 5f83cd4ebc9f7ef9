use super::*;
use crate::fixture::small;
use ctedge_models::bundle::{self, BundleError};
use ctedge_models::trust::{Accepted, TrustStore, TrustedKeys};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A network that exports in a moment.
fn experiment() -> String {
    small(&["data.corpus.phantoms = { count = 6, seed = 1 }"])
}

/// A folder with an experiment, and the commands in it.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("experiment.toml"), experiment()).unwrap();
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command line; words that begin with `@` are names in the folder.
    fn run(&self, line: &str) -> anyhow::Result<Outcome> {
        let words = line.split_whitespace().map(|word| match word.strip_prefix('@') {
            Some(name) => self.at(name).into_os_string(),
            None => word.into(),
        });
        let line = std::iter::once("ctedge-trainer".into()).chain(words);
        Cli::try_parse_from(line)?.command.run(&Progress::new(Speech::Silent))
    }

    fn done(&self, lines: &[&str]) {
        for line in lines {
            self.run(line).unwrap_or_else(|error| panic!("{line}: {error:#}"));
        }
    }

    fn complaint(&self, line: &str) -> String {
        format!("{:#}", self.run(line).unwrap_err())
    }

    fn packed() -> Self {
        let desk = Self::new();
        desk.done(&[
            "init @experiment.toml --out @run",
            "export @run --out @exported --created 2026-11-24T00:00:00Z",
            "pack @exported --out @bundles",
        ]);
        desk
    }
}

/// What an export writes beside the manifest.
const FILES: [&str; 4] = ["CARD.md", "text.onnx", "tokenizer.json", "vision.onnx"];

const BUNDLE: &str = "bundles/scale-vlp-tiny-0.5.0.ctb";

#[test]
fn from_an_experiment_to_a_bundle_that_a_device_opens() {
    let desk = Desk::packed();
    desk.done(&["keygen --out @keys", &format!("sign @{BUNDLE} --key @keys/site.key")]);
    let trusted = TrustedKeys::load(&desk.at("keys")).unwrap();
    let opened = bundle::open(&desk.at(BUNDLE), &trusted, &desk.at("device")).unwrap();
    let manifest = opened.manifest();
    assert_eq!(manifest.created, "2026-11-24T00:00:00Z");
    assert!(!manifest.training.trained && manifest.training.method.contains("random weights"));
    assert_eq!(manifest.files.keys().collect::<Vec<_>>(), FILES);
    assert_eq!(
        fs::read(desk.at("exported/vision.onnx")).unwrap(),
        fs::read(opened.path("vision.onnx").unwrap()).unwrap()
    );
    assert_eq!((manifest.golden.logits.len(), manifest.golden.tensor_sha256.len()), (18, 64));
}

#[test]
fn the_same_experiment_gives_the_same_bundle() {
    let digest = |desk: &Desk| bundle::BundleDigest::of(&desk.at(BUNDLE)).unwrap();
    assert_eq!(digest(&Desk::packed()), digest(&Desk::packed()));
}

#[test]
fn a_released_version_is_not_replaced() {
    let desk = Desk::packed();
    let complaint = desk.complaint("pack @exported --out @bundles");
    assert!(complaint.contains("version and serial"), "{complaint}");
    assert_eq!(fs::read_dir(desk.at("bundles")).unwrap().count(), 1);
}

#[test]
fn a_key_is_secret_and_never_overwritten() {
    let desk = Desk::new();
    desk.done(&["keygen --out @keys --name mine"]);
    let secret = desk.at("keys/mine.key");
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&secret).unwrap();
    let complaint = desk.complaint("keygen --out @keys --name mine");
    assert!(complaint.contains("never overwritten"), "{complaint}");
    assert_eq!(fs::read(&secret).unwrap(), before);
    fs::remove_file(&secret).unwrap();
    assert!(desk.complaint("keygen --out @keys --name mine").contains("mine.pub"));
    assert!(!secret.exists());
    assert!(desk.complaint("keygen --out @keys --name ../mine").contains("no file name"));
}

#[test]
fn a_permit_names_device_and_bundle_and_ends() {
    let desk = Desk::packed();
    desk.done(&["keygen --out @keys"]);
    let permit = format!("permit --device ct-1 @{BUNDLE} --key @keys/site.key --days 2 --out @permit.json");
    let said = desk.run(&permit).unwrap().json;
    let document = fs::read(desk.at("permit.json")).unwrap();
    let signature = fs::read_to_string(desk.at("permit.json.minisig")).unwrap();
    let keys = TrustedKeys::load(&desk.at("keys")).unwrap();
    let read = ctedge_models::trust::Permit::read(&document, &signature, &keys).unwrap();
    assert_eq!((read.device.as_str(), said["nonce"].as_str()), ("ct-1", Some(read.nonce.as_str())));
    assert_eq!(read.digest, bundle::BundleDigest::of(&desk.at(BUNDLE)).unwrap().as_str());
    let hours = (read.expires - jiff::Timestamp::now()).as_hours();
    assert!((46..=48).contains(&hours), "{hours}");
    assert!(desk.complaint(&permit).contains("never changes"));
    let second = desk.run(&permit.replace("permit.json", "second.json")).unwrap().json;
    assert_ne!(second["nonce"], said["nonce"]);
    assert!(desk.complaint(&permit.replace(BUNDLE, "keys/site.pub").replace("permit.json", "x")).contains("no bundle"));
}

#[test]
fn a_password_locks_the_key() {
    let desk = Desk::packed();
    fs::write(desk.at("password"), "correct horse\n").unwrap();
    fs::write(desk.at("wrong"), "battery staple\n").unwrap();
    desk.done(&["keygen --out @keys --password-file @password"]);
    let sign = format!("sign @{BUNDLE} --key @keys/site.key");
    assert!(desk.complaint(&sign).contains("--password-file"), "{}", desk.complaint(&sign));
    assert!(desk.complaint(&format!("{sign} --password-file @wrong")).contains("with this password"));
    assert!(!desk.at(&format!("{BUNDLE}.minisig")).exists());
    desk.done(&[&format!("{sign} --password-file @password")]);
    let trusted = TrustedKeys::load(&desk.at("keys")).unwrap();
    bundle::open(&desk.at(BUNDLE), &trusted, &desk.at("device")).unwrap();
}

#[test]
fn a_stolen_key_is_replaced_by_a_root_that_two_of_three_sign() {
    let desk = Desk::packed();
    for name in ["ann", "bea", "cem", "models", "new"] {
        desk.done(&[&format!("keygen --out @keys --name {name}")]);
    }
    let file = |path: &str| desk.at(path);
    let mut device = TrustStore::open(&file("etc"), &file("state")).unwrap();
    desk.done(&[
        "root new --root-key @keys/ann.pub --root-key @keys/bea.pub --root-key @keys/cem.pub --threshold 2 \
         --bundle-key @keys/models.pub --out @roots",
        "sign @roots/root-1.json --key @keys/ann.key",
    ]);
    let complaint = desk.complaint("root check @roots/root-1.json");
    assert!(complaint.contains("1 of the keys of root 1, and 2 are needed"), "{complaint}");
    assert!(device.accept(&file("roots/root-1.json")).is_err());
    desk.done(&["sign @roots/root-1.json --key @keys/bea.key", "root check @roots/root-1.json"]);
    assert_eq!(device.accept(&file("roots/root-1.json")).unwrap(), Accepted::Pinned(1));
    desk.done(&[&format!("sign @{BUNDLE} --key @keys/models.key")]);
    bundle::open(&file(BUNDLE), device.keys(), &file("device")).unwrap();

    let stolen = device.keys().ids().remove(0);
    desk.done(&[&format!("root next @roots/root-1.json --revoke {stolen} --bundle-key @keys/new.pub --floor scale-vlp-tiny=6 --out @roots")]);
    for signer in ["bea", "cem"] {
        desk.done(&[&format!("sign @roots/root-2.json --key @keys/{signer}.key")]);
    }
    desk.done(&["root check @roots/root-2.json --after @roots/root-1.json"]);
    assert_eq!(device.accept(&file("roots/root-2.json")).unwrap(), Accepted::Followed(2));
    assert_eq!(bundle::open(&file(BUNDLE), device.keys(), &file("device")).unwrap_err().code(), "revoked_key");
    desk.done(&[&format!("sign @{BUNDLE} --key @keys/new.key")]);
    let below = bundle::open(&file(BUNDLE), device.keys(), &file("device")).unwrap_err();
    assert_eq!(below.code(), "below_floor", "{below}");
    assert_eq!(device.root().unwrap().floors["scale-vlp-tiny"], 6);

    for (line, word) in [
        ("root next @roots/root-2.json --drop 0000000000000000 --out @x", "names no key"),
        ("root next @roots/root-2.json --revoke ann --out @x", "it is no id of a key"),
        ("root next @roots/root-2.json --threshold 9 --out @x", "threshold 9"),
        ("root next @roots/root-1.json --out @roots", "remove it first"),
        ("root check @roots/root-2.json --after @roots/root-2.json", "the next one is 3"),
        ("sign @roots/root-1.json.none --key @keys/ann.key", "ctedge-trainer pack"),
    ] {
        let complaint = desk.complaint(line);
        assert!(complaint.contains(word), "{line}: {complaint}");
    }
}

#[test]
fn every_refusal_names_the_next_step() {
    let desk = Desk::packed();
    let cases = [
        ("export @keys --out @x", "ctedge-trainer init"),
        ("pack @run", "ctedge-trainer export"),
        ("sign @experiment.toml --key @none", "ctedge-trainer pack"),
        (&format!("sign @{BUNDLE} --key @none"), "ctedge-trainer keygen"),
        ("init @experiment.toml --out @run", "name a new folder"),
    ];
    for (line, step) in cases {
        let complaint = desk.complaint(line);
        assert!(complaint.contains(step), "{line}: {complaint}");
    }
}

fn change(path: &Path, was: &str, is: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(was), "{was} is not in {}", path.display());
    fs::write(path, text.replace(was, is)).unwrap();
}

#[test]
fn a_folder_whose_graph_is_not_the_manifests_is_not_packed() {
    let desk = Desk::packed();
    let manifest = desk.at("exported/manifest.json");
    let changes =
        [("\"opset\": 17", "\"opset\": 18", "onnx_version"), ("\"embedding\"", "\"embeddings\"", "onnx_shape")];
    for (was, is, code) in changes {
        change(&manifest, was, is);
        let complaint = desk.complaint("pack @exported --out @other");
        assert!(complaint.contains("vision.onnx") && complaint.contains(code), "{complaint}");
        change(&manifest, is, was);
    }
    fs::write(desk.at("exported/vision.onnx"), "no graph").unwrap();
    assert!(desk.complaint("pack @exported --out @other").contains("onnx_malformed"));
    fs::remove_file(desk.at("exported/vision.onnx")).unwrap();
    assert!(desk.complaint("pack @exported --out @other").contains("not among the files"));
    assert!(fs::read_dir(desk.at("other")).map_or(true, |mut entries| entries.next().is_none()));
}

#[test]
fn links_and_hidden_files_stay_out_of_a_bundle() {
    for name in ["exported/.DS_Store", "exported/link"] {
        let desk = Desk::packed();
        std::os::unix::fs::symlink("/etc/passwd", desk.at(name)).unwrap();
        let complaint = desk.complaint("pack @exported --out @other");
        assert!(complaint.contains(name) && complaint.contains("remove it"), "{complaint}");
    }
    let desk = Desk::packed();
    fs::create_dir(desk.at("exported/notes")).unwrap();
    fs::write(desk.at("exported/notes/card.md"), "# Card").unwrap();
    let Outcome { json, .. } = desk.run("pack @exported --out @other").unwrap();
    assert_eq!(
        json["files"],
        serde_json::json!(["CARD.md", "notes/card.md", "text.onnx", "tokenizer.json", "vision.onnx"])
    );
}

#[test]
fn a_trace_holds_input_and_outputs_as_plain_numbers() {
    let desk = Desk::packed();
    desk.done(&["trace @run --out @phantom", "trace @run --random 5 --out @random"]);
    let shapes = [("volume", 16 * 32 * 32), ("embedding", 16), ("logits", 18), ("tokens", 8 * 24), ("saliency", 8)];
    for (name, numbers) in shapes.into_iter().chain([("flag_saliency", 18 * 8)]) {
        for trace in ["phantom", "random"] {
            let bytes = fs::read(desk.at(trace).join(format!("{name}.f32"))).unwrap();
            assert_eq!(bytes.len(), 4 * numbers, "{trace} {name}");
        }
    }
    let manifest: bundle::Manifest =
        serde_json::from_slice(&fs::read(desk.at("exported/manifest.json")).unwrap()).unwrap();
    let logits = fs::read(desk.at("phantom/logits.f32")).unwrap();
    assert_eq!(logits, crate::net::little_endian(&manifest.golden.logits));
    desk.run("trace @run --text effusion --out @report").unwrap();
    for (name, bytes) in [("ids.i64", 8 * 192), ("mask.f32", 4 * 192), ("embedding.f32", 4 * 16)] {
        assert_eq!(fs::metadata(desk.at("report").join(name)).unwrap().len(), bytes, "{name}");
    }
    fs::create_dir(desk.at("nothing")).unwrap();
    assert!(desk.complaint("trace @run @nothing --out @x").contains("no files"));
    assert!(desk.complaint("trace @run @experiment.toml --out @x").contains("not_a_scan"));
}

#[test]
fn fewer_bits_are_smaller_files_and_say_what_they_cost() {
    let desk = Desk::packed();
    let size = |line: &str| {
        let Outcome { json, text } = desk.run(&format!("export @run {line}")).unwrap();
        (json["bytes"]["vision.onnx"].as_u64().unwrap(), json, text)
    };
    let (full, json, text) = size("--precision f32 --out @f32");
    assert!(json["quantisation"].is_null() && text.contains("NOT CALIBRATED"), "{text}");
    let (half, json, _) = size("--precision f16 --out @f16");
    assert_eq!(json["precision"], "f16");
    let (quarter, json, text) = size("--quantize int8 --cases 3 --out @int8");
    assert!(quarter < full && half < full, "{quarter} {half} {full}");
    assert_eq!((&json["precision"], &json["quantisation"]["cases"]), (&"int8".into(), &3.into()));
    assert!(json["quantisation"]["cosine_mean"].as_f64().unwrap() > 0.99, "{json}");
    assert!(text.contains("simulated") && text.contains("macro AUROC"), "{text}");
    desk.done(&["pack @f16 --out @b16", "pack @int8 --out @b8"]);
    assert!(desk.complaint("export @run --quantize int8 --cases 0 --out @x").contains("--cases"));
}

#[test]
fn a_damaged_bundle_is_not_signed_as_one() {
    let desk = Desk::packed();
    fs::write(desk.at(BUNDLE), "damaged").unwrap();
    desk.done(&["keygen --out @keys"]);
    let error = desk.run(&format!("sign @{BUNDLE} --key @keys/site.key")).unwrap_err();
    assert!(
        matches!(error.downcast_ref(), Some(BundleError::BadArchive { .. } | BundleError::NoManifest)),
        "{error:#}"
    );
}

#[test]
fn weights_that_are_none_leave_a_run_as_it_was() {
    let desk = Desk::packed();
    let weights = || fs::read(desk.at("run/weights.safetensors")).unwrap();
    let before = weights();
    fs::create_dir(desk.at("bert")).unwrap();
    let empty = safetensors::serialize(Vec::<(String, safetensors::tensor::TensorView<'_>)>::new(), None).unwrap();
    fs::write(desk.at("bert/model.safetensors"), empty).unwrap();
    let cases = [
        ("import @run --bert @nothing", "nothing"),
        ("import @run --bert @experiment.toml", "safetensors"),
        ("import @run --bert @bert", "nothing in the file stands for text.embeddings.word.weight"),
        ("import @run --m3d-clip @bert", "nothing in the file stands for vision.patch.weight"),
        ("import @run --bert @bert --m3d-clip @bert", "cannot be used"),
        ("import @run", "--bert"),
        ("import @bert --bert @bert", "ctedge-trainer init"),
    ];
    for (line, part) in cases {
        let complaint = desk.complaint(line);
        assert!(complaint.contains(part), "{line}: {complaint}");
    }
    assert_eq!(weights(), before);
}

#[test]
fn a_report_is_traced_by_its_token_ids() {
    let desk = Desk::packed();
    fs::write(desk.at("ids.json"), "[[2, 40, 3], [2, 9, 8, 7, 3]]").unwrap();
    desk.done(&["trace @run --ids @ids.json --out @traced"]);
    for (name, numbers) in [("embedding", 2 * 16), ("pooled", 2 * 24), ("tokens", 2 * 5 * 24)] {
        let bytes = fs::read(desk.at("traced").join(format!("{name}.f32"))).unwrap();
        assert_eq!(bytes.len(), 4 * numbers, "{name}");
    }
    for ids in ["[[2, 3], []]", "[[2, 3], [1024]]"] {
        fs::write(desk.at("ids.json"), ids).unwrap();
        assert!(desk.complaint("trace @run --ids @ids.json --out @x").contains("report 2"), "{ids}");
    }
    fs::write(desk.at("ids.json"), "[2, 3]").unwrap();
    assert!(desk.complaint("trace @run --ids @ids.json --out @x").contains("list of lists"));
}

#[test]
fn a_new_run_says_how_many_values_learn() {
    let desk = Desk::new();
    let learning = |text: String| {
        fs::write(desk.at("experiment.toml"), text).unwrap();
        let run = desk.at("run");
        drop(fs::remove_dir_all(&run));
        let Outcome { json, .. } = desk.run("init @experiment.toml --out @run").unwrap();
        (json["parameters"].as_u64().unwrap(), json["learning"].as_u64().unwrap())
    };
    let tuned = |tune: &str| {
        let lines = ["vision", "text"].map(|tower| format!("{tower}.tune = {tune}"));
        small(&lines.each_ref().map(String::as_str))
    };
    let (parameters, full) = learning(experiment());
    assert_eq!(full, parameters);
    // 2 numbers, 18 flags of an embedding, projections to 16 from a summary of 24 + 8 tokens * 2 and from 24, 18 flags of the
    // summary, the pooling query, the normalisation before it, and the two channels of a token.
    let heads = 2 + 18 * 17 + 16 * (41 + 25) + 18 * 41 + 24 + 48 + 2 * 25;
    assert_eq!(learning(tuned("\"frozen\"")), (parameters, heads));
    // Rank 1: inputs and outputs of each matrix, of one block of the volume tower and one layer of the report tower.
    let factors = (96 + 48 + 120 + 120) + (4 * 48 + 120 + 120);
    assert_eq!(
        learning(tuned("{ lora = { rank = 1, alpha = 2.0 } }")),
        (parameters, heads + factors),
        "factors are added when training begins"
    );
}

#[test]
fn a_run_is_evaluated_and_embedded_by_one_command_each() {
    let desk = Desk::new();
    let text = small(&["data.corpus.phantoms = { count = 30, seed = 1 }", "data.validation_share = 0.4"]);
    fs::write(desk.at("experiment.toml"), text).unwrap();
    desk.done(&["prepare @experiment.toml --out @run-shards", "init @experiment.toml --out @run"]);
    let evaluate = "evaluate @run --replicates 20 --threads 2";
    assert!(desk.complaint(&format!("{evaluate} --split test")).contains("data.test_share"));
    let Outcome { text, json } = desk.run(evaluate).unwrap();
    for part in ["validation split", "macro AUROC", "R@1 of", "evaluation.html", "ctedge-trainer export"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let file = |name: &str| fs::read_to_string(desk.at("run").join(name)).unwrap();
    let written: serde_json::Value = serde_json::from_str(&file("evaluation/evaluation.json")).unwrap();
    let parts = |json: &serde_json::Value| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!((parts(&written), &written["model"]), (parts(&json), &json["model"]));
    assert_eq!((&written["schema"], &written["patients"]), (&"ctedge-evaluation/1".into(), &json["patients"]));
    assert!(file("evaluation/evaluation.html").ends_with("</html>\n"));
    let calibration = crate::eval::Calibration::read(&desk.at("run/calibration.json")).unwrap();
    calibration.belongs_to(json["model"]["weights_sha256"].as_str().unwrap()).unwrap();

    desk.done(&["embed @run --out @embeddings.json"]);
    let vectors: crate::batch::ReportVectors =
        serde_json::from_str(&fs::read_to_string(desk.at("embeddings.json")).unwrap()).unwrap();
    let shards = crate::batch::Shards::open(
        &desk.at("run-shards"),
        &crate::run::Run::open(&desk.at("run")).unwrap().experiment.input,
    )
    .unwrap();
    assert!(vectors.len() == 30 && shards.cases().iter().all(|stored| vectors.contains_key(&stored.case.id)));
    for vector in vectors.values() {
        assert!((vector.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-4);
    }
}

#[test]
fn objectives_are_compared_and_a_comparison_goes_on_where_it_stopped() {
    let desk = Desk::new();
    let changes =
        ["data.corpus.phantoms = { count = 24, seed = 1 }", "data.validation_share = 0.3", "training.batch = 4"];
    let text = small(&[&changes[..], &["training.micro_batch = 4", "training.warmup_steps = 1"]].concat());
    fs::write(desk.at("experiment.toml"), text).unwrap();
    let line = "ablate @experiment.toml --steps 2 --seeds 2 --only clip,swca_paper+both --out @ablation";
    let first = desk.run(line).unwrap();
    let rows = first.json["rows"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        let recall = &row["measures"]["recall_at_1"];
        let values: Vec<f64> =
            recall["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        let (mean, low) = (recall["mean"].as_f64().unwrap(), recall["low"].as_f64().unwrap());
        assert_eq!(values.len(), 2);
        assert!((mean - f64::midpoint(values[0], values[1])).abs() < 1e-12);
        // Of two values: half their distance times Student's quantile.
        assert!((mean - low - 12.706 * (values[0] - values[1]).abs() / 2.0).abs() < 1e-9);
    }
    let table = fs::read_to_string(desk.at("ablation/ablation.md")).unwrap();
    assert!(table.contains("| clip | none |") && table.contains("| swca_paper | both |"), "{table}");
    assert!(table.contains("gain of R@1, both ways, over clip |"), "{table}");
    let first_row = table.lines().find(|line| line.starts_with("| clip |")).unwrap();
    assert!(first_row.ends_with("| 0.000 (0.000 to 0.000) |"), "an objective gains nothing over itself: {first_row}");

    // A run that is done is not done again: its weights stay as they are.
    let weights = desk.at("ablation/runs/clip-2511/weights.safetensors");
    let before = fs::metadata(&weights).unwrap().modified().unwrap();
    assert_eq!(desk.run(line).unwrap().json, first.json);
    assert_eq!(fs::metadata(&weights).unwrap().modified().unwrap(), before);
    let other = line.replace("clip,", "clap,");
    assert!(desk.complaint(&other).contains("\"clap\" is no objective; there are clip, siglip, cwcl"));
}

#[test]
fn the_committed_comparison_is_that_of_its_experiment() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ablation");
    let experiment = crate::experiment::Experiment::read(&folder.join("experiment.toml")).unwrap();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let numbers: serde_json::Value = serde_json::from_str(&read("ablation.json")).unwrap();
    assert_eq!(numbers["experiment_sha256"], experiment.sha256());
    let (rows, page) = (numbers["rows"].as_array().unwrap(), read("README.md"));
    assert_eq!(rows.len(), super::ablate::experiments(&experiment).len());
    for row in rows {
        let mean = |key: &str| format!("{:.3} (", row["measures"][key]["mean"].as_f64().unwrap());
        let head = format!(
            "| {} | {} | {}",
            row["loss"].as_str().unwrap(),
            row["context"].as_str().unwrap(),
            mean("macro_auroc")
        );
        let line = page.lines().find(|line| line.starts_with(&head)).unwrap_or_else(|| panic!("no {head}"));
        assert!(["recall_at_1", "recall_at_1_back"].iter().all(|key| line.contains(&mean(key))), "{line}");
    }
}

#[test]
fn every_objective_differs_from_the_others() {
    let base = crate::experiment::Experiment::parse(&experiment()).unwrap();
    let all = super::ablate::experiments(&base);
    let mut losses: Vec<_> = all.iter().map(|experiment| format!("{:?}", experiment.loss)).collect();
    losses.sort();
    losses.dedup();
    assert_eq!((all.len(), losses.len()), (18, 18));
    assert!(all.iter().all(|experiment| experiment.vision == base.vision && experiment.training.steps == 70));
}

#[test]
fn reports_become_a_table_of_labels() {
    let desk = Desk::new();
    let table =
        "id,findings,impression\na,\"Emphysema, and a nodule of 4 mm.\",Emphysema.\nb,No nodule.,Pleural effusion.\n";
    fs::write(desk.at("reports.csv"), table).unwrap();
    let outcome = desk.run("label @reports.csv --out @labels.csv").unwrap();
    assert!(outcome.text.contains("read 2 reports (findings and impression)"), "{}", outcome.text);
    assert!(outcome.json.get("agreement").is_none());
    let written = fs::read_to_string(desk.at("labels.csv")).unwrap();
    let lines: Vec<&str> = written.lines().collect();
    assert!(lines[0].starts_with("id,Medical material,Arterial wall calcification,"), "{}", lines[0]);
    assert_eq!(lines[1..], ["a,0,0,0,0,0,0,0,1,0,1,0,0,0,0,0,0,0,0", "b,0,0,0,0,0,0,0,0,0,0,0,0,1,0,0,0,0,0"]);

    // One column of two: the effusion of the second report is in the other.
    let outcome = desk.run("label @reports.csv --text findings --out @again.csv --against @labels.csv").unwrap();
    let scores = &outcome.json["agreement"];
    assert_eq!(scores["labels"][12]["label"], "pleural_effusion");
    assert_eq!((&scores["labels"][12]["positives"], &scores["labels"][12]["recall"]), (&json!(1), &json!(0.0)));
    assert_eq!(scores["labels"][9]["f1"], 1.0);
    assert_eq!(scores["labels"][0]["f1"], Value::Null, "nobody has any");
    assert!((scores["macro"]["f1"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9, "{scores}");
    assert!(outcome.text.contains("Pleural effusion") && outcome.text.contains("macro"), "{}", outcome.text);
}

#[test]
fn a_table_that_cannot_be_labelled_is_told_what_it_lacks() {
    let desk = Desk::new();
    let complaint = |table: &str, line: &str| {
        fs::write(desk.at("reports.csv"), table).unwrap();
        desk.complaint(line)
    };
    let said = complaint("id,words\na,b\n", "label @reports.csv --out @labels.csv");
    assert!(
        said.contains("no column \"report_text\"; name the columns of the text with --text, there are id, words"),
        "{said}"
    );
    let said = complaint("id,words\na,b\n", "label @reports.csv --text word --out @labels.csv");
    assert!(said.contains("no column \"word\"; did you mean \"words\"?"), "{said}");
    let said = complaint("text\nb\n", "label @reports.csv --out @labels.csv");
    assert!(said.contains("no column \"id\""), "{said}");
    let said = complaint("id,text,Emphysema\na,b,1\n", "label @reports.csv --out @labels.csv");
    assert!(said.contains("no column \"Medical material\""), "{said}");
    let said = complaint("id,text\n", "label @reports.csv --out @labels.csv");
    assert!(said.contains("has no reports"), "{said}");
    assert!(!desk.at("labels.csv").exists());

    fs::write(desk.at("other.csv"), "id,text\nx,A nodule.\n").unwrap();
    desk.done(&["label @other.csv --out @known.csv"]);
    let said = complaint("id,text\na,b\n", "label @reports.csv --out @labels.csv --against @known.csv");
    assert!(said.contains("line 2, column \"id\"") && said.contains("known.csv has a row for"), "{said}");
}
