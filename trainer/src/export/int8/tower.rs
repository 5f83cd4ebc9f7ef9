//! A volume tower that computes with rounded numbers, as its quantised graph does.

use crate::device::gelu;
use crate::eval::{Outputs, Tower, Weights};
use crate::export::onnx::{Columns, Steps};
use crate::export::trace::input;
use crate::export::{ExportError, Trace};
use burn::tensor::{Device, Tensor};

/// Smallest and largest code of an input, as `QuantizeLinear` has them.
const CODES: [f32; 2] = [-128.0, 127.0];

/// What sees, and may change, the input of each linear layer of the blocks, by the layer's name in the graph.
pub(super) type Touch<'a> = dyn FnMut(&str, Tensor<3>) -> Result<Tensor<3>, ExportError> + 'a;

/// A tower whose blocks' matrices are rounded to 8 bits, and the steps that the layers' inputs are rounded to.
///
/// A simulation: the products are sums of rounded floats, which a runtime computes in whole numbers. They differ by what
/// floats round, and where that tips an input of a later layer over to the next step.
#[derive(Debug)]
pub struct Quantised {
    tower: Tower,
    /// Of each layer's input.
    pub steps: Steps,
}

impl Quantised {
    /// Rounds the matrices of the layers that have steps.
    pub fn new(tower: &Tower, steps: Steps) -> Result<Self, ExportError> {
        let failed = |source| ExportError::Weights { source };
        let mut weights = Weights::of(tower).map_err(failed)?;
        for layer in steps.keys() {
            let name = format!("{}.weight", layer.replace('/', "."));
            let weight = weights.0.get_mut(&name).ok_or(ExportError::Missing { name })?;
            *weight = Columns::of(weight).restored();
        }
        let tower = weights.fill(tower.clone()).map_err(failed)?;
        Ok(Self { tower, steps })
    }

    /// Runs it on one preprocessed volume.
    pub fn trace(&self, volume: Vec<f32>, device: &Device) -> Result<Trace, ExportError> {
        let given = input(&self.tower, &volume, device)?;
        let outputs = forward(&self.tower, given, &mut |layer, tokens| {
            Ok(match self.steps.get(layer) {
                Some(&step) => (tokens / step).round().clamp(CODES[0], CODES[1]) * step,
                None => tokens,
            })
        })?;
        Trace::read(&self.tower, volume, outputs)
    }
}

/// [`Tower::forward`], with `touch` between the layers.
pub(super) fn forward(tower: &Tower, volume: Tensor<5>, touch: &mut Touch<'_>) -> Result<Outputs, ExportError> {
    let mut tokens = tower.embed(volume);
    for (index, block) in tower.blocks.iter().enumerate() {
        let mut at = |layer: &str, tokens| touch(&format!("blocks.{index}/{layer}"), tokens);
        let (attention, mlp) = (&block.attention, &block.mlp);
        let normed = at("attention/qkv", block.norm_attention.forward(tokens.clone()))?;
        let mixed = at("attention/out", attention.mix(&normed))?;
        tokens = tokens + attention.out.forward(mixed);
        let normed = at("mlp/up", block.norm_mlp.forward(tokens.clone()))?;
        let hidden = at("mlp/down", gelu(mlp.up.forward(normed)))?;
        tokens = tokens + mlp.down.forward(hidden);
    }
    Ok(tower.read(tokens))
}
