//! The draft of a report: written by the inference worker, held against the flags, and by the site's policy written once more or
//! replaced. Whatever goes wrong here costs the draft its decoder, never the series its flags.

use super::super::House;
use crate::config::Config;
use crate::floor::worker::Killed;
use crate::infer::{Ask, Drafted, Fault, Hold, Inference, Policy, Scores, Source, Unfinished};
use crate::report::{self, Fallback, Flag, Seen, Written};
use tracing::{error, warn};

/// What becomes of a draft for these scores; `None` where the site wants none. A worker that was lost over it comes back as why.
pub(crate) fn drafted(
    config: &Config,
    scores: &Scores,
    inference: &mut Inference,
) -> (Option<Written>, Option<Unfinished>) {
    let flags = report::flags(&config.report, inference.model(), &scores.logits);
    match config.draft.source {
        Source::Off => return (None, None),
        Source::Template => return (Some(Written::template(&flags, None)), None),
        Source::Decoder => {}
    }
    let mut broken = None;
    let mut ask = |hold: Hold| {
        let settings = config.draft.clone();
        let ask = Ask { flags: flags.iter().map(Flag::call).collect(), hold, settings };
        inference.draft(ask).unwrap_or_else(|unfinished| {
            broken = Some(unfinished);
            Err(match unfinished {
                Unfinished::Stopped | Unfinished::Wedged(_) => Fault::Time,
                Unfinished::Lost(_) => Fault::Crashed,
            })
        })
    };
    let seen = Seen { flags: &flags, foci: &scores.foci };
    let written = policed(config.draft.on_disagreement, seen, &mut ask);
    (Some(written), broken)
}

/// A draft under the site's policy.
fn policed(policy: Policy, seen: Seen<'_>, ask: &mut dyn FnMut(Hold) -> Result<Drafted, Fault>) -> Written {
    let first = match ask(Hold::Free) {
        Ok(drafted) => Written::of(drafted, seen),
        Err(fault) => return Written::template(seen.flags, Some(fault.into())),
    };
    if first.disagreements.is_empty() {
        return first;
    }
    match policy {
        Policy::Mark => first,
        Policy::Template => Written { cost: first.cost, ..Written::template(seen.flags, Some(Fallback::Disagreement)) },
        Policy::Regenerate => match ask(Hold::Strict) {
            Ok(drafted) => Written::of(drafted, seen).instead_of(first),
            Err(_fault) => first,
        },
    }
}

impl House {
    /// After a draft that took the worker down there is one again. `None` when the daemon is told to stop.
    pub(super) fn outlived(&self, broken: Option<Unfinished>, inference: &mut Inference) -> Option<()> {
        let Some(broken) = broken else { return Some(()) };
        warn!(worker = inference.worker_id(), unfinished = %broken, "the inference worker was lost over a draft; starting another");
        if let Unfinished::Wedged(Killed::Left) = broken {
            error!("the inference worker cannot be killed: it hangs in the kernel, and is left");
        }
        *inference = self.inference()?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctedge_models::labels::Label;
    use ctedge_models::text::Draft;
    use std::collections::VecDeque;

    fn flag(label: Label, probability: f32) -> Flag {
        Flag { label, probability, threshold: 0.5, possible_below: 0.5 }
    }

    fn draft(findings: &str) -> Drafted {
        let draft = Draft { findings: findings.into(), impression: String::new() };
        Drafted { draft, truncated: false, tokens: 9, cost: crate::infer::Cost { draft_ms: 5, ..Default::default() } }
    }

    /// What the policy makes of these answers, and how each draft was held.
    fn policed_by(policy: Policy, answers: Vec<Result<Drafted, Fault>>) -> (Written, Vec<Hold>) {
        let flags = [flag(Label::Emphysema, 0.9), flag(Label::PleuralEffusion, 0.1)];
        let (mut answers, mut asked) = (VecDeque::from(answers), Vec::new());
        let written = policed(policy, Seen { flags: &flags, foci: &[] }, &mut |hold| {
            asked.push(hold);
            answers.pop_front().unwrap()
        });
        assert!(answers.is_empty());
        (written, asked)
    }

    const GOOD: &str = "There is emphysema in both lungs. No pleural effusion.";
    const WRONG: &str = "There is emphysema in both lungs. There is a small pleural effusion on the left.";

    #[test]
    fn a_draft_that_says_what_the_flags_say_stands() {
        for policy in [Policy::Mark, Policy::Regenerate, Policy::Template] {
            let (written, asked) = policed_by(policy, vec![Ok(draft(GOOD))]);
            assert_eq!((written.author, written.fallback, written.regenerated), (report::Author::Decoder, None, false));
            assert_eq!((written.disagreements.len(), asked.len()), (0, 1));
        }
    }

    #[test]
    fn what_contradicts_the_flags_goes_the_way_of_the_policy() {
        let (marked, _) = policed_by(Policy::Mark, vec![Ok(draft(WRONG))]);
        assert_eq!((marked.author, marked.disagreements.len()), (report::Author::Decoder, 1));
        let (again, asked) = policed_by(Policy::Regenerate, vec![Ok(draft(WRONG)), Ok(draft(GOOD))]);
        assert_eq!(asked, [Hold::Free, Hold::Strict]);
        assert_eq!((again.regenerated, again.disagreements.len(), again.cost.draft_ms), (true, 0, 10));
        let (kept, _) =
            policed_by(Policy::Regenerate, vec![Ok(draft(WRONG)), Ok(draft("There is a pleural effusion."))]);
        assert_eq!((kept.regenerated, kept.disagreements.len()), (false, 1), "the one with fewer disagreements");
        let (template, _) = policed_by(Policy::Template, vec![Ok(draft(WRONG))]);
        assert_eq!((template.author, template.fallback), (report::Author::Template, Some(Fallback::Disagreement)));
        let (told, _) = policed_by(Policy::Regenerate, vec![Ok(draft("No pleural effusion.")), Ok(draft(GOOD))]);
        assert_eq!((told.regenerated, told.disagreements.len()), (true, 0), "what was passed over is told");
    }

    #[test]
    fn without_a_word_of_the_decoder_the_template_stands_in_and_says_why() {
        let (written, _) = policed_by(Policy::Regenerate, vec![Err(Fault::NotFinite)]);
        assert_eq!((written.author, written.fallback), (report::Author::Template, Some(Fallback::NotFinite)));
        let (empty, _) = policed_by(Policy::Mark, vec![Ok(draft(""))]);
        assert_eq!(empty.fallback, Some(Fallback::Empty));
        let (second, _) = policed_by(Policy::Regenerate, vec![Ok(draft(WRONG)), Err(Fault::Crashed)]);
        assert_eq!((second.author, second.disagreements.len()), (report::Author::Decoder, 1));
    }
}
