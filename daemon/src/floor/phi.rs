//! Keyed pseudonyms in place of what identifies a patient.

use crate::floor::durable;
use ctedge_models::scan::Which;
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::Path;

/// What of a patient leaves the device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// `pseudonymous`, `accession` or `full`.
    pub(crate) mode: Mode,
    /// The sentence that has to be written for any other mode than the first.
    pub(crate) acknowledgement: String,
}

/// What is published of a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Pseudonyms alone.
    #[default]
    Pseudonymous,
    /// Accession numbers as well, on the topic `idmap`.
    Accession,
    /// Accession numbers and patients' ids, on the topic `idmap`.
    Full,
}

/// Who writes this knows what the mode does.
const ACKNOWLEDGEMENT: &str = "Identifiers of patients leave this device, and this site is allowed to let them.";

impl Settings {
    /// What has to be read out of files, if anything.
    pub(crate) fn which(&self) -> Option<Which> {
        match self.mode {
            Mode::Pseudonymous => None,
            Mode::Accession => Some(Which::Accession),
            Mode::Full => Some(Which::AccessionAndPatient),
        }
    }

    /// What is wrong with the values, one sentence each; `encryption` is that of the connection to the broker.
    pub(crate) fn problems(&self, encryption: Encryption) -> Vec<String> {
        let mut problems = Vec::new();
        if self.which().is_some() && self.acknowledgement != ACKNOWLEDGEMENT {
            problems.push(format!(
                "phi.mode publishes identifiers of patients: write phi.acknowledgement = {ACKNOWLEDGEMENT:?}"
            ));
        }
        if self.which().is_some() && encryption == Encryption::Without {
            problems.push("phi.mode publishes identifiers of patients: mqtt.tls must be set".to_owned());
        }
        problems
    }
}

/// Whether the connection to the broker is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// It is.
    Tls,
    /// It is not.
    Without,
}

/// Pseudonym of a study: the same for everybody who holds the site key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct StudyKey(pub(crate) String);

/// Pseudonym of a series, also the name of its folder in the spool.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct SeriesKey(pub(crate) String);

impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a series is called under one generation of the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Names {
    /// Pseudonym of its study.
    pub(crate) study_key: StudyKey,
    /// Its own.
    pub(crate) series_key: SeriesKey,
}

/// The site's secrets from which pseudonyms are made, one a generation; new pseudonyms are of the newest. Kept in a file of
/// mode 0600: a line of 64 hex digits for the first generation, with the number before it for later ones.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SiteKey {
    newest: Generation,
    /// Newest first.
    older: Vec<Generation>,
}

/// One secret.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Generation {
    number: u32,
    secret: [u8; 32],
}

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteKey(redacted)")
    }
}

/// Base32 characters of a pseudonym: 130 bits, more than any site will ever collide in.
const PSEUDONYM_CHARS: usize = 26;

impl SiteKey {
    /// A key as it stands in the key file.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut all = lines.map(Generation::read).collect::<Option<Vec<_>>>()?;
        all.sort_by_key(|generation| std::cmp::Reverse(generation.number));
        let is_double = all.windows(2).any(|pair| matches!(pair, [a, b] if a.number == b.number));
        let newest = *all.first().filter(|_| !is_double)?;
        Some(Self { newest, older: all.split_off(1) })
    }

    /// Reads the key file, or makes one from the operating system's randomness when there is none.
    pub(crate) fn load_or_create(path: &Path) -> io::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_hex(&text).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "the site key file does not hold 64 hex digits a line")
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self { newest: Generation::fresh(1)?, older: Vec::new() };
                key.write(path)?;
                Ok(key)
            }
            Err(error) => Err(error),
        }
    }

    /// The key with one more generation, durable before this returns: the file is the old one or the new one.
    pub(crate) fn rotated(mut self, path: &Path) -> io::Result<Self> {
        let next = Generation::fresh(self.newest.number.saturating_add(1))?;
        self.older.insert(0, std::mem::replace(&mut self.newest, next));
        self.write(path)?;
        Ok(self)
    }

    /// The key with its newest generation alone.
    pub(crate) fn without_older(self, path: &Path) -> io::Result<Self> {
        let key = Self { newest: self.newest, older: Vec::new() };
        key.write(path)?;
        Ok(key)
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        durable::write_private(path, self.all().map(Generation::line).collect::<String>().as_bytes())
    }

    fn all(&self) -> impl Iterator<Item = &Generation> {
        std::iter::once(&self.newest).chain(&self.older)
    }

    /// Numbers of the generations, newest first.
    pub(crate) fn generations(&self) -> Vec<u32> {
        self.all().map(|generation| generation.number).collect()
    }

    /// Tells one key from another, and nothing of either.
    pub(crate) fn fingerprint(&self) -> String {
        self.all()
            .map(|generation| generation.study("ctedge fingerprint of the site key").0)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// `sk1_` + base32(HMAC-SHA256(site key, Study Instance UID)), 26 characters, lower case; the digit is the generation.
    pub(crate) fn study(&self, uid: &str) -> StudyKey {
        self.newest.study(uid)
    }

    /// `ek1_` + base32(HMAC-SHA256(site key, Series Instance UID)), 26 characters, lower case; the digit is the generation.
    pub(crate) fn series(&self, uid: &str) -> SeriesKey {
        self.newest.series(uid)
    }

    /// What a series is called under the newest generation, and under the older ones.
    pub(crate) fn names(&self, study_uid: &str, series_uid: &str) -> (Names, Vec<Names>) {
        let names = |generation: &Generation| Names {
            study_key: generation.study(study_uid),
            series_key: generation.series(series_uid),
        };
        (names(&self.newest), self.older.iter().map(names).collect())
    }
}

impl Generation {
    fn read(line: &str) -> Option<Self> {
        let (number, hex) =
            line.split_once(' ').map_or(Some((1, line)), |(number, hex)| Some((number.parse().ok()?, hex)))?;
        let bytes = HEXLOWER.decode(hex.trim().to_ascii_lowercase().as_bytes()).ok()?;
        Some(Self { number, secret: bytes.try_into().ok()? })
    }

    fn line(&self) -> String {
        let hex = HEXLOWER.encode(&self.secret);
        if self.number == 1 { format!("{hex}\n") } else { format!("{} {hex}\n", self.number) }
    }

    fn fresh(number: u32) -> io::Result<Self> {
        Ok(Self { number, secret: durable::random()? })
    }

    fn study(&self, uid: &str) -> StudyKey {
        StudyKey(format!("sk{}_{}", self.number, self.pseudonym(uid)))
    }

    fn series(&self, uid: &str) -> SeriesKey {
        SeriesKey(format!("ek{}_{}", self.number, self.pseudonym(uid)))
    }

    fn pseudonym(&self, uid: &str) -> String {
        let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(&self.secret) else {
            // HMAC takes keys of any length (RFC 2104), so this cannot happen; a fixed text would still leak nothing.
            return "0".repeat(PSEUDONYM_CHARS);
        };
        mac.update(uid.trim_end_matches(['\0', ' ']).as_bytes());
        let text = BASE32_NOPAD.encode(&mac.finalize().into_bytes());
        text.chars().take(PSEUDONYM_CHARS).collect::<String>().to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_equal_the_recipe_in_the_contract() {
        // python3: base64.b32encode(hmac.new(bytes(32), b"1.2.3", "sha256").digest())[:26].lower()
        let key = SiteKey::from_hex(&"00".repeat(32)).unwrap();
        assert_eq!(key.study("1.2.3").0, "sk1_6rogoluft5m7vesjpyfdott2vw");
        assert_eq!(key.series("1.2.3\0").0, key.series("1.2.3").0, "UIDs are padded with NUL in the file");
    }

    #[test]
    fn the_key_is_made_once_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.key");
        let made = SiteKey::load_or_create(&path).unwrap();
        let read = SiteKey::load_or_create(&path).unwrap();
        assert_eq!(made.study("1.2"), read.study("1.2"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "short").unwrap();
        assert!(SiteKey::load_or_create(&path).is_err());
    }

    #[test]
    fn generations_are_added_and_dropped_and_never_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.key");
        std::fs::write(&path, "00".repeat(32)).unwrap();
        let first = SiteKey::load_or_create(&path).unwrap();
        let second = first.clone().rotated(&path).unwrap();
        assert_eq!(SiteKey::load_or_create(&path).unwrap(), second);
        assert_eq!((first.generations(), second.generations()), (vec![1], vec![2, 1]));
        let (newest, older) = second.names("1.2.3", "1.2.4");
        assert!(newest.study_key.0.starts_with("sk2_") && newest.series_key.0.starts_with("ek2_"), "{newest:?}");
        assert_eq!(older, [Names { study_key: first.study("1.2.3"), series_key: first.series("1.2.4") }]);
        let third = second.clone().rotated(&path).unwrap();
        assert_eq!(third.names("1.2.3", "1.2.4").1[0], newest);
        // A crash in the middle of a rotation leaves its half beside the key, and the key as it was.
        std::fs::write(folder.path().join("site.key.tmp"), "4 00").unwrap();
        assert_eq!(SiteKey::load_or_create(&path).unwrap(), third);
        let alone = third.clone().without_older(&path).unwrap();
        assert_eq!((SiteKey::load_or_create(&path).unwrap(), alone.generations()), (alone, vec![3]));
        for bad in ["", "2 00", &format!("{0}\n1 {0}", "00".repeat(32)), &format!("x {}", "00".repeat(32))] {
            assert!(SiteKey::from_hex(bad).is_none(), "{bad:?}");
        }
    }
}
