//! A decoder learns after the towers, and drafts the same in ONNX Runtime as in the training framework.

use crate::drafts::{fails, has_no_cases, never_ends};
use crate::preset;
use ctedge_models::text::Tokenizer;
use ctedge_tests::appliance::{self, Appliance, Setup};
use ctedge_tests::progress::say;
use ctedge_tests::variant::Workshop;
use ctedge_tests::{drafts, process, tools};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const TRAINING: &str = "training = { steps = 4, batch = 8, micro_batch = 4, learning_rate = 1e-3, warmup_steps = 2, final_share = 0.1, \
     weight_decay = 0.05, clip_norm = 1.0, validate_every = 4, keep_checkpoints = 2, patience = 0 }";

struct Desk {
    folder: TempDir,
}

impl Desk {
    /// A run whose towers and decoder have learned for a moment.
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        let mut experiment = preset::small(TRAINING);
        let decoder = experiment["decoder"].as_table_mut().unwrap();
        for (key, value) in [("steps", 12), ("batch", 6), ("warmup_steps", 2), ("validate_every", 12)] {
            decoder.insert(key.into(), value.into());
        }
        fs::write(desk.at("experiment.toml"), experiment.to_string()).unwrap();
        Desk::told(&["train".as_ref(), &desk.at("experiment.toml"), "--out".as_ref(), &desk.at("run")]);
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a command of the trainer says.
    fn told(words: &[&Path]) -> Value {
        let mut command = appliance::trainer().unwrap();
        serde_json::from_str(&process::output(command.arg("--json").args(words)).unwrap()).unwrap()
    }

    /// ONNX's checker, and the two graphs in ONNX Runtime beside what the trainer has drafted.
    fn agrees(&self, precision: &str, tolerance: &str) {
        let exported = self.at(precision);
        let words = ["export".as_ref(), &*self.at("run"), "--precision".as_ref(), precision.as_ref()];
        Self::told(&[&words, ["--out".as_ref(), &*exported].as_slice()].concat());
        let said = tools::peer(
            "draft_check.py",
            &["--tolerance".as_ref(), tolerance.as_ref(), &exported, &self.at("phantom"), &self.at("noise")],
        );
        let said = said.unwrap();
        say(&said);
        assert_eq!(said.lines().filter(|line| line.ends_with("passed")).count(), 6, "three checks a trace:\n{said}");
        assert_eq!(said.lines().filter(|line| line.starts_with("checker passed")).count(), 2, "{said}");
    }

    /// The bundle that it has packed.
    fn bundle(&self) -> PathBuf {
        find(&self.at("bundles"), "ctb").unwrap()
    }

    /// A patient's scan through the daemon's own worker: word by word what the trainer drafts of it, and never without its mark.
    fn drafts_on_the_device(&self) {
        let [patients, traced, keys] = ["patients", "traced", "keys"].map(|name| self.at(name));
        let line = |words: &str| -> Value {
            let (at, folder) = (words.split(' '), self.folder.path());
            let words: Vec<PathBuf> =
                at.map(|word| word.strip_prefix('@').map_or_else(|| word.into(), |name| folder.join(name))).collect();
            Self::told(&words.iter().map(PathBuf::as_path).collect::<Vec<_>>())
        };
        line("reference @run --count 12");
        line("export @run --out @exported");
        line("pack @exported --out @bundles");
        line("keygen --out @keys");
        let bundle = self.bundle();
        Self::told(&["sign".as_ref(), &bundle, "--key".as_ref(), &keys.join("site.key")]);
        line("phantom @experiment.toml --count 1 --seed 77 --format nifti --out @patients");
        let scan = find(&patients, "gz").unwrap();
        Self::told(&["trace".as_ref(), &self.at("run"), &scan, "--draft".as_ref(), "--out".as_ref(), &traced]);
        let ids: Vec<u32> = fs::read(traced.join("ids.i64"))
            .unwrap()
            .chunks_exact(8)
            .map(|bytes| u32::try_from(i64::from_le_bytes(bytes.try_into().unwrap())).unwrap())
            .collect();
        let tokenizer = Tokenizer::from_json(&fs::read_to_string(self.at("run/tokenizer.json")).unwrap(), 96).unwrap();
        let expected = tokenizer.draft(&ids[1..]);

        let setup = Setup::quick(process::free_port().unwrap());
        let mut appliance = Appliance::new(&setup).unwrap();
        fs::copy(keys.join("site.pub"), appliance.path("trust/site.pub")).unwrap();
        appliance.environment("CTEDGE__INFER__BUNDLE", &bundle);
        appliance.environment("CTEDGE__DRAFT__ON_DISAGREEMENT", "mark");
        appliance.environment("CTEDGE__DRAFT__NO_REPEAT", "0");
        let told = process::output(appliance.command(&["process", "--json", "--drafts"]).arg(&scan)).unwrap();
        let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [result, report] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(report["draft"], json!(expected), "{report}");
        assert_eq!((&report["author"], &report["review_status"]), (&json!("decoder"), &json!("unverified_draft")));
        assert!(report["tokens_per_s"].as_u64().unwrap() > 0, "{report}");
        assert_eq!((&report["tokens"], &report["id"]), (&json!(ids.len() - 1), &result["id"]));
        assert_eq!(report["disagreements"], result["report"]["disagreements"]);
        assert_eq!(drafts::disagreeing(report).unwrap(), drafts::offline(result, report).unwrap());
        assert!(result["timing_ms"]["draft_ms"].as_u64().unwrap() > 0, "{result}");
        assert_eq!(result["evidence"]["neighbours"].as_array().map(Vec::len), Some(5), "{result}");
        assert!(result["evidence"]["novelty"]["score"].is_number(), "{result}");
        let flags = result["flags"].as_array().unwrap();
        assert!(flags.iter().any(|flag| flag["focus"]["share"].is_number()), "{result}");
        assert!(flags.iter().all(|flag| flag["positive"] == true || flag.get("focus").is_none()), "{result}");
    }
}

/// The first file below a folder whose name ends so.
fn find(folder: &Path, ending: &str) -> Option<PathBuf> {
    let paths = fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path());
    let mut paths = paths.collect::<Vec<_>>().into_iter();
    paths.find_map(|path| {
        if path.is_dir() {
            find(&path, ending)
        } else {
            path.extension().is_some_and(|is| is == ending).then_some(path)
        }
    })
}

#[test]
fn a_decoder_drafts_the_same_in_onnx_runtime_as_in_the_trainer() {
    let desk = Desk::new();
    let run = desk.at("run");
    let trained = Desk::told(&["train-decoder".as_ref(), &run]);
    assert_eq!((&trained["steps"], &trained["resumed_at"]), (&12.into(), &0.into()), "{trained}");
    let again = Desk::told(&["train-decoder".as_ref(), &run]);
    assert_eq!((&again["resumed_at"], &again["loss"]), (&12.into(), &trained["loss"]), "{again}");

    Desk::told(&["trace".as_ref(), &run, "--draft".as_ref(), "--out".as_ref(), &desk.at("phantom")]);
    let random = ["--random".as_ref(), "5".as_ref()];
    Desk::told(
        &[&["trace".as_ref(), &*run, "--draft".as_ref(), "--out".as_ref(), &desk.at("noise")], random.as_slice()]
            .concat(),
    );
    desk.agrees("f32", "1e-4");
    desk.agrees("f16", "1e-2");
    desk.drafts_on_the_device();
    // The same decoder, gone wrong.
    let workshop = Workshop::of(&desk.bundle(), &desk.at("keys/site.pub")).unwrap();
    fails(&workshop);
    never_ends(&workshop);
    has_no_cases(&workshop);

    let evaluated = Desk::told(&["evaluate".as_ref(), &run, "--replicates".as_ref(), "20".as_ref()]);
    let drafts = &evaluated["drafts"];
    assert!(drafts["decoder"]["language"]["bleu_4"]["value"].is_number(), "{drafts}");
    assert!(drafts["decoder"]["findings"]["micro_f1"]["baseline"].is_number(), "{drafts}");
    assert!(drafts["examples"][0]["decoder"].is_string(), "{drafts}");
    let page = fs::read_to_string(run.join("evaluation/evaluation.html")).unwrap();
    assert!(page.contains("<td>Decoder"), "the page shows its row");
}
