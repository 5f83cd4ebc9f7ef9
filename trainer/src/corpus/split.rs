//! Which patient is used for what.

use super::case::{Listed, Listing, Split, Why};
use crate::experiment::Data;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Gives every case its split, in the order of the cases, and leaves all but the preferred reconstruction of a scan out
/// of evaluation.
///
/// A patient's split follows from the seed and the patient's name alone, so that adding patients moves nobody. A corpus's
/// own split is kept; where it has none for validation, validation patients are drawn from its training patients.
pub(super) fn assign(listing: &mut Listing, data: &Data, seed: u64) -> Vec<Split> {
    let own_validation = listing.cases.iter().any(|listed| listed.split == Some(Split::Validation));
    let mut patients: BTreeMap<String, Split> = BTreeMap::new();
    for Listed { case, split, .. } in &listing.cases {
        let drawn = || draw(&case.patient, seed);
        let split = match split {
            Some(Split::Train) if own_validation => Split::Train,
            Some(Split::Train) => of(drawn(), [0.0, data.validation_share]),
            Some(own) => *own,
            None => of(drawn(), [data.test_share, data.validation_share]),
        };
        patients.entry(case.patient.clone()).or_insert(split);
    }
    let split = |listed: &Listed| patients.get(&listed.case.patient).copied().unwrap_or(Split::Train);
    one_reconstruction(listing, &split);
    listing.cases.iter().map(split).collect()
}

/// Keeps the first reconstruction of each scan outside training.
fn one_reconstruction(listing: &mut Listing, split: &dyn Fn(&Listed) -> Split) {
    let mut evaluated = BTreeSet::new();
    let cases = std::mem::take(&mut listing.cases);
    for listed in cases {
        if split(&listed) == Split::Train || evaluated.insert(listed.case.group.clone()) {
            listing.cases.push(listed);
        } else {
            let file = listed.source.file();
            listing.leave_out(&listed.case.id, &file, Why::Reconstruction, "another one of the scan is evaluated");
        }
    }
}

/// A number in [0, 1) that belongs to a patient: the first 53 bits of SHA-256 over the seed (little endian) and the name.
fn draw(patient: &str, seed: u64) -> f64 {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(patient).finalize();
    let head = digest.iter().take(8).fold(0u64, |number, &byte| (number << 8) | u64::from(byte));
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "53 bits are exact in an f64")]
    let number = (head >> 11) as f64;
    number / 9_007_199_254_740_992.0
}

fn of(drawn: f64, [test, validation]: [f64; 2]) -> Split {
    if drawn < test {
        Split::Test
    } else if drawn < test + validation {
        Split::Validation
    } else {
        Split::Train
    }
}
