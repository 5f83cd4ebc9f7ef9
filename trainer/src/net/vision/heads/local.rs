//! What a token says in its own place: a few channels of each, side by side.
//!
//! A mean over hundreds of tokens drowns what one of them saw; a finding of the heart should be read where the heart
//! lies. CT-CLIP flattens all its tokens for the same reason; here each is narrowed first, so that the matrix that reads
//! them stays small.

use crate::device::gelu;
use crate::net::layers::linear;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

/// A linear layer from a token to few channels, and an exact GELU.
#[derive(Module, Debug)]
pub struct Local {
    /// `[C, W]`.
    pub narrow: Linear,
}

impl Local {
    pub(in crate::net::vision) fn new(dim: usize, channels: usize, device: &Device) -> Self {
        Self { narrow: linear(dim, channels, device) }
    }

    /// Tokens `[B, T, C]` to what each says, `[B, T, W]`.
    pub fn each(&self, tokens: Tensor<3>) -> Tensor<3> {
        gelu(self.narrow.forward(tokens))
    }

    /// Tokens `[B, T, C]` to `[B, T * W]`, token after token.
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<2> {
        self.each(tokens).flatten(1, 2)
    }
}
