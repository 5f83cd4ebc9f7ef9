use super::*;
use std::fs;

const SHIPPED: &str = include_str!("../../config.default.toml");

fn load(file: &Path, environment: &[(&str, &str)], set: &[&str]) -> Result<Config, ConfigError> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(file), environment, &set.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
}

fn problems(toml: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, toml).unwrap();
    load(&file, &[], &[]).unwrap_err().problems
}

#[test]
fn the_shipped_file_is_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, SHIPPED).unwrap();
    assert_eq!(load(&file, &[], &[]).unwrap(), Config::default());
    let written: toml::Table = SHIPPED.parse().unwrap();
    let mut missing = Vec::new();
    layers::unknown_keys(&known(), &written, &mut missing);
    assert!(missing.is_empty(), "keys that the shipped file does not explain: {missing:?}");
}

#[test]
fn the_rules_in_the_documents_are_good_rules() {
    let readme = include_str!("../../../README.md");
    let example = readme.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let commented = SHIPPED.split("# [[choice.rules]]").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let shipped = format!("[[choice.rules]] {}", commented.replace("\n# ", "\n"));
    for (text, rules) in [(example, 2), (shipped.as_str(), 1)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        fs::write(&file, text).unwrap();
        let config = load(&file, &[], &[]).unwrap_or_else(|error| panic!("{error}:\n{text}"));
        assert_eq!(config.choice.rules.len(), rules);
        assert_eq!(toml::from_str::<Config>(&config.to_toml().unwrap()).unwrap(), config, "as it is printed");
    }
    assert!(problems("[[choice.rules]]\nname = 'a'\nkernle = []").join("").contains("choice.rules[0]"));
}

#[test]
fn later_layers_win() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    fs::write(&file, "mqtt.host = 'file'\nmqtt.port = 1\nmqtt.device = 'file'\nlog.level = 'debug'").unwrap();
    fs::write(folder.path().join("conf.d/20-b.toml"), "mqtt.port = 3").unwrap();
    fs::write(folder.path().join("conf.d/10-a.toml"), "mqtt.port = 2\nmqtt.device = 'drop-in'").unwrap();
    let environment = [("CTEDGE__MQTT__DEVICE", "environment"), ("CTEDGE__SERIES__QUIET_S", "5"), ("PATH", "/bin")];
    let config = load(&file, &environment, &["series.quiet_s=7.5", "infer.providers=[\"cpu\"]"]).unwrap();
    assert_eq!((config.mqtt.host.as_str(), config.mqtt.port, config.mqtt.device.as_str()), ("file", 3, "environment"));
    assert_eq!((config.series.quiet_s, config.log.level.as_str()), (7.5, "debug"));
    assert_eq!(config.infer.providers, [infer::Provider::Cpu]);
}

#[test]
fn unknown_keys_name_the_nearest_one() {
    let problems = problems("mqtt.hots = 'a'\nseries.quiet_secs = 3\nreport.thresholds.emphysema = 0.5");
    assert_eq!(
        problems,
        [
            "unknown key `mqtt.hots`; did you mean `mqtt.host`?",
            "unknown key `series.quiet_secs`; did you mean `series.quiet_s`?"
        ]
    );
}

#[test]
fn wrong_values_name_their_key() {
    let of = |toml| problems(toml).join("\n");
    assert!(of("mqtt.port = 'x'").contains("mqtt.port"));
    assert!(of("infer.providers = ['gpu']").contains("infer.providers"));
    assert!(of("report.thresholds.pneumothorax = 0.5").contains("pneumothorax"));
    assert!(of("receive.listen = 'here'").contains("receive.listen"));
    assert!(of("receive.addresses = ['192.0.2.0/33']").contains("receive.addresses"));
    assert!(of("not toml").contains("config.toml"));
}

#[test]
fn all_problems_are_told_at_once() {
    let all = problems(
        "intake.poll_s = 0\nseries.quiet_s = -1\nvolume.memory_mib = 1\ninfer.providers = []\nreport.thresholds.emphysema = 7\n\
         receive.listen = '127.0.0.1:11112'\nreceive.ae_title = ' '\nreceive.associations = 0\n\
         mqtt.device = 'A B'\nmqtt.password_file = 'p'\nlog.level = 'a=b=c'\npaths.spool = '/var/spool/ctedge/incoming/x'",
    );
    assert_eq!(all.len(), 12, "{all:#?}");
}

#[test]
fn identifiers_leave_only_encrypted_and_with_a_written_word() {
    let full = "phi.mode = 'full'\n";
    let all = problems(full);
    assert!(all.len() == 2 && all[0].contains("phi.acknowledgement") && all[1].contains("mqtt.tls"), "{all:?}");
    let sentence = all[0].split_once("= ").unwrap().1;
    assert_eq!(problems(&format!("{full}phi.acknowledgement = {sentence}")), [all[1].clone()]);
    assert_eq!(problems(&format!("{full}mqtt.tls.ca = 'x'")), [all[0].clone()]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, format!("{full}phi.acknowledgement = {sentence}\nmqtt.tls.ca = 'x'")).unwrap();
    assert!(load(&file, &[], &[]).unwrap().phi.which().is_some());
    assert!(problems("phi.mode = 'names'")[0].contains("phi.mode"));
}

#[test]
fn only_what_changes_results_changes_the_digest() {
    let base = Config::default();
    let mut other = Config::default();
    other.mqtt.host = "elsewhere".into();
    other.series.quiet_s = 5.0;
    assert_eq!(base.digest(), other.digest());
    other.report.thresholds.insert(ctedge_models::labels::Label::Emphysema, 0.4);
    assert_ne!(base.digest(), other.digest());
}
