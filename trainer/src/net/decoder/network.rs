//! The decoder itself: word vectors, positions, blocks, and the way back to words.

use super::block::KeyValue;
use super::{DECODER_NORM_EPSILON, DecoderBlock, Memory};
use crate::experiment::{self, Experiment};
use crate::net::layers::LayerNorm;
use crate::net::{Weights, WeightsError};
use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig};
use burn::tensor::{Device, Int, Tensor};

/// A transformer decoder that writes a report of a volume.
#[derive(Module, Debug)]
pub struct ReportDecoder {
    /// What it looks at.
    pub memory: Memory,
    /// `[V, D]`: ids to vectors, and vectors to logits.
    pub word: Embedding,
    /// `[max_tokens, D]`.
    pub position: Embedding,
    /// The transformer.
    pub blocks: Vec<DecoderBlock>,
    /// After the last block.
    pub norm: LayerNorm,
}

/// Keys and values of what was already read: the memory, and the words so far.
#[derive(Debug, Clone)]
pub struct Cache {
    cross: Vec<KeyValue>,
    past: Vec<Option<KeyValue>>,
    length: usize,
}

impl Cache {
    /// Words so far.
    pub fn length(&self) -> usize {
        self.length
    }
}

impl ReportDecoder {
    /// The decoder of an experiment with these weights; every parameter must be there, and nothing else.
    pub fn new(
        (experiment, settings): (&Experiment, &experiment::Decoder),
        vocabulary: usize,
        weights: &Weights,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        weights.fill(Self::empty((experiment, settings), vocabulary, device))
    }

    /// The shape alone. Its parameters hold nothing useful until [`Weights::fill`] has filled them.
    pub(in crate::net) fn empty(
        (experiment, settings): (&Experiment, &experiment::Decoder),
        vocabulary: usize,
        device: &Device,
    ) -> Self {
        let experiment::Decoder { dim, depth, max_tokens, .. } = *settings;
        let table = |rows: usize| EmbeddingConfig::new(rows, dim).init(device);
        Self {
            memory: Memory::new(experiment.vision.dim, dim, device),
            word: table(vocabulary),
            position: table(max_tokens),
            blocks: (0..depth).map(|_| DecoderBlock::new(settings, device)).collect(),
            norm: LayerNorm::new(dim, DECODER_NORM_EPSILON, device),
        }
    }

    /// Reads a volume's normalised tokens `[B, T, C]` and the flags as told `[B, 18]`, before the first word.
    pub fn begin(&self, tokens: Tensor<3>, flags: Tensor<2>) -> Cache {
        let memory = self.memory.forward(tokens, flags);
        let cross = self.blocks.iter().map(|block| block.cross_attention.remember(&memory)).collect();
        Cache { cross, past: vec![None; self.blocks.len()], length: 0 }
    }

    /// The next words `[B, S]` to logits `[B, S, V]` of the word after each. Together with those in the cache they are
    /// `max_tokens` at most.
    pub fn forward(&self, ids: Tensor<2, Int>, cache: &mut Cache) -> Tensor<3> {
        let ([batch, count], first) = (ids.dims(), cache.length);
        let places = self.position.weight.val().slice_dim(0, first..first + count).unsqueeze::<3>();
        let mut words = self.word.forward(ids) + places;
        for ((block, past), cross) in self.blocks.iter().zip(&mut cache.past).zip(&cache.cross) {
            words = block.forward(words, past, cross);
        }
        cache.length = first + count;
        let [vocabulary, dim] = self.word.weight.dims();
        let rows = self.norm.forward(words).reshape([batch * count, dim]);
        rows.matmul(self.word.weight.val().transpose()).reshape([batch, count, vocabulary])
    }

    /// Words that a report can have at most, `max_tokens`.
    pub fn places(&self) -> usize {
        let [places, _] = self.position.weight.dims();
        places
    }
}
