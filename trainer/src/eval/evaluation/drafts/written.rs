//! Drafts that a decoder writes, and what they assert.

use super::super::super::{Calibration, EvalError, Reader};
use super::super::Subject;
use crate::device::Precision;
use crate::run::{self, Checkpoint, Cohort, Input, Limits, Outputs, Pair, ReportDecoder};
use burn::tensor::{Tensor, TensorData};
use ctedge_models::bundle::LabelSpec;
use ctedge_models::labels::{LABEL_COUNT, Label};
use ctedge_models::report::{self, Call};
use ndarray::{Array2, ArrayView1};

/// What is written for each case of the examined patients: greedily, told the flags that the tower raises at the thresholds
/// of its calibration. `done` is told how many have been.
pub(in super::super) fn written(
    subject: &Subject<'_>,
    decoder: &Checkpoint,
    (reader, calibration): (&Reader<'_>, &Calibration),
    done: &dyn Fn(usize),
) -> Result<Vec<String>, EvalError> {
    let failed = |source| EvalError::Run { source };
    let author = Author {
        network: &subject.run.pair(reader.device).map_err(failed)?,
        decoder: &subject.run.decoder(decoder, reader.device).map_err(failed)?,
        specs: &calibration.specs(),
        limits: Limits::of(subject.tokenizer),
    };
    let cohort = subject.cohort();
    let places: Vec<usize> = (0..cohort.len()).collect();
    let mut drafts = Vec::new();
    for round in places.chunks(reader.micro_batch * reader.workers.count()) {
        for ids in author.written(round, cohort, reader)? {
            drafts.push(subject.tokenizer.draft(&ids).text());
        }
        done(drafts.len());
    }
    Ok(drafts)
}

/// A sentence for each flag, for each case whose logits are a row of `[N, 18]`.
pub(in super::super) fn templates(calibration: &Calibration, logits: &Array2<f32>) -> Vec<String> {
    let specs = calibration.specs();
    let flags = |row: ArrayView1<'_, f32>| run::raised(&specs, &row.to_vec());
    logits
        .rows()
        .into_iter()
        .map(|row| report::template(Label::all().zip(flags(row).into_iter().map(Call::from))).text())
        .collect()
}

/// The findings that a drafted text asserts, as the rules of [`report::read`] read them.
pub(super) fn asserted(draft: &str) -> [bool; LABEL_COUNT] {
    report::read(draft).labels()
}

/// Who writes.
struct Author<'a> {
    network: &'a Pair,
    decoder: &'a ReportDecoder,
    specs: &'a [LabelSpec],
    limits: Limits,
}

impl Author<'_> {
    /// The ids of a draft for each of some cases.
    fn written(&self, places: &[usize], cohort: &Cohort<'_>, reader: &Reader<'_>) -> Result<Vec<Vec<u32>>, EvalError> {
        let batch = cohort.plain(places.to_vec()).map_err(|source| EvalError::Batch { source })?;
        let inputs = Input::cut(&batch, reader.micro_batch, (reader.device, Precision::F32));
        let mut drafts = Vec::new();
        for part in reader.workers.each(&inputs, |input| self.draft(input)) {
            drafts.extend(part?);
        }
        Ok(drafts)
    }

    fn draft(&self, input: &Input) -> Result<Vec<Vec<u32>>, EvalError> {
        let device = |source| EvalError::Device { source };
        let Outputs { tokens, logits, .. } = self.network.vision.forward(input.volumes(self.network));
        let [count, _] = logits.dims();
        let logits: Vec<f32> = logits.try_into_vec_as().map_err(device)?;
        let told = logits.chunks(LABEL_COUNT).map(|row| run::told_flags(run::raised(self.specs, row)));
        let flags = TensorData::new(told.flatten().collect::<Vec<f32>>(), [count, LABEL_COUNT]);
        let flags = Tensor::from_data(flags, &tokens.device());
        let written = self.decoder.greedy(tokens, flags, self.limits).map_err(device)?;
        Ok(written.into_iter().map(|report| report.ids).collect())
    }
}
