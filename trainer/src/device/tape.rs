//! Who follows the towers' way to a loss and takes its gradient back: the framework, or libtorch where it computes. The latter
//! queues the way back from threads of its own, several times faster than the framework's graph could.

#[cfg(feature = "libtorch")]
use super::torch;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};
#[cfg(feature = "libtorch")]
use std::collections::HashSet;

/// Who takes gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tape {
    /// The framework.
    Framework,
    /// libtorch.
    #[cfg(feature = "libtorch")]
    Libtorch,
}

/// The numbers of a step of the optimiser's rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Decay of the moments.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub decay: f64,
    /// Learning rate.
    pub rate: f64,
    /// Steps that have been taken, this one included.
    pub time: i32,
}

impl Tape {
    /// Whoever does it on a device.
    #[cfg(feature = "libtorch")]
    pub fn of(device: &Device) -> Self {
        let is_libtorch = [torch::processor(), torch::gpu()].contains(&device.clone().inner());
        if is_libtorch { Self::Libtorch } else { Self::Framework }
    }

    /// Whoever does it on a device.
    #[cfg(not(feature = "libtorch"))]
    pub fn of(_device: &Device) -> Self {
        Self::Framework
    }

    /// The device that the towers' inputs have to lie on; `device` records the framework's graph.
    pub fn device(self, device: &Device) -> Device {
        match self {
            Self::Framework => device.clone(),
            #[cfg(feature = "libtorch")]
            Self::Libtorch => device.clone().inner(),
        }
    }

    /// A copy of a network that a graph begins at; `change` makes of it what is computed with.
    pub fn leaves<M: Module>(self, network: &M, device: &Device, change: impl FnOnce(M) -> M) -> M {
        match self {
            Self::Framework => change(network.clone().fork(device)),
            #[cfg(feature = "libtorch")]
            Self::Libtorch => {
                let mut learning = Learning(HashSet::new());
                network.visit(&mut learning);
                torch::leaves(change(network.clone().valid()), &learning.0)
            }
        }
    }

    /// What the towers said, cut off from its way, for the framework's graph to begin at.
    pub fn cut<const D: usize>(self, said: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Framework => said.detach(),
            #[cfg(feature = "libtorch")]
            Self::Libtorch => Tensor::from_inner(torch::cut(said)),
        }
    }

    /// A gradient that the framework's graph has found, for the towers' way back.
    pub fn handed<const D: usize>(self, slope: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Framework => Tensor::from_inner(slope),
            #[cfg(feature = "libtorch")]
            Self::Libtorch => slope,
        }
    }

    /// A step of the optimiser's rule by kernels that are quicker than the framework's rule; `None` where there are none. Takes
    /// values and gradient, and both moments, each a vector.
    #[cfg(feature = "libtorch")]
    pub fn adamw(
        self,
        rule: &AdamW,
        moved: &[Tensor<1>; 2],
        moments: &[Tensor<1>; 2],
    ) -> Option<(Tensor<1>, [Tensor<1>; 2])> {
        (self == Self::Libtorch).then(|| torch::adamw(rule, moved.clone(), moments.clone()))
    }

    /// None but the framework's.
    #[cfg(not(feature = "libtorch"))]
    pub fn adamw(
        self,
        _rule: &AdamW,
        _moved: &[Tensor<1>; 2],
        _moments: &[Tensor<1>; 2],
    ) -> Option<(Tensor<1>, [Tensor<1>; 2])> {
        None
    }

    /// The gradients of a number by a network's leaves, in the 32 bits of the parameters, so that sums over micro-batches lose
    /// nothing.
    pub fn gradients<M: Module>(self, of: &Tensor<1>, network: &M) -> GradientsParams {
        match self {
            Self::Framework => {
                let mut gradients = GradientsParams::from_grads(of.backward(), network);
                network.visit(&mut Widened { gradients: &mut gradients });
                gradients
            }
            #[cfg(feature = "libtorch")]
            Self::Libtorch => torch::gradients(of, network),
        }
    }
}

struct Widened<'a> {
    gradients: &'a mut GradientsParams,
}

impl ModuleVisitor for Widened<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient.cast(DType::F32));
        }
    }
}

/// The parameters of a network that learn.
#[cfg(feature = "libtorch")]
struct Learning(HashSet<burn::module::ParamId>);

#[cfg(feature = "libtorch")]
impl ModuleVisitor for Learning {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.val().is_require_grad() {
            self.0.insert(param.id);
        }
    }
}
