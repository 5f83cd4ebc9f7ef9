//! Flags and visual tokens to a draft report, word by word.
//!
//! In: what a model saw of a volume, and which flags stand. Out: [`Drafted`], with whether it was cut short and what it cost.
//! `search` chooses the words, and knows no runtime.

pub(super) mod search;
#[cfg(test)]
mod tests;
pub(super) mod writer;

use ctedge_models::report::Call;
use ctedge_models::text::Draft;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[draft]`: how reports are drafted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where drafts come from.
    pub(crate) source: Source,
    /// What is done about a draft that contradicts the flags.
    pub(crate) on_disagreement: Policy,
    /// Reports that are followed at once; with 1 each word is the likeliest (greedy).
    pub(crate) beams: usize,
    /// With several beams: power of the length that a report's score is divided by; above 1 longer reports win.
    pub(crate) length: f64,
    /// Words in a row (tokens) that no section says twice, nor any sentence (greedy); 0 for no limit.
    pub(crate) no_repeat: usize,
    /// Longest draft in tokens; 0 for as long as the model can.
    pub(crate) max_tokens: usize,
    /// Seconds for a draft; what is written until then is sent, and says that it was cut short.
    pub(crate) within_s: f64,
}

/// Where drafts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// The model's decoder, where it has one, else the template.
    Decoder,
    /// One sentence for each flag.
    Template,
    /// No drafts.
    Off,
}

/// What is done about a draft that contradicts the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Policy {
    /// It is sent with what it contradicts.
    Mark,
    /// It is written once more, held to the flags; what it contradicts all the same is marked.
    Regenerate,
    /// The template takes its place.
    Template,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            source: Source::Decoder,
            on_disagreement: Policy::Regenerate,
            beams: 1,
            length: 1.0,
            no_repeat: 12,
            max_tokens: 0,
            within_s: 30.0,
        }
    }
}

impl Settings {
    /// What is wrong with the values, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let checks = [
            ((1..=16).contains(&self.beams), format!("draft.beams = {}: must lie between 1 and 16", self.beams)),
            ((0.0..=4.0).contains(&self.length), format!("draft.length = {}: must lie between 0 and 4", self.length)),
            (
                self.no_repeat != 1,
                "draft.no_repeat = 1 would let no word come twice: 0 for no limit, else 2 or more".to_owned(),
            ),
            (
                (0.1..=3600.0).contains(&self.within_s),
                format!("draft.within_s = {}: must lie between 0.1 and 3600 seconds", self.within_s),
            ),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, problem)| problem).collect()
    }
}

/// What a draft is to be made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ask {
    /// What each flag lets it say, in the model's order.
    pub(crate) flags: Vec<Call>,
    /// How closely the draft is held to them.
    pub(crate) hold: Hold,
    /// How.
    pub(crate) settings: Settings,
}

/// How closely a draft is held to the flags while it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Hold {
    /// It is written as it comes.
    Free,
    /// A sentence that contradicts a flag is taken back, and a section that ends without a word of one that stands is told it in
    /// the template's. Word by word: several beams would be held one by one.
    Strict,
}

/// What a decoder wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Drafted {
    /// The sections.
    pub(crate) draft: Draft,
    /// Whether it ended because it was too long or took too long, not because it was whole.
    pub(crate) truncated: bool,
    /// Tokens that it has.
    pub(crate) tokens: usize,
    /// What it cost.
    pub(crate) cost: Cost,
}

/// Why a decoder wrote no draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// The model has no decoder.
    NoDecoder,
    /// It gave values that are no numbers.
    NotFinite,
    /// A step did not end.
    Time,
    /// The inference worker died of it.
    Crashed,
    /// It failed otherwise.
    Failed,
}

/// What drafting cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Milliseconds in all.
    pub(crate) draft_ms: u64,
    /// Milliseconds to the first token.
    pub(crate) first_token_ms: u64,
    /// Steps of the decoder, one a token; some of them may have been taken back.
    pub(crate) steps: u64,
}

impl Cost {
    /// Steps a second, where any was taken.
    pub(crate) fn tokens_per_s(self) -> Option<u64> {
        (self.steps > 0).then(|| self.steps.saturating_mul(1000) / self.draft_ms.max(1))
    }
}
