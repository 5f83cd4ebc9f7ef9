//! Which parameters learn: all, the heads alone, or low-rank additions to the matrices (Hu et al., arXiv 2106.09685).

use super::init::{stream, uniform};
use super::layers::width;
use super::pair::Pair;
use super::weights::Weights;
use crate::experiment::{Experiment, Tune};
use burn::module::{LoraAdapter, Module, ModuleVisitor, Param, Reparameterizer};
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::rand_core::Rng;

/// Parts of the towers that always learn: what makes embedding and flags of a tower's tokens.
const HEADS: [&str; 6] =
    ["vision.norm.", "vision.pool.", "vision.local.", "vision.project.", "vision.flags.", "text.project."];
/// Parts with matrices of attention and perceptrons.
const MATRICES: [&str; 2] = ["vision.blocks.", "text.layers."];

impl Pair {
    /// The network as it learns under the experiment's `tune`: frozen parameters take no gradient, and matrices under
    /// `lora` get factors `weight.lora.a` and `weight.lora.b`, whose product starts at zero. With its factors among the
    /// weights, training goes on from [`Weights::fill`](super::Weights::fill).
    #[must_use]
    pub fn trainable(self, experiment: &Experiment) -> Self {
        self.apply_reparameterization(Tuning { experiment })
    }

    /// The same network without factors: they are added to the matrices that they belong to.
    #[must_use]
    pub fn merged(self) -> Self {
        self.materialize()
    }

    /// How many values learn.
    pub fn learning(&self, experiment: &Experiment) -> usize {
        let mut counter = Counter { tuning: Tuning { experiment }, path: Vec::new(), count: 0 };
        self.visit(&mut counter);
        counter.count
    }
}

impl Weights {
    /// Those of a frozen volume tower that rest, whose tokens are therefore always the same.
    #[must_use]
    pub fn resting(&self) -> Self {
        let rests = |name: &str| name.starts_with("vision.") && !HEADS.iter().any(|head| name.starts_with(head));
        Self(self.0.iter().filter(|(name, _)| rests(name)).map(|(name, array)| (name.clone(), array.clone())).collect())
    }
}

/// What becomes of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Learns,
    Rests,
    Added { rank: usize, alpha: f64 },
}

#[derive(Debug, Clone, Copy)]
struct Tuning<'a> {
    experiment: &'a Experiment,
}

impl Tuning<'_> {
    fn fate(self, path: &str, rank: usize) -> Fate {
        let within = |parts: &[&str]| parts.iter().any(|part| path.starts_with(part));
        let tune = match path.split_once('.') {
            Some(("vision", _)) => self.experiment.vision.tune,
            Some(("text", _)) => self.experiment.text.tune,
            _ => Tune::Full,
        };
        match tune {
            Tune::Full => Fate::Learns,
            _ if within(&HEADS) || path.contains(".lora.") => Fate::Learns,
            Tune::Lora { rank: added, alpha } if rank == 2 && within(&MATRICES) => Fate::Added { rank: added, alpha },
            Tune::Lora { .. } | Tune::Frozen => Fate::Rests,
        }
    }

    fn factors(self, path: &str, shape: [usize; 2], rank: usize, device: &Device) -> [Tensor<2>; 2] {
        let [inputs, outputs] = shape;
        let bound = width(inputs).sqrt().recip();
        let mut stream = stream(self.experiment.seed, &format!("{path}.lora.a"));
        let values: Vec<f32> = (0..inputs * rank).map(|_| uniform(stream.next_u32(), bound)).collect();
        let a = Tensor::from_data(TensorData::new(values, [inputs, rank]), device);
        [a, Tensor::zeros([rank, outputs], device)]
    }
}

impl Reparameterizer for Tuning<'_> {
    type Reparam = LoraAdapter;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<LoraAdapter>) {
        match self.fate(path, D) {
            Fate::Learns => (param, None),
            Fate::Rests => (param.set_require_grad(false), None),
            Fate::Added { rank, alpha } => {
                let shape = param.lazy_shape();
                let [inputs, outputs] = shape.dims::<2>();
                let [a, b] = self.factors(path, [inputs, outputs], rank, &param.lazy_device()).map(Param::from_tensor);
                (param.set_require_grad(false), Some(LoraAdapter { a, b, scale: alpha / width(rank) }))
            }
        }
    }
}

struct Counter<'a> {
    tuning: Tuning<'a>,
    path: Vec<String>,
    count: usize,
}

impl ModuleVisitor for Counter<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.tuning.fate(&self.path.join("."), D) == Fate::Learns {
            self.count += param.lazy_shape().num_elements();
        }
    }
}
