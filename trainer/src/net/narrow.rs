//! The towers in fewer bits: what a step computes with, while the parameters themselves keep 32.

use super::pair::Pair;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor};

/// Parts whose matrix products are nearly all that a tower does. Embeddings, the heads and what makes the volume's first
/// tokens beside the patches' projection stay in 32 bits, and so does the loss.
const NARROWED: [&str; 3] = ["vision.patch.", "vision.blocks.", "text.layers."];

impl Pair {
    /// The same numbers, those of the towers' layers as this type; leaves of a new graph.
    #[must_use]
    pub fn computing_in(self, dtype: DType) -> Self {
        if dtype == DType::F32 { self } else { self.map(&mut Narrow { dtype, path: Vec::new() }) }
    }
}

struct Narrow {
    dtype: DType,
    path: Vec<String>,
}

impl ModuleMapper for Narrow {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        if !NARROWED.iter().any(|part| path.starts_with(part)) {
            return param;
        }
        let (id, tensor, mapper) = param.consume();
        let learns = tensor.is_require_grad();
        let narrow = tensor.set_require_grad(false).detach().cast(self.dtype).set_require_grad(learns);
        Param::from_mapped_value(id, narrow, mapper)
    }
}
