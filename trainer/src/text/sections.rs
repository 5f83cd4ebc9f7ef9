//! Which text of a report the report tower sees.

/// What CT-RATE writes in a section that the radiologist left out.
const ABSENT: &str = "Not given.";
/// Characters that stem from the table's way of writing lists, not from the radiologist; CT-CLIP removes the same ones
/// from its prompts.
const PACKING: [char; 8] = ['"', '\'', '(', ')', '[', ']', '{', '}'];

/// Findings and then impression as one text: packing characters removed, white space single, an absent section empty.
///
/// CT-CLIP's loader joins all sections and then trains on `Findings_EN` alone; so does HSENet. The impression is kept
/// here, since it names what findings only describe. An empty `impression` gives their choice.
pub fn seen(findings: &str, impression: &str) -> String {
    let parts = [findings, impression].map(cleaned);
    parts.join(" ").trim().to_owned()
}

/// One section: packing characters removed, white space single, an absent one empty.
pub(super) fn cleaned(section: &str) -> String {
    let plain = section.replace(PACKING, "");
    let words: Vec<&str> = plain.split_whitespace().collect();
    let text = words.join(" ");
    if text == ABSENT { String::new() } else { text }
}
