//! The models that run, in the room `infer`: what each made of a series is told to `update`, and what that says is done.

use super::super::House;
use super::super::obey::Task;
use super::install::WORDS;
use super::load::Way;
use crate::floor::clock;
use crate::floor::fate::Code;
use crate::floor::subject::Subject;
use crate::infer::{Inference, Model, Scores};
use crate::report::{self, Fallback, Flag};
use crate::series::attempts;
use crate::update::{Agreement, Flagged, Run, Said, Slot, Trial, Unable, Verdict, table};
use crate::volume::Scan;
use ctedge_models::labels::Label;
use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use tracing::{info, warn};

/// The models that are loaded.
pub(in crate::pipeline) struct Running {
    /// The one that counts.
    pub(in crate::pipeline) active: Inference,
    /// The one in the shadow.
    pub(in crate::pipeline) shadow: Option<Inference>,
}

/// What became of a wish to have another model count.
pub(in crate::pipeline) type Switched = Result<(), Unable>;

impl House {
    /// Does what is not reading. `None` when told to stop.
    pub(in crate::pipeline) fn change_models(&self, running: Running, task: Task) -> Option<Running> {
        let Running { active, shadow } = running;
        match task {
            Task::Read(_) => Some(Running { active, shadow }),
            Task::Examine(depth, reply) => {
                let active = self.examine(active, depth, &reply)?;
                Some(Running { active, shadow })
            }
            Task::Engine(built) => Some(Running { active: self.with_engine(active, *built), shadow }),
            Task::Shadow(candidate) => Some(Running { active, shadow: candidate.map(|candidate| *candidate) }),
            Task::Switch(candidate, reply) => {
                let running = Running { active, shadow: candidate.map(|candidate| *candidate).or(shadow) };
                self.switch(running, &reply)
            }
            Task::Back(before, reply) => self.back(Running { active, shadow }, before, &reply),
        }
    }

    /// The model before counts again: this one, if it is loaded. `None` when told to stop.
    fn back(
        &self,
        Running { active, shadow }: Running,
        before: Option<Box<Inference>>,
        reply: &SyncSender<Switched>,
    ) -> Option<Running> {
        let way = self.give_way("rolled_back", WORDS)?;
        let active = if way == Way::Blocked { active } else { self.takes_over(before.map(|before| *before), active)? };
        let switched = if way == Way::Open { Ok(()) } else { Err(Unable::NothingBefore) };
        // Whoever asked may have gone.
        reply.send(switched).ok();
        Some(Running { active, shadow })
    }

    /// The model that counts now: the one that is loaded, if it is that and has not died, else it is loaded once the other
    /// has gone. `None` when told to stop.
    fn takes_over(&self, ready: Option<Inference>, other: Inference) -> Option<Inference> {
        let counts = self.slots().ok().and_then(|slots| slots.active().map(|(_, slot)| slot.bundle.digest.clone()));
        let is_it = |ready: &mut Inference| counts.as_ref() == Some(&ready.model().digest) && ready.is_alive();
        if let Some(mut ready) = ready.and_then(|mut ready| is_it(&mut ready).then_some(ready)) {
            ready.pass_over(self.bad_providers());
            self.loaded(&ready);
            return Some(ready);
        }
        drop(other);
        self.inference()
    }

    /// The candidate counts from now on. `None` when told to stop.
    fn switch(&self, Running { active, shadow }: Running, reply: &SyncSender<Switched>) -> Option<Running> {
        let switched = self.activate()?;
        let running = match switched {
            Err(_) => Running { active, shadow },
            Ok(()) => Running { active: self.takes_over(shadow, active)?, shadow: None },
        };
        reply.send(switched).ok();
        Some(running)
    }

    /// The model that waits counts from now on, on probation. `None` when told to stop.
    pub(super) fn activate(&self) -> Option<Switched> {
        self.change(|transaction, slots| {
            let before = slots.active().map(|(_, slot)| slot.clone());
            let switched = slots.activate(clock::now_ms());
            if let Ok(place) = switched
                && let Some(slot) = slots.get(place)
            {
                table::keep_trial(transaction, Some(&Trial::begins(&slot.bundle.digest, clock::now_ms())))?;
                self.tell_change(transaction, ("activated", before.as_ref()), Some(slot))?;
            }
            Ok(switched.map(|_place| ()))
        })
    }

    /// The model that counts has read a series, and this is why its decoder wrote no draft: what it is like is kept, and one on
    /// probation is judged. `None` when told to stop.
    pub(in crate::pipeline) fn judge(
        &self,
        scores: &Scores,
        undrafted: Option<Fallback>,
        running: &mut Running,
    ) -> Option<()> {
        let flags = report::flags(&self.config.report, running.active.model(), &scores.logits);
        let flags = u32::try_from(flags.iter().filter(|flag| flag.positive()).count()).unwrap_or(u32::MAX);
        let run = Run { infer_ms: scores.infer_ms, flags };
        let digest = running.active.model().digest.clone();
        let note = |trial: &mut Trial| {
            trial.ran(run);
            if undrafted.is_some_and(Fallback::blames_model) {
                trial.failed();
            }
        };
        let fails = self.judged(&digest, note, Some(run))?;
        if let Verdict::Fails(code, detail) = fails {
            self.give_way(code, &detail)?;
            running.active = self.inference()?;
        }
        Some(())
    }

    /// A model on probation has failed on a series. Says whether it has given way: then the series is read again by the one
    /// before, as if nothing had been. `None` when told to stop.
    pub(in crate::pipeline) fn blames_model(&self, subject: &Subject, model: &Model) -> Option<Blamed> {
        if !self.is_on_trial(&model.digest) {
            return Some(Blamed::Series);
        }
        let Verdict::Fails(code, detail) = self.judged(&model.digest, Trial::failed, None)? else {
            return Some(Blamed::Nobody);
        };
        if self.give_way(code, &detail)? == Way::Blocked {
            return Some(Blamed::Series);
        }
        self.stored(|transaction| attempts::forget(transaction, &subject.series_key))?;
        Some(Blamed::Model)
    }

    /// Whether the model of this digest counts, and has not proved itself.
    fn is_on_trial(&self, digest: &str) -> bool {
        let is_it = |slot: &Slot| slot.bundle.digest == digest && slot.standing.is_unproved();
        self.slots().is_ok_and(|slots| slots.active().is_some_and(|(_, slot)| is_it(slot)))
    }

    /// Notes what became of a series. A model that has proved itself is kept as that.
    fn judged(&self, digest: &str, note: impl Fn(&mut Trial), run: Option<Run>) -> Option<Verdict> {
        let (settings, now_ms) = (&self.config.update, clock::now_ms());
        if !self.is_on_trial(digest) {
            if let Some(run) = run {
                self.stored(|transaction| {
                    let mut baseline = table::baseline(transaction)?;
                    baseline.note(run);
                    table::keep_baseline(transaction, &baseline)
                })?;
            }
            return Some(Verdict::GoesOn);
        }
        self.change(|transaction, slots| {
            let mut trial = table::trial(transaction)?.unwrap_or_else(|| Trial::begins(digest, now_ms));
            note(&mut trial);
            let verdict = trial.verdict(&table::baseline(transaction)?, settings, now_ms);
            if run.is_some() {
                slots.goes_well();
            }
            if verdict == Verdict::Proved {
                slots.proves(now_ms);
                let proved = slots.active().map(|(_, slot)| slot);
                proved.map_or(Ok(()), |slot| table::proves(transaction, slot))?;
                table::keep_baseline(transaction, &trial.into_baseline())?;
                table::keep_trial(transaction, None)?;
                self.tell_change(transaction, ("proved", None), proved)?;
            } else {
                table::keep_trial(transaction, Some(&trial))?;
            }
            Ok(verdict)
        })
    }

    /// Has the model in the shadow read what the other has read, and compares. One that comes to no end is done with. `None`
    /// when told to stop.
    pub(in crate::pipeline) fn compare(&self, scan: &Scan, scores: &Scores, running: &mut Running) -> Option<()> {
        let Some(mut shadow) = running.shadow.take() else { return Some(()) };
        let (active, candidate) = (running.active.model().clone(), shadow.model().clone());
        let failed = match shadow.run(scan) {
            Ok(Ok(theirs)) => {
                let ours = self.said(&active, scores);
                let theirs = self.said(&candidate, &theirs);
                running.shadow = Some(shadow);
                return self.change(|transaction, _slots| {
                    let kept = table::agreement(transaction)?;
                    let is_same = |kept: &Agreement| kept.digest == candidate.digest && kept.against == active.digest;
                    let mut agreement =
                        kept.filter(is_same).unwrap_or_else(|| Agreement::between(&candidate.digest, &active.digest));
                    agreement.note(&ours, &theirs);
                    table::keep_agreement(transaction, &agreement)
                });
            }
            Ok(Err(refusal)) => refusal.code.name(),
            Err(unfinished) => unfinished.code().name(),
        };
        drop(shadow);
        self.shadow_fails(&candidate, failed, "it failed on a series in the shadow")
    }

    /// Ends the model in the shadow, if there is one: the device has no memory for it. `None` when told to stop.
    pub(in crate::pipeline) fn unload_shadow(&self, running: &mut Running, code: Code) -> Option<()> {
        let Some(candidate) = running.shadow.take().map(|shadow| shadow.model().clone()) else { return Some(()) };
        self.shadow_fails(&candidate, code.name(), "the device has no memory for a model in the shadow")
    }

    fn shadow_fails(&self, candidate: &Model, code: &str, detail: &str) -> Option<()> {
        warn!(reason = code, model = candidate.name, version = candidate.version, "the model in the shadow fails");
        self.change(|_transaction, slots| {
            if let Some((place, _)) = slots.find(&candidate.digest) {
                slots.fails(place, code, detail, clock::now_ms());
            }
            Ok(())
        })
    }

    /// What a model said, by finding, under this site's thresholds.
    fn said(&self, model: &Model, scores: &Scores) -> BTreeMap<Label, Said> {
        let flags = report::flags(&self.config.report, model, &scores.logits);
        let said = |flag: Flag| {
            let positive = if flag.positive() { Flagged::Yes } else { Flagged::No };
            (flag.label, Said { probability: flag.probability, positive })
        };
        flags.into_iter().map(said).collect()
    }

    /// The daemon ends in good order: that is no try of a model on probation.
    pub(in crate::pipeline) fn models_stop(&self) {
        let stopped = crate::floor::store::lock(&self.store).commit(|transaction| {
            let mut slots = table::slots(transaction)?;
            slots.stops();
            table::keep(transaction, &slots)
        });
        if let Err(error) = stopped {
            info!(%error, "the end of the daemon counts as a try of the model");
        }
    }
}

/// Who is to blame for a series without an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum Blamed {
    /// The series itself, as always.
    Series,
    /// It is not clear yet: the model is on probation, and may fail now and then.
    Nobody,
    /// The model, which has given way.
    Model,
}
