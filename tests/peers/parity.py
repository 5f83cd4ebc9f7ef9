#!/usr/bin/env python3
"""Other people's transformers beside the trainer's towers, from the same published file.

    parity.py make FOLDER    write random weights as they are published, token ids and texts, into FOLDER
    parity.py check FOLDER   compare what `ctedge-trainer trace` wrote into FOLDER/report and FOLDER/volume

Between the two, the trainer imports FOLDER/bert and FOLDER/m3d_clip into FOLDER/run and traces both towers.
The report tower is compared with FlaxBertModel of HuggingFace's transformers, which reads FOLDER/bert by its own loader
(the JAX twin of BertModel; PyTorch's only wheel here brings CUDA with it). The volume tower is compared with MONAI's ViT
written out below in numpy and double precision, operation by operation after monai 1.5.2: networks/nets/vit.py and
networks/blocks/{patchembedding,transformerblock,selfattention,mlp}.py; monai itself cannot run without PyTorch.
The tokenizer is compared with BertTokenizerFast on the same vocab.txt.
Prints the largest absolute difference of each output. Exit status 1 when one is too large.
"""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.special import erf
from tokenizers import Tokenizer
from transformers import BertConfig, BertTokenizerFast, FlaxBertModel

TOLERANCE = 1e-4
DIM, DEPTH, HEADS, INNER = 24, 2, 3, 96
SIZE, PATCH = (8, 12, 16), (4, 6, 4)
PLACES = 32  # the run has 16: its longest report
MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LENGTHS = [16, 3, 9, 12]
TEXTS = [
    "No pleural effusion.",
    "Nodule of 4.5mm in the RIGHT upper lobe; calcified?",
    "Na\u00efve caf\u00e9 d\u00e9j\u00e0 vu \u2014 xyz ##s",
    "effusions, noduleless",
    "",
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["make", "check"])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    if arguments.step == "make":
        make(arguments.folder)
        return 0
    failures = check_report(arguments.folder) + check_volume(arguments.folder) + check_tokenizer(arguments.folder)
    return 1 if failures else 0


class Random:
    """Named tensors as PyTorch has them: a linear layer's weight is [out, in]."""

    def __init__(self, seed: int):
        self.numbers = np.random.default_rng(seed)
        self.tensors = {}

    def tensor(self, name: str, *shape: int, around: float = 0.0) -> None:
        self.tensors[name] = self.numbers.normal(around, 0.2, shape).astype(np.float32)

    def linear(self, name: str, outputs: int, inputs: int) -> None:
        self.tensor(f"{name}.weight", outputs, inputs)
        self.tensor(f"{name}.bias", outputs)

    def norm(self, name: str) -> None:
        self.tensor(f"{name}.weight", DIM, around=1.0)
        self.tensor(f"{name}.bias", DIM)


def make(folder: Path) -> None:
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789.,;")
    words = ["no", "nod", "##ule", "effusion", "##s", "in", "the", "right", "upper", "lobe", "of", "##mm", "plea", "##ural"]
    vocabulary = MARKS + letters + ["##" + letter for letter in letters[:26]] + words
    bert = folder / "bert"
    bert.mkdir()
    (bert / "vocab.txt").write_text("\n".join(dict.fromkeys(vocabulary)) + "\n")
    pieces = len(dict.fromkeys(vocabulary))
    weights = random_bert(pieces)
    save_file(weights, bert / "model.safetensors", metadata={"format": "pt"})
    config = BertConfig(
        vocab_size=pieces, hidden_size=DIM, num_hidden_layers=DEPTH, num_attention_heads=HEADS,
        intermediate_size=INNER, max_position_embeddings=PLACES,
    )
    config.save_pretrained(bert)

    (folder / "m3d_clip").mkdir()
    save_file(random_vit(), folder / "m3d_clip/model.safetensors")
    numbers = np.random.default_rng(3)
    reports = [[2, *numbers.integers(5, pieces, length - 2).tolist(), 3] for length in LENGTHS]
    (folder / "ids.json").write_text(json.dumps(reports))


def random_bert(pieces: int) -> dict:
    random = Random(1)
    for name, rows in [("word", pieces), ("position", PLACES), ("token_type", 2)]:
        random.tensor(f"embeddings.{name}_embeddings.weight", rows, DIM)
    random.norm("embeddings.LayerNorm")
    for layer in range(DEPTH):
        at = f"encoder.layer.{layer}"
        for part in ["query", "key", "value"]:
            random.linear(f"{at}.attention.self.{part}", DIM, DIM)
        random.linear(f"{at}.attention.output.dense", DIM, DIM)
        random.norm(f"{at}.attention.output.LayerNorm")
        random.linear(f"{at}.intermediate.dense", INNER, DIM)
        random.linear(f"{at}.output.dense", DIM, INNER)
        random.norm(f"{at}.output.LayerNorm")
    random.linear("pooler.dense", DIM, DIM)
    return random.tensors


def random_vit() -> dict:
    random = Random(2)
    tokens = np.prod(np.array(SIZE) // np.array(PATCH))
    random.tensor("vision_encoder.cls_token", 1, 1, DIM)
    random.tensor("vision_encoder.patch_embedding.position_embeddings", 1, tokens, DIM)
    random.linear("vision_encoder.patch_embedding.patch_embeddings.1", DIM, int(np.prod(PATCH)))
    for block in range(DEPTH):
        at = f"vision_encoder.blocks.{block}"
        random.norm(f"{at}.norm1")
        random.tensor(f"{at}.attn.qkv.weight", 3 * DIM, DIM)
        random.linear(f"{at}.attn.out_proj", DIM, DIM)
        random.norm(f"{at}.norm2")
        random.linear(f"{at}.mlp.linear1", INNER, DIM)
        random.linear(f"{at}.mlp.linear2", DIM, INNER)
    random.norm("vision_encoder.norm")
    random.linear("mm_vision_proj", DIM, DIM)
    random.tensor("logit_scale")
    return random.tensors


def vit(weights: dict, volume: np.ndarray) -> np.ndarray:
    """MONAI's ViT with a class token: tokens [B, 1 + T, C] after the last normalisation."""
    weights = {name.removeprefix("vision_encoder."): value.astype(np.float64) for name, value in weights.items()}

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0.0)

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def attention(name: str, x: np.ndarray) -> np.ndarray:
        batch, count, _ = x.shape
        # b h (qkv l d) -> qkv b l h d
        parts = linear(f"{name}.qkv", x).reshape(batch, count, 3, HEADS, DIM // HEADS)
        query, key, value = parts.transpose(2, 0, 3, 1, 4)
        scores = np.einsum("blxd,blyd->blxy", query, key) * (DIM // HEADS) ** -0.5
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = np.einsum("blxy,blyd->blxd", scores / scores.sum(-1, keepdims=True), value)
        return linear(f"{name}.out_proj", mixed.transpose(0, 2, 1, 3).reshape(batch, count, DIM))

    # b c (h p1) (w p2) (d p3) -> b (h w d) (p1 p2 p3 c), with one channel
    (h, w, d), (p1, p2, p3) = np.array(SIZE) // np.array(PATCH), PATCH
    rows = volume.reshape(-1, h, p1, w, p2, d, p3).transpose(0, 1, 3, 5, 2, 4, 6).reshape(-1, h * w * d, p1 * p2 * p3)
    x = linear("patch_embedding.patch_embeddings.1", rows) + weights["patch_embedding.position_embeddings"]
    x = np.concatenate([np.repeat(weights["cls_token"], len(x), 0), x], 1)
    for block in range(DEPTH):
        x = x + attention(f"blocks.{block}.attn", norm(f"blocks.{block}.norm1", x))
        hidden = linear(f"blocks.{block}.mlp.linear1", norm(f"blocks.{block}.norm2", x))
        x = x + linear(f"blocks.{block}.mlp.linear2", hidden * (1 + erf(hidden / np.sqrt(2))) / 2)
    return norm("norm", x)


def check_report(folder: Path) -> int:
    reports = json.loads((folder / "ids.json").read_text())
    longest = max(map(len, reports))
    ids = np.array([report + [0] * (longest - len(report)) for report in reports])
    mask = np.array([[1] * len(report) + [0] * (longest - len(report)) for report in reports])
    tokens = np.asarray(FlaxBertModel.from_pretrained(folder / "bert")(ids, mask).last_hidden_state)
    pooled = (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    trace = folder / "report"
    real = mask.astype(bool)
    given = read(trace / "tokens.f32", tokens.shape)
    failures = compare("report tokens", given[real], tokens[real])
    failures += compare("report pooled", read(trace / "pooled.f32", pooled.shape), pooled)
    return failures + compare("report embedding", read(trace / "embedding.f32"), embedding(folder, "text", pooled))


def check_volume(folder: Path) -> int:
    trace = folder / "volume"
    tokens = vit(load_file(folder / "m3d_clip/model.safetensors"), read(trace / "volume.f32", (1, *SIZE)))
    failures = compare("volume class", read(trace / "class.f32", (1, DIM)), tokens[:, 0])
    failures += compare("volume tokens", read(trace / "tokens.f32", tokens[:, 1:].shape), tokens[:, 1:])
    query = load_file(folder / "run/weights.safetensors")["vision.pool.query"].astype(np.float64)
    scores = np.exp(tokens[:, 1:] @ query / np.sqrt(DIM))
    pooled = (tokens[:, 1:] * scores / scores.sum(1, keepdims=True)).sum(1)
    return failures + compare("volume embedding", read(trace / "embedding.f32"), embedding(folder, "vision", pooled))


def check_tokenizer(folder: Path) -> int:
    theirs = BertTokenizerFast(str(folder / "bert/vocab.txt"), do_lower_case=True)
    ours = Tokenizer.from_file(str(folder / "run/tokenizer.json"))
    unlike = [text for text in TEXTS if ours.encode(text).ids != theirs(text)["input_ids"]]
    verdict = f"UNLIKE {unlike}" if unlike else "passed"
    print(f"tokenizer: {len(TEXTS)} texts, {verdict}", file=sys.stderr if unlike else sys.stdout)
    return len(unlike)


def embedding(folder: Path, tower: str, pooled: np.ndarray) -> np.ndarray:
    weights = load_file(folder / "run/weights.safetensors")
    direction = pooled @ weights[f"{tower}.project.weight"].astype(np.float64) + weights[f"{tower}.project.bias"]
    return direction / np.linalg.norm(direction, axis=-1, keepdims=True)


def read(path: Path, shape: tuple = None) -> np.ndarray:
    numbers = np.fromfile(path, "<f4")
    return numbers if shape is None else numbers.reshape(shape)


def compare(name: str, given: np.ndarray, expected: np.ndarray) -> int:
    apart = np.abs(given.reshape(expected.shape) - expected).max()
    passed = apart <= TOLERANCE
    verdict = "passed" if passed else f"ABOVE {TOLERANCE:g}"
    print(f"{name}: largest difference {apart:.1e} of values up to {np.abs(expected).max():.2f}, {verdict}",
          file=sys.stdout if passed else sys.stderr)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
