//! The hands of the room: moves files and writes the ledger, as [`super::gather`] decides.

use super::archive;
use super::gather::{Gather, Sorted};
use super::identifiers;
use super::ledger::{self, Step};
use super::naming::Named;
use super::{Completed, HeaderAnswer, Room, Series, SeriesError};
use crate::floor::clock::{self, Stopwatch};
use crate::floor::fate::{Code, Refusal};
use crate::floor::phi::{Names, SeriesKey, StudyKey};
use crate::floor::store::lock;
use crate::floor::subject::{Priority, Subject};
use crate::intake::Claim;
use ctedge_models::scan::{Format, Identifiers, Reason};
use data_encoding::HEXLOWER;
use rusqlite::Transaction;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;
use tracing::{error, info, warn};

/// Attempts to have a header read before the room gives up on its worker.
pub(super) const ATTEMPTS: u32 = 5;

/// A file and the series it belongs to.
struct Identified {
    key: SeriesKey,
    file: Sorted,
    /// What the series is called under other generations of the site's key.
    also: Vec<Names>,
}

impl Room<'_> {
    /// Asks what a claimed file is and puts it, or the members of an archive, into its series.
    pub(super) fn sort(&mut self, claim: &Claim, gather: &mut Gather, now: Duration) -> Result<(), SeriesError> {
        let answer = self.ask(&claim.path)?;
        if matches!(answer, HeaderAnswer::Archive) {
            return self.sort_archive(claim, gather, now);
        }
        self.place(claim, answer, gather, now)
    }

    /// Puts a file into the series that it says it belongs to.
    pub(super) fn place(
        &mut self,
        claim: &Claim,
        answer: HeaderAnswer,
        gather: &mut Gather,
        now: Duration,
    ) -> Result<(), SeriesError> {
        let Some(identified) = self.identify(claim, answer, gather)? else { return Ok(()) };
        self.put(claim, identified, gather, now)
    }

    fn put(
        &mut self,
        claim: &Claim,
        Identified { key, file, also }: Identified,
        gather: &mut Gather,
        now: Duration,
    ) -> Result<(), SeriesError> {
        if !gather.knows(&key) {
            let is_scan = file.refusal.is_none();
            let read = self.read_identifiers.as_mut().filter(|_| is_scan);
            let identifiers = read.and_then(|read| {
                let identifiers = read(&claim.path);
                if identifiers.is_none() {
                    warn!(series = %key, "identifiers of the patient cannot be read; none are published");
                }
                identifiers
            });
            self.open(&key, &file.study_key, &also, identifiers.as_ref())?;
        }
        self.disk.patiently(|| self.spool.sort_in(&claim.path, &key, &file.digest))?;
        gather.add(key, file, now);
        Ok(())
    }

    fn open(
        &self,
        key: &SeriesKey,
        study: &StudyKey,
        also: &[Names],
        patient: Option<&Identifiers>,
    ) -> Result<(), SeriesError> {
        self.commit(|transaction| {
            ledger::note_aliases(transaction, key, also)?;
            if let Some(patient) = patient {
                identifiers::keep(transaction, key, patient)?;
            }
            if ledger::open(transaction, key, study)? {
                (self.announce)(transaction, Step::Opened(key, study))?;
            }
            Ok(())
        })
    }

    /// A commit that waits for room.
    fn commit<T>(
        &self,
        mut work: impl FnMut(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, SeriesError> {
        Ok(self.disk.patiently(|| lock(self.store).commit(&mut work))?)
    }

    /// Freezes a complete series. `None` while an earlier batch of it is still being read.
    pub(super) fn complete(
        &mut self,
        key: &SeriesKey,
        gather: &mut Gather,
        now: Duration,
    ) -> Result<Option<Completed>, SeriesError> {
        let Some(folder) = self.disk.patiently(|| self.spool.freeze(key))? else {
            gather.blocked(now);
            return Ok(None);
        };
        let Some((open, complete_by)) = gather.take(key) else { return Ok(None) };
        let digests = self.spool.digests(key)?;
        let subject = Subject {
            study_key: open.study_key,
            series_key: key.clone(),
            digest: series_digest(&digests),
            instances: u32::try_from(digests.len()).unwrap_or(u32::MAX),
            expected: open.expected,
            complete_by,
            revision: 1,
            replaces: None,
            completed_ms: clock::now_ms(),
            priority: open.priority,
            choice: None,
        };
        self.commit(|transaction| {
            ledger::ready(transaction, &subject)?;
            (self.announce)(transaction, Step::Completed(&subject))
        })?;
        info!(series = %key, instances = subject.instances, complete_by = ?complete_by, "series complete");
        let refusal = if digests.is_empty() { Some(vanished()) } else { open.refusal };
        Ok(Some(Completed { series: Series { subject, folder }, refusal }))
    }

    /// Picks up what an earlier run left behind. Returns the series that were already complete.
    pub(super) fn resume(&mut self, gather: &mut Gather, now: Duration) -> Result<Vec<Completed>, SeriesError> {
        let mut again = Vec::new();
        for key in self.spool.frozen_keys()? {
            again.extend(self.resume_frozen(&key)?);
        }
        let open = self.commit(ledger::open_keys)?;
        let studies: BTreeMap<SeriesKey, StudyKey> = open.iter().cloned().collect();
        for (key, study) in open {
            gather.expect(key, study, now);
        }
        for key in self.spool.open_keys()? {
            for path in self.spool.open_files(&key)? {
                let answer = self.ask_again(&path)?;
                let claim = Claim { path, source: None, since: Stopwatch::start() };
                let Some(mut identified) = self.identify(&claim, answer, gather)? else { continue };
                // Its folder has its name, also where that is of a generation that was dropped since.
                identified.key = key.clone();
                if let Some(study) = studies.get(&key) {
                    identified.file.study_key = study.clone();
                }
                self.put(&claim, identified, gather, now)?;
                clock::next_piece();
            }
        }
        Ok(again)
    }

    fn resume_frozen(&mut self, key: &SeriesKey) -> Result<Option<Completed>, SeriesError> {
        let (ready, open, retired) = self.commit(|transaction| {
            let open = ledger::open_keys(transaction)?.iter().any(|(open, _)| open == key);
            Ok((ledger::resume(transaction, key)?, open, ledger::retired(transaction, key)?))
        })?;
        if let Some(subject) = ready {
            let refusal = self.refusal_of_single(key)?;
            let series = Series { subject, folder: self.spool.frozen(key) };
            return Ok(Some(Completed { series, refusal }));
        }
        match retired {
            Some(retired) if !open => self.disk.patiently(|| self.spool.retire(key, retired.clone()))?,
            // Frozen, but the ledger had not heard of it yet, or was lost: back to the open series.
            Some(_) | None => self.disk.patiently(|| self.spool.thaw(key))?,
        }
        Ok(None)
    }

    /// A frozen single file is asked again why it was refused: the ledger keeps a reason only once it is published.
    fn refusal_of_single(&mut self, key: &SeriesKey) -> Result<Option<Refusal>, SeriesError> {
        let files = self.spool.frozen_files(key)?;
        match files.as_slice() {
            [] => Ok(Some(vanished())),
            [only] => match self.ask_again(only)? {
                HeaderAnswer::Refused(refusal) => Ok(Some(refusal)),
                HeaderAnswer::Header(_) | HeaderAnswer::Archive | HeaderAnswer::Unavailable => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// Asks what a file is. A worker may die for what others do, as where memory runs out: only a file that brings down two of
    /// them is to blame, else it would be missing from its series.
    pub(super) fn ask(&mut self, path: &Path) -> Result<HeaderAnswer, SeriesError> {
        let answer = self.answered(path)?;
        let died = matches!(&answer, HeaderAnswer::Refused(refusal) if refusal.code == Code::ScanCrashed);
        if died { self.answered(path) } else { Ok(answer) }
    }

    /// Asks until the worker can be asked.
    fn answered(&mut self, path: &Path) -> Result<HeaderAnswer, SeriesError> {
        for attempt in 1..=ATTEMPTS {
            let answer = (self.read_header)(path);
            if !matches!(answer, HeaderAnswer::Unavailable) {
                return Ok(answer);
            }
            pause(attempt);
        }
        Err(SeriesError::NoWorker)
    }

    /// Which series a file belongs to. `None` when it has vanished.
    fn identify(
        &self,
        claim: &Claim,
        answer: HeaderAnswer,
        gather: &Gather,
    ) -> Result<Option<Identified>, SeriesError> {
        let header = match answer {
            HeaderAnswer::Header(header) => header,
            HeaderAnswer::Refused(refusal) => return self.stray(claim, refusal, gather),
            HeaderAnswer::Archive => return self.stray(claim, archive::nested(), gather),
            HeaderAnswer::Unavailable => return Err(SeriesError::NoWorker),
        };
        let Named { names, also } = self.name(&header.study_uid, &header.series_uid, gather)?;
        let file = Sorted {
            study_key: names.study_key,
            digest: header.digest,
            expected: header.expected,
            single_file: header.format == Format::Nifti,
            priority: if header.urgent { Priority::Urgent } else { Priority::Routine },
            source: claim.source,
            refusal: None,
        };
        Ok(Some(Identified { key: names.series_key, file, also }))
    }

    /// A file that belongs to no series is a series of its own, known by its bytes.
    fn stray(&self, claim: &Claim, refusal: Refusal, gather: &Gather) -> Result<Option<Identified>, SeriesError> {
        let digest = match file_digest(&claim.path) {
            Ok(digest) => digest,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        info!(reason = refusal.code.name(), "a file belongs to no series");
        let identity = format!("file:{digest}");
        let Named { names, also } = self.name(&identity, &identity, gather)?;
        let file = Sorted {
            study_key: names.study_key,
            digest,
            expected: None,
            single_file: true,
            priority: Priority::Routine,
            source: claim.source,
            refusal: Some(refusal),
        };
        Ok(Some(Identified { key: names.series_key, file, also }))
    }
}

/// Before the worker is asked again.
pub(super) fn pause(attempt: u32) {
    error!(attempt, "the scan worker does not answer");
    std::thread::sleep(Duration::from_secs(1));
}

/// SHA-256 over the sorted file digests: the same files in any order and under any names give the same series digest.
pub(crate) fn series_digest(sorted_digests: &[String]) -> String {
    let mut hasher = Sha256::new();
    for digest in sorted_digests {
        hasher.update(digest.as_bytes());
        hasher.update(b"\n");
    }
    HEXLOWER.encode(&hasher.finalize())
}

/// SHA-256 of a file's bytes, hex.
pub(crate) fn file_digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(HEXLOWER.encode(&hasher.finalize()));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

/// What a series without files is refused with: somebody has emptied its folder.
fn vanished() -> Refusal {
    Refusal::new(Code::Scan(Reason::Unreadable), "its files are no longer in the spool")
}
