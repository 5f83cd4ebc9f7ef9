//! The room that has the model run, furnished.

use super::super::House;
use super::super::obey::Task;
use super::super::update::{Blamed, Running};
use super::super::vitals::ModelState;
use super::draft::drafted;
use super::room::Afterwards;
use crate::choice::{Completed, Series};
use crate::floor::clock;
use crate::floor::fate::Refusal;
use crate::floor::subject::Subject;
use crate::floor::worker::{Killed, Lost};
use crate::infer::{Inference, Inferred, Scores, Unfinished, inferred};
use crate::report::Written;
use crate::series::attempts::{Begun, Failed, Stage};
use crate::volume::{Reading, Scan};
use std::sync::mpsc::Receiver;
use tracing::{debug, error, warn};

/// What became of a series.
enum Next {
    /// It has scores, or a reason for having none.
    Inferred(Result<Scores, Refusal>),
    /// It had a setback.
    PutOff,
    /// The daemon is told to stop.
    Stop,
}

impl House {
    pub(in crate::pipeline) fn infer(&self, tasks: &Receiver<Task>) {
        self.recall_slots();
        if self.models_start().is_none() {
            return;
        }
        let Some(active) = self.inference() else { return };
        let mut running = Running { active, shadow: None };
        while let Ok(task) = clock::idle(|| tasks.recv()) {
            let went_on = match task {
                Task::Read(reading) => {
                    let ended = self.infer_one(*reading, &mut running);
                    self.under_way.one_less();
                    ended.map(|()| running)
                }
                task @ (Task::Examine(..) | Task::Engine(_) | Task::Shadow(_) | Task::Switch(..) | Task::Back(..)) => {
                    self.change_models(running, task)
                }
            };
            match went_on {
                Some(goes_on) => running = goes_on,
                None => return,
            }
        }
    }

    /// A series to its end, or put off. `None` when the daemon is told to stop.
    fn infer_one(&self, reading: Reading, running: &mut Running) -> Option<()> {
        let next = match &reading.scan {
            Err(refusal) => Next::Inferred(Err(refusal.clone())),
            Ok(scan) => self.run_model(&reading, scan, running),
        };
        match next {
            Next::Stop => None,
            Next::PutOff => {
                self.put_off.push(self.to_read_again(reading));
                Some(())
            }
            Next::Inferred(Err(refusal)) => self.end_with(inferred(&reading, Err(refusal)), None, &running.active),
            Next::Inferred(Ok(scores)) => {
                let (draft, broken) = drafted(&self.config, &scores, &mut running.active);
                let undrafted = draft.as_ref().and_then(|draft| draft.fallback);
                // The result names the worker that gave the scores, so it comes before there is another.
                self.end_with(inferred(&reading, Ok(scores.clone())), draft, &running.active)?;
                self.outlived(broken, &mut running.active)?;
                if let Ok(scan) = &reading.scan {
                    self.compare(scan, &scores, running)?;
                }
                self.judge(&scores, undrafted, running)
            }
        }
    }

    fn end_with(&self, inferred: Inferred, draft: Option<Written>, inference: &Inference) -> Option<()> {
        self.finish(inferred, draft, inference.model()).then_some(())
    }

    /// Its voxels are let go: they would be in the way of others, and its files are on disk.
    fn to_read_again(&self, Reading { subject, .. }: Reading) -> Completed {
        let folder = self.spool.frozen(&subject.series_key);
        Completed { series: Series { subject, folder }, refusal: None }
    }

    /// One attempt at a series. Afterwards there is a worker again, unless the daemon is told to stop.
    fn run_model(&self, reading: &Reading, scan: &Scan, running: &mut Running) -> Next {
        let inference = &mut running.active;
        // One that died while it had nothing to do is no series' fault.
        if !inference.is_alive() {
            warn!(worker = inference.worker_id(), "the inference worker is lost; starting another");
            let Some(again) = self.inference() else { return Next::Stop };
            *inference = again;
        }
        let subject = &reading.subject;
        let attempt = match self.begin(subject, Stage::Infer) {
            None => return Next::Stop,
            Some(Begun::Spent(refusal)) => return Next::Inferred(Err(refusal)),
            Some(Begun::Noted(attempt)) => attempt,
        };
        debug!(series = %subject.series_key, worker = inference.worker_id(), "the model runs on a series");
        let unfinished = match inference.run(scan) {
            // Its note goes in the commit that ends the series.
            Ok(Ok(scores)) => return self.obeyed().map_or(Next::Stop, |()| Next::Inferred(Ok(scores))),
            Ok(Err(refusal)) => {
                return match self.blames_model(subject, inference.model()) {
                    None => Next::Stop,
                    Some(Blamed::Series) => self.obeyed().map_or(Next::Stop, |()| Next::Inferred(Err(refusal))),
                    Some(Blamed::Model) => self.replaced(inference).map_or(Next::Stop, |()| Next::PutOff),
                    Some(Blamed::Nobody) => match self.failed(subject, attempt, refusal.code) {
                        None => Next::Stop,
                        Some(Failed::Again) => Next::PutOff,
                        Some(Failed::Spent(_)) => Next::Inferred(Err(refusal)),
                    },
                };
            }
            Err(unfinished) => unfinished,
        };
        warn!(series = %subject.series_key, worker = inference.worker_id(), %unfinished, "the model came to no end");
        let Some(failed) = self.failed(subject, attempt, unfinished.code()) else { return Next::Stop };
        let Some(blamed) = self.blames_model(subject, inference.model()) else { return Next::Stop };
        match (self.made_whole(subject, unfinished, running), failed, blamed) {
            (None, ..) => Next::Stop,
            // A worker that ended its run when it was asked to still has the model that gave way.
            (Some(_), _, Blamed::Model) => self.replaced(&mut running.active).map_or(Next::Stop, |()| Next::PutOff),
            (Some(Afterwards::Elsewhere), ..) | (Some(_), Failed::Again, _) => Next::PutOff,
            (Some(Afterwards::Same), Failed::Spent(refusal), Blamed::Series | Blamed::Nobody) => {
                Next::Inferred(Err(refusal))
            }
        }
    }

    /// After a run that came to no end there is a worker again. `None` when the daemon is told to stop.
    fn made_whole(&self, subject: &Subject, unfinished: Unfinished, running: &mut Running) -> Option<Afterwards> {
        match unfinished {
            Unfinished::Stopped => self.obeyed().map(|()| Afterwards::Same),
            Unfinished::Lost(Lost::Memory) => {
                let afterwards = self.made_room(subject, running)?;
                self.replaced(&mut running.active).map(|()| afterwards)
            }
            Unfinished::Lost(_) => self.replaced(&mut running.active).map(|()| Afterwards::Same),
            Unfinished::Wedged(worker) => {
                if worker == Killed::Left {
                    error!("the inference worker cannot be killed: it hangs in the kernel, and is left");
                }
                self.hung(running.active.model().provider, worker)?;
                self.replaced(&mut running.active).map(|()| Afterwards::Same)
            }
        }
    }

    fn replaced(&self, inference: &mut Inference) -> Option<()> {
        *inference = self.inference()?;
        Some(())
    }

    /// How it stands with the model, for whoever asks.
    pub(super) fn model_is(&self, state: ModelState) {
        *self.model.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = state;
    }
}
