"""A training step of the same network in PyTorch: the peer of `ctedge-trainer bench`.

    python train_step.py EXPERIMENT.toml [--steps N] [--threads N]
    python train_step.py EXPERIMENT.toml --device cuda --precision bf16 --compile

Both towers as the experiment shapes them, a pairwise sigmoid loss with discounted negatives, the flags' cross-entropy, AdamW
with bounded gradients; as one would write it with torch.nn, whole batch at once. In bf16 by torch.autocast, or with
`--precision bf16-copy` with the towers' layers copied to bf16 before each step, as ctedge-trainer does. Prints one JSON
object with the rows of `ctedge-trainer bench`.
"""

import argparse
import contextlib
import copy
import json
import subprocess
import threading
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

    def forward(self, x, seen=None):
        batch, count, dim = x.shape
        q, k, v = self.qkv(x).view(batch, count, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v, seen).transpose(1, 2).reshape(batch, count, dim))


def perceptron(dim, ratio):
    return nn.Sequential(nn.Linear(dim, ratio * dim), nn.GELU(), nn.Linear(ratio * dim, dim))


class Block(nn.Module):
    """Normalises before each branch, as ViT does, or after it, as BERT does."""

    def __init__(self, shape, first):
        super().__init__()
        dim, self.first = shape["dim"], first
        self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.LayerNorm(dim)])
        self.attention, self.mlp = Attention(dim, shape["heads"]), perceptron(dim, shape["mlp_ratio"])

    def forward(self, x, seen=None):
        attention, mlp = self.norms
        if self.first:
            x = x + self.attention(attention(x), seen)
            return x + self.mlp(mlp(x))
        x = attention(x + self.attention(x, seen))
        return mlp(x + self.mlp(x))


class Volumes(nn.Module):
    def __init__(self, shape, size):
        super().__init__()
        self.patch, self.block = shape["patch"], shape.get("densities")
        self.count = [edge // step for edge, step in zip(size, self.patch)]
        tokens, voxels, dim = prod(self.count), prod(self.patch), shape["dim"]
        self.project = nn.Linear(voxels, dim)
        self.before, self.after = (nn.LayerNorm(voxels), nn.LayerNorm(dim)) if shape["patch_norm"] else [nn.Identity()] * 2
        self.densities = nn.Linear(3 * voxels // prod(self.block), dim) if self.block else None
        learned = shape["positions"] == "learned"
        self.places = nn.Parameter(torch.randn(1, tokens, dim) * 0.02, requires_grad=learned)
        self.blocks = nn.ModuleList([Block(shape, True) for _ in range(shape["depth"])])
        self.norm, self.query = nn.LayerNorm(dim), nn.Parameter(torch.randn(dim, 1))
        self.local = nn.Linear(dim, shape["places"]) if shape["places"] else None
        summary = dim + tokens * shape["places"]
        self.embed, self.flags = nn.Linear(summary, shape["embedding"]), nn.Linear(summary, LABELS)

    def cut(self, volume, step):
        batch = volume.shape[0]
        nz, ny, nx = [edge // size for edge, size in zip(volume.shape[1:], step)]
        split = volume.view(batch, nz, step[0], ny, step[1], nx, step[2]).permute(0, 1, 3, 5, 2, 4, 6)
        return split.reshape(batch, nz, ny, nx, prod(step))

    def shown(self, volume):
        batch = volume.shape[0]
        blocks = self.cut(volume, self.block)
        kinds = torch.stack([blocks.amax(-1), blocks.amin(-1), blocks.mean(-1)], -1)
        rz, ry, rx = [edge // step for edge, step in zip(self.patch, self.block)]
        nz, ny, nx = self.count
        kinds = kinds.view(batch, nz, rz, ny, ry, nx, rx, 3).permute(0, 1, 3, 5, 2, 4, 6, 7)
        return self.densities(kinds.reshape(batch, nz * ny * nx, -1))

    def forward(self, volume):
        x = self.project(self.before(self.cut(volume, self.patch).flatten(1, 3)).to(self.project.weight.dtype))
        if self.densities:
            x = x + self.shown(volume)
        x = self.after(x.to(self.embed.weight.dtype)) + self.places
        x = self.norm(in_layers(x, self.blocks).to(self.embed.weight.dtype))
        saliency = ((x @ self.query) / x.shape[-1] ** 0.5).softmax(1)
        summary = (saliency * x).sum(1)
        if self.local:
            summary = torch.cat([summary, F.gelu(self.local(x)).flatten(1)], 1)
        return F.normalize(self.embed(summary).float()), self.flags(summary).float()


def in_layers(x, blocks, seen=None):
    x = x.to(next(blocks.parameters()).dtype)
    for block in blocks:
        x = block(x, seen)
    return x


class Reports(nn.Module):
    def __init__(self, shape, embedding):
        super().__init__()
        dim, self.pool = shape["dim"], shape["pool"]
        self.word, self.place = nn.Embedding(shape["vocabulary"], dim), nn.Embedding(shape["max_tokens"], dim)
        self.kind, self.norm = nn.Parameter(torch.zeros(dim)), nn.LayerNorm(dim)
        self.blocks = nn.ModuleList([Block(shape, False) for _ in range(shape["depth"])])
        self.embed = nn.Linear(dim, embedding)

    def forward(self, ids, seen):
        x = self.norm(self.word(ids) + self.place.weight[: ids.shape[1]] + self.kind)
        x = in_layers(x, self.blocks, seen[:, None, None]).to(self.embed.weight.dtype)
        return F.normalize(self.embed(x[:, 0] if self.pool == "class" else x.mean(1)).float())


def prod(values):
    return values[0] * values[1] * values[2]


class Card:
    """Looks at the first GPU while steps are timed."""

    def __init__(self):
        self.seen, self.ended = [], False
        self.thread = threading.Thread(target=self.look, daemon=True)

    def ask(self, what):
        asked = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits", "--id=0"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()

    def look(self):
        while not self.ended:
            self.seen.append(float(self.ask("utilization.gpu")))
            time.sleep(0.1)

    def rows(self):
        self.ended = True
        self.thread.join()
        name, driver, memory = self.ask("name,driver_version,memory.used").split(", ")
        busy = sorted(self.seen)[len(self.seen) // 2] / 100 if self.seen else None
        return {"card": name, "driver": driver, "memory_mib": float(memory), "busy": busy}


def operations(experiment, size):
    """Floating-point operations of the towers' matrix products in a step of one pair."""
    vision, text = experiment["vision"], experiment["text"]

    def tower(tokens, shape):
        dim = shape["dim"]
        return shape["depth"] * tokens * (2 * dim * dim * (4 + 2 * shape["mlp_ratio"]) + 4 * tokens * dim)

    tokens = prod(size) // prod(vision["patch"])
    return 3 * (2 * prod(size) * vision["dim"] + tower(tokens, vision) + tower(text["max_tokens"], text))


def narrowed(towers):
    """The same towers with their layers in bf16; their own leaves."""
    volumes, reports = narrow = copy.deepcopy(towers)
    volumes.blocks.bfloat16(), volumes.project.bfloat16(), reports.blocks.bfloat16()
    return narrow


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="f32", choices=["f32", "bf16", "bf16-copy"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--profile", action="store_true", help="tell which kernels a step spends its time in")
    asked = parser.parse_args()
    with open(asked.experiment, "rb") as file:
        experiment = tomllib.load(file)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    on_card = asked.device != "cpu"
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    ((_, grid),) = experiment["input"]["grid"].items()
    size, training, loss = grid["size"], experiment["training"], experiment["loss"]
    batch = training["batch"]
    device = torch.device(asked.device)
    with device:
        volumes = Volumes(experiment["vision"], size)
        reports = Reports(experiment["text"], experiment["vision"]["embedding"])
        scale, bias = nn.Parameter(torch.tensor(loss["scale"]).log()), nn.Parameter(torch.tensor(loss["bias"]))
        volume = torch.rand(batch, *size) * 2 - 1
        ids = torch.randint(experiment["text"]["vocabulary"], (batch, experiment["text"]["max_tokens"]))
        labels = (torch.rand(batch, LABELS) < 0.3).float()
        target = torch.eye(batch)
        present = torch.ones(batch, experiment["text"]["max_tokens"], dtype=torch.bool)
    masters = [p for p in [*volumes.parameters(), *reports.parameters(), scale, bias] if p.requires_grad]
    towers, copied = nn.ModuleList([volumes, reports]), None
    if asked.precision == "bf16-copy":
        copied = narrowed(towers)
        pairs = list(zip(towers.parameters(), copied.parameters()))
    learning = copied or towers
    seen_by, read_by = [torch.compile(tower) if asked.compile else tower for tower in learning]
    rate, decay = training["learning_rate"], training["weight_decay"]
    optimiser = torch.optim.AdamW(masters, lr=rate, betas=(0.9, 0.98), weight_decay=decay, fused=on_card)
    cast = torch.autocast(device.type, torch.bfloat16) if asked.precision == "bf16" else contextlib.nullcontext()

    def step():
        optimiser.zero_grad(set_to_none=True)
        if copied:
            torch._foreach_copy_([own.data for _, own in pairs], [master.data for master, _ in pairs])
            copied.zero_grad(set_to_none=True)
        with cast:
            seen, flags = seen_by(volume)
            read = read_by(ids, present)
        logits = seen @ read.T * scale.exp() + bias
        alike = (read @ read.T).detach().clamp(0, 1)
        each = F.binary_cross_entropy_with_logits(logits, target, weight=target + (1 - target) * (1 - alike), reduction="sum")
        total = each / batch + loss["flags"] * F.binary_cross_entropy_with_logits(flags, labels)
        total.backward()
        if copied:
            for master, own_ in pairs:
                master.grad = None if own_.grad is None else own_.grad.float()
        nn.utils.clip_grad_norm_(masters, training["clip_norm"])
        optimiser.step()
        return total.item()

    seconds, card = [], Card() if on_card else None
    for number in range(3 + asked.steps):
        if card and number == 3:
            card.thread.start()
        begun = time.perf_counter()
        last = step()
        seconds.append(time.perf_counter() - begun)
    seconds = sorted(seconds[3:])
    low, median, high = [seconds[(len(seconds) - 1) * share // 4] for share in (1, 2, 3)]
    rate = batch * operations(experiment, size) / median / 1e12
    by = f"torch {torch.__version__}{', compiled' if asked.compile else ''}"
    row = {"by": by, "device": asked.device, "precision": asked.precision, "steps": asked.steps, "batch": batch}
    row |= {"threads": torch.get_num_threads(), "step_s": {"quartile_1": low, "median": median, "quartile_3": high}}
    row |= {"pairs_per_s": batch / median, "tflops": rate, "loss": last} | (card.rows() if card else {})
    if asked.profile:
        row["kernels_ms"] = kernels(step)
    print(json.dumps(row))


def kernels(step, count=5, most=14):
    """Milliseconds of a step by kernel, the longest first."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(count):
            step()
        torch.cuda.synchronize()
    spent = [(event.self_device_time_total / count / 1000, event.key[:70]) for event in profile.key_averages()]
    longest = sorted(spent, reverse=True)[:most]
    return {"all": round(sum(time for time, _ in spent), 2)} | {name: round(time, 2) for time, name in longest}


if __name__ == "__main__":
    main()
