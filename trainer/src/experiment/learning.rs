//! `[loss]` and `[training]`: what is minimised, and how.

use super::Expect;
use serde::{Deserialize, Serialize};

/// `[loss]`: the objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Which contrastive loss.
    pub pairs: Pairs,
    /// Weight of the 18 flags' binary cross-entropy beside the contrastive loss; 0 leaves it out.
    pub flags: f64,
    /// Weight of the 18 flags' cross-entropy as one linear layer reads them from the embedding that both towers share, of the
    /// volume and of its report; 0 leaves it out. Ours, not SCALE-VLP's: from a batch's pairs alone a report tower that
    /// begins at random learns very slowly what a report says.
    pub shared_flags: f64,
    /// Weight of the cross-entropy of where findings are, by finding, side and zone, as the reports say it and as one linear layer
    /// reads it from what the flags are read from; 0 leaves it out. Ours, not SCALE-VLP's: a flag says that a nodule is there, the
    /// report where, and a small tower finds it in a fraction of the steps.
    #[serde(default)]
    pub located: f64,
    /// First value of the factor on cosines, `t`; SigLIP: 10, CLIP: 14.3. It is learned as its logarithm.
    pub scale: f64,
    /// First value of the bias `b` of sigmoid losses; SigLIP: -10.
    pub bias: f64,
    /// What becomes of pairs whose reports say the same.
    pub duplicates: Duplicates,
    /// Whether each row of weights is divided by its sum (SCALE-VLP's equation 2); `paper` weights only.
    pub row_normalise: bool,
    /// The spatial kernel of weights between volumes; without this table it is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spatial: Option<Spatial>,
    /// Knowledge in the weights between reports; without this table they come from the text tower alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knowledge: Option<Knowledge>,
}

/// Which contrastive loss; `ctedge_trainer::loss` has the equations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairs {
    /// Softmax cross-entropy both ways (CLIP).
    Clip,
    /// Pairwise sigmoid (`SigLIP`).
    Siglip,
    /// Softmax with continuously weighted targets (CWCL).
    Cwcl,
    /// SCALE-VLP as its reviewers print it: the weight multiplies the loss, the target off the diagonal is 0.
    SwcaPaper,
    /// The weight is the target.
    SwcaSoftTarget,
    /// Negatives are multiplied by one minus the weight.
    SwcaDiscount,
}

/// What becomes of a pair off the diagonal whose two reports say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// A negative like any other.
    Keep,
    /// Left out of the loss.
    Mask,
    /// A positive.
    Positive,
}

/// `[loss.spatial]`: kernel over centroid and covariance of token saliency in mm (R8).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spatial {
    /// Bandwidth of the squared distance of centroids in mm^2; the batch's median where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub centroid_mm2: Option<f64>,
    /// Bandwidth of the squared Frobenius distance of covariances in mm^4; the batch's median where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covariance_mm4: Option<f64>,
}

/// `[loss.knowledge]`: what is known of the reports beforehand (R9, R10).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knowledge {
    /// Where it comes from.
    pub source: KnowledgeSource,
    /// Share of the text tower's own similarity in the blend; 1 is no knowledge, 0 nothing else.
    pub alpha: f64,
}

/// Where knowledge of the reports comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnowledgeSource {
    /// The 18 labels.
    Labels,
    /// Words, weighted by their rarity in the corpus.
    TfIdf,
    /// Embeddings of a frozen text model; `ctedge-trainer embed` computes them once.
    Embeddings,
}

/// `[training]`: the loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Optimiser steps.
    pub steps: usize,
    /// Pairs of a step; every one is a negative of every other.
    pub batch: usize,
    /// Pairs that go through the towers together; divides `batch`. Gradients are exact whatever it is.
    pub micro_batch: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Steps over which the learning rate rises to it; afterwards it falls along a cosine.
    pub warmup_steps: usize,
    /// The step at which the learning rate has fallen for the first time and rises and falls once more, to leave what it
    /// has found for something better; without it falls once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_at: Option<usize>,
    /// Learning rate at the end over the highest.
    pub final_share: f64,
    /// Decoupled weight decay, of matrices only.
    pub weight_decay: f64,
    /// Longest gradient over all parameters (global norm).
    pub clip_norm: f64,
    /// Steps between two looks at the validation patients, and between two checkpoints.
    pub validate_every: usize,
    /// Checkpoints that are kept beside the best.
    pub keep_checkpoints: usize,
    /// Looks without improvement after which training ends; 0 never ends it.
    pub patience: usize,
}

/// How the learning rate goes over the steps of a training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The highest.
    pub highest: f64,
    /// Steps over which it rises to that.
    pub warmup_steps: usize,
    /// All steps.
    pub steps: usize,
    /// The step at which it has fallen once, and rises and falls again.
    pub restart_at: Option<usize>,
    /// The last over the highest.
    pub final_share: f64,
}

impl Rate {
    /// `keys` are those of the highest rate, of the warm-up and of the share at the end.
    pub(super) fn check(&self, keys: [&'static str; 3], expect: &mut Expect<'_>) {
        let ([highest, warmup, last], rate, share) = (keys, self.highest, self.final_share);
        expect(rate > 0.0 && rate < 1.0, highest, format!("{rate} is not 0 to 1"));
        expect(self.warmup_steps < self.steps, warmup, format!("{} of {} steps", self.warmup_steps, self.steps));
        expect((0.0..=1.0).contains(&share), last, format!("{share} is not 0 to 1"));
    }
}

impl Loss {
    pub(super) fn check(&self, expect: &mut Expect<'_>) {
        expect((0.0..=1e3).contains(&self.flags), "loss.flags", format!("{} is not 0 to 1000", self.flags));
        let shared = self.shared_flags;
        expect((0.0..=1e3).contains(&shared), "loss.shared_flags", format!("{shared} is not 0 to 1000"));
        let located = self.located;
        expect((0.0..=1e3).contains(&located), "loss.located", format!("{located} is not 0 to 1000"));
        expect((0.01..=100.0).contains(&self.scale), "loss.scale", format!("{} is not 0.01 to 100", self.scale));
        expect((-100.0..=100.0).contains(&self.bias), "loss.bias", format!("{} is not -100 to 100", self.bias));
        if let Some(spatial) = self.spatial {
            let positive = |value: Option<f64>| value.is_none_or(|value| value.is_finite() && value > 0.0);
            expect(positive(spatial.centroid_mm2), "loss.spatial.centroid_mm2", "is not positive".into());
            expect(positive(spatial.covariance_mm4), "loss.spatial.covariance_mm4", "is not positive".into());
        }
        if let Some(Knowledge { alpha, .. }) = self.knowledge {
            expect((0.0..=1.0).contains(&alpha), "loss.knowledge.alpha", format!("{alpha} is not 0 to 1"));
        }
    }
}

impl Training {
    /// How its learning rate goes.
    pub fn rate(&self) -> Rate {
        let Self { steps, warmup_steps, restart_at, learning_rate, final_share, .. } = *self;
        Rate { highest: learning_rate, warmup_steps, steps, restart_at, final_share }
    }

    pub(super) fn check(&self, expect: &mut Expect<'_>) {
        expect(self.steps > 0, "training.steps", "0 steps learn nothing".into());
        expect(self.batch > 1, "training.batch", format!("{} pairs have no negatives", self.batch));
        let whole = self.micro_batch > 0 && self.batch.is_multiple_of(self.micro_batch);
        expect(whole, "training.micro_batch", format!("{} does not divide batch {}", self.micro_batch, self.batch));
        self.rate().check(["training.learning_rate", "training.warmup_steps", "training.final_share"], expect);
        let (restart, warmup) = (self.restart_at, self.warmup_steps);
        let fits = restart.is_none_or(|at| at > warmup && at.saturating_add(warmup) < self.steps);
        expect(
            fits,
            "training.restart_at",
            format!("{restart:?} leaves no room for two warm-ups in {} steps", self.steps),
        );
        let decay = self.weight_decay;
        expect((0.0..=10.0).contains(&decay), "training.weight_decay", format!("{decay} is not 0 to 10"));
        let clip = self.clip_norm;
        expect(clip > 0.0, "training.clip_norm", format!("{clip} is not positive"));
        expect(self.validate_every > 0, "training.validate_every", "0 never looks".into());
        expect(self.keep_checkpoints > 0, "training.keep_checkpoints", "0 keeps nothing to go on from".into());
    }
}
