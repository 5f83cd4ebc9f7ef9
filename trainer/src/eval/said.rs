//! What a network says of every case of a cohort.

use super::EvalError;
use crate::run::{Cohort, Input, Pair, Workers};
use burn::tensor::{Device, Tensor};
use ctedge_models::labels::LABEL_COUNT;
use ndarray::Array2;

/// Embeddings and flags of N cases, rows in the cohort's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Unit embeddings of the volumes `[N, E]`.
    pub volume: Array2<f32>,
    /// Unit embeddings of the reports `[N, E]`.
    pub text: Array2<f32>,
    /// Logits of the flags `[N, 18]`.
    pub flags: Array2<f32>,
}

/// What an evaluation computes with.
#[derive(Debug)]
pub struct Reader<'a> {
    /// Where, without a graph.
    pub device: &'a Device,
    /// On which threads.
    pub workers: &'a Workers,
    /// Cases that go through the towers together.
    pub micro_batch: usize,
}

impl Reader<'_> {
    /// Runs a network over a whole cohort; `done` is told how many cases have been read.
    pub fn read(&self, network: &Pair, cohort: &Cohort<'_>, done: &dyn Fn(usize)) -> Result<Said, EvalError> {
        let places: Vec<usize> = (0..cohort.len()).collect();
        let (mut volume, mut text, mut flags) = (Vec::new(), Vec::new(), Vec::new());
        // One round at a time, so that no more volumes are in memory than are being computed with.
        for round in places.chunks(self.micro_batch * self.workers.count()) {
            let batch = cohort.plain(round.to_vec()).map_err(|source| EvalError::Batch { source })?;
            let inputs = Input::cut(&batch, self.micro_batch);
            for said in self.workers.each(&inputs, |input| input.embed(network, self.device)) {
                volume.extend(numbers(said.volume)?);
                text.extend(numbers(said.text)?);
                flags.extend(numbers(said.flags)?);
            }
            done(flags.len() / LABEL_COUNT);
        }
        let cases = cohort.len();
        let width = volume.len() / cases.max(1);
        let table = |values: Vec<f32>, columns| Array2::from_shape_vec((cases, columns), values);
        let table = |values, columns| table(values, columns).map_err(|source| EvalError::Shape { source });
        Ok(Said { volume: table(volume, width)?, text: table(text, width)?, flags: table(flags, LABEL_COUNT)? })
    }
}

fn numbers(tensor: Tensor<2>) -> Result<Vec<f32>, EvalError> {
    tensor.try_into_vec_as().map_err(|source| EvalError::Device { source })
}
