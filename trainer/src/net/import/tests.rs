use super::*;
use crate::experiment::{Experiment, Positions, Vision};
use crate::net::initial;
use crate::net::weights::little_endian;
use ctedge_models::spec::Grid;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// Numbers that tell where they stood.
fn counted(shape: &[usize], from: u16) -> Array {
    let count = shape.iter().product();
    Array { shape: shape.to_vec(), values: (from..).take(count).map(f32::from).collect() }
}

fn safetensors(tensors: &[(String, Array)]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, array)| little_endian(&array.values)).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, array), bytes)| (name.clone(), TensorView::new(Dtype::F32, array.shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

/// Towers of two blocks, with everything that a published file fills.
fn experiment() -> Experiment {
    let mut experiment =
        Experiment::parse(include_str!("../../../../models/catalog/scale-vlp-tiny/experiment.toml")).unwrap();
    experiment.input.grid = Grid::Resize { size: [4, 8, 8] };
    experiment.vision = Vision {
        patch: [2, 4, 4],
        dim: 6,
        depth: 2,
        heads: 2,
        mlp_ratio: 2,
        positions: Positions::Learned,
        class_token: true,
        patch_norm: false,
        densities: None,
        stem: None,
        places: 0,
        ..experiment.vision
    };
    (experiment.text.dim, experiment.text.heads, experiment.text.mlp_ratio, experiment.text.depth) = (4, 2, 3, 2);
    experiment.text.max_tokens = 8;
    experiment
}

fn start() -> Weights {
    initial(&experiment(), 30).unwrap()
}

fn bert() -> Vec<(String, Array)> {
    let (dim, inner) = (4, 12);
    let mut tensors = vec![
        ("embeddings.word_embeddings.weight".to_owned(), counted(&[50, dim], 0)),
        ("embeddings.position_embeddings.weight".into(), counted(&[16, dim], 300)),
        ("embeddings.token_type_embeddings.weight".into(), counted(&[2, dim], 400)),
        ("embeddings.LayerNorm.weight".into(), counted(&[dim], 410)),
        ("embeddings.LayerNorm.bias".into(), counted(&[dim], 420)),
        ("embeddings.position_ids".into(), counted(&[1, 16], 0)),
        ("pooler.dense.weight".into(), counted(&[dim, dim], 0)),
        ("cls.predictions.bias".into(), counted(&[50], 0)),
    ];
    for layer in 0..2 {
        let parts = [
            ("attention.self.query", dim, dim),
            ("attention.self.key", dim, dim),
            ("attention.self.value", dim, dim),
            ("attention.output.dense", dim, dim),
            ("intermediate.dense", inner, dim),
            ("output.dense", dim, inner),
        ];
        for (part, outputs, inputs) in parts {
            tensors.push((format!("encoder.layer.{layer}.{part}.weight"), counted(&[outputs, inputs], 500)));
            tensors.push((format!("encoder.layer.{layer}.{part}.bias"), counted(&[outputs], 600)));
        }
        for part in ["attention.output.LayerNorm", "output.LayerNorm"] {
            tensors.push((format!("encoder.layer.{layer}.{part}.weight"), counted(&[dim], 700)));
            tensors.push((format!("encoder.layer.{layer}.{part}.bias"), counted(&[dim], 800)));
        }
    }
    tensors
}

fn vit(patch: &str, kernel: &[usize]) -> Vec<(String, Array)> {
    let (dim, inner) = (6, 12);
    let mut tensors = vec![
        ("vision_encoder.cls_token".to_owned(), counted(&[1, 1, dim], 10)),
        ("vision_encoder.patch_embedding.position_embeddings".into(), counted(&[1, 8, dim], 20)),
        (format!("vision_encoder.patch_embedding.patch_embeddings{patch}.weight"), counted(kernel, 100)),
        (format!("vision_encoder.patch_embedding.patch_embeddings{patch}.bias"), counted(&[dim], 30)),
        ("vision_encoder.norm.weight".into(), counted(&[dim], 40)),
        ("vision_encoder.norm.bias".into(), counted(&[dim], 50)),
        ("language_encoder.embeddings.word_embeddings.weight".into(), counted(&[5, 4], 0)),
        ("mm_vision_proj.weight".into(), counted(&[6, 6], 0)),
        ("logit_scale".into(), counted(&[1], 0)),
    ];
    for block in 0..2 {
        let at = |name: &str| format!("vision_encoder.blocks.{block}.{name}");
        tensors.push((at("attn.qkv.weight"), counted(&[3 * dim, dim], 500)));
        for (part, outputs, inputs) in
            [("attn.out_proj", dim, dim), ("mlp.linear1", inner, dim), ("mlp.linear2", dim, inner)]
        {
            tensors.push((at(&format!("{part}.weight")), counted(&[outputs, inputs], 600)));
            tensors.push((at(&format!("{part}.bias")), counted(&[outputs], 700)));
        }
        for part in ["norm1", "norm2", "norm_cross_attn"] {
            tensors.push((at(&format!("{part}.weight")), counted(&[dim], 800)));
            tensors.push((at(&format!("{part}.bias")), counted(&[dim], 900)));
        }
    }
    tensors
}

fn problems(tensors: &[(String, Array)], published: Published) -> Vec<String> {
    match import(&safetensors(tensors), published, &start()) {
        Err(ImportError::Unfit { problems }) => problems,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bert_fills_the_report_tower_and_nothing_else() {
    let before = start();
    let Imported { weights, rows } = import(&safetensors(&bert()), Published::Bert, &before).unwrap();
    let array = |name: &str| &weights.0[name];
    assert_eq!(weights.vocabulary(), 50, "the vocabulary is the file's");
    assert_eq!(
        array("text.embeddings.position.weight"),
        &counted(&[8, 4], 300),
        "as many places as reports have tokens"
    );
    let up = array("text.layers.1.mlp.up.weight");
    assert_eq!((up.shape.as_slice(), up.values[1], up.values[12]), ([4, 12].as_slice(), 504.0, 501.0));
    assert_eq!(array("text.layers.0.norm_mlp.beta"), &counted(&[4], 800));
    let changed = |(name, array): (&String, &Array)| (before.0.get(name) != Some(array)).then(|| name.clone());
    let changed: Vec<String> = weights.0.iter().filter_map(changed).collect();
    assert_eq!(changed.len(), 5 + 2 * 16);
    assert!(changed.iter().all(|name| name.starts_with("text.") && !name.starts_with("text.project")), "{changed:?}");
    let left_out: Vec<&str> = rows.iter().filter(|row| row.target.is_empty()).map(|row| row.source.as_str()).collect();
    assert_eq!(left_out, ["cls.predictions.bias", "embeddings.position_ids", "pooler.dense.weight"]);
    assert_eq!(rows.len(), bert().len());
}

#[test]
fn old_names_and_a_prefix_mean_the_same() {
    let new = import(&safetensors(&bert()), Published::Bert, &start()).unwrap().weights;
    let renamed = bert().into_iter().map(|(name, array)| {
        let name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
        let name = if name.starts_with("cls") { name } else { format!("bert.{name}") };
        (name, array)
    });
    let renamed: Vec<_> = renamed.collect();
    assert_eq!(import(&safetensors(&renamed), Published::Bert, &start()).unwrap().weights, new);
}

#[test]
fn a_vision_transformer_fills_the_volume_tower() {
    let perceptron = vit(".1", &[6, 32]);
    let before = start();
    let Imported { weights, rows } = import(&safetensors(&perceptron), Published::M3dClip, &before).unwrap();
    assert_eq!(weights.0["vision.class_token"], counted(&[1, 1, 6], 10));
    assert_eq!(weights.0["vision.positions.Learned"], counted(&[1, 8, 6], 20));
    let qkv = &weights.0["vision.blocks.0.attention.qkv.weight"];
    assert_eq!((qkv.shape.as_slice(), qkv.values[1]), ([6, 18].as_slice(), 506.0));
    assert!(weights.0["vision.blocks.1.attention.qkv.bias"].values.iter().all(|value| *value == 0.0));
    for name in ["vision.pool.query", "vision.flags.weight", "vision.project.weight", "text.project.weight"] {
        assert_eq!(weights.0[name], before.0[name], "{name}");
    }
    assert!(rows.iter().any(|row| row.target == "vision.blocks.0.attention.qkv.bias" && row.done == "zero"));
    let convolution = vit("", &[6, 1, 2, 4, 4]);
    assert_eq!(import(&safetensors(&convolution), Published::M3dClip, &before).unwrap().weights, weights);
}

#[test]
fn everything_that_does_not_fit_is_told_at_once() {
    let mut tensors = bert();
    tensors.retain(|(name, _)| name != "encoder.layer.1.output.dense.bias");
    tensors.push(("encoder.layer.2.output.dense.bias".into(), counted(&[4], 0)));
    tensors.push(("encoder.layer.0.attention.self.distance_embedding.weight".into(), counted(&[4, 4], 0)));
    tensors[4].1 = counted(&[5], 0);
    let said = problems(&tensors, Published::Bert).join("\n");
    for part in [
        "embeddings.LayerNorm.bias is [5], and text.embeddings.norm.beta is [4]",
        "encoder.layer.2.output.dense.bias: the run's network has no text.layers.2.mlp.down.bias",
        "encoder.layer.0.attention.self.distance_embedding.weight: no part",
        "nothing in the file stands for text.layers.1.mlp.down.bias",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    assert_eq!(said.lines().count(), 4, "{said}");
    let swapped = problems(&vit(".1", &[32, 6]), Published::M3dClip).join("\n");
    assert!(swapped.contains("is [32, 6], and vision.patch.weight is [32, 6]"), "{swapped}");
}

#[test]
fn half_precision_is_read_exactly() {
    let bytes: Vec<u8> = [0x3c00_u16, 0xc000, 0x0001, 0x03ff, 0x0400, 0x7bff, 0x8000, 0x7c00]
        .iter()
        .flat_map(|bits| bits.to_le_bytes())
        .collect();
    let view = |kind| TensorView::new(kind, vec![8], &bytes).unwrap();
    let expected = [1.0, -2.0, 2f32.powi(-24), 1023.0 * 2f32.powi(-24), 2f32.powi(-14), 65504.0, -0.0, f32::INFINITY];
    assert_eq!(tensors::array(&view(Dtype::F16)).unwrap().values, expected);
    assert_eq!(tensors::array(&view(Dtype::BF16)).unwrap().values[..2], [0.007_812_5, -2.0]);
    assert!(tensors::array(&view(Dtype::I16)).unwrap_err().contains("I16"));
    assert!(matches!(import(b"PK", Published::Bert, &start()), Err(ImportError::Container { .. })));
}

#[test]
fn a_configuration_that_the_tower_cannot_follow_is_refused() {
    let text = experiment().text;
    let complaint = |json: &str| check_config(json, &text).unwrap_err().to_string();
    assert!(
        check_config(r#"{"num_attention_heads": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12}"#, &text).is_ok()
    );
    assert!(complaint(r#"{"num_attention_heads": 4}"#).contains("num_attention_heads = 4"));
    assert!(complaint(r#"{"num_attention_heads": 2, "hidden_act": "relu"}"#).contains("hidden_act = relu"));
    assert!(complaint(r#"{"num_attention_heads": 2, "layer_norm_eps": 1e-5}"#).contains("layer_norm_eps = 1e-5"));
    assert!(complaint(r#"{"num_attention_heads": 2, "position_embedding_type": "relative_key"}"#).contains("absolute"));
    assert!(complaint("[]").contains("config.json"));
}
