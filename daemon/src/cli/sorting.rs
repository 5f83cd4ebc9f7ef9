//! Files that an operator names, sorted into series as the daemon would, without touching them.

use crate::config::Config;
use crate::floor::clock;
use crate::floor::fate::Refusal;
use crate::floor::phi::SiteKey;
use crate::floor::subject::{CompleteBy, Priority, Subject};
use crate::series::{Completed, HeaderAnswer, Series, nested, series_digest};
use crate::volume::{self, HeaderReader};
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tempfile::TempDir;

/// A series on disk, ready to be read.
pub(super) struct Found {
    /// As the daemon's rooms see it.
    pub(super) completed: Completed,
    /// DICOM's modality code.
    pub(super) modality: Option<String>,
    /// The first of its files, for the operator who named it.
    pub(super) example: PathBuf,
    // Links to the files, named by their digests, and what they link to, for as long as the series is worked on.
    _links: TempDir,
    _unpacked: Rc<TempDir>,
}

/// Sorts a file, the members of an archive, or everything in a folder and the folders below it. Files that belong to no
/// series come with their refusal, each for itself.
pub(super) fn sorted(path: &Path, config: &Config) -> anyhow::Result<Vec<Found>> {
    let key = config.paths.site_key();
    let site = SiteKey::load_or_create(&key)
        .with_context(|| format!("the site key {} (another place: --set paths.state=FOLDER)", key.display()))?;
    let mut files = Vec::new();
    list(path, &mut files).with_context(|| path.display().to_string())?;
    files.sort();
    if files.is_empty() {
        bail!("{} holds no files", path.display());
    }
    let unpacked = Rc::new(temporary()?);
    let folders = files.iter().filter_map(|file| Some(file.canonicalize().ok()?.parent()?.to_owned())).collect();
    let folders = [volume::gathered(folders), vec![unpacked.path().to_owned()]].concat();
    let mut reader = HeaderReader::new(&config.volume, &config.series.urgent, folders);
    let mut series: BTreeMap<String, Gathered> = BTreeMap::new();
    for (number, named) in files.iter().enumerate() {
        let file = named.canonicalize().with_context(|| named.display().to_string())?;
        let answer = reader.read(&file);
        if !matches!(answer, HeaderAnswer::Archive) {
            gather(&mut series, (named, file), answer)?;
            continue;
        }
        let into = unpacked.path().join(number.to_string());
        std::fs::create_dir(&into)?;
        if let Err(refusal) = volume::unpack(&config.volume, &file, &into).context("the archive cannot be unpacked")? {
            gather(&mut series, (named, file), HeaderAnswer::Refused(refusal))?;
            continue;
        }
        let mut members = Vec::new();
        list(&into, &mut members)?;
        for member in members {
            let answer = reader.read(&member);
            gather(&mut series, (named, member), answer)?;
        }
    }
    series.into_iter().map(|(uid, gathered)| gathered.into_found(&uid, &site, &unpacked)).collect()
}

fn temporary() -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix("ctedge-").tempdir()
}

/// Puts a file, or a member of an archive that was named, into its series.
fn gather(
    series: &mut BTreeMap<String, Gathered>,
    (named, file): (&Path, PathBuf),
    answer: HeaderAnswer,
) -> anyhow::Result<()> {
    let refusal = match answer {
        HeaderAnswer::Header(header) => {
            let gathered = series.entry(header.series_uid.clone()).or_insert_with(|| Gathered {
                study_uid: header.study_uid,
                modality: header.modality,
                example: named.to_owned(),
                ..Gathered::default()
            });
            gathered.expected = gathered.expected.max(header.expected);
            gathered.files.insert(header.digest, file);
            return Ok(());
        }
        HeaderAnswer::Refused(refusal) => refusal,
        HeaderAnswer::Archive => nested(),
        HeaderAnswer::Unavailable => bail!("{} cannot be read", named.display()),
    };
    let gathered = series.entry(format!("file:{}", file.display())).or_default();
    gathered.study_uid = format!("file:{}", file.display());
    gathered.refusal = Some(refusal);
    named.clone_into(&mut gathered.example);
    gathered.files.insert("file".to_owned(), file);
    Ok(())
}

/// A series as its files are found.
#[derive(Default)]
struct Gathered {
    study_uid: String,
    modality: Option<String>,
    expected: Option<u32>,
    refusal: Option<Refusal>,
    example: PathBuf,
    /// By digest: the same bytes twice are one file.
    files: BTreeMap<String, PathBuf>,
}

impl Gathered {
    fn into_found(self, series_uid: &str, site: &SiteKey, unpacked: &Rc<TempDir>) -> anyhow::Result<Found> {
        let links = temporary()?;
        for (digest, file) in &self.files {
            symlink(file, links.path().join(digest))?;
        }
        let digests: Vec<String> = self.files.keys().cloned().collect();
        let subject = Subject {
            study_key: site.study(&self.study_uid),
            series_key: site.series(series_uid),
            digest: series_digest(&digests),
            instances: u32::try_from(digests.len())?,
            expected: self.expected,
            complete_by: CompleteBy::Operator,
            revision: 1,
            replaces: None,
            completed_ms: clock::now_ms(),
            priority: Priority::Routine,
            choice: None,
        };
        let series = Series { subject, folder: links.path().to_owned() };
        let completed = Completed { series, refusal: self.refusal };
        let (modality, example) = (self.modality, self.example);
        Ok(Found { completed, modality, example, _links: links, _unpacked: Rc::clone(unpacked) })
    }
}

fn list(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        // A link to a folder is left alone: it could lead round in a circle.
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else if entry.path().is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}
