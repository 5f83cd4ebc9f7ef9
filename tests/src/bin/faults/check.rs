//! How a run has ended, and what is wrong with that.

use crate::scene::{Cast, Scene, below};
use ctedge_tests::subscriber::Message;
use std::collections::{BTreeMap, BTreeSet};

/// Names of the outcomes in the books.
const OUTCOMES: [&str; 5] = ["flagged", "clear", "inconclusive", "rejected", "failed"];

/// What there is at the end: at the subscriber, in the books, on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Series and id of every result; a repeat of an id is the same result.
    pub(crate) results: BTreeSet<(String, String)>,
    /// The newest published books.
    pub(crate) books: BTreeMap<String, u64>,
    /// Files in the spool and the drop folder.
    pub(crate) files: BTreeSet<String>,
}

impl Ending {
    /// How it stands now.
    pub(crate) fn of(scene: &Scene) -> Self {
        let messages = scene.subscriber.messages();
        let root = scene.appliance.path("");
        let folders = ["spool", "incoming"].map(|name| scene.appliance.path(name));
        let files = folders.iter().flat_map(|folder| below(folder, &root)).collect();
        Self { results: results(&messages), books: books(&messages), files }
    }

    /// Whether every series has an outcome and no file is on its way.
    pub(crate) fn is_settled(&self) -> bool {
        let kept = |file: &String| file.starts_with("spool/done/") || file.starts_with("spool/quarantine/");
        let received = self.number("received") == Cast::SERIES;
        // The books may be told before the last result is.
        let told = self.results.iter().map(|(key, _)| key).collect::<BTreeSet<_>>().len();
        received
            && u64::try_from(told) == Ok(Cast::SERIES)
            && self.unbalanced().is_none()
            && self.files.iter().all(kept)
    }

    /// What is wrong with this ending beside the expected one, a sentence each.
    pub(crate) fn breaches(&self, expected: &Self) -> Vec<String> {
        let lost = expected.results.difference(&self.results);
        let mut breaches: Vec<String> =
            lost.map(|(key, id)| format!("series {key}: its result {id} is lost")).collect();
        let more = self.results.difference(&expected.results);
        breaches.extend(more.map(|(key, id)| format!("series {key}: told again under another id, {id}")));
        breaches.extend(self.unbalanced());
        if self.books != expected.books {
            breaches.push(format!("the books are {:?} and should be {:?}", self.books, expected.books));
        }
        breaches.extend(expected.files.difference(&self.files).map(|file| format!("{file} is not there")));
        breaches.extend(self.files.difference(&expected.files).map(|file| format!("{file} should not be there")));
        breaches
    }

    fn unbalanced(&self) -> Option<String> {
        let ended: u64 = OUTCOMES.iter().map(|name| self.number(name)).sum();
        let (received, pending) = (self.number("received"), self.number("pending"));
        let breach = || format!("{received} series were received, {ended} have ended, {pending} are pending");
        (received != ended || pending != 0).then(breach)
    }

    fn number(&self, name: &str) -> u64 {
        self.books.get(name).copied().unwrap_or_default()
    }
}

/// Series and id of every result.
pub(crate) fn results(messages: &[Message]) -> BTreeSet<(String, String)> {
    let results = messages.iter().filter(|message| message.is_result());
    results.map(|result| (result.text("series_key").to_owned(), result.text("id").to_owned())).collect()
}

fn books(messages: &[Message]) -> BTreeMap<String, u64> {
    let newest = messages.iter().rev().find(|message| message.topic.ends_with("/counters"));
    let total = newest.and_then(|message| message.payload.get("total")?.as_object());
    total.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), value.as_u64()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending() -> Ending {
        let result = |key: &str| (key.to_owned(), format!("r1_{key}"));
        let books = [("received", 3), ("clear", 2), ("rejected", 1), ("pending", 0)];
        Ending {
            results: ["a", "b", "c"].map(result).into(),
            books: books.map(|(name, value)| (name.to_owned(), value)).into(),
            files: ["spool/done/a/1".to_owned()].into(),
        }
    }

    #[test]
    fn a_good_ending_has_no_breach_and_each_doctored_one_has() {
        assert!(ending().is_settled());
        assert_eq!(ending().breaches(&ending()), Vec::<String>::new());
        let doctored = |change: &dyn Fn(&mut Ending), word: &str| {
            let mut other = ending();
            change(&mut other);
            let breaches = other.breaches(&ending()).join("\n");
            assert!(breaches.contains(word), "{word}: {breaches}");
        };
        doctored(
            &|other| {
                other.results.pop_first();
            },
            "is lost",
        );
        doctored(
            &|other| {
                other.results.insert(("a".into(), "r1_x".into()));
            },
            "another id",
        );
        doctored(
            &|other| {
                other.books.insert("clear".into(), 1);
            },
            "have ended",
        );
        doctored(
            &|other| {
                other.books.insert("received".into(), 4);
            },
            "were received",
        );
        doctored(
            &|other| {
                other.files.pop_first();
            },
            "is not there",
        );
        doctored(
            &|other| {
                other.files.insert("spool/work/a/1".into());
            },
            "should not be there",
        );
    }
}
