//! The operations on libtorch: its own kernels, and their gradients from its own graph of each operation.

use super::fused::Fused;
use super::gradient::{Kernels, Looked, Scale};
use burn::backend::LibTorch;
use burn::backend::tensor::FloatTensor;
use tch::{Kind, Tensor};

type Numbers = FloatTensor<LibTorch>;

/// One operation in libtorch's graph. It holds the framework's handles too: what has but one handle is overwritten.
#[derive(Debug)]
pub(super) struct Graph {
    leaves: Vec<Tensor>,
    output: Tensor,
    held: Vec<Numbers>,
}

impl Clone for Graph {
    fn clone(&self) -> Self {
        let leaves = self.leaves.iter().map(Tensor::shallow_clone).collect();
        Self { leaves, output: self.output.shallow_clone(), held: self.held.clone() }
    }
}

impl Graph {
    fn of(inputs: Vec<Numbers>, operation: impl FnOnce(&[Tensor]) -> Tensor) -> (Numbers, Self) {
        let leaves: Vec<Tensor> = inputs.iter().map(|input| input.tensor.detach().set_requires_grad(true)).collect();
        let output = operation(&leaves);
        let said = Numbers::new(output.detach());
        let mut held = inputs;
        held.push(said.clone());
        (said, Self { leaves, output, held })
    }

    fn back<const N: usize>(self, output: &Numbers) -> [Numbers; N] {
        let along = (self.output * &output.tensor).sum(Kind::Float);
        let mut gradients = Tensor::run_backward(&[along], &self.leaves, false, false).into_iter();
        drop(self.held);
        std::array::from_fn(|_| Numbers::new(gradients.next().unwrap_or_else(|| output.tensor.shallow_clone())))
    }
}

impl Fused for LibTorch {
    fn fused_linear(input: Numbers, weight: Numbers, bias: Numbers) -> Numbers {
        Self::linear_kernel(input, weight, bias)
    }

    fn fused_gelu(input: Numbers) -> Numbers {
        Self::gelu_kernel(input)
    }

    fn fused_layer_norm(input: Numbers, gamma: Numbers, beta: Numbers, epsilon: f64) -> Numbers {
        Self::layer_norm_kernel(input, Scale { gamma, beta, epsilon }).0
    }

    fn fused_attention(query: Numbers, key: Numbers, value: Numbers) -> Numbers {
        Self::attention_kernel(Looked { query, key, value, seen: None }).0
    }

    fn fused_attention_among(query: Numbers, key: Numbers, value: Numbers, seen: Numbers) -> Numbers {
        Self::attention_kernel(Looked { query, key, value, seen: Some(seen) }).0
    }
}

impl Kernels for LibTorch {
    type Normed = Graph;
    type Attended = Graph;

    fn linear_kernel(input: Numbers, weight: Numbers, bias: Numbers) -> Numbers {
        let mut shape = input.tensor.size();
        let width = weight.tensor.size2().map_or(0, |(_, width)| width);
        let rows = input.tensor.reshape([-1, shape.pop().unwrap_or(1)]);
        shape.push(width);
        Numbers::new(bias.tensor.addmm(&rows, &weight.tensor).reshape(shape))
    }

    fn gelu_kernel(input: Numbers) -> Numbers {
        Numbers::new(input.tensor.gelu("none"))
    }

    fn gelu_gradient(input: Numbers, output: Numbers) -> Numbers {
        Numbers::new(input.tensor.gelu_backward(&output.tensor, "none"))
    }

    fn layer_norm_kernel(input: Numbers, scale: Scale<Self>) -> (Numbers, Graph) {
        Graph::of(vec![input, scale.gamma, scale.beta], |leaves| match leaves {
            [input, gamma, beta] => {
                let width = gamma.numel() as i64;
                input.layer_norm([width], Some(gamma), Some(beta), scale.epsilon, true)
            }
            _ => Tensor::new(),
        })
    }

    fn layer_norm_gradient(normed: Graph, output: Numbers) -> [Numbers; 3] {
        normed.back(&output)
    }

    fn attention_kernel(looked: Looked<Self>) -> (Numbers, Graph) {
        let Looked { query, key, value, seen } = looked;
        let mask = seen.map(|seen| {
            let (cases, keys) = seen.tensor.size2().unwrap_or_default();
            seen.tensor.ne(0.0).reshape([cases, 1, 1, keys])
        });
        Graph::of(vec![query, key, value], |leaves| match leaves {
            [query, key, value] => {
                Tensor::scaled_dot_product_attention(query, key, value, mask.as_ref(), 0.0, false, None, false)
            }
            _ => Tensor::new(),
        })
    }

    fn attention_gradient(attended: Graph, output: Numbers) -> [Numbers; 3] {
        attended.back(&output)
    }
}
