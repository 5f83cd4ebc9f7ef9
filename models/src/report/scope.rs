//! Takes the words of a sentence, gives its clauses and what is claimed of each word: the grammar of denial, doubt and the
//! past.
//!
//! A denial either comes first and reaches forward ("no effusion or nodule"), or comes last and reaches back to the verb
//! before ("effusion and nodule were not observed"). A comma or an "and" after a finished statement ends a forward one.

use super::Claim;
use super::pattern::Pattern;
use super::sentences::Token;
use std::sync::LazyLock;

/// Words of a sentence that belong together, with what is claimed of each.
#[derive(Debug)]
pub(super) struct Clause {
    /// Their places among the sentence's tokens.
    pub(super) places: Vec<usize>,
    pub(super) claims: Vec<Claim>,
}

/// Longest clause in words. Nobody writes one, and what is done to a clause takes the square of its length.
const CLAUSE_WORDS: usize = 160;

/// Words that begin a clause of its own.
const BREAKS: [&str; 11] =
    [";", ":", "but", "however", "although", "though", "whereas", "while", "nevertheless", "yet", "despite"];

/// What a group of words does to the words around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cue {
    /// Nothing, although it looks like one of the others.
    Idle,
    /// Makes the claim about what follows.
    Forward(Claim),
    /// Makes the claim about what came before.
    Back(Claim),
}

/// Written like the terms of the vocabulary. The first that fits counts.
const CUES: [(&str, Cue); 26] = [
    ("no|without|not . change*|difference*|progress*|regress*|contrast", Cue::Idle),
    ("no|without . increase*|decrease*|reduction|enlargement in|of . size*|number*|dimension*|diameter*", Cue::Idle),
    ("not|cannot . evaluated|assessed|only|optimal*|given|performed|sufficient*|specific|typical|included", Cue::Idle),
    ("not|cannot|can't . excluded|ruled|eliminated|differentiated", Cue::Back(Claim::Uncertain)),
    ("not|cannot|can't . exclude|rule", Cue::Forward(Claim::Uncertain)),
    ("no longer . observed|detected|seen|found|visible|visualized|identified|present", Cue::Back(Claim::Absent)),
    (
        "not|cannot|isn't|aren't|wasn't|weren't . observed|detected|seen|found|identified|noted|present|visible|visualized|\
         visualised|encountered|determined|distinguished|demonstrated|selected|available|shown|monitored|apparent|evident|\
         appreciated|recognized|noticed|watched|followed|discernible|distinguishable|noticeable|remarkable|exist",
        Cue::Back(Claim::Absent),
    ),
    (
        "is|are|was|were|has|have|had . disappeared|resolved|vanished|lost|removed|extracted",
        Cue::Back(Claim::Historical),
    ),
    ("disappeared|resolved|vanished|removed|extracted", Cue::Back(Claim::Historical)),
    ("is|are|was|were absent", Cue::Back(Claim::Absent)),
    ("other than|these", Cue::Forward(Claim::Present)),
    ("apart|aside from", Cue::Forward(Claim::Present)),
    ("except|besides", Cue::Forward(Claim::Present)),
    ("free of|from", Cue::Forward(Claim::Absent)),
    ("absence|lack of . contrast", Cue::Idle),
    ("absence|lack of", Cue::Forward(Claim::Absent)),
    ("negative for|in", Cue::Forward(Claim::Absent)),
    (
        "no|without|neither|nor|never|not|cannot|isn't|aren't|wasn't|weren't|don't|doesn't|didn't",
        Cue::Forward(Claim::Absent),
    ),
    ("history|resolution|disappearance|regression . of", Cue::Forward(Claim::Historical)),
    ("suspicious|suspicion|suspected|question|questionable for|of|in", Cue::Forward(Claim::Uncertain)),
    ("is|are|remains|seems possible|probable|questionable|suspected", Cue::Back(Claim::Uncertain)),
    ("possible|possibly|questionable|suspected", Cue::Forward(Claim::Uncertain)),
    ("may|might|could be|represent|belong|indicate|suggest|correspond", Cue::Forward(Claim::Uncertain)),
    ("rule|rules|exclude out", Cue::Forward(Claim::Uncertain)),
    ("there is|are", Cue::Forward(Claim::Present)),
    ("?", Cue::Back(Claim::Uncertain)),
];

/// Verbs that finish a statement.
const VERBS: [&str; 24] = [
    "is",
    "are",
    "was",
    "were",
    "has",
    "have",
    "had",
    "show",
    "shows",
    "showed",
    "reveals",
    "revealed",
    "contain",
    "contains",
    "demonstrates",
    "demonstrated",
    "lies",
    "lie",
    "measures",
    "measured",
    "extends",
    "became",
    "becomes",
    "remains",
];

static PATTERNS: LazyLock<Vec<(Pattern, Cue)>> =
    LazyLock::new(|| CUES.iter().map(|&(words, cue)| (Pattern::new(words), cue)).collect());

/// The clauses of a sentence. What stands in brackets is a clause of its own; the sentence goes on around it.
pub(super) fn clauses(tokens: &[Token]) -> Vec<Clause> {
    let mut finished: Vec<Vec<usize>> = Vec::new();
    let mut open: Vec<Vec<usize>> = vec![Vec::new()];
    for (place, token) in tokens.iter().enumerate() {
        match token.word.as_str() {
            "(" => open.push(Vec::new()),
            ")" if open.len() > 1 => finished.extend(open.pop()),
            word => {
                let Some(clause) = open.last_mut() else { continue };
                if BREAKS.contains(&word) || clause.len() >= CLAUSE_WORDS {
                    finished.push(std::mem::take(clause));
                }
                clause.push(place);
            }
        }
    }
    finished.extend(open);
    finished.retain(|clause| !clause.is_empty());
    let word = |place: &usize| tokens.get(*place).map_or("", |token| token.word.as_str());
    let claimed = |places: Vec<usize>| {
        let words: Vec<&str> = places.iter().map(word).collect();
        Clause { claims: Reader::new(&words).read(), places }
    };
    finished.into_iter().map(claimed).collect()
}

/// Reads a clause from its first word to its last.
#[derive(Debug)]
struct Reader<'a> {
    words: &'a [&'a str],
    claims: Vec<Claim>,
    /// First word that a denial which comes last would reach.
    from: usize,
    /// The claim about what follows.
    forward: Option<Claim>,
    /// Whether a verb has come after the word that set `forward`.
    is_finished: bool,
}

impl<'a> Reader<'a> {
    fn new(words: &'a [&'a str]) -> Self {
        Self { words, claims: vec![Claim::Present; words.len()], from: 0, forward: None, is_finished: false }
    }

    fn word(&self, at: usize) -> &'a str {
        self.words.get(at).copied().unwrap_or_default()
    }

    fn read(mut self) -> Vec<Claim> {
        let mut at = 0;
        while at < self.words.len() {
            at = match self.cue(at) {
                Some((end, cue)) => self.obey(cue, at, end),
                None => self.pass(at),
            };
        }
        self.claims
    }

    fn cue(&self, at: usize) -> Option<(usize, Cue)> {
        PATTERNS.iter().find_map(|(pattern, cue)| Some((pattern.at(self.words, at)?.range().end, *cue)))
    }

    /// Does what the cue from `at` to `end` asks for; where to read on.
    fn obey(&mut self, cue: Cue, at: usize, end: usize) -> usize {
        match cue {
            Cue::Idle => {}
            Cue::Forward(claim) => {
                self.forward = Some(claim);
                self.is_finished = false;
                if claim == Claim::Present {
                    self.from = end;
                }
            }
            // "Resolved effusion": there is nothing before it that it could be about.
            Cue::Back(claim @ Claim::Historical) if at == self.from => self.forward = Some(claim),
            Cue::Back(claim) => {
                let reached = self.claims.iter_mut().take(at).skip(self.from);
                reached.filter(|word| **word == Claim::Present).for_each(|word| *word = claim);
                self.from = end;
                self.forward = None;
            }
        }
        end
    }

    fn pass(&mut self, at: usize) -> usize {
        let word = self.word(at);
        if matches!(word, "," | "and" | "with") && self.ends(at) {
            self.forward = None;
        }
        if VERBS.contains(&word) && self.is_affirmed(at) {
            self.is_finished = true;
            // "areas that were seen before are not seen": the first verb finishes nothing.
            let is_relative =
                at.checked_sub(1).is_some_and(|before| matches!(self.word(before), "which" | "that" | "who"));
            if !is_relative {
                self.from = at + 1;
            }
        }
        if let (Some(claim), Some(own)) = (self.forward, self.claims.get_mut(at)) {
            *own = claim;
        }
        at + 1
    }

    /// Whether the verb here is not denied at once.
    fn is_affirmed(&self, at: usize) -> bool {
        !(at + 1..at + 3).any(|next| matches!(self.word(next), "not" | "no" | "neither"))
    }

    /// Whether the comma or conjunction here ends the reach of a denial that came before.
    fn ends(&self, at: usize) -> bool {
        let next = self.word(at + 1);
        match self.word(at) {
            "with" => self.word(at.saturating_sub(1)) == ",",
            _ => self.is_finished && !matches!(next, "or" | "nor" | "and"),
        }
    }
}
