//! Reports of one batch as a rectangle of numbers.

use super::{Tokenizer, Tokens};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// How long the rows of a batch are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Length {
    /// `max_tokens`, so that every batch has one shape, and a GPU compiles its kernels once.
    #[default]
    Fixed,
    /// That of the batch's longest report.
    Longest,
}

/// Token ids and mask, `[B, L]` each, in C order.
#[derive(Debug, Clone, PartialEq)]
pub struct Padded {
    /// Token ids; `[PAD]` behind a report's end.
    pub ids: Vec<i32>,
    /// 1 for a token of the report, 0 for padding.
    pub mask: Vec<f32>,
    /// Reports B and length L.
    pub shape: [usize; 2],
}

impl Padded {
    /// Reports of one batch, padded to one length.
    pub fn of(tokenizer: &Tokenizer, reports: &[Tokens], length: Length) -> Self {
        let length = match length {
            Length::Fixed => tokenizer.max_tokens(),
            Length::Longest => reports.iter().map(|report| report.ids.len()).max().unwrap_or(0),
        };
        let pad = tokenizer.pad();
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for report in reports {
            let padding = length.saturating_sub(report.ids.len());
            let row = report.ids.iter().copied().chain(std::iter::repeat_n(pad, padding));
            ids.extend(row.take(length).map(|id| i32::try_from(id).unwrap_or(i32::MAX)));
            mask.extend(std::iter::repeat_n(1.0, length - padding).chain(std::iter::repeat_n(0.0, padding)));
        }
        Self { ids, mask, shape: [reports.len(), length] }
    }

    /// Ids and mask on a device, as the report tower takes them.
    pub fn tensors(&self, device: &Device) -> (Tensor<2, Int>, Tensor<2>) {
        let ids = TensorData::new(self.ids.clone(), self.shape);
        let mask = TensorData::new(self.mask.clone(), self.shape);
        (Tensor::from_data(ids, device), Tensor::from_data(mask, device))
    }
}
