//! The report tower: embeddings, layers, pooling and projection.

use super::{Layer, TEXT_NORM_EPSILON};
use crate::experiment::{Text, TextPool};
use crate::net::layers::{LayerNorm, as_in, linear, unit};
use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear};
use burn::tensor::{Device, Int, Tensor};

/// Kinds of token that BERT tells apart; a report is all of the first.
const KINDS: usize = 2;

/// A BERT with a projection to the embedding that reports share with volumes.
#[derive(Module, Debug)]
pub struct BertTower {
    /// Ids to tokens.
    pub embeddings: Embeddings,
    /// The transformer.
    pub layers: Vec<Layer>,
    /// `[C, E]`.
    pub project: Linear,
    /// How tokens become one vector.
    #[module(skip)]
    pub pool: TextPool,
}

/// The sum of what a token is, where it stands and of which kind it is, normalised.
#[derive(Module, Debug)]
pub struct Embeddings {
    /// `[V, C]`.
    pub word: Embedding,
    /// `[max_tokens, C]`.
    pub position: Embedding,
    /// `[2, C]`, BERT's token types.
    pub kind: Embedding,
    /// Of the sum.
    pub norm: LayerNorm,
}

/// What the tower says of a batch of reports.
#[derive(Debug, Clone)]
pub struct TextOutputs {
    /// Unit vectors `[B, E]` that are compared with those of volumes.
    pub embedding: Tensor<2>,
    /// The pooled tokens `[B, C]`.
    pub pooled: Tensor<2>,
    /// The tokens after the last layer `[B, L, C]`.
    pub tokens: Tensor<3>,
}

impl BertTower {
    /// The shape alone. Its parameters hold nothing useful until [`Weights::fill`](crate::net::Weights::fill) has filled
    /// them.
    pub(in crate::net) fn empty(architecture: &Text, vocabulary: usize, embedding: usize, device: &Device) -> Self {
        let Text { max_tokens, dim, depth, pool, .. } = *architecture;
        let table = |rows: usize| EmbeddingConfig::new(rows, dim).init(device);
        Self {
            embeddings: Embeddings {
                word: table(vocabulary),
                position: table(max_tokens),
                kind: table(KINDS),
                norm: LayerNorm::new(dim, TEXT_NORM_EPSILON, device),
            },
            layers: (0..depth).map(|_| Layer::new(architecture, device)).collect(),
            project: linear(dim, embedding, device),
            pool,
        }
    }

    /// Token ids `[B, L]` and their mask, 1 for a token and 0 for padding, to the tower's outputs. A report has a token
    /// at least, L is `max_tokens` at most, and ids lie within the vocabulary.
    pub fn forward(&self, ids: Tensor<2, Int>, mask: Tensor<2>) -> TextOutputs {
        let mut tokens = self.embeddings.forward(ids);
        for layer in &self.layers {
            tokens = layer.forward(&as_in(tokens, &layer.mlp.up), &mask);
        }
        let tokens = as_in(tokens, &self.project);
        let pooled = match self.pool {
            TextPool::Class => tokens.clone().slice_dim(1, 0..1).squeeze_dim::<2>(1),
            TextPool::Mean => {
                let mask = mask.unsqueeze_dim::<3>(2);
                ((tokens.clone() * mask.clone()).sum_dim(1) / mask.sum_dim(1)).squeeze_dim::<2>(1)
            }
        };
        TextOutputs { embedding: unit(&self.project.forward(pooled.clone())), pooled, tokens }
    }
}

impl Embeddings {
    /// Token ids `[B, L]` to tokens `[B, L, C]`.
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [_, count] = ids.dims();
        let places = self.position.weight.val().slice_dim(0, 0..count).unsqueeze::<3>();
        let kind = self.kind.weight.val().slice_dim(0, 0..1).unsqueeze::<3>();
        self.norm.forward(self.word.forward(ids) + places + kind)
    }
}
