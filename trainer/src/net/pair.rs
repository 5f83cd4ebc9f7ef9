//! The two towers together, with the two numbers that turn a cosine into a logit.

use super::layers::linear;
use super::text::BertTower;
use super::vision::Tower;
use super::weights::{Weights, WeightsError};
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
        let number = || Param::from_tensor(Tensor::zeros([1], device));
        Self {
            vision: Tower::empty(vision, &input.grid, device),
            text: BertTower::empty(text, vocabulary, vision.embedding, device),
            shared_flags: (loss.shared_flags > 0.0).then(|| linear(vision.embedding, LABEL_COUNT, device)),
            log_scale: number(),
            bias: number(),
        }
    }
}
