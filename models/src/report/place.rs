//! Takes the words of a sentence, gives the sides and zones that it names.

use super::{Side, Zone};
use std::ops::Range;

/// A side, a zone or both, and the words that name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) side: Option<Side>,
    pub(super) zone: Option<Zone>,
    pub(super) words: Range<usize>,
}

/// Most words between a side and a zone that belong together: "lower lobe of the right lung".
const APART: usize = 4;

/// What "upper", "middle" and "lower" are said of where they mean a zone of the lung.
const PARTS: [&str; 6] = ["lobe", "zone", "lung", "segment", "field", "half"];

/// The places in their order.
pub(super) fn places(words: &[&str]) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let (side, zone) = (side(word), zone(words, at));
        if side.is_none() && zone.is_none() {
            continue;
        }
        let fits = |last: &&mut Place| {
            let near = at <= last.words.end + APART;
            near && (side.is_none() || last.side.is_none()) && (zone.is_none() || last.zone.is_none())
        };
        let before = places.last().and_then(|last| last.side);
        if let Some(last) = places.last_mut().filter(fits) {
            *last = Place { side: last.side.or(side), zone: last.zone.or(zone), words: last.words.start..at + 1 };
        } else {
            // "in the right upper and lower lobes"
            let inherited = before.filter(|_| words.get(at.wrapping_sub(1)) == Some(&"and"));
            places.push(Place { side: side.or(inherited), zone, words: at..at + 1 });
        }
    }
    // Only the left lung has a lingula.
    let names_lingula = |place: &Place| words.iter().take(place.words.end).skip(place.words.start).any(is_lingula);
    for place in places.iter_mut().filter(|place| place.side.is_none()) {
        place.side = names_lingula(place).then_some(Side::Left);
    }
    places
}

fn is_lingula(word: &&str) -> bool {
    word.starts_with("lingula")
}

fn side(word: &str) -> Option<Side> {
    match word {
        "left" | "lul" | "lll" => Some(Side::Left),
        "right" | "rul" | "rml" | "rll" => Some(Side::Right),
        "both" | "bilateral" | "bilaterally" | "biapical" | "bibasilar" | "bibasal" => Some(Side::Both),
        _ => None,
    }
}

fn zone(words: &[&str], at: usize) -> Option<Zone> {
    let word = words.get(at)?;
    let of_lung = || words.iter().skip(at + 1).take(APART).any(|word| PARTS.iter().any(|part| word.starts_with(part)));
    match *word {
        "upper" if of_lung() => Some(Zone::Upper),
        "middle" if of_lung() => Some(Zone::Middle),
        "lower" if of_lung() => Some(Zone::Lower),
        "rul" | "lul" | "apex" | "apices" | "apical" | "biapical" | "apicoposterior" => Some(Zone::Upper),
        "rml" => Some(Zone::Middle),
        "rll" | "lll" | "base" | "bases" | "basilar" | "bibasilar" => Some(Zone::Lower),
        _ if word.ends_with("basal") => Some(Zone::Lower),
        _ if is_lingula(word) => Some(Zone::Middle),
        _ => None,
    }
}
