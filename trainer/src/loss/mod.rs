//! What is minimised: contrastive losses over all pairs of a batch, and the flags' cross-entropy, by the volume tower's own
//! head and by one that reads the embeddings of both towers; for a decoder the cross-entropy of its words.
//!
//! In: what both towers said of a batch ([`Embedded`]) and what is known of it ([`Known`]). Out: one number with its
//! parts ([`Terms`]). Pure functions of tensors; owns nothing, draws nothing at random.
//!
//! Notation of the equations: N pairs, `u_i` the unit embedding of volume i, `v_j` that of report j, `t = exp(t')` and `b`
//! learned, `s_ij = t <u_i, v_j> + b` (R1; softmax losses leave `b` out), `y_ij` 1 for a pair that belongs together.
//!
//! **Published** of SCALE-VLP's SWCA (arXiv 2511.02996, by its reviews): a pairwise sigmoid loss whose terms are
//! multiplied by weights from similarities within each modality, rows of weights normalised (equation 2), the target off
//! the diagonal zero; a spatial kernel that is the product of two exponentials over centroid and covariance of token
//! scores (equation 8); a blend of the reports' similarity with that of knowledge embeddings by alpha; the sum of the
//! spatially weighted and the knowledge-weighted term (equation 11). **Reconstruction**: everything else here, as the
//! docstrings say; [`swca`] has two further readings of the weight, `soft_target` and `discount`.

mod flags;
mod pairs;
mod spatial;
mod weights;
mod words;

/// What the rooms on the right need of those on the left; they name this room only.
pub use crate::net::{
    ABSENT, Array, Batch, BatchError, BertTower, Case, Cohort, Features, FeaturesError, Knowledge, LAYER_NORM_EPSILON,
    LOCATED, Length, Located, PATCH_EPSILON, PRESENT, Padded, Pair, Presence, Recorder, Shown, Split, TokenGrid,
    Tokenizer, TokenizerError, Tokens, Tower, Weights, WeightsError, initial, prompt, seen,
};
pub use crate::net::{
    Cache, DECODER_NORM_EPSILON, Dictated, Dictation, Format, Limits, ReportDecoder, Written, initial_decoder, raised,
    told_flags,
};
pub(crate) use crate::net::{DENSITIES, SHORTEST_EMBEDDING, little_endian};
pub use crate::net::{Outputs, Stem, TEXT_NORM_EPSILON};
pub use flags::{flag_loss, located_loss};
pub use pairs::{Reading, Targets, clip, cwcl, siglip, swca};
pub use spatial::{Moments, spatial_kernel};
pub use weights::{above_row_mean, blend, row_normalised, similarity};
pub use words::word_loss;

use crate::experiment::{Loss, Pairs};
use burn::nn::Linear;
use burn::tensor::Tensor;

/// What the towers said of N pairs.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// Unit embeddings of the volumes `[N, E]`.
    pub volume: Tensor<2>,
    /// Unit embeddings of the reports `[N, E]`.
    pub text: Tensor<2>,
    /// Logits of the 18 flags `[N, 18]`.
    pub flags: Tensor<2>,
    /// Logits of where each finding is `[N, 18 * 6]`, if the objective asks for it.
    pub located: Option<Tensor<2>>,
    /// Saliency of the volumes' tokens `[N, T]`; each row sums to one.
    pub saliency: Tensor<2>,
}

/// What is known of N pairs before any tower sees them. None of it carries a gradient.
#[derive(Debug, Clone)]
pub struct Known {
    /// 1 for a finding that is there, 0 for one that is not, `[N, 18]`.
    pub labels: Tensor<2>,
    /// 1 for a case that has labels, 0 for one whose row of `labels` means nothing, `[N, 1]`.
    pub labelled: Tensor<2>,
    /// Unit vectors of knowledge about each report `[N, D]`, if the objective asks for them.
    pub knowledge: Option<Tensor<2>>,
    /// 1 where two different cases have reports that say the same, `[N, N]`; the diagonal is 0.
    pub same: Tensor<2>,
    /// 1 where a finding is, and 1 where that is known, `[N, 18 * 6]` each, if the objective asks for it.
    pub located: Option<[Tensor<2>; 2]>,
}

/// What the objective itself learns.
#[derive(Debug, Clone)]
pub struct Learned {
    /// Logarithm `t'` of the factor on cosines, `[1]`.
    pub log_scale: Tensor<1>,
    /// Bias `b` of sigmoid losses, `[1]`.
    pub bias: Tensor<1>,
    /// Reads the flags from embeddings of length `sqrt(E)`, `[E, 18]`, if the objective asks for it.
    pub shared_flags: Option<Linear>,
}

/// The loss of a batch and its parts, each `[1]`.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What is minimised: the sum of the parts, each with its weight.
    pub total: Tensor<1>,
    /// The contrastive part.
    pub pairs: Tensor<1>,
    /// The flags' cross-entropy, not yet weighted.
    pub flags: Tensor<1>,
    /// The same of the flags that are read from the shared embedding, the mean of volumes and reports, not yet weighted; 0
    /// if the objective leaves it out.
    pub shared_flags: Tensor<1>,
    /// The cross-entropy of where each finding is, not yet weighted; 0 if the objective leaves it out.
    pub located: Tensor<1>,
}

/// The objective of an experiment.
#[derive(Debug, Clone)]
pub struct Objective {
    settings: Loss,
    centres_mm: Tensor<2>,
}

impl Objective {
    /// `centres_mm`: where the volume's tokens lie, `[T, 3]` in mm, in token order.
    pub fn new(settings: Loss, centres_mm: Tensor<2>) -> Self {
        Self { settings, centres_mm }
    }

    /// The loss of a batch.
    pub fn of(&self, said: &Embedded, learned: &Learned, known: &Known) -> Terms {
        let pairs = self.pairs(said, learned, known);
        let flags = flag_loss(said.flags.clone(), known.labels.clone(), known.labelled.clone());
        let shared_flags = match &learned.shared_flags {
            Some(head) => shared_flags(said, head, known),
            None => Tensor::zeros_like(&flags),
        };
        let located = match (&said.located, &known.located) {
            (Some(logits), Some(places)) => located_loss(logits.clone(), places.clone()),
            _ => Tensor::zeros_like(&flags),
        };
        let weighted = flags.clone() * self.settings.flags
            + shared_flags.clone() * self.settings.shared_flags
            + located.clone() * self.settings.located;
        Terms { total: pairs.clone() + weighted, pairs, flags, shared_flags, located }
    }

    fn pairs(&self, said: &Embedded, learned: &Learned, known: &Known) -> Tensor<1> {
        let targets = Targets::new(known.same.clone(), self.settings.duplicates);
        let scale = learned.log_scale.clone().exp().unsqueeze::<2>();
        let scores = said.volume.clone().matmul(said.text.clone().transpose()) * scale;
        let logits = scores.clone() + learned.bias.clone().unsqueeze::<2>();
        let reading = match self.settings.pairs {
            Pairs::Clip => return clip(scores, &targets),
            Pairs::Siglip => return siglip(logits, &targets),
            Pairs::Cwcl => {
                let volume = self.settings.spatial.is_some().then(|| self.volume_weights(said));
                return cwcl(scores, volume, self.text_weights(said, known), &targets);
            }
            Pairs::SwcaPaper => Reading::Paper { row_normalise: self.settings.row_normalise },
            Pairs::SwcaSoftTarget => Reading::SoftTarget,
            Pairs::SwcaDiscount => Reading::Discount,
        };
        let volume = swca(logits.clone(), self.volume_weights(said), &targets, reading);
        let text = swca(logits.transpose(), self.text_weights(said, known), &targets, reading);
        (volume + text) / 2.0
    }

    /// `V_ij`: similarity of volumes, times the spatial kernel (R11).
    fn volume_weights(&self, said: &Embedded) -> Tensor<2> {
        let similar = similarity(said.volume.clone());
        let Some(spatial) = self.settings.spatial else { return similar };
        let moments = Moments::of(said.saliency.clone().detach(), self.centres_mm.clone());
        similar * spatial_kernel(&moments, spatial)
    }

    /// `T_ij`: similarity of reports, blended with knowledge (R10).
    fn text_weights(&self, said: &Embedded, known: &Known) -> Tensor<2> {
        let similar = similarity(said.text.clone());
        match (self.settings.knowledge, &known.knowledge) {
            (Some(knowledge), Some(vectors)) => blend(similar, similarity(vectors.clone()), knowledge.alpha),
            _ => similar,
        }
    }
}

/// The flags' cross-entropy as a linear layer reads them from unit embeddings times `sqrt(E)`, mean of both kinds. One layer
/// for both: what a finding looks like and what it is called then lie in one direction.
fn shared_flags(said: &Embedded, head: &Linear, known: &Known) -> Tensor<1> {
    let read = |embedding: &Tensor<2>| {
        let [_, width] = embedding.dims();
        let logits = head.forward(embedding.clone() * f64::from(u32::try_from(width).unwrap_or(u32::MAX)).sqrt());
        flag_loss(logits, known.labels.clone(), known.labelled.clone())
    };
    (read(&said.volume) + read(&said.text)) / 2.0
}

#[cfg(test)]
mod tests;
