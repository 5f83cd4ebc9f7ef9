//! `[decoder]`: the decoder that drafts reports, and how it learns after the towers.

use super::{Expect, Rate, Tune};
use serde::{Deserialize, Serialize};

/// `[decoder]`: a transformer that writes a report of a volume's tokens and flags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoder {
    /// Width of a word.
    pub dim: usize,
    /// Number of transformer blocks.
    pub depth: usize,
    /// Attention heads; divides `dim`.
    pub heads: usize,
    /// Width of the hidden layer of a block's perceptron, as a multiple of `dim`.
    pub mlp_ratio: usize,
    /// Longest report in tokens, marks included: `[CLS]` findings `[SEP]` impression `[SEP]`.
    pub max_tokens: usize,
    /// How much of the volume tower learns with it: `"frozen"`, nothing. There is no other way: flags and drafts would come
    /// from two towers.
    pub tune: Tune,
    /// Share of the probability that every target gives to all words alike (Szegedy et al., arXiv 1512.00567).
    pub label_smoothing: f64,
    /// Probability that a flag is told as unknown.
    pub drop_flags: f64,
    /// Probability that a flag is told wrong, so that the decoder learns to look and does not repeat what it is told.
    pub corrupt_flags: f64,
    /// Probability that a word of the report so far is the decoder's own choice instead (Bengio et al., arXiv 1506.03099; in
    /// two passes, as Mihaylova and Martins, arXiv 1906.07651); 0 leaves it out, and costs less.
    #[serde(default)]
    pub scheduled_sampling: f64,
    /// Optimiser steps.
    pub steps: usize,
    /// Reports of a step.
    pub batch: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Steps over which the learning rate rises to it; afterwards it falls along a cosine.
    pub warmup_steps: usize,
    /// Learning rate at the end over the highest.
    pub final_share: f64,
    /// Decoupled weight decay, of matrices only.
    pub weight_decay: f64,
    /// Longest gradient over all parameters (global norm).
    pub clip_norm: f64,
    /// Steps between two looks at the validation patients, and between two checkpoints.
    pub validate_every: usize,
}

impl Decoder {
    /// How its learning rate goes.
    pub fn rate(&self) -> Rate {
        let Self { steps, warmup_steps, learning_rate, final_share, .. } = *self;
        Rate { highest: learning_rate, warmup_steps, steps, restart_at: None, final_share }
    }

    pub(super) fn check(&self, expect: &mut Expect<'_>) {
        self.check_shape(expect);
        self.check_telling(expect);
        self.check_learning(expect);
    }

    fn check_shape(&self, expect: &mut Expect<'_>) {
        expect((1..=4096).contains(&self.dim), "decoder.dim", format!("{} is not 1 to 4096", self.dim));
        expect((1..=64).contains(&self.depth), "decoder.depth", format!("{} is not 1 to 64", self.depth));
        let even = self.heads > 0 && self.dim.is_multiple_of(self.heads);
        expect(even, "decoder.heads", format!("{} does not divide dim {}", self.heads, self.dim));
        expect((1..=8).contains(&self.mlp_ratio), "decoder.mlp_ratio", format!("{} is not 1 to 8", self.mlp_ratio));
        let longest = (8..=4096).contains(&self.max_tokens);
        expect(longest, "decoder.max_tokens", format!("{} is not 8 to 4096", self.max_tokens));
        let frozen = self.tune == Tune::Frozen;
        expect(
            frozen,
            "decoder.tune",
            "the volume tower rests while a decoder learns: \"frozen\" is all there is".into(),
        );
    }

    fn check_telling(&self, expect: &mut Expect<'_>) {
        let smoothing = self.label_smoothing;
        expect((0.0..1.0).contains(&smoothing), "decoder.label_smoothing", format!("{smoothing} is not 0 to below 1"));
        let shares = [
            ("decoder.drop_flags", self.drop_flags),
            ("decoder.corrupt_flags", self.corrupt_flags),
            ("decoder.scheduled_sampling", self.scheduled_sampling),
        ];
        for (key, share) in shares {
            expect((0.0..=1.0).contains(&share), key, format!("{share} is not 0 to 1"));
        }
    }

    fn check_learning(&self, expect: &mut Expect<'_>) {
        expect(self.steps > 0, "decoder.steps", "0 steps learn nothing".into());
        expect(self.batch > 0, "decoder.batch", "0 reports teach nothing".into());
        self.rate().check(["decoder.learning_rate", "decoder.warmup_steps", "decoder.final_share"], expect);
        let decay = self.weight_decay;
        expect((0.0..=10.0).contains(&decay), "decoder.weight_decay", format!("{decay} is not 0 to 10"));
        expect(self.clip_norm > 0.0, "decoder.clip_norm", format!("{} is not positive", self.clip_norm));
        expect(self.validate_every > 0, "decoder.validate_every", "0 never looks".into());
    }
}
