//! The bundle for support: a tar of short files, packed by Zstandard, out of which everything has gone that names a person, a
//! machine or a place.
//!
//! What gets in is chosen field by field by whoever makes the pieces. Texts for people, which may repeat a path or an address
//! that the configuration names, pass [`Scrub`] on top.

use crate::floor::durable;
use serde_json::Value;
use std::io;
use std::path::Path;

/// One file of the bundle.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its contents.
    pub(crate) text: String,
}

impl Piece {
    /// A JSON file.
    pub(crate) fn json(name: &'static str, value: &Value) -> Self {
        Self { name, text: format!("{value:#}\n") }
    }
}

/// Folder of the pieces in the bundle.
const FOLDER: &str = "ctedge-diag";

/// Writes the pieces to a file that only its owner may read, which is there whole or not at all.
pub(crate) fn pack(pieces: &[Piece], at_s: u64, output: &Path) -> io::Result<()> {
    let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?);
    for Piece { name, text } in pieces {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(text.len()).unwrap_or_default());
        header.set_mode(0o600);
        header.set_mtime(at_s);
        archive.append_data(&mut header, format!("{FOLDER}/{name}"), text.as_bytes())?;
    }
    durable::write_private(&std::path::absolute(output)?, &archive.into_inner()?.finish()?)
}

/// Takes names of people, machines and places out of texts.
#[derive(Debug, Default)]
pub(crate) struct Scrub {
    /// Longest first, so that a path goes before the name in it.
    secrets: Vec<String>,
}

/// Shorter ones would take half of every word with them.
const SHORTEST: usize = 3;
/// UIDs of the standard itself: they name transfer syntaxes, not patients.
const DICOMS_OWN: &str = "1.2.840.10008.";

impl Scrub {
    /// Takes out these, wherever they stand.
    pub(crate) fn of(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> = secrets.into_iter().filter(|secret| secret.len() >= SHORTEST).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { secrets }
    }

    /// The text without them, without paths, addresses, and numbers with more than three dots.
    pub(crate) fn text(&self, text: &str) -> String {
        let known = self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "[redacted]"));
        let is_end = |letter: char| letter.is_whitespace() || "\"'`,;=(){}<>".contains(letter);
        known.split_inclusive(is_end).map(word).collect()
    }

    /// All texts in it.
    pub(crate) fn json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(values) => values.into_iter().map(|value| self.json(value)).collect(),
            Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, self.json(value))).collect(),
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain,
        }
    }
}

/// A word, with what ends it, or what stands in its place.
fn word(word: &str) -> String {
    let bare = word.trim_end_matches(|letter: char| !letter.is_alphanumeric() && letter != '/' && letter != ']');
    let end = word.get(bare.len()..).unwrap_or_default();
    let is_address = |text: &str| {
        let digits = text.split(['.', ':']).filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        text.matches('.').count() >= 3 && digits.count() >= 4 && !text.starts_with(DICOMS_OWN)
    };
    let instead = match bare {
        path if path.starts_with('/') || path.contains("://") => "[path]",
        number if is_address(number) => "[number]",
        plain => plain,
    };
    format!("{instead}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_go_and_the_rest_stays() {
        let scrub = Scrub::of(["broker.hospital.example", "/srv/ct", "no", "hospital"].map(str::to_owned));
        for (text, left) in [
            ("broker.hospital.example:8883: refused", "[redacted]:8883: refused"),
            ("/srv/ct/spool: no space; at hospital", "[redacted]/spool: no space; at [redacted]"),
            ("cannot open \"/var/lib/x y\", why", "cannot open \"[path] y\", why"),
            ("from 192.0.2.7:104, again", "from [number], again"),
            ("uid 1.2.826.0.1.3680043.8.498.1", "uid [number]"),
            ("syntax 1.2.840.10008.1.2.1, ORT 1.28.0", "syntax 1.2.840.10008.1.2.1, ORT 1.28.0"),
            ("ctedge_disk_free_bytes{folder=\"spool\"} 17", "ctedge_disk_free_bytes{folder=\"spool\"} 17"),
        ] {
            assert_eq!(scrub.text(text), left);
        }
        let json = serde_json::json!({"a": ["/x", 1, null], "b": {"c": "hospital"}});
        assert_eq!(scrub.json(json), serde_json::json!({"a": ["[path]", 1, null], "b": {"c": "[redacted]"}}));
    }

    #[test]
    fn the_bundle_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar.zst");
        pack(&[Piece { name: "a.txt", text: "a".to_owned() }], 1, &path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let bytes = zstd::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names: Vec<_> =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(names, [Path::new("ctedge-diag/a.txt")]);
    }
}
