//! What a network says of every case of a cohort.

use super::EvalError;
use crate::device::Precision;
use crate::run::{Case, Cohort, Input, Length, Padded, Pair, Tokenizer, Tokens, Workers};
use burn::tensor::{Device, Tensor};
use ctedge_models::labels::{LABEL_COUNT, Label};
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
        self.read_places(network, (cohort, &places), done)
    }

    /// The same for some cases of a cohort, rows in the order of their places.
    pub fn read_places(
        &self,
        network: &Pair,
        (cohort, places): (&Cohort<'_>, &[usize]),
        done: &dyn Fn(usize),
    ) -> Result<Said, EvalError> {
        let (mut volume, mut text, mut flags) = (Vec::new(), Vec::new(), Vec::new());
        // One round at a time, so that no more volumes are in memory than are being computed with.
        for round in places.chunks(self.micro_batch * self.workers.count()) {
            let batch = cohort.plain(round.to_vec()).map_err(|source| EvalError::Batch { source })?;
            let inputs = Input::cut(&batch, self.micro_batch, (self.device, Precision::F32));
            for said in self.workers.each(&inputs, |input| input.embed(network)) {
                volume.extend(numbers(said.volume)?);
                text.extend(numbers(said.text)?);
                flags.extend(numbers(said.flags)?);
            }
            done(flags.len() / LABEL_COUNT);
        }
        let cases = places.len();
        let width = volume.len() / cases.max(1);
        let table = |values: Vec<f32>, columns| Array2::from_shape_vec((cases, columns), values);
        let table = |values, columns| table(values, columns).map_err(|source| EvalError::Shape { source });
        Ok(Said { volume: table(volume, width)?, text: table(text, width)?, flags: table(flags, LABEL_COUNT)? })
    }
}

impl Reader<'_> {
    /// Unit embeddings `[N, E]` of reports alone; `done` is told how many have been read.
    pub fn reports(
        &self,
        network: &Pair,
        (tokenizer, reports): (&Tokenizer, &[Tokens]),
        done: &dyn Fn(usize),
    ) -> Result<Array2<f32>, EvalError> {
        let (mut rows, mut read) = (Vec::new(), 0);
        let batches: Vec<&[Tokens]> = reports.chunks(self.micro_batch).collect();
        for round in batches.chunks(self.workers.count()) {
            let embed = |batch: &&[Tokens]| {
                // One shape for every batch, so that a report's embedding does not depend on its neighbours.
                let (ids, mask) = Padded::of(tokenizer, batch, Length::Fixed).tensors(self.device);
                network.text.forward(ids, mask).embedding
            };
            for said in self.workers.each(round, embed) {
                rows.extend(numbers(said)?);
            }
            read += round.iter().map(|batch| batch.len()).sum::<usize>();
            done(read);
        }
        let width = rows.len() / reports.len().max(1);
        Array2::from_shape_vec((reports.len(), width), rows).map_err(|source| EvalError::Shape { source })
    }
}

/// The labelled cases of a cohort with what a network says of them.
#[derive(Debug)]
pub(super) struct Labelled<'a> {
    said: &'a Said,
    /// Rows of `said` with their cases and labels.
    pub(super) rows: Vec<(usize, &'a Case, [bool; LABEL_COUNT])>,
}

/// One label of the labelled cases, row by row.
#[derive(Debug)]
pub(super) struct Column {
    /// What the network says.
    pub(super) logits: Vec<f64>,
    /// What is true.
    pub(super) truth: Vec<bool>,
    /// Whether the finding is there but cannot be seen at the input's resolution, where that is known of every case.
    pub(super) hidden: Option<Vec<bool>>,
}

impl<'a> Labelled<'a> {
    pub(super) fn new(said: &'a Said, cohort: &Cohort<'a>) -> Self {
        let labelled = |(row, case): (usize, &'a Case)| case.labels.map(|labels| (row, case, labels));
        Self { said, rows: cohort.cases().enumerate().filter_map(labelled).collect() }
    }

    /// Whose each row is.
    pub(super) fn patients(&self) -> Vec<&'a str> {
        self.rows.iter().map(|(_, case, _)| case.patient.as_str()).collect()
    }

    /// What is true of each row.
    pub(super) fn truth(&self) -> Vec<[bool; LABEL_COUNT]> {
        self.rows.iter().map(|(_, _, labels)| *labels).collect()
    }

    pub(super) fn column(&self, label: Label) -> Column {
        let at = |flags: &[bool; LABEL_COUNT]| flags.get(label.index()).copied().unwrap_or_default();
        let logit = |row: usize| self.said.flags.get((row, label.index())).copied().map_or(f64::NAN, f64::from);
        let hidden = |case: &Case, labels| case.visible.map(|visible| at(labels) && !at(&visible));
        Column {
            logits: self.rows.iter().map(|(row, ..)| logit(*row)).collect(),
            truth: self.rows.iter().map(|(_, _, labels)| at(labels)).collect(),
            hidden: self.rows.iter().map(|(_, case, labels)| hidden(case, labels)).collect(),
        }
    }
}

pub(super) fn numbers(tensor: Tensor<2>) -> Result<Vec<f32>, EvalError> {
    tensor.try_into_vec_as().map_err(|source| EvalError::Device { source })
}
