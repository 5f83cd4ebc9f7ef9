//! One step's gradients of a decoder: a sum over words, so that micro-batches only have to be added up.

use super::super::{Dictated, Dictation, ReportDecoder, Tokens, Workers};
use crate::device::Tape;
use crate::experiment;
use crate::loss::{Padded, word_loss};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use ctedge_models::labels::LABEL_COUNT;

/// A micro-batch of N cases on a device.
#[derive(Debug)]
pub(super) struct Part {
    /// `[N, T, C]`.
    pub(super) tokens: Tensor<3>,
    /// `[N, 18]`.
    pub(super) flags: Tensor<2>,
    /// Words but the last, `[N, L]`.
    words: Tensor<2, Int>,
    /// For each of them the word after it, `[N, L]`.
    targets: Tensor<2, Int>,
    /// 1 where there is one, `[N, L]`.
    mask: Tensor<2>,
    /// For each of the words whether the decoder's own choice stands in its place: 1 or 0, `[N, L]`.
    own: Option<Tensor<2>>,
}

/// Reports and places of some cases, the tokens that they are seen as, and the flags that are told of them.
type Rows<'a> = ((&'a [Tokens], &'a [usize]), (&'a [Vec<f32>], &'a [[f32; LABEL_COUNT]]));

/// Loss and gradients of a batch.
pub(super) struct Gradients {
    pub(super) parameters: GradientsParams,
    /// Mean over words of what is minimised, `[1]`.
    pub(super) loss: Tensor<1>,
    /// Mean over words of `-log p`, `[1]`.
    pub(super) surprise: Tensor<1>,
}

/// Cases cut into micro-batches of so many, and their words in all. `own` says of a case's word whether it is replaced.
pub(super) fn cut(
    dictation: &Dictation<'_>,
    batch: &Dictated,
    (micro_batch, device): (usize, &Device),
    own: Option<&dyn Fn(usize, usize) -> bool>,
) -> (Vec<Part>, usize) {
    let words = batch.reports.iter().map(|report| report.ids.len().saturating_sub(1)).sum();
    let reports = batch.reports.chunks(micro_batch).zip(batch.places.chunks(micro_batch));
    let shown = batch.tokens.chunks(micro_batch).zip(batch.flags.chunks(micro_batch));
    let part = |((reports, places), (tokens, flags)): Rows<'_>| {
        let Padded { ids, mask, shape: [count, length] } = dictation.collate(reports);
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [count, length]), device);
        let mask = Tensor::<2>::from_data(TensorData::new(mask, [count, length]), device);
        let last = length.saturating_sub(1);
        let width = tokens.first().map_or(0, Vec::len);
        let own = own.map(|own| {
            let row = |place: &usize| (0..last).map(|word| f32::from(u8::from(own(*place, word)))).collect::<Vec<_>>();
            let values: Vec<f32> = places.iter().flat_map(row).collect();
            Tensor::<2>::from_data(TensorData::new(values, [count, last]), device)
        });
        Part {
            tokens: Tensor::<2>::from_data(TensorData::new(tokens.concat(), [count, width]), device).unsqueeze_dim(1),
            flags: Tensor::from_data(TensorData::new(flags.concat(), [count, LABEL_COUNT]), device),
            words: ids.clone().slice_dim(1, 0..last),
            targets: ids.slice_dim(1, 1..length),
            mask: mask.slice_dim(1, 1..length),
            own,
        }
    };
    (reports.zip(shown).map(part).collect(), words)
}

impl Part {
    /// The tokens `[N, T, C]`, whose width the decoder knows.
    pub(super) fn shaped(&self, decoder: &ReportDecoder) -> Tensor<3> {
        let [width, _] = decoder.memory.project.weight.dims();
        let [count, _, values] = self.tokens.dims();
        self.tokens.clone().reshape([count, values / width, width])
    }

    fn logits(&self, decoder: &ReportDecoder, words: Tensor<2, Int>) -> Tensor<3> {
        let mut cache = decoder.begin(self.shaped(decoder), self.flags.clone());
        decoder.forward(words, &mut cache)
    }

    /// The words as the decoder is shown them: some are what it would have written itself.
    fn shown(&self, decoder: &ReportDecoder) -> Tensor<2, Int> {
        let Some(own) = &self.own else { return self.words.clone() };
        let [count, length] = self.words.dims();
        let chosen = self.logits(decoder, self.words.clone()).argmax(2).squeeze_dim::<2>(2);
        // What was chosen after a word stands in the place of the next; the first, `[CLS]`, stays.
        let first = self.words.clone().slice_dim(1, 0..1);
        let chosen = Tensor::cat(vec![first, chosen.slice_dim(1, 0..length - 1)], 1);
        let own = own.clone().slice_assign([0..count, 0..1], Tensor::zeros([count, 1], &own.device()));
        self.words.clone().mask_where(own.equal_elem(1.0), chosen)
    }

    /// Sums over words: what is minimised, and `-log p`.
    pub(super) fn loss(&self, decoder: &ReportDecoder, smoothing: f64) -> (Tensor<1>, Tensor<1>) {
        let logits = self.logits(decoder, self.shown(decoder));
        word_loss(logits, self.targets.clone(), self.mask.clone(), smoothing)
    }
}

/// Loss and gradients of a decoder on a batch of so many words. They do not depend on the number of threads.
pub(super) fn gradients(
    decoder: &ReportDecoder,
    (parts, words): (&[Part], usize),
    settings: &experiment::Decoder,
    (device, workers): (&Device, &Workers),
) -> Gradients {
    let share = u32::try_from(words.max(1)).map_or(0.0, f64::from).recip();
    let back = |part: &Part| {
        let own = Tape::Framework.leaves(decoder, device, |own: ReportDecoder| own);
        let (loss, surprise) = part.loss(&own, settings.label_smoothing);
        let loss = loss * share;
        let found = Tape::Framework.gradients(&loss, &own);
        (found, loss.inner(), surprise.inner() * share)
    };
    let mut sum = GradientsAccumulator::new();
    let (mut losses, mut surprises) = (Vec::new(), Vec::new());
    for (found, loss, surprise) in workers.each(parts, back) {
        sum.accumulate(decoder, found);
        losses.push(loss);
        surprises.push(surprise);
    }
    let [loss, surprise] = [losses, surprises].map(|parts| Tensor::cat(parts, 0).sum());
    Gradients { parameters: sum.grads(), loss, surprise }
}
