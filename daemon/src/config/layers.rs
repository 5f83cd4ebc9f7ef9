//! The layers of the configuration, each merged over the ones before it.

use super::{DEFAULT_FILE, OPTIONAL};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Prefix of environment variables, which name a key as `CTEDGE__MQTT__HOST`.
const PREFIX: &str = "CTEDGE__";

/// Merges the main file and its `conf.d` neighbours, the latter by name.
pub(super) fn files(table: &mut Table, file: Option<&Path>, problems: &mut Vec<String>) {
    let main = file.unwrap_or(Path::new(DEFAULT_FILE));
    match fs::read_to_string(main) {
        Ok(text) => parse(table, main, &text, problems),
        Err(error) if error.kind() == io::ErrorKind::NotFound && file.is_none() => {}
        Err(error) => problems.push(format!("{}: {error}", main.display())),
    }
    for path in drop_ins(main) {
        match fs::read_to_string(&path) {
            Ok(text) => parse(table, &path, &text, problems),
            Err(error) => problems.push(format!("{}: {error}", path.display())),
        }
    }
}

fn drop_ins(main: &Path) -> Vec<PathBuf> {
    let folder = main.with_file_name("conf.d");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(|path| is_toml(path)).collect();
    paths.sort();
    paths
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

fn parse(table: &mut Table, path: &Path, text: &str, problems: &mut Vec<String>) {
    match text.parse::<Table>() {
        Ok(layer) => merge(table, layer),
        Err(error) => problems.push(format!("{}: {}", path.display(), error.to_string().trim())),
    }
}

/// Merges `CTEDGE__TABLE__KEY=value`.
pub(super) fn environment(
    table: &mut Table,
    variables: impl Iterator<Item = (String, String)>,
    problems: &mut Vec<String>,
) {
    let mut ours: Vec<_> =
        variables.filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value))).collect();
    ours.sort();
    for (name, value) in ours {
        let path: Vec<String> = name.split("__").map(str::to_ascii_lowercase).collect();
        assign(table, &path, &value, &format!("{PREFIX}{name}"), problems);
    }
}

/// Merges `--set table.key=value`.
pub(super) fn arguments(table: &mut Table, set: &[String], problems: &mut Vec<String>) {
    for argument in set {
        match argument.split_once('=') {
            Some((path, value)) => {
                let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
                assign(table, &path, value, &format!("--set {argument}"), problems);
            }
            None => problems.push(format!("--set {argument}: write it as table.key=value")),
        }
    }
}

fn assign(table: &mut Table, path: &[String], text: &str, origin: &str, problems: &mut Vec<String>) {
    let Some((key, tables)) = path.split_last() else { return };
    let mut layer = Table::from_iter([(key.clone(), value_of(text))]);
    for name in tables.iter().rev() {
        layer = Table::from_iter([(name.clone(), Value::Table(layer))]);
    }
    if tables.is_empty() {
        problems.push(format!("{origin}: name the table as well, as in mqtt.host"));
    } else {
        merge(table, layer);
    }
}

/// A TOML value if the text is one (`5`, `true`, `["cpu"]`), else the text itself.
fn value_of(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(text.to_owned()))
}

fn merge(base: &mut Table, layer: Table) {
    for (key, value) in layer {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Names every key that `known` does not have, with the nearest one that it has.
pub(super) fn unknown_keys(table: &Table, known: &Table, problems: &mut Vec<String>) {
    let every = paths(known, "");
    for path in paths(table, "") {
        let is_known = every.iter().any(|key| *key == path || key.starts_with(&format!("{path}.")));
        if !is_known && !is_optional(&path) {
            let names = every.iter().map(String::as_str).chain(OPTIONAL);
            let nearest =
                names.max_by(|a, b| strsim::jaro_winkler(&path, a).total_cmp(&strsim::jaro_winkler(&path, b)));
            problems.push(format!("unknown key `{path}`; did you mean `{}`?", nearest.unwrap_or_default()));
        }
    }
}

fn is_optional(path: &str) -> bool {
    OPTIONAL.iter().any(|key| key.strip_suffix('*').map_or(*key == path, |table| path.starts_with(table)))
}

/// Dotted paths of all values.
fn paths(table: &Table, prefix: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (key, value) in table {
        if let Some(inner) = value.as_table().filter(|inner| !inner.is_empty()) {
            all.extend(paths(inner, &format!("{prefix}{key}.")));
        } else {
            all.push(format!("{prefix}{key}"));
        }
    }
    all
}
