//! Whether a draft says what the flags say: it is read by the rules that label corpora, and held against them.

use super::{Flag, Focus};
use crate::infer::{Cost, Drafted, Fault};
use ctedge_models::labels::Label;
use ctedge_models::report::{self, Claim, Conflict, Reading, Side, Statement, Zone};
use ctedge_models::text::Draft;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A draft report as it is sent. Only this room makes one; whoever sends it says that no physician has seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// What it says.
    pub(crate) draft: Draft,
    /// Who wrote it.
    pub(crate) author: Author,
    /// Why it is not the decoder's, where it should have been.
    pub(crate) fallback: Option<Fallback>,
    /// Whether it ended before it was whole.
    pub(crate) truncated: bool,
    /// Whether it was written once more, held to the flags, because the first one did not say what they say.
    pub(crate) regenerated: bool,
    /// Tokens of the decoder's vocabulary; 0 for the template.
    pub(crate) tokens: usize,
    /// What it cost, all attempts together.
    pub(crate) cost: Cost,
    /// Where it does not say what the flags say.
    pub(crate) disagreements: Vec<Disagreement>,
}

/// Who wrote a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Author {
    /// The model's decoder.
    Decoder,
    /// One sentence for each flag.
    Template,
}

impl Author {
    /// The same for people.
    pub(crate) fn who(self) -> &'static str {
        match self {
            Self::Decoder => "the model",
            Self::Template => "the template",
        }
    }
}

/// Why a template stands in for the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fallback {
    /// The model has no decoder.
    NoDecoder,
    /// The decoder gave values that are no numbers.
    NotFinite,
    /// A step of the decoder did not end.
    Time,
    /// The inference worker died while it drafted.
    Crashed,
    /// The decoder failed otherwise.
    Failed,
    /// The decoder wrote nothing.
    Empty,
    /// The decoder's draft contradicted the flags, and the site wants the template then.
    Disagreement,
}

impl Fallback {
    /// Whether a model that has a decoder ought to have written the draft.
    pub(crate) fn blames_model(self) -> bool {
        match self {
            Self::NotFinite | Self::Time | Self::Crashed | Self::Failed | Self::Empty => true,
            Self::NoDecoder | Self::Disagreement => false,
        }
    }
}

impl From<Fault> for Fallback {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NoDecoder => Self::NoDecoder,
            Fault::NotFinite => Self::NotFinite,
            Fault::Time => Self::Time,
            Fault::Crashed => Self::Crashed,
            Fault::Failed => Self::Failed,
        }
    }
}

/// Where a draft does not say what a flag says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Disagreement {
    /// Which abnormality.
    pub(crate) code: Label,
    /// How.
    pub(crate) kind: Kind,
}

/// How a draft does not say what a flag says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The draft asserts what is not flagged.
    NotFlagged,
    /// The draft asserts what is flagged as possible.
    Overstated,
    /// The draft denies what is flagged.
    Denied,
    /// The draft does not speak of what is flagged, or only as of the past.
    Omitted,
    /// The draft names one side of the patient alone, the flag comes from the other.
    Side,
    /// The draft names the upper or the lower part of the lung alone, the flag comes from the other end.
    Zone,
}

impl From<Conflict> for Kind {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::NotFlagged => Self::NotFlagged,
            Conflict::Overstated => Self::Overstated,
            Conflict::Denied => Self::Denied,
            Conflict::Omitted => Self::Omitted,
        }
    }
}

impl Kind {
    /// Name in payloads.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NotFlagged => "not_flagged",
            Self::Overstated => "overstated",
            Self::Denied => "denied",
            Self::Omitted => "omitted",
            Self::Side => "side",
            Self::Zone => "zone",
        }
    }
}

/// Flags, and where each comes from, as far as the model tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// The flags.
    pub(crate) flags: &'a [Flag],
    /// In the same order; may be empty.
    pub(crate) foci: &'a [Option<Focus>],
}

/// Every flag that a draft contradicts or passes over, in the order of the flags. What is said to be possible contradicts none.
pub(crate) fn disagreements(draft: &Draft, seen: Seen<'_>) -> Vec<Disagreement> {
    let said = report::read(&headed(draft));
    let foci = seen.foci.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    let judge = |(flag, focus): (&Flag, Option<&Focus>)| {
        let conflicts = said.conflicts([(flag.label, flag.call())]);
        let kind = conflicts.first().map(|(_, conflict)| Kind::from(*conflict));
        let is_told = flag.positive() && said.says(flag.label) == Some(Claim::Present);
        let kind = kind.or_else(|| misplaced(&said, flag.label, focus.filter(|_| is_told)?))?;
        Some(Disagreement { code: flag.label, kind })
    };
    seen.flags.iter().zip(foci).filter_map(judge).collect()
}

/// How far from the middle a flag must come from before the side that a draft names can contradict it: half a heart's width. Tokens
/// are some centimetres wide, and what lies in the middle has no side.
const ASIDE_MM: f64 = 40.0;

/// How far up or down a scan a flag must come from before the part of the lung that a draft names can contradict it.
const LOW: f64 = 0.3;
const HIGH: f64 = 0.7;

/// How a report places a finding elsewhere than where its flag comes from: on one side alone, or in one part of the lung alone.
fn misplaced(said: &Reading, label: Label, focus: &Focus) -> Option<Kind> {
    let affirmed = |statement: &&Statement| statement.label == label && statement.claim == Claim::Present;
    let places = || said.statements.iter().filter(affirmed);
    let other_side = match only(places().filter_map(|statement| statement.side)) {
        Some(Side::Left) => focus.left_mm < -ASIDE_MM,
        Some(Side::Right) => focus.left_mm > ASIDE_MM,
        Some(Side::Both) | None => false,
    };
    let other_end = match (only(places().filter_map(|statement| statement.zone)), focus.height) {
        (Some(Zone::Upper), Some(height)) => height < LOW,
        (Some(Zone::Lower), Some(height)) => height > HIGH,
        (Some(Zone::Upper | Zone::Middle | Zone::Lower) | None, _) => false,
    };
    let kinds = [(other_side, Kind::Side), (other_end, Kind::Zone)];
    kinds.into_iter().find(|(is_so, _)| *is_so).map(|(_, kind)| kind)
}

/// The one value that all are.
fn only<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|other| other == first).then_some(first)
}

/// A draft with the headings by which its sections are told apart.
fn headed(draft: &Draft) -> String {
    format!("FINDINGS:\n{}\nIMPRESSION:\n{}\n", draft.findings, draft.impression)
}

impl Written {
    /// A decoder's draft, held against the flags; the template where it is empty.
    pub(crate) fn of(drafted: Drafted, seen: Seen<'_>) -> Self {
        let Drafted { draft, truncated, tokens, cost } = drafted;
        let cut = cut(&draft);
        let (truncated, draft) = (truncated || cut != draft, cut);
        if draft.text().is_empty() {
            return Self { cost, ..Self::template(seen.flags, Some(Fallback::Empty)) };
        }
        let disagreements = disagreements(&draft, seen);
        Self {
            draft,
            author: Author::Decoder,
            fallback: None,
            truncated,
            regenerated: false,
            tokens,
            cost,
            disagreements,
        }
    }

    /// One sentence for each flag.
    pub(crate) fn template(flags: &[Flag], fallback: Option<Fallback>) -> Self {
        let draft = report::template(flags.iter().map(|flag| (flag.label, flag.call())));
        let disagreements = disagreements(&draft, Seen { flags, foci: &[] });
        Self {
            draft,
            author: Author::Template,
            fallback,
            truncated: false,
            regenerated: false,
            tokens: 0,
            cost: Cost::default(),
            disagreements,
        }
    }

    /// This draft in place of an earlier one, whichever contradicts fewer flags; the cost is both's.
    pub(crate) fn instead_of(self, first: Self) -> Self {
        let (one, other) = (self.cost, first.cost);
        let cost = Cost { draft_ms: one.draft_ms + other.draft_ms, steps: one.steps + other.steps, ..other };
        if self.author == Author::Decoder && self.disagreements.len() < first.disagreements.len() {
            Self { regenerated: true, cost, ..self }
        } else {
            Self { cost, ..first }
        }
    }
}

/// Longest section in bytes. The longest reports have 10,000 letters; two sections and what is said of them fit a broker's message.
const SECTION_BYTES: usize = 12 << 10;

fn cut(draft: &Draft) -> Draft {
    let cut = |section: &str| section.get(..section.floor_char_boundary(SECTION_BYTES)).unwrap_or_default().to_owned();
    Draft { findings: cut(&draft.findings), impression: cut(&draft.impression) }
}
