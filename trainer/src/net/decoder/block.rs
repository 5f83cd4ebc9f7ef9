//! One pre-LayerNorm block of the decoder. Its twin in ONNX is `export/onnx/decoder.rs`, operator by operator.

use super::DECODER_NORM_EPSILON;
use crate::device::{attention, causal_attention, residual};
use crate::experiment;
use crate::net::layers::{LayerNorm, Mlp, apply, joined, linear, parted, parts};
use crate::net::vision::Attention;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

/// `x + attention(norm(x))` over the words so far, `x + attention(norm(x), memory)`, then `x + mlp(norm(x))`.
#[derive(Module, Debug)]
pub struct DecoderBlock {
    /// Before the words look at each other.
    pub norm_self: LayerNorm,
    /// Each word looks at itself and those before it.
    pub self_attention: Attention,
    /// Before they look at the memory.
    pub norm_cross: LayerNorm,
    /// Each word looks at the memory.
    pub cross_attention: CrossAttention,
    /// Before the perceptron.
    pub norm_mlp: LayerNorm,
    /// Each word by itself.
    pub mlp: Mlp,
}

/// Multi-head attention of words over the memory.
#[derive(Module, Debug)]
pub struct CrossAttention {
    /// `[D, D]`, of a word.
    pub query: Linear,
    /// `[D, 2D]`, of a row of the memory: keys and values side by side.
    pub key_value: Linear,
    /// `[D, D]`.
    pub out: Linear,
    /// Number of heads.
    pub heads: usize,
}

/// Keys and values of some rows, `[B, heads, T, D / heads]` each.
pub(super) type KeyValue = [Tensor<4>; 2];

impl DecoderBlock {
    pub(super) fn new(architecture: &experiment::Decoder, device: &Device) -> Self {
        let experiment::Decoder { dim, heads, mlp_ratio, .. } = *architecture;
        let norm = || LayerNorm::new(dim, DECODER_NORM_EPSILON, device);
        let square = || linear(dim, dim, device);
        Self {
            norm_self: norm(),
            self_attention: Attention { qkv: linear(dim, 3 * dim, device), out: square(), heads },
            norm_cross: norm(),
            cross_attention: CrossAttention {
                query: square(),
                key_value: linear(dim, 2 * dim, device),
                out: square(),
                heads,
            },
            norm_mlp: norm(),
            mlp: Mlp::new(dim, mlp_ratio, device),
        }
    }

    /// Words `[B, S, D]` to words of the same shape. `past` holds keys and values of the words before them, and then theirs too.
    pub(super) fn forward(&self, words: Tensor<3>, past: &mut Option<KeyValue>, cross: &KeyValue) -> Tensor<3> {
        let looked = self.look_back(&self.norm_self.forward(words.clone()), past);
        let words = residual(words, apply(&self.self_attention.out, looked));
        let looked = self.cross_attention.look(self.norm_cross.forward(words.clone()), cross);
        let words = residual(words, looked);
        residual(words.clone(), self.mlp.forward(self.norm_mlp.forward(words)))
    }

    /// Words `[B, S, D]` to each word's mean of the values so far, of the same shape.
    fn look_back(&self, words: &Tensor<3>, past: &mut Option<KeyValue>) -> Tensor<3> {
        let Attention { qkv, heads, .. } = &self.self_attention;
        let [query, key, value] = parts(qkv, words).map(|part| parted(part, *heads));
        let [key, value] = match past.take() {
            None => [key, value],
            Some([keys, values]) => [Tensor::cat(vec![keys, key], 2), Tensor::cat(vec![values, value], 2)],
        };
        *past = Some([key.clone(), value.clone()]);
        joined(causal_attention([query, key, value]))
    }
}

impl CrossAttention {
    /// Keys and values of a memory `[B, M, D]`.
    pub(super) fn remember(&self, memory: &Tensor<3>) -> KeyValue {
        parts(&self.key_value, memory).map(|part| parted(part, self.heads))
    }

    /// Words `[B, S, D]` to what they find in the memory, of the same shape.
    fn look(&self, words: Tensor<3>, [key, value]: &KeyValue) -> Tensor<3> {
        let query = parted(apply(&self.query, words), self.heads);
        apply(&self.out, joined(attention([query, key.clone(), value.clone()], None)))
    }
}
