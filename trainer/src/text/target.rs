//! What a decoder learns to write of a report.

use super::sections::cleaned;
use super::{Tokenizer, TokenizerError, Tokens};

/// Marks of a target: one at its beginning, one at the end of each section.
const TARGET_MARKS: usize = 3;

/// `[CLS]` findings `[SEP]` impression `[SEP]`, both cleaned as [`seen`](super::seen) does, of at most `max_tokens`. What does
/// not fit loses whole sentences from the end of a section: half of the room is each section's, and what one leaves is the
/// other's.
pub fn target(tokenizer: &Tokenizer, sections: [&str; 2], max_tokens: usize) -> Result<Tokens, TokenizerError> {
    let [findings, impression] = sections.map(cleaned);
    let room = max_tokens.saturating_sub(TARGET_MARKS);
    let (all, _) = tokenizer.within(&findings, usize::MAX)?;
    let (impression, lost) = tokenizer.within(&impression, room - all.len().min(room / 2))?;
    let (findings, left_out) = tokenizer.within(&findings, room - impression.len())?;
    let end = [tokenizer.end()];
    let ids = [&[tokenizer.begin()], findings.as_slice(), &end, &impression, &end].concat();
    Ok(Tokens { ids, left_out: left_out + lost })
}
