//! `[vision]` and `[text]`: the shapes of the two towers, and how much of each learns.

use super::Expect;
use ctedge_models::spec::Grid;
use serde::{Deserialize, Serialize};

/// Most tokens of a volume; attention's cost grows with their square.
const TOKENS_MAX: usize = 16_384;
/// Layers of a stem that halve the map; those after them keep its size.
pub(crate) const STEM_HALVING: usize = 2;
/// Voxels along each edge of a cell of its last map.
pub(crate) const STEM_CELL: usize = 1 << STEM_HALVING;

/// `[vision]`: the volume tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vision {
    /// Edges of a patch in voxels, (z, y, x); each divides the input's size.
    pub patch: [usize; 3],
    /// Width of a token.
    pub dim: usize,
    /// Number of transformer blocks.
    pub depth: usize,
    /// Attention heads; divides `dim`.
    pub heads: usize,
    /// Width of the hidden layer of a block's perceptron, as a multiple of `dim`.
    pub mlp_ratio: usize,
    /// Width of the embedding that volumes and reports share.
    pub embedding: usize,
    /// How a token learns where it lies.
    pub positions: Positions,
    /// One more token that stands for the whole volume, as M3D-CLIP and MONAI have it.
    pub class_token: bool,
    /// Normalise each patch before and after its projection (Kumar et al., arXiv 2302.01327).
    pub patch_norm: bool,
    /// Edges (z, y, x) of the blocks of a patch whose brightest, darkest and mean voxel its token is told of; they divide
    /// the patch. Without it a token is told the projection of its voxels alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub densities: Option<[usize; 3]>,
    /// Channels of convolutions over neighbouring voxels, layer by layer, of whose strongest and mean answers in a patch its token
    /// is told; the first two layers halve the map. Without it there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stem: Option<Vec<usize>>,
    /// Channels of a token that embedding and flags read in its place, besides the mean over all tokens; 0 for none.
    pub places: usize,
    /// Which of its parameters learn.
    pub tune: Tune,
}

/// How a token learns where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// Fixed sine and cosine of its centre in millimetres.
    Sine,
    /// A learned vector for each place of the grid.
    Learned,
}

/// `[text]`: the report tower, a BERT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Pieces of the vocabulary that is trained on the corpus; a given `vocab.txt` brings its own number.
    pub vocabulary: usize,
    /// Whether upper and lower case are one (BioClinicalBERT: no).
    pub lowercase: bool,
    /// Longest report in tokens, marks of beginning and end included.
    pub max_tokens: usize,
    /// Width of a token.
    pub dim: usize,
    /// Number of transformer layers.
    pub depth: usize,
    /// Attention heads; divides `dim`.
    pub heads: usize,
    /// Width of the hidden layer of a layer's perceptron, as a multiple of `dim`.
    pub mlp_ratio: usize,
    /// How tokens become one vector.
    pub pool: TextPool,
    /// Which of its parameters learn.
    pub tune: Tune,
}

/// How a report's tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextPool {
    /// The mark at the beginning (`[CLS]`).
    Class,
    /// The mean over all tokens of the report.
    Mean,
}

/// Which parameters of a tower learn. Its projection (and the flag head) always do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Tune {
    /// All of them.
    Full,
    /// None: the published setting of SCALE-VLP's volume tower.
    Frozen,
    /// Low-rank additions to the matrices of attention and perceptron (Hu et al., arXiv 2106.09685).
    Lora {
        /// Rank of the addition.
        rank: usize,
        /// The addition is scaled by `alpha / rank`.
        alpha: f64,
    },
}

impl Vision {
    pub(super) fn check(&self, grid: &Grid, expect: &mut Expect<'_>) {
        let (size, patch) = (grid.size(), self.patch);
        let divides = size.iter().zip(patch).all(|(&edge, step)| step > 0 && edge % step == 0);
        expect(divides, "vision.patch", format!("{patch:?} does not divide the input's size {size:?}"));
        if divides {
            let tokens: usize = size.iter().zip(patch).map(|(&edge, step)| edge / step).product();
            let message = format!("{patch:?} makes {tokens} tokens of {size:?}, more than {TOKENS_MAX}");
            expect(tokens <= TOKENS_MAX, "vision.patch", message);
        }
        expect((6..=4096).contains(&self.dim), "vision.dim", format!("{} is not 6 to 4096", self.dim));
        let even = self.heads > 0 && self.dim.is_multiple_of(self.heads);
        expect(even, "vision.heads", format!("{} does not divide dim {}", self.heads, self.dim));
        expect((1..=64).contains(&self.depth), "vision.depth", format!("{} is not 1 to 64", self.depth));
        expect((1..=8).contains(&self.mlp_ratio), "vision.mlp_ratio", format!("{} is not 1 to 8", self.mlp_ratio));
        let width = (1..=4096).contains(&self.embedding);
        expect(width, "vision.embedding", format!("{} is not 1 to 4096", self.embedding));
        let mut parts = |whole: [usize; 3], part: [usize; 3], key: &'static str| {
            let divides = whole.iter().zip(part).all(|(&edge, step)| step > 0 && edge % step == 0);
            expect(divides, key, format!("{part:?} does not divide {whole:?}"));
        };
        if let Some(block) = self.densities {
            parts(patch, block, "vision.densities");
        }
        if let Some(widths) = &self.stem {
            parts(patch, [STEM_CELL; 3], "vision.stem");
            let fits = (2..=8).contains(&widths.len()) && widths.iter().all(|width| (2..=1024).contains(width));
            expect(fits, "vision.stem", format!("{widths:?} is not 2 to 8 numbers of 2 to 1024"));
        }
        expect(self.places <= self.dim, "vision.places", format!("{} is above dim {}", self.places, self.dim));
        self.tune.check("vision.tune", self.dim, expect);
    }
}

impl Text {
    pub(super) fn check(&self, expect: &mut Expect<'_>) {
        let pieces = (64..=200_000).contains(&self.vocabulary);
        expect(pieces, "text.vocabulary", format!("{} is not 64 to 200000", self.vocabulary));
        let longest = (8..=4096).contains(&self.max_tokens);
        expect(longest, "text.max_tokens", format!("{} is not 8 to 4096", self.max_tokens));
        expect((1..=4096).contains(&self.dim), "text.dim", format!("{} is not 1 to 4096", self.dim));
        let even = self.heads > 0 && self.dim.is_multiple_of(self.heads);
        expect(even, "text.heads", format!("{} does not divide dim {}", self.heads, self.dim));
        expect((1..=64).contains(&self.depth), "text.depth", format!("{} is not 1 to 64", self.depth));
        expect((1..=8).contains(&self.mlp_ratio), "text.mlp_ratio", format!("{} is not 1 to 8", self.mlp_ratio));
        self.tune.check("text.tune", self.dim, expect);
    }
}

impl Tune {
    fn check(self, key: &'static str, dim: usize, expect: &mut Expect<'_>) {
        if let Self::Lora { rank, alpha } = self {
            expect((1..=dim).contains(&rank), key, format!("a rank of {rank} is not 1 to dim {dim}"));
            expect(alpha.is_finite() && alpha > 0.0, key, format!("alpha {alpha} is not positive"));
        }
    }
}
