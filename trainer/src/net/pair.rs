//! The two towers together, with the two numbers that turn a cosine into a logit.

use super::layers::{apply, linear};
use super::text::BertTower;
use super::vision::{Outputs, Tower};
use super::weights::{Weights, WeightsError};
use crate::batch::LOCATED;
use crate::experiment::Experiment;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use ctedge_models::labels::LABEL_COUNT;

/// Everything of a model that has weights.
#[derive(Module, Debug)]
pub struct Pair {
    /// The volume tower.
    pub vision: Tower,
    /// The report tower.
    pub text: BertTower,
    /// Reads the 18 flags from an embedding that both towers share `[E, 18]`, where the objective asks for it. It serves the
    /// training alone.
    pub shared_flags: Option<Linear>,
    /// Reads where each finding is from what the flags are read from, `[C + T * W, 18 * 6]`, where the objective asks for it. It
    /// serves the training alone.
    pub located: Option<Linear>,
    /// Natural logarithm `[1]` of the factor `t` on cosines.
    pub log_scale: Param<Tensor<1>>,
    /// The bias `[1]`, `b`, of sigmoid losses.
    pub bias: Param<Tensor<1>>,
}

impl Pair {
    /// The experiment's network with these weights; every parameter must be there, and nothing else. `vocabulary` is the
    /// number of pieces that the tokenizer knows.
    pub fn new(
        experiment: &Experiment,
        vocabulary: usize,
        weights: &Weights,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        weights.fill(Self::empty(experiment, vocabulary, device))
    }

    /// The shape alone. Its parameters hold nothing useful until [`Weights::fill`] has filled them.
    pub(super) fn empty(experiment: &Experiment, vocabulary: usize, device: &Device) -> Self {
        let Experiment { vision, text, input, loss, .. } = experiment;
        let embedding = vision.embedding;
        let vision = Tower::empty(vision, &input.grid, device);
        let [summary, _] = vision.flags.weight.dims();
        let number = || Param::from_tensor(Tensor::zeros([1], device));
        Self {
            text: BertTower::empty(text, vocabulary, embedding, device),
            shared_flags: (loss.shared_flags > 0.0).then(|| linear(embedding, LABEL_COUNT, device)),
            located: (loss.located > 0.0).then(|| linear(summary, LOCATED, device)),
            vision,
            log_scale: number(),
            bias: number(),
        }
    }

    /// Logits of where each finding is `[B, 18 * 6]`, of what a tower has said.
    pub fn located(&self, said: &Outputs) -> Option<Tensor<2>> {
        self.located.as_ref().map(|head| apply(head, said.summary.clone()))
    }
}
