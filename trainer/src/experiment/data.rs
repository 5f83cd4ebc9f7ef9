//! `[data]` and `[augment]`: what a model learns from.

use super::Expect;
use serde::{Deserialize, Serialize};

/// `[data]`: the corpus and how its patients are split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Which layout the corpus has.
    pub corpus: Corpus,
    /// Share of the patients for validation: early stop, thresholds and calibration come from them.
    pub validation_share: f64,
    /// Share of the patients that training never sees. A corpus with a split of its own keeps it.
    pub test_share: f64,
}

/// A corpus by its layout. Its folder is no part of an experiment: it is named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Corpus {
    /// Synthetic patients, drawn on the fly.
    Phantoms {
        /// How many patients.
        count: usize,
        /// Seed of the first; the others follow from it.
        seed: u64,
    },
    /// CT-RATE's folders and tables.
    CtRate,
    /// BIMCV-R's folders and table.
    BimcvR,
    /// A folder of DICOM series or NIfTI files with `cases.csv`.
    Folder,
}

/// `[augment]`: what is done to a training case each time it is seen. Mirroring is not offered: it would make every
/// "left" of the report wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Largest shift along (z, y, x) in voxels, either way; what enters is fill.
    pub shift: [usize; 3],
    /// Standard deviation of noise that is added to every voxel, in units of the tensor.
    pub noise: f64,
    /// Largest change of contrast: values are multiplied by 1 - c to 1 + c about the middle of the range.
    pub contrast: f64,
    /// Share of the labelled cases whose report is told in the sentences of zero-shot prompts instead, each label's with
    /// probability 1/2.
    pub prompts: f64,
}

impl Data {
    pub(super) fn check(&self, expect: &mut Expect<'_>) {
        let share = |value: f64| (0.0..1.0).contains(&value);
        let (validation, test) = (self.validation_share, self.test_share);
        expect(share(validation), "data.validation_share", format!("{validation} is not 0 to below 1"));
        expect(share(test), "data.test_share", format!("{test} is not 0 to below 1"));
        let together = validation + test;
        expect(
            together < 1.0,
            "data.test_share",
            format!("with validation_share {together}: nothing is left to learn from"),
        );
        if let Corpus::Phantoms { count, .. } = self.corpus {
            expect((1..=10_000_000).contains(&count), "data.corpus", format!("{count} phantoms are not 1 to 10000000"));
        }
    }
}

impl Augment {
    pub(super) fn check(&self, size: [usize; 3], expect: &mut Expect<'_>) {
        let small = self.shift.iter().zip(size).all(|(&shift, edge)| 2 * shift < edge);
        expect(small, "augment.shift", format!("{:?} is not below half of {size:?}", self.shift));
        expect((0.0..=1.0).contains(&self.noise), "augment.noise", format!("{} is not 0 to 1", self.noise));
        expect(
            (0.0..1.0).contains(&self.contrast),
            "augment.contrast",
            format!("{} is not 0 to below 1", self.contrast),
        );
        expect((0.0..=1.0).contains(&self.prompts), "augment.prompts", format!("{} is not 0 to 1", self.prompts));
    }
}
