//! Archives: their members are sorted like files that were dropped one by one, and the archive lies in `claimed/` until all
//! of them have been. Whatever interrupts that, the next start unpacks it again; members are named by their digests, so the
//! second time changes nothing.

use super::gather::Gather;
use super::sort::{ATTEMPTS, pause};
use super::{HeaderAnswer, Room, SeriesError};
use crate::floor::clock::next_piece;
use crate::floor::fate::{Code, Refusal};
use crate::floor::subject::CompleteBy;
use crate::intake::{Claim, Source, Spool};
use ctedge_models::scan::{Reason, Unpacked};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tracing::{info, warn};

impl Room<'_> {
    /// Puts the members of a claimed archive into their series, which are complete then, or the archive among the strays.
    pub(super) fn sort_archive(
        &mut self,
        archive: &Claim,
        gather: &mut Gather,
        now: Duration,
    ) -> Result<(), SeriesError> {
        match self.unpacked(&archive.path)? {
            Err(refusal) => self.place(archive, HeaderAnswer::Refused(refusal), gather, now)?,
            Ok((folder, Unpacked { members, left_out })) => {
                info!(members, left_out, "an archive was unpacked");
                let source = Source::of(&archive.path);
                for path in Spool::members(&folder)? {
                    let answer = self.ask(&path)?;
                    self.place(&Claim { path, source: Some(source), since: archive.since }, answer, gather, now)?;
                    next_piece();
                }
                self.spool.let_go(&archive.path)?;
                gather.all_came(source, CompleteBy::Archive);
            }
        }
        Ok(())
    }

    /// Asks once more what a sorted file is. An archive among such is one that was refused: for what it holds, or for being
    /// a member itself.
    pub(super) fn ask_again(&mut self, path: &Path) -> Result<HeaderAnswer, SeriesError> {
        let answer = self.ask(path)?;
        if !matches!(answer, HeaderAnswer::Archive) {
            return Ok(answer);
        }
        Ok(HeaderAnswer::Refused(self.unpacked(path)?.err().unwrap_or_else(nested)))
    }

    fn unpacked(&self, archive: &Path) -> Result<Result<(TempDir, Unpacked), Refusal>, SeriesError> {
        for attempt in 1..=ATTEMPTS {
            let folder = self.spool.unpacking()?;
            match (self.unpack)(archive, folder.path()) {
                Ok(answer) => return Ok(answer.map(|unpacked| (folder, unpacked))),
                Err(error) => {
                    warn!(%error, "an archive cannot be unpacked");
                    pause(attempt);
                }
            }
        }
        Err(SeriesError::NoWorker)
    }
}

/// What a member that is an archive itself is refused with: only what was dropped is unpacked, so that nesting ends.
pub(crate) fn nested() -> Refusal {
    Refusal::new(Code::Scan(Reason::NotAScan), "an archive within an archive")
}
