#!/usr/bin/env python3
"""Drafts a report by an exported decoder in bare ONNX Runtime, and checks it word by word against the training framework.

    draft_check.py EXPORTED_FOLDER TRACE_FOLDER …

EXPORTED_FOLDER holds cross_kv.onnx and decoder_step.onnx, a trace folder what `ctedge-trainer trace RUN --draft` wrote:
tokens.f32, flags.f32, ids.i64 and logits.f32. The decoder is driven greedily from the first id, one word at a time, its keys
and values kept on the device by I/O binding. Then the whole draft goes through in chunks of 5, 1 and 7 words, which must say
the same. Prints one line a check and the largest absolute difference of the logits. Exit status 1 when a check fails.
Needs: pip install onnx onnxruntime numpy
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("CI", "1")  # newer ONNX Runtime reports usage unless told that it runs in CI

import numpy as np
import onnx
import onnxruntime

HIDDEN = -1e9
SECTIONS = 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exported", type=Path)
    parser.add_argument("traces", type=Path, nargs="+", help="folders written by `ctedge-trainer trace RUN --draft`")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest absolute difference (default 1e-4)")
    parser.add_argument("--threads", type=int, default=0, help="threads of ONNX Runtime; its own choice if not given")
    arguments = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    sessions = []
    for name in ("cross_kv.onnx", "decoder_step.onnx"):
        path = arguments.exported / name
        onnx.checker.check_model(onnx.load(path), full_check=True)
        print(f"checker passed: {name}")
        sessions.append(onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))
    decoder = Decoder(*sessions)
    return 1 if sum(compare(decoder, trace, arguments.tolerance) for trace in arguments.traces) else 0


class Decoder:
    """The two graphs, and the keys and values that lie between two calls."""

    def __init__(self, cross, step):
        self.cross, self.step = cross, step
        self.layers = sum(entry.name.startswith("past_k") for entry in step.get_inputs())
        self.kept = {}

    def begin(self, tokens, flags) -> None:
        """Reads a volume."""
        binding = self.cross.io_binding()
        binding.bind_cpu_input("tokens", tokens)
        binding.bind_cpu_input("flags", flags)
        names = [output.name for output in self.cross.get_outputs()]
        for name in names:
            binding.bind_output(name)
        self.cross.run_with_iobinding(binding)
        self.kept = dict(zip(names, binding.get_outputs()))
        shape = [1, *self.kept["cross_k_0"].shape()[1:]]
        for layer in range(self.layers):
            for part in "kv":
                empty = np.zeros([1, shape[1], 0, shape[3]], np.float32)
                self.kept[f"past_{part}_{layer}"] = onnxruntime.OrtValue.ortvalue_from_numpy(empty)

    def read(self, ids) -> np.ndarray:
        """The next words; logits of the word after each."""
        past, new = self.kept["past_k_0"].shape()[2], len(ids)
        row, column = np.arange(new)[:, None], np.arange(past + new)[None, :]
        mask = np.where(column <= past + row, 0, HIDDEN).astype(np.float32)[None, None]
        binding = self.step.io_binding()
        binding.bind_cpu_input("input_ids", np.array([ids], np.int64))
        binding.bind_cpu_input("position_ids", np.arange(past, past + new, dtype=np.int64)[None])
        binding.bind_cpu_input("mask", mask)
        for name, value in self.kept.items():
            binding.bind_ortvalue_input(name, value)
        names = [output.name for output in self.step.get_outputs()]
        for name in names:
            binding.bind_output(name)
        self.step.run_with_iobinding(binding)
        said = dict(zip(names, binding.get_outputs()))
        for name, value in said.items():
            if name.startswith("present_"):
                self.kept[name.replace("present_", "past_")] = value
        return said["logits"].numpy()[0]


def compare(decoder: Decoder, trace: Path, tolerance: float) -> int:
    """The training framework's draft and logits against ONNX Runtime's."""
    tokens, flags = (np.fromfile(trace / f"{name}.f32", "<f4") for name in ("tokens", "flags"))
    ids = np.fromfile(trace / "ids.i64", "<i8").tolist()
    expected = np.fromfile(trace / "logits.f32", "<f4").reshape(len(ids) - 1, -1)
    shapes = [entry.shape for entry in decoder.cross.get_inputs()]
    tokens, flags = tokens.reshape(shapes[0]), flags.reshape(shapes[1])
    begun = time.perf_counter()
    decoder.begin(tokens, flags)
    written, rows = ids[:1], []
    while len(written) < len(ids):
        rows.append(decoder.read(written[-1:])[0])
        written.append(int(rows[-1].argmax()))
    seconds = time.perf_counter() - begun
    failures = said(written == ids, f"{trace.name} greedy draft: {len(ids)} ids in {seconds:.3f} s")
    if written != ids:
        # From the first other word on they read different texts.
        rows = rows[: next(place for place, (a, b) in enumerate(zip(written, ids)) if a != b)]
    failures += near(f"{trace.name} word by word", np.array(rows), expected[: len(rows)], tolerance)
    decoder.begin(tokens, flags)
    chunks, read = [], 0
    for length in [5, *[1] * max(len(ids) - 13, 0), 7]:
        part = ids[read : min(read + length, len(ids) - 1)]
        if part:
            chunks.append(decoder.read(part))
        read += len(part)
    return failures + near(f"{trace.name} in chunks", np.concatenate(chunks), expected, tolerance)


def near(what: str, value: np.ndarray, expected: np.ndarray, tolerance: float) -> int:
    """Whether logits agree."""
    difference = float(np.abs(value - expected).max(initial=0)) if value.shape == expected.shape else float("inf")
    # Written this way round, so that a difference that is no number fails.
    return said(difference <= tolerance, f"{what}: largest difference {difference:.3g} of {np.abs(expected).max():.3g}")


def said(passed: bool, line: str) -> int:
    """Prints a check; 1 if it failed."""
    print(f"{line}: {'passed' if passed else 'FAILED'}", file=sys.stdout if passed else sys.stderr)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
