//! Greedy decoding: always the likeliest next word.

use super::ReportDecoder;
use crate::batch::Tokenizer;
use burn::tensor::{Int, Tensor, TensorData, TensorReadError};

/// Where a report begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The id before the first word, `[CLS]`.
    pub start: u32,
    /// The id that ends a section, `[SEP]`.
    pub separator: u32,
    /// Sections of a report: so many separators end it.
    pub sections: usize,
}

impl Limits {
    /// Those of a tokenizer's reports: findings and impression.
    pub fn of(tokenizer: &Tokenizer) -> Self {
        Self { start: tokenizer.begin(), separator: tokenizer.end(), sections: 2 }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// From the first id to the separator that ends it, both included.
    pub ids: Vec<u32>,
    /// Whether it came to its end before `max_tokens`.
    pub is_whole: bool,
}

impl ReportDecoder {
    /// Writes a report for each volume: tokens `[B, T, C]`, normalised, and flags as told `[B, 18]`. Word by word, over keys and
    /// values that are kept.
    ///
    /// # Errors
    /// A word cannot be read back from the device.
    pub fn greedy(&self, tokens: Tensor<3>, flags: Tensor<2>, limits: Limits) -> Result<Vec<Written>, TensorReadError> {
        let ([batch, ..], device) = (tokens.dims(), tokens.device());
        let mut written = vec![Written { ids: vec![limits.start], is_whole: false }; batch];
        let mut cache = self.begin(tokens, flags);
        let mut newest = vec![limits.start; batch];
        while cache.length() + 1 < self.places() && written.iter().any(|report| !report.is_whole) {
            let ids = Tensor::<2, Int>::from_data(TensorData::new(newest, [batch, 1]), &device);
            let next = self.forward(ids, &mut cache).argmax(2);
            newest = next.try_into_vec_as::<u32>()?;
            for (report, &id) in written.iter_mut().zip(&newest).filter(|(report, _)| !report.is_whole) {
                report.ids.push(id);
                let ends = report.ids.iter().filter(|&&id| id == limits.separator).count();
                report.is_whole = ends == limits.sections;
            }
        }
        Ok(written)
    }
}
