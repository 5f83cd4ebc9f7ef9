//! Takes a report, gives its sections: where findings, impression and what is no finding at all stand.

use std::ops::Range;

/// Which part of a report a sentence stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// What is seen; the whole report where nothing is headed.
    Findings,
    /// What it means.
    Impression,
    /// Why and how the examination was made, and what there was before: read for nothing.
    Preamble,
}

/// Headings, in lower case and without their colon.
const HEADINGS: [(&str, Section); 22] = [
    ("findings", Section::Findings),
    ("finding", Section::Findings),
    ("report", Section::Findings),
    ("description", Section::Findings),
    ("impression", Section::Impression),
    ("impressions", Section::Impression),
    ("conclusion", Section::Impression),
    ("conclusions", Section::Impression),
    ("result", Section::Impression),
    ("opinion", Section::Impression),
    ("summary", Section::Impression),
    ("indication", Section::Preamble),
    ("reason for examination", Section::Preamble),
    ("reason for exam", Section::Preamble),
    ("clinical information", Section::Preamble),
    ("clinical history", Section::Preamble),
    ("clinical question", Section::Preamble),
    ("history", Section::Preamble),
    ("technique", Section::Preamble),
    ("protocol", Section::Preamble),
    ("examination", Section::Preamble),
    ("comparison", Section::Preamble),
];

/// Longest heading in words.
const HEADING_WORDS: usize = 4;

/// The sections in their order; their ranges are bytes of the text, and leave out the headings.
pub(super) fn sections(text: &str) -> Vec<(Section, Range<usize>)> {
    let mut sections = Vec::new();
    let mut now = (Section::Findings, 0);
    for (colon, _) in text.match_indices(':') {
        let Some((from, section)) = heading(text, now.1, colon) else { continue };
        sections.push((now.0, now.1..from));
        now = (section, colon + 1);
    }
    if now.0 == Section::Preamble {
        // No heading follows: what is seen begins where the preamble's line or first sentence ends.
        let rest = text.get(now.1..).unwrap_or_default();
        let end = rest.find('\n').into_iter().chain(rest.find(". ")).min().map_or(text.len(), |at| now.1 + at + 1);
        sections.push((Section::Preamble, now.1..end));
        now = (Section::Findings, end);
    }
    sections.push((now.0, now.1..text.len()));
    sections.retain(|(_, range)| text.get(range.clone()).is_some_and(|part| !part.trim().is_empty()));
    sections
}

/// Where the heading before this colon begins and what it heads: a known one, at the start of a line or sentence.
fn heading(text: &str, from: usize, colon: usize) -> Option<(usize, Section)> {
    let before = text.get(from..colon)?;
    // Only so far back as the longest heading reaches.
    let start = before.rfind(['\n', '.', '?', '!', ':', '•', '*', '"', '#']);
    let line = start.and_then(|at| before.get(at..)).unwrap_or(before);
    let name = line.trim_start_matches(|letter: char| !letter.is_alphanumeric());
    if name.split_whitespace().nth(HEADING_WORDS).is_some() {
        return None;
    }
    let name_from = colon - name.len();
    let name = name.trim_end_matches(|letter: char| !letter.is_alphanumeric()).to_lowercase();
    HEADINGS.iter().find(|(known, _)| *known == name).map(|&(_, section)| (name_from, section))
}
