//! Two slots for models, of which one counts. Pure: what may become of them, and nothing else.
//!
//! The rules are those of A/B updates of whole systems (priority, tries left, successful): a new model goes beside the one
//! that counts, counts on probation, and either proves itself or gives way to the one before.

use serde::{Deserialize, Serialize};

/// Which slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    /// The first.
    A,
    /// The second.
    B,
}

impl Place {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::A, Self::B];

    /// Name in topics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// The other one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A bundle that has passed every check on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bundle {
    /// Name of the model.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its serial.
    pub(crate) serial: u64,
    /// SHA-256 of the bundle file, hex.
    pub(crate) digest: String,
    /// Id of the key that signed it.
    pub(crate) signer: String,
    /// False for random weights.
    pub(crate) trained: bool,
    /// Of the weights.
    pub(crate) precision: String,
    /// The provider that ran the golden volume.
    pub(crate) provider: String,
}

/// How it stands with a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// It has passed, and does not run.
    Staged,
    /// It runs beside the one that counts.
    Shadow,
    /// It counts, and has not proved itself.
    Probation {
        /// How often the daemon may still start with it.
        tries: u32,
    },
    /// It counts, and has proved itself.
    Active,
    /// It has proved itself: what the one that counts gives way to.
    Standby,
    /// It gave way.
    Failed {
        /// Stable name of the reason.
        code: String,
        /// For people, in our words.
        detail: String,
    },
}

impl Standing {
    /// Whether it is the one that counts.
    pub(crate) fn counts(&self) -> bool {
        matches!(self, Self::Probation { .. } | Self::Active)
    }

    /// Whether it counts and has not proved itself.
    pub(crate) fn is_unproved(&self) -> bool {
        matches!(self, Self::Probation { .. })
    }

    /// Name in topics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Shadow => "shadow",
            Self::Probation { .. } => "probation",
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Failed { .. } => "failed",
        }
    }
}

/// A model in its slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    /// The model.
    pub(crate) bundle: Bundle,
    /// How it stands.
    pub(crate) standing: Standing,
    /// Since when, ms since 1970.
    pub(crate) since_ms: i64,
}

/// Why something cannot be done with the slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unable {
    /// The model that counts has not proved itself: the one before must not go.
    #[error("the model that counts is on probation: the one before stays until it has proved itself")]
    Unproved,
    /// There is no model that could count.
    #[error("no model is staged or in the shadow")]
    NoCandidate,
    /// There is nothing to go back to.
    #[error("there is no model to go back to")]
    NothingBefore,
}

/// Starts of the daemon that a model on probation has, beside the one that it was put in by.
pub(crate) const TRIES: u32 = 3;

/// Both slots. At most one model counts, and while one is on probation there is one that is proved beside it, but for a
/// device's first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Slots {
    a: Option<Slot>,
    b: Option<Slot>,
}

impl Slots {
    /// As they are kept. More than one that counts is not what we wrote; the proved one is believed.
    pub(crate) fn kept(a: Option<Slot>, b: Option<Slot>) -> Self {
        let mut slots = Self { a, b };
        let counting: Vec<Place> = Place::ALL.into_iter().filter(|place| slots.counts(*place)).collect();
        if let [first, second] = counting.as_slice() {
            let is_proved = slots.get(*first).is_some_and(|slot| slot.standing == Standing::Active);
            let loser = if is_proved { *second } else { *first };
            let since_ms = slots.get(loser).map_or(0, |slot| slot.since_ms);
            slots.stand(loser, Standing::Staged, since_ms);
        }
        slots
    }

    /// What is in a slot.
    pub(crate) fn get(&self, place: Place) -> Option<&Slot> {
        match place {
            Place::A => self.a.as_ref(),
            Place::B => self.b.as_ref(),
        }
    }

    /// The model that counts.
    pub(crate) fn active(&self) -> Option<(Place, &Slot)> {
        let counting = Place::ALL.into_iter().find(|place| self.counts(*place))?;
        Some((counting, self.get(counting)?))
    }

    /// Whether the model of this digest is the one that counts.
    pub(crate) fn counts_now(&self, digest: &str) -> bool {
        self.active().is_some_and(|(_, slot)| slot.bundle.digest == digest)
    }

    /// The model that could count next.
    pub(crate) fn candidate(&self) -> Option<(Place, &Slot)> {
        let waits = |slot: &Slot| matches!(slot.standing, Standing::Staged | Standing::Shadow);
        Place::ALL.into_iter().find_map(|place| self.get(place).filter(|slot| waits(slot)).map(|slot| (place, slot)))
    }

    /// What a rollback goes back to.
    pub(crate) fn before(&self) -> Option<(Place, &Slot)> {
        let before = self.active()?.0.other();
        self.get(before).filter(|slot| slot.standing == Standing::Standby).map(|slot| (before, slot))
    }

    /// Where a bundle is, if it is in a slot.
    pub(crate) fn find(&self, digest: &str) -> Option<(Place, &Slot)> {
        let holds = |slot: &&Slot| slot.bundle.digest == digest;
        Place::ALL.into_iter().find_map(|place| self.get(place).filter(holds).map(|slot| (place, slot)))
    }

    /// Digests of all bundles in slots.
    pub(crate) fn digests(&self) -> Vec<&str> {
        Place::ALL.into_iter().filter_map(|place| self.get(place)).map(|slot| slot.bundle.digest.as_str()).collect()
    }

    /// The device's first model: it counts, since there is no other.
    pub(crate) fn adopt(&mut self, bundle: Bundle, now_ms: i64) {
        if self.active().is_none() {
            self.a = Some(Slot { bundle, standing: Standing::Active, since_ms: now_ms });
            if self.b.as_ref().is_some_and(|slot| slot.bundle.digest == self.a_digest()) {
                self.b = None;
            }
        }
    }

    /// A model that has passed goes into the slot that does not count, in place of what is there.
    pub(crate) fn stage(&mut self, bundle: Bundle, standing: Standing, now_ms: i64) -> Result<Place, Unable> {
        let place = match self.active() {
            Some((_, slot)) if slot.standing.is_unproved() => return Err(Unable::Unproved),
            Some((place, _)) => place.other(),
            None => Place::A,
        };
        self.put(place, Slot { bundle, standing, since_ms: now_ms });
        Ok(place)
    }

    /// The model that waits counts from now on, on probation.
    pub(crate) fn activate(&mut self, now_ms: i64) -> Result<Place, Unable> {
        let place = self.candidate().ok_or(Unable::NoCandidate)?.0;
        match self.active() {
            Some((_, slot)) if slot.standing.is_unproved() => return Err(Unable::Unproved),
            Some((active, _)) => self.stand(active, Standing::Standby, now_ms),
            None => {}
        }
        self.stand(place, Standing::Probation { tries: TRIES }, now_ms);
        Ok(place)
    }

    /// The daemon starts: one on probation has a try less. One that has none left gives way.
    pub(crate) fn starts(&mut self, now_ms: i64) -> Option<Place> {
        let (place, slot) = self.active()?;
        let since_ms = slot.since_ms;
        match slot.standing {
            Standing::Probation { tries: 0 } => {
                let detail = format!("the daemon was started {TRIES} times with it, and it has not proved itself");
                self.gives_way("tries", &detail, now_ms).ok()
            }
            Standing::Probation { tries } => {
                self.stand(place, Standing::Probation { tries: tries - 1 }, since_ms);
                None
            }
            Standing::Staged | Standing::Shadow | Standing::Active | Standing::Standby | Standing::Failed { .. } => {
                None
            }
        }
    }

    /// The model on probation has read a series: it has all its tries again.
    pub(crate) fn goes_well(&mut self) {
        self.tries(|_tries| TRIES);
    }

    /// The daemon ends in good order: that start was no try.
    pub(crate) fn stops(&mut self) {
        self.tries(|tries| (tries + 1).min(TRIES));
    }

    fn tries(&mut self, change: impl Fn(u32) -> u32) {
        for slot in [&mut self.a, &mut self.b].into_iter().flatten() {
            if let Standing::Probation { tries } = &mut slot.standing {
                *tries = change(*tries);
            }
        }
    }

    /// The model on probation has proved itself.
    pub(crate) fn proves(&mut self, now_ms: i64) -> Option<Place> {
        let (place, slot) = self.active()?;
        slot.standing.is_unproved().then(|| {
            self.stand(place, Standing::Active, now_ms);
            place
        })
    }

    /// The model that counts gives way to the one before. Returns which counts now.
    pub(crate) fn gives_way(&mut self, code: &str, detail: &str, now_ms: i64) -> Result<Place, Unable> {
        let before = self.before().ok_or(Unable::NothingBefore)?.0;
        self.fails(before.other(), code, detail, now_ms);
        self.stand(before, Standing::Active, now_ms);
        Ok(before)
    }

    /// A model is done with.
    pub(crate) fn fails(&mut self, place: Place, code: &str, detail: &str, now_ms: i64) {
        self.stand(place, Standing::Failed { code: code.to_owned(), detail: detail.to_owned() }, now_ms);
    }

    fn counts(&self, place: Place) -> bool {
        self.get(place).is_some_and(|slot| slot.standing.counts())
    }

    fn a_digest(&self) -> &str {
        self.a.as_ref().map_or("", |slot| slot.bundle.digest.as_str())
    }

    fn put(&mut self, place: Place, slot: Slot) {
        match place {
            Place::A => self.a = Some(slot),
            Place::B => self.b = Some(slot),
        }
    }

    fn stand(&mut self, place: Place, standing: Standing, since_ms: i64) {
        let slot = match place {
            Place::A => self.a.as_mut(),
            Place::B => self.b.as_mut(),
        };
        if let Some(slot) = slot {
            (slot.standing, slot.since_ms) = (standing, since_ms);
        }
    }
}
