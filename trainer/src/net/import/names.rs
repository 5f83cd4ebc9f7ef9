//! Which parameter of ours a published name means.

/// Names of one kind of published file.
#[derive(Debug)]
pub(super) struct Names {
    /// Tower of ours.
    tower: &'static str,
    /// Prefixes that may stand before every name.
    prefixes: &'static [&'static str],
    /// Parts outside the blocks: theirs, ours.
    parts: &'static [(&'static str, &'static str)],
    /// What blocks are called: theirs, ours.
    blocks: (&'static str, &'static str),
    /// Parts of a block: theirs, ours.
    block: &'static [(&'static str, &'static str)],
    /// Beginnings of names that have no place in the tower.
    skipped: &'static [&'static str],
    /// Parts of a block that have no place in the tower.
    skipped_in_block: &'static [&'static str],
}

/// `transformers.BertModel`, and `BertForMaskedLM` around it. `pooler` and `cls` belong to BERT's own pretraining.
pub(super) const BERT: Names = Names {
    tower: "text",
    prefixes: &["bert."],
    parts: &[
        ("embeddings.word_embeddings", "embeddings.word"),
        ("embeddings.position_embeddings", "embeddings.position"),
        ("embeddings.token_type_embeddings", "embeddings.kind"),
        ("embeddings.LayerNorm", "embeddings.norm"),
    ],
    blocks: ("encoder.layer", "layers"),
    block: &[
        ("attention.self.query", "attention.query"),
        ("attention.self.key", "attention.key"),
        ("attention.self.value", "attention.value"),
        ("attention.output.dense", "attention.out"),
        ("attention.output.LayerNorm", "norm_attention"),
        ("intermediate.dense", "mlp.up"),
        ("output.dense", "mlp.down"),
        ("output.LayerNorm", "norm_mlp"),
    ],
    skipped: &["cls.", "pooler.", "embeddings.position_ids"],
    skipped_in_block: &[],
};

/// `monai.networks.nets.ViT`, alone or as `vision_encoder` of M3D-CLIP, with patches by a perceptron or a convolution.
pub(super) const M3D_CLIP: Names = Names {
    tower: "vision",
    prefixes: &["vision_encoder."],
    parts: &[
        ("patch_embedding.patch_embeddings.1", "patch"),
        ("patch_embedding.patch_embeddings", "patch"),
        ("norm", "norm"),
    ],
    blocks: ("blocks", "blocks"),
    block: &[
        ("attn.qkv", "attention.qkv"),
        ("attn.out_proj", "attention.out"),
        ("mlp.linear1", "mlp.up"),
        ("mlp.linear2", "mlp.down"),
        ("norm1", "norm_attention"),
        ("norm2", "norm_mlp"),
    ],
    skipped: &["classification_head.", "language_encoder.", "mm_vision_proj.", "mm_language_proj.", "logit_scale"],
    skipped_in_block: &["cross_attn.", "norm_cross_attn."],
};

/// Parameters that are no part of a layer: theirs, ours.
const ALONE: [(&str, &str); 2] =
    [("cls_token", "class_token"), ("patch_embedding.position_embeddings", "positions.Learned")];
/// Heads that a published transformer does not have.
const HEADS: [&str; 3] = ["pool.", "project.", "flags."];

impl Names {
    /// A name without its prefix.
    pub(super) fn bare<'a>(&self, name: &'a str) -> &'a str {
        self.prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
    }

    /// Whether a tensor has no place in the tower, and needs none.
    pub(super) fn skips(&self, name: &str) -> bool {
        let inside = self.inside(name);
        self.skipped.iter().any(|beginning| name.starts_with(beginning))
            || inside.is_some_and(|(_, rest)| self.skipped_in_block.iter().any(|part| rest.starts_with(part)))
    }

    /// Path of the parameter that a name means.
    pub(super) fn target(&self, name: &str) -> Option<String> {
        let find = |table: &[(&str, &'static str)], name: &str| {
            table.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
        };
        if let Some(ours) = find(&ALONE, name).filter(|_| self.tower == "vision") {
            return Some(format!("{}.{ours}", self.tower));
        }
        let (layer, parameter) = name.rsplit_once('.')?;
        let layer = match self.inside(layer) {
            Some((index, part)) => format!("{}.{index}.{}", self.blocks.1, find(self.block, part)?),
            None => find(self.parts, layer)?.to_owned(),
        };
        let last = layer.rsplit('.').next().unwrap_or_default();
        let parameter = match (last.starts_with("norm"), parameter) {
            (true, "weight" | "gamma") => "gamma",
            (true, "bias" | "beta") => "beta",
            (false, "weight") => "weight",
            (false, "bias") => "bias",
            _ => return None,
        };
        Some(format!("{}.{layer}.{parameter}", self.tower))
    }

    /// Whether a parameter of ours has to come from the file.
    pub(super) fn covers(&self, target: &str) -> bool {
        let inside = target.strip_prefix(self.tower).and_then(|rest| rest.strip_prefix('.'));
        inside.is_some_and(|rest| !HEADS.iter().any(|head| rest.starts_with(head)))
    }

    /// A block's number and the rest of a name in it.
    fn inside<'a>(&self, name: &'a str) -> Option<(usize, &'a str)> {
        let (index, rest) = name.strip_prefix(self.blocks.0)?.strip_prefix('.')?.split_once('.')?;
        Some((index.parse().ok()?, rest))
    }
}
