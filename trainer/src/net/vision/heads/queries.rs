//! A look of its own for each flag: 18 learned queries weigh the tokens, and each flag reads the mean of its own weighing. A
//! mean that all flags share cannot be about what one of them looks for.

use crate::net::layers::width;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, activation};
use ctedge_models::labels::LABEL_COUNT;

/// A query and a reading for each flag.
#[derive(Module, Debug)]
pub struct FlagQueries {
    /// `[C, 18]`, scaled like the volume's.
    pub query: Param<Tensor<2>>,
    /// `[C, 18]`.
    pub value: Param<Tensor<2>>,
}

impl FlagQueries {
    pub(in crate::net::vision) fn new(dim: usize, device: &Device) -> Self {
        let zeros = || Param::from_tensor(Tensor::zeros([dim, LABEL_COUNT], device));
        Self { query: zeros(), value: zeros() }
    }

    /// Factor on `q · h`, `1 / sqrt(C)`.
    pub fn scale(&self) -> f64 {
        let [dim, _] = self.query.dims();
        width(dim).sqrt().recip()
    }

    /// Tokens `[B, T, C]` to what each adds to each flag, `[B, T, 18]`: its reading times its weight, and over the tokens the
    /// weights of a flag sum to one.
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let scores = (tokens.clone() * self.scale()).matmul(self.query.val().unsqueeze::<3>());
        activation::softmax(scores, 1) * tokens.matmul(self.value.val().unsqueeze::<3>())
    }
}
