//! A bundle's decoder with its tokenizer: asks the search for words, and turns them into a draft.

use super::search::{self, End, Found, Grammar, Lost};
use super::{Ask, Cost, Drafted, Fault, Hold};
use crate::floor::clock::Stopwatch;
use crate::infer::onnx::{Decoder, Graph, Halt, Runtime, Tokens};
use crate::infer::{Provider, Settings, draft, seconds};
use ctedge_models::bundle::{self, VerifiedBundle};
use ctedge_models::labels::Label;
use ctedge_models::report::{self, Call, Conflict};
use ctedge_models::text::{BEGIN, PAD, Tokenizer, UNKNOWN};
use std::collections::BTreeSet;
use std::fs;

/// How much longer than a draft may take its worker waits for a step that does not end, as a factor and in seconds.
const PATIENCE: (f64, f64) = (1.25, 1.0);

/// Seconds after which a draft counts as hung, for the worker that writes it.
pub(in crate::infer) fn hung_s(within_s: f64) -> f64 {
    let (factor, more) = PATIENCE;
    within_s.mul_add(factor, more)
}

/// What writes drafts.
pub(in crate::infer) struct Writer {
    decoder: Decoder,
    tokenizer: Tokenizer,
    /// What each flag says.
    labels: Vec<Label>,
    stops: BTreeSet<u32>,
    never: BTreeSet<u32>,
}

impl Writer {
    /// Loads the decoder of a bundle, where it has one, beside a volume graph that runs on this provider.
    ///
    /// # Errors
    /// Why not, in a sentence.
    pub(in crate::infer) fn load(
        runtime: &Runtime,
        settings: &Settings,
        bundle: &VerifiedBundle,
        (beside, volume): (Provider, &Graph),
    ) -> Result<Option<Self>, String> {
        let manifest = bundle.manifest();
        let Some(bundle::Decoder { cross, step, tokenizer }) = &manifest.decoder else { return Ok(None) };
        let path = |file: &str| bundle.path(file).ok_or_else(|| format!("the bundle has no {file}"));
        let graph = |file: &str| Ok::<_, String>(Graph { path: path(file)?, ..volume.clone() });
        // A decoder's steps are small and their lengths change: an engine for each would cost more than it wins.
        let wanted = match beside {
            Provider::Tensorrt | Provider::Cuda => Provider::Cuda,
            Provider::Cpu => Provider::Cpu,
        };
        let decoder = Decoder::load(runtime, settings, (&graph(&cross.file)?, &graph(&step.file)?), (step, wanted))?;
        if decoder.provider() != wanted {
            return Err(format!("ONNX Runtime gave the decoder to {}", decoder.provider().name()));
        }
        let json = fs::read_to_string(path(tokenizer)?).map_err(|error| format!("{tokenizer}: {error}"))?;
        let tokenizer = Tokenizer::from_json(&json, step.max_tokens).map_err(|error| error.to_string())?;
        let ids = |marks: &[&str]| marks.iter().filter_map(|mark| tokenizer.id(mark)).collect::<BTreeSet<u32>>();
        let never = ids(&[PAD, UNKNOWN, BEGIN, "[MASK]"]);
        let stops = ids(&[".", "!", "?"]);
        Ok(Some(Self {
            decoder,
            tokenizer,
            labels: manifest.labels.iter().map(|spec| spec.label).collect(),
            stops,
            never,
        }))
    }

    /// Writes a draft of what was seen.
    ///
    /// # Errors
    /// There is none; why.
    pub(in crate::infer) fn write(&mut self, tokens: &Tokens, ask: &Ask) -> Result<Drafted, (Fault, String)> {
        let clock = Stopwatch::start();
        let Self { decoder, tokenizer, labels, stops, never } = self;
        let states: Vec<f32> = ask.flags.iter().copied().map(state).collect();
        if states.len() != labels.len() {
            return Err((Fault::Failed, "there is not one flag for each label".to_owned()));
        }
        let flags = labels.iter().copied().zip(ask.flags.iter().copied()).collect();
        let held = Held { tokenizer, flags: if ask.hold == Hold::Strict { flags } else { Vec::new() } };
        let grammar = Grammar {
            begin: tokenizer.begin(),
            end: tokenizer.end(),
            never,
            stops,
            max_tokens: tokenizer.max_tokens(),
            forbids: &|section| held.contradicts(section),
            // What the tokenizer cannot write is left out, and marked afterwards as passed over.
            owes: &|section| held.owes(section).into_iter().filter(|id| !never.contains(id)).collect(),
        };
        let beams = if ask.hold == Hold::Strict { 1 } else { ask.settings.beams };
        let settings = &draft::Settings { beams, ..ask.settings.clone() };
        let within = seconds(hung_s(ask.settings.within_s));
        let found = decoder.writing((tokens, &states), within, |writing| {
            match search::write(writing, &grammar, settings) {
                Ok(found) => Ok(Some(found)),
                Err(Lost::NotFinite) => Ok(None),
                // Whoever watches the time says whether the step was ended or failed by itself.
                Err(Lost::Decoder(halt)) => Err(halt),
            }
        });
        let found = found.map_err(|halt| match halt {
            Halt::Stopped => (Fault::Time, "a step of the decoder did not end".to_owned()),
            Halt::Failed(reason) => (Fault::Failed, reason),
        })?;
        let no_numbers = || (Fault::NotFinite, "the decoder gave logits that are no numbers".to_owned());
        let Found { ids, end, first, steps } = found.ok_or_else(no_numbers)?;
        let cost = Cost {
            draft_ms: clock.ms(),
            first_token_ms: u64::try_from(first.as_millis()).unwrap_or(u64::MAX),
            steps: u64::try_from(steps).unwrap_or(u64::MAX),
        };
        Ok(Drafted { draft: tokenizer.draft(&ids), truncated: end != End::Whole, tokens: ids.len(), cost })
    }
}

/// How a decoder is told of a flag. What is no more than possible it looks for itself.
fn state(call: Call) -> f32 {
    match call {
        Call::Absent => -1.0,
        Call::Possible => 0.0,
        Call::Present => 1.0,
    }
}

/// The flags that a draft is held to.
struct Held<'a> {
    tokenizer: &'a Tokenizer,
    flags: Vec<(Label, Call)>,
}

impl Held<'_> {
    fn conflicts(&self, section: &[u32]) -> Vec<(Label, Conflict)> {
        report::read(&self.tokenizer.draft(section).findings).conflicts(self.flags.iter().copied())
    }

    /// Whether a section says of any flag what that flag does not say.
    fn contradicts(&self, section: &[u32]) -> bool {
        self.conflicts(section).iter().any(|(_, conflict)| *conflict != Conflict::Omitted)
    }

    /// A sentence for each flag that a section passes over, after the end of the one that it stops in.
    fn owes(&self, section: &[u32]) -> Vec<u32> {
        let conflicts = self.conflicts(section);
        let told = self.flags.iter().filter(|(label, _)| conflicts.contains(&(*label, Conflict::Omitted)));
        let told: Vec<String> = told.map(|(label, call)| report::flag_sentence(*label, *call)).collect();
        let said = self.tokenizer.draft(section).findings;
        let stop = if told.is_empty() || said.is_empty() || said.ends_with(['.', '!', '?']) { "" } else { ". " };
        self.tokenizer.within(&format!("{stop}{}", told.join(" ")), usize::MAX).map(|(ids, _)| ids).unwrap_or_default()
    }
}
