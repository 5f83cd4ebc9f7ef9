//! A bundle's report graph in ONNX Runtime: sentences to unit embeddings.

use super::{Graph, Halt, Provider, Runtime, Settings, build, watched};
use ort::session::{RunOptions, Session};
use ort::value::Tensor;
use std::time::Duration;

/// The graph.
pub(in crate::infer) struct Sentences {
    session: Session,
}

impl Sentences {
    /// Loads it for the processor, whatever runs the volumes: it reads a few sentences when a model is loaded, and never a patient.
    pub(in crate::infer) fn load(runtime: &Runtime, settings: &Settings, graph: &Graph) -> Result<Self, String> {
        build(&runtime.environment, settings, graph, Provider::Cpu).map(|session| Self { session })
    }

    /// The embedding of one sentence's ids, filled up with `pad` to `length`.
    pub(in crate::infer) fn embedding(
        &mut self,
        ids: &[u32],
        (pad, length): (u32, usize),
        within: Duration,
    ) -> Result<Vec<f32>, Halt> {
        let padded: Vec<i64> =
            ids.iter().chain(std::iter::repeat(&pad)).take(length).map(|id| i64::from(*id)).collect();
        let mask: Vec<f32> = (0..length).map(|place| if place < ids.len() { 1.0 } else { 0.0 }).collect();
        let inputs = ort::inputs![
            "ids" => Tensor::from_array(([1, length], padded))?,
            "mask" => Tensor::from_array(([1, length], mask))?
        ];
        let (options, session) = (RunOptions::new()?, &mut self.session);
        let outputs = watched(&options, within, || Ok(session.run_with_options(inputs, &options)?))?;
        let embedding =
            outputs.get("embedding").ok_or_else(|| Halt::Failed("it has no output `embedding`".to_owned()))?;
        Ok(embedding.try_extract_tensor::<f32>()?.1.to_vec())
    }
}
