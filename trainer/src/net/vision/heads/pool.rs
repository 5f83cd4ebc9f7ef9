//! Attention pooling: one learned query weighs the tokens, and the weights are the token saliency (R6).

use crate::net::layers::width;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, activation};

/// One query of width C.
#[derive(Module, Debug)]
pub struct AttentionPool {
    /// `[C, 1]`.
    pub query: Param<Tensor<2>>,
}

impl AttentionPool {
    pub(in crate::net::vision) fn new(dim: usize, device: &Device) -> Self {
        Self { query: Param::from_tensor(Tensor::zeros([dim, 1], device)) }
    }

    /// Factor on `q · h`, `1 / sqrt(C)`.
    pub fn scale(&self) -> f64 {
        let [dim, _] = self.query.dims();
        width(dim).sqrt().recip()
    }

    /// Tokens `[B, T, C]` to their weighted mean `[B, C]` and the weights `[B, T]`, which sum to one.
    pub fn forward(&self, tokens: Tensor<3>) -> (Tensor<2>, Tensor<2>) {
        let scores = (tokens.clone() * self.scale()).matmul(self.query.val().unsqueeze::<3>());
        let saliency = activation::softmax(scores.swap_dims(1, 2), 2);
        let pooled = saliency.clone().matmul(tokens);
        (pooled.squeeze_dim::<2>(1), saliency.squeeze_dim::<2>(1))
    }
}
