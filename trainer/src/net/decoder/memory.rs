//! What the decoder looks at: the volume's tokens, and a row for each flag.

use super::DECODER_NORM_EPSILON;
use crate::net::layers::{LayerNorm, apply, linear};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, activation};
use ctedge_models::labels::LABEL_COUNT;

/// Makes rows `[B, T + 18, D]` of tokens and flags.
#[derive(Module, Debug)]
pub struct Memory {
    /// `[C, D]`, of a token.
    pub project: Linear,
    /// Of a projected token.
    pub norm: LayerNorm,
    /// What a flag says.
    pub flags: FlagRows,
}

/// A row for each flag: `base + max(v, 0) present + max(-v, 0) absent` for a flag that is told as `v`. Each `[18, D]`.
#[derive(Module, Debug)]
pub struct FlagRows {
    /// Of a flag that nothing is known of.
    pub base: Param<Tensor<2>>,
    /// Added where the finding is there.
    pub present: Param<Tensor<2>>,
    /// Added where it is not.
    pub absent: Param<Tensor<2>>,
}

impl Memory {
    pub(super) fn new(width: usize, dim: usize, device: &Device) -> Self {
        let table = || Param::from_tensor(Tensor::zeros([LABEL_COUNT, dim], device));
        Self {
            project: linear(width, dim, device),
            norm: LayerNorm::new(dim, DECODER_NORM_EPSILON, device),
            flags: FlagRows { base: table(), present: table(), absent: table() },
        }
    }

    /// Tokens `[B, T, C]` and flags `[B, 18]` to rows `[B, T + 18, D]`, the flags behind the tokens.
    pub fn forward(&self, tokens: Tensor<3>, flags: Tensor<2>) -> Tensor<3> {
        let seen = self.norm.forward(apply(&self.project, tokens));
        Tensor::cat(vec![seen, self.flags.forward(flags)], 1)
    }
}

impl FlagRows {
    /// Flags `[B, 18]` to rows `[B, 18, D]`.
    pub fn forward(&self, flags: Tensor<2>) -> Tensor<3> {
        let told = flags.unsqueeze_dim::<3>(2);
        let [base, present, absent] =
            [&self.base, &self.present, &self.absent].map(|table| table.val().unsqueeze::<3>());
        base + activation::relu(told.clone()) * present + activation::relu(-told) * absent
    }
}
