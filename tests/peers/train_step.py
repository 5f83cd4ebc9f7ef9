"""A training step of the same network in PyTorch: the peer of `ctedge-trainer bench`.

    python train_step.py EXPERIMENT.toml THREADS STEPS

Both towers as the experiment shapes them, a pairwise sigmoid loss with discounted negatives, the flags' cross-entropy, AdamW
with bounded gradients; as one would write it with torch.nn, whole batch at once. Prints one JSON object.
"""

import json
import sys
import time
import tomllib

import torch
from torch import nn
from torch.nn import functional as F

LABELS = 18


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        batch, count, dim = x.shape
        q, k, v = self.qkv(x).view(batch, count, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, count, dim))


def perceptron(dim, ratio):
    return nn.Sequential(nn.Linear(dim, ratio * dim), nn.GELU(), nn.Linear(ratio * dim, dim))


class Block(nn.Module):
    """Normalises before each branch, as ViT does, or after it, as BERT does."""

    def __init__(self, shape, first):
        super().__init__()
        dim, self.first = shape["dim"], first
        self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.LayerNorm(dim)])
        self.attention, self.mlp = Attention(dim, shape["heads"]), perceptron(dim, shape["mlp_ratio"])

    def forward(self, x):
        for norm, branch in zip(self.norms, (self.attention, self.mlp)):
            x = x + branch(norm(x)) if self.first else norm(x + branch(x))
        return x


class Volumes(nn.Module):
    def __init__(self, shape, size):
        super().__init__()
        self.patch, self.block = shape["patch"], shape["densities"]
        self.count = [edge // step for edge, step in zip(size, self.patch)]
        tokens, voxels, dim = prod(self.count), prod(self.patch), shape["dim"]
        self.before, self.project, self.after = nn.LayerNorm(voxels), nn.Linear(voxels, dim), nn.LayerNorm(dim)
        self.densities = nn.Linear(3 * voxels // prod(self.block), dim)
        self.register_buffer("places", torch.randn(1, tokens, dim))
        self.blocks = nn.Sequential(*[Block(shape, True) for _ in range(shape["depth"])])
        self.norm, self.query = nn.LayerNorm(dim), nn.Parameter(torch.randn(dim, 1))
        self.local = nn.Linear(dim, shape["places"])
        summary = dim + tokens * shape["places"]
        self.embed, self.flags = nn.Linear(summary, shape["embedding"]), nn.Linear(summary, LABELS)

    def cut(self, volume, step):
        batch = volume.shape[0]
        nz, ny, nx = [edge // size for edge, size in zip(volume.shape[1:], step)]
        split = volume.view(batch, nz, step[0], ny, step[1], nx, step[2]).permute(0, 1, 3, 5, 2, 4, 6)
        return split.reshape(batch, nz, ny, nx, prod(step))

    def forward(self, volume):
        batch = volume.shape[0]
        patches = self.cut(volume, self.patch).flatten(1, 3)
        blocks = self.cut(volume, self.block)
        kinds = torch.stack([blocks.amax(-1), blocks.amin(-1), blocks.mean(-1)], -1)
        rz, ry, rx = [edge // step for edge, step in zip(self.patch, self.block)]
        nz, ny, nx = self.count
        kinds = kinds.view(batch, nz, rz, ny, ry, nx, rx, 3).permute(0, 1, 3, 5, 2, 4, 6, 7)
        kinds = kinds.reshape(batch, nz * ny * nx, -1)
        x = self.after(self.project(self.before(patches)) + self.densities(kinds)) + self.places
        x = self.norm(self.blocks(x))
        saliency = ((x @ self.query) / x.shape[-1] ** 0.5).softmax(1)
        summary = torch.cat([(saliency * x).sum(1), F.gelu(self.local(x)).flatten(1)], 1)
        return F.normalize(self.embed(summary)), self.flags(summary)


class Reports(nn.Module):
    def __init__(self, shape, embedding):
        super().__init__()
        dim = shape["dim"]
        self.word, self.place = nn.Embedding(shape["vocabulary"], dim), nn.Embedding(shape["max_tokens"], dim)
        self.kind, self.norm = nn.Parameter(torch.zeros(dim)), nn.LayerNorm(dim)
        self.blocks = nn.Sequential(*[Block(shape, False) for _ in range(shape["depth"])])
        self.embed = nn.Linear(dim, embedding)

    def forward(self, ids):
        x = self.norm(self.word(ids) + self.place.weight[: ids.shape[1]] + self.kind)
        return F.normalize(self.embed(self.blocks(x).mean(1)))


def prod(values):
    return values[0] * values[1] * values[2]


def main():
    with open(sys.argv[1], "rb") as file:
        experiment = tomllib.load(file)
    threads, steps = int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    ((_, grid),) = experiment["input"]["grid"].items()
    training, loss = experiment["training"], experiment["loss"]
    volumes = Volumes(experiment["vision"], grid["size"])
    reports = Reports(experiment["text"], experiment["vision"]["embedding"])
    scale, bias = nn.Parameter(torch.tensor(loss["scale"]).log()), nn.Parameter(torch.tensor(loss["bias"]))
    parameters = [*volumes.parameters(), *reports.parameters(), scale, bias]
    rate, decay = training["learning_rate"], training["weight_decay"]
    optimiser = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=decay)
    batch = training["batch"]
    volume = torch.rand(batch, *grid["size"]) * 2 - 1
    ids = torch.randint(experiment["text"]["vocabulary"], (batch, experiment["text"]["max_tokens"]))
    labels = (torch.rand(batch, LABELS) < 0.3).float()
    own = torch.eye(batch)

    def step():
        optimiser.zero_grad(set_to_none=True)
        seen, flags = volumes(volume)
        read = reports(ids)
        logits = seen @ read.T * scale.exp() + bias
        alike = (read @ read.T).detach().clamp(0, 1)
        pairs = F.binary_cross_entropy_with_logits(logits, own, weight=own + (1 - own) * (1 - alike), reduction="sum")
        total = pairs / batch + loss["flags"] * F.binary_cross_entropy_with_logits(flags, labels)
        total.backward()
        nn.utils.clip_grad_norm_(parameters, training["clip_norm"])
        optimiser.step()
        return total.item()

    seconds = []
    for _ in range(3 + steps):
        begun = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begun)
    seconds = sorted(seconds[3:])
    median = seconds[(len(seconds) - 1) // 2]
    print(json.dumps({"torch": torch.__version__, "threads": threads, "median_s": median, "pairs_per_s": batch / median}))


if __name__ == "__main__":
    main()
