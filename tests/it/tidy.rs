//! Size, words and order of the house. Each rule is a function from text to breaches, and catches a planted one.

use crate::code;
use ctedge_tests::place;
use std::collections::BTreeSet;

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;
const ROOM_FILES: usize = 8;

/// What may stand at the top, dot folders and the build folder aside.
const TOP: [&str; 17] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clippy.toml",
    "cross",
    "daemon",
    "deny.toml",
    "models",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "systemd",
    "tests",
    "trainer",
];

/// Documents and files that people rely on.
const PUBLIC: [&str; 11] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "daemon/MQTT.md",
    "daemon/config.default.toml",
    "models/BUNDLE.md",
    "systemd/README.md",
    "cross/README.md",
    "tests/README.md",
];

/// A file's lines up to its trailing test module.
fn without_tests(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let test = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{');
    let end = lines.windows(2).position(test).unwrap_or(lines.len());
    lines[..end].to_vec()
}

fn long_file(path: &str, text: &str) -> Vec<String> {
    let count = without_tests(text).len();
    let test_file = path.ends_with("/tests.rs") || path.contains("/tests/");
    let breach = || format!("{path} has {count} lines; {FILE_LINES} at most");
    if count > FILE_LINES && !test_file { vec![breach()] } else { Vec::new() }
}

/// Functions with too many lines of code. The text is formatted, so a function ends at the brace under its head.
fn long_functions(path: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut breaches = Vec::new();
    for (start, line) in lines.iter().enumerate().filter(|(_, line)| is_function(line)) {
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let body = lines[start..].iter().take_while(|line| **line != end);
        let count = body.filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//")).count();
        if count > FUNCTION_LINES + 1 && !line.trim_end().ends_with(['}', ';']) {
            breaches.push(format!("{path}:{} has {count} lines of code; {FUNCTION_LINES} at most", start + 1));
        }
    }
    breaches
}

fn is_function(line: &str) -> bool {
    let marks = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern", "\"C\""];
    line.split_whitespace().find(|word| !marks.contains(word)) == Some("fn")
}

/// Words that no file of the house holds.
fn words(path: &str, text: &str) -> Vec<String> {
    // Put together here, so that this list is no breach of itself.
    let mut forbidden =
        vec![["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["X", "XX"].concat(), ["dbg", "!("].concat()];
    forbidden.extend([["todo", "!("].concat(), ["unimplemented", "!("].concat()]);
    let mut found: Vec<String> = forbidden.into_iter().filter(|word| text.contains(word.as_str())).collect();
    found.extend(
        ["work", "root", "home"].map(|folder| format!("/{folder}/")).into_iter().filter(|path| absolute(text, path)),
    );
    found.into_iter().map(|word| format!("{path} holds {word}")).collect()
}

/// Whether a path stands in the text as the beginning of an absolute one.
fn absolute(text: &str, path: &str) -> bool {
    let inside = |before: char| before.is_alphanumeric() || "._-}>)".contains(before);
    text.match_indices(path).any(|(at, _)| !text[..at].chars().next_back().is_some_and(inside))
}

/// Names that say nothing.
fn empty_names(path: &str) -> Vec<String> {
    let empty = ["utils", "util", "common", "helpers", "helper", "manager", "handler", "misc", "processor"];
    let stems = path.split('/').map(|part| part.split('.').next().unwrap_or_default());
    stems.filter(|stem| empty.contains(stem)).map(|stem| format!("{path}: {stem} says nothing")).collect()
}

/// Rooms and modules that the map does not name.
fn unmapped(map: &str, names: &BTreeSet<String>) -> Vec<String> {
    let missing =
        names.iter().filter(|name| !map.contains(&format!("`{name}`")) && !map.contains(&format!("`{name}.rs`")));
    missing.map(|name| format!("ARCHITECTURE.md does not name `{name}`")).collect()
}

/// Rooms with too many files or without a page of their own.
fn rooms(files: &[(String, String)]) -> Vec<String> {
    let folder = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned()).unwrap_or_default();
    let folders: BTreeSet<String> = files.iter().map(|(path, _)| folder(path)).collect();
    let mut breaches = Vec::new();
    for room in folders.iter().filter(|room| !room.ends_with("/src") && !room.ends_with("/bin")) {
        let inside = files.iter().filter(|(path, _)| folder(path) == *room && !path.ends_with("/tests.rs")).count();
        if inside > ROOM_FILES {
            breaches.push(format!("{room} has {inside} files; {ROOM_FILES} at most"));
        }
    }
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with("/mod.rs")) {
        if !text.starts_with("//! ") || text.starts_with("//! placeholder") {
            breaches.push(format!("{path} does not begin with what the room is"));
        }
    }
    breaches
}

/// Lines of `[workspace.dependencies]` that no member uses.
fn unused(workspace: &str, members: &[String]) -> Vec<String> {
    let table: toml::Table = workspace.parse().unwrap();
    let lines = table["workspace"]["dependencies"].as_table().unwrap().clone();
    let used = |name: &str| {
        members.iter().any(|text| {
            let member: toml::Table = text.parse().unwrap();
            let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
            sections.iter().any(|section| member.get(*section).is_some_and(|list| list.get(name).is_some()))
        })
    };
    let foreign = lines.iter().filter(|(_, line)| line.get("path").is_none()).map(|(name, _)| name);
    foreign.filter(|name| !used(name)).map(|name| format!("nobody uses {name} of the root Cargo.toml")).collect()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(place::root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn every_file() -> Vec<code::Source> {
    ["models", "daemon", "trainer", "tests", "systemd", "cross"].into_iter().flat_map(code::files).collect()
}

#[test]
fn files_and_functions_are_short() {
    let files = ["models", "daemon", "trainer", "tests"].into_iter().flat_map(code::rust);
    let check =
        |file: code::Source| [long_file(&file.path, &file.text), long_functions(&file.path, &file.text)].concat();
    let breaches: Vec<String> = files.flat_map(check).collect();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn no_file_holds_a_forbidden_word_or_an_empty_name() {
    let mut breaches = Vec::new();
    for file in every_file() {
        breaches.extend(words(&file.path, &file.text));
        breaches.extend(empty_names(&file.path));
    }
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "Cargo.toml"] {
        breaches.extend(words(name, &read(name)));
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn the_map_names_every_room_and_module() {
    let mut names = BTreeSet::new();
    for source in ["daemon/src", "models/src", "trainer/src"] {
        for file in code::rust(source) {
            let below = file.path.trim_start_matches(source).trim_start_matches('/');
            let name = below.split('/').next().unwrap_or_default();
            if !["lib.rs", "main.rs"].contains(&name) {
                names.insert(name.trim_end_matches(".rs").to_owned());
            }
        }
    }
    // The command line's folder is written with its slash.
    let map = read("ARCHITECTURE.md").replace("`cli/`", "`cli`");
    assert_eq!(unmapped(&map, &names), Vec::<String>::new());
}

#[test]
fn rooms_are_small_and_say_what_they_are() {
    let sources = ["models/src", "daemon/src", "trainer/src"].into_iter().flat_map(code::rust);
    let files: Vec<(String, String)> = sources.map(|file| (file.path, file.text)).collect();
    // The command lines have a file for each command.
    let of_commands =
        |breach: &String| ["daemon/src/cli ", "trainer/src/cli "].iter().any(|cli| breach.starts_with(cli));
    let breaches: Vec<String> = rooms(&files).into_iter().filter(|breach| !of_commands(breach)).collect();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn the_top_level_and_the_public_files_are_what_they_should_be() {
    let entries = std::fs::read_dir(place::root()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = entries.map(|name| name.to_string_lossy().into_owned());
    let strangers: Vec<String> =
        names.filter(|name| !name.starts_with('.') && name != "target" && !TOP.contains(&name.as_str())).collect();
    assert!(strangers.is_empty(), "these do not belong at the top level: {strangers:?}");
    let missing: Vec<&str> = PUBLIC.into_iter().filter(|name| !place::root().join(name).is_file()).collect();
    assert!(missing.is_empty(), "these are missing: {missing:?}");
    assert!(read("CHANGELOG.md").lines().any(|line| line == "## Unreleased"), "CHANGELOG.md has no Unreleased section");
}

#[test]
fn every_workspace_dependency_is_used() {
    let members = ["models", "daemon", "trainer", "tests"].map(|member| read(&format!("{member}/Cargo.toml")));
    let breaches = unused(&read("Cargo.toml"), &members);
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn planted_breaches_are_caught() {
    let long = "x\n".repeat(FILE_LINES + 1);
    assert_eq!(long_file("a.rs", &long).len(), 1);
    assert_eq!(long_file("room/tests.rs", &long).len(), 0);
    let tested = format!("code\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert_eq!(long_file("a.rs", &tested).len(), 0, "a trailing test module does not count");
    assert_eq!(long_file("a.rs", &format!("#[cfg(test)]\nmod tests;\n{long}")).len(), 1, "a named one ends nothing");

    let function = |lines: usize| format!("    pub(crate) fn f() {{\n{}    }}\n", "        x();\n".repeat(lines));
    assert_eq!(long_functions("a.rs", &function(FUNCTION_LINES)).len(), 0);
    assert_eq!(long_functions("a.rs", &function(FUNCTION_LINES + 1)).len(), 1);

    assert_eq!(words("a.rs", &["// TO", "DO: later"].concat()).len(), 1);
    assert_eq!(words("a.rs", &["let p = \"/wo", "rk/x\";"].concat()).len(), 1);
    assert_eq!(words("a.rs", "spool/work/x").len(), 0, "a folder of that name elsewhere");
    assert_eq!(empty_names("daemon/src/utils.rs").len(), 1);
    assert_eq!(empty_names("daemon/src/helpers/x.rs").len(), 1);
}

#[test]
fn planted_disorder_is_caught() {
    let names = BTreeSet::from(["intake".to_owned(), "attic".to_owned()]);
    assert_eq!(unmapped("| `intake` | …", &names), ["ARCHITECTURE.md does not name `attic`"]);

    let file = |n: usize| (format!("daemon/src/room/f{n}.rs"), String::new());
    assert_eq!(rooms(&(0..=ROOM_FILES).map(file).collect::<Vec<_>>()).len(), 1);
    assert_eq!(rooms(&[("daemon/src/room/mod.rs".to_owned(), "mod x;".to_owned())]).len(), 1);

    let workspace = "[workspace.dependencies]\na = \"1\"\nb = \"1\"";
    assert_eq!(unused(workspace, &["[dependencies]\na.workspace = true".to_owned()]).len(), 1);
}
