#!/usr/bin/env python3
"""Checks an exported graph with ONNX's own checker, and its values in ONNX Runtime against the training framework.

    onnx_check.py MODEL.onnx                 check the file; run it on made-up inputs
    onnx_check.py MODEL.onnx TRACE_FOLDER …  also compare with what `ctedge-trainer trace` wrote there

The model is a volume graph (input `volume`) or a report graph (inputs `ids` and `mask`). A trace folder holds its inputs
and outputs as raw little-endian numbers in C order: `NAME.f32`, and `ids.i64`.
Prints one line a check and the largest absolute difference of each output. Exit status 1 when a check fails.
Needs: pip install onnx onnxruntime numpy
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("CI", "1")  # newer ONNX Runtime reports usage unless told that it runs in CI

import numpy as np
import onnx
import onnxruntime

SEED = 7


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("traces", type=Path, nargs="*", help="folders written by `ctedge-trainer trace`")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest absolute difference (default 1e-4)")
    arguments = parser.parse_args()

    check_file(arguments.model)
    session = onnxruntime.InferenceSession(str(arguments.model), providers=["CPUExecutionProvider"])
    failures = 0
    for name, inputs in (text_inputs if is_text(session) else volume_inputs)(session):
        failures += check_values(session, name, inputs)
    failures += check_padding(session) if is_text(session) else check_shares(session, arguments.tolerance)
    for trace in arguments.traces:
        failures += compare(session, trace, arguments.tolerance)
    return 1 if failures else 0


def is_text(session) -> bool:
    """Whether the graph reads reports rather than volumes."""
    return [entry.name for entry in session.get_inputs()] == ["ids", "mask"]


def volume_inputs(session):
    """A random volume and one of air."""
    shape = session.get_inputs()[0].shape
    yield "random", {"volume": np.random.default_rng(SEED).uniform(-1, 1, shape).astype(np.float32)}
    yield "empty", {"volume": np.full(shape, -1, np.float32)}


def text_inputs(session):
    """A report that fills every place, and the shortest one."""
    shape = session.get_inputs()[0].shape
    yield "full", {"ids": np.random.default_rng(SEED).integers(0, 64, shape), "mask": np.ones(shape, np.float32)}
    mask = np.zeros(shape, np.float32)
    mask[:, :2] = 1
    yield "short", {"ids": np.full(shape, 2, np.int64), "mask": mask}


def check_file(path: Path) -> None:
    """Structure, types and shapes by ONNX's checker; raises where something is wrong."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    opsets = ", ".join(f"{opset.domain or 'ai.onnx'} {opset.version}" for opset in model.opset_import)
    operators = sorted({node.op_type for node in model.graph.node})
    print(f"checker passed: IR {model.ir_version}, {opsets}, {len(model.graph.node)} nodes: {' '.join(operators)}")
    for pair in model.metadata_props:
        print(f"property {pair.key} = {pair.value}")


def check_values(session, name: str, inputs: dict) -> int:
    """Outputs are finite and of the declared shapes, saliency sums to one and the embedding is a unit vector."""
    outputs = dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs)))
    shapes = {output.name: tuple(output.shape) for output in session.get_outputs()}
    problems = [f"{key} has shape {value.shape}" for key, value in outputs.items() if value.shape != shapes[key]]
    problems += [f"{key} is not finite" for key, value in outputs.items() if not np.isfinite(value).all()]
    if "saliency" in outputs and abs(outputs["saliency"].sum() - 1) > 1e-4:
        problems.append(f"saliency sums to {outputs['saliency'].sum()}")
    if abs(np.linalg.norm(outputs["embedding"]) - 1) > 1e-4:
        problems.append(f"the embedding's length is {np.linalg.norm(outputs['embedding'])}")
    verdict = "; ".join(problems) if problems else "passed"
    print(f"{name} input: {verdict}", file=sys.stderr if problems else sys.stdout)
    return len(problems)


def check_shares(session, tolerance: float) -> int:
    """What the tokens add to a flag sums to its logit less the same constant, whatever the volume is."""
    if "flag_saliency" not in [output.name for output in session.get_outputs()]:
        return 0
    results = [session.run(["logits", "flag_saliency"], inputs) for _, inputs in volume_inputs(session)]
    first, second = [logits - shares.sum(-1) for logits, shares in results]
    difference = float(np.abs(first - second).max())
    passed = difference <= tolerance
    verdict = "passed" if passed else "NO CONSTANT OF THE FLAG"
    print(f"logits less their shares: differ by {difference:.3g}: {verdict}", file=sys.stdout if passed else sys.stderr)
    return 0 if passed else 1


def check_padding(session) -> int:
    """What stands behind a report's end changes nothing, to the last bit."""
    (_, short) = list(text_inputs(session))[1]
    other = dict(short, ids=np.where(short["mask"] > 0, short["ids"], 7))
    (first,), (second,) = session.run(None, short), session.run(None, other)
    passed = np.array_equal(first, second)
    print(f"padding: {'passed' if passed else 'CHANGES THE EMBEDDING'}", file=sys.stdout if passed else sys.stderr)
    return 0 if passed else 1


def compare(session, trace: Path, tolerance: float) -> int:
    """The training framework's outputs against ONNX Runtime's on the same input."""
    inputs = {entry.name: stored(trace, entry) for entry in session.get_inputs()}
    names = [output.name for output in session.get_outputs()]
    failures = 0
    for name, value in zip(names, session.run(names, inputs)):
        expected = np.fromfile(trace / f"{name}.f32", "<f4").reshape(value.shape)
        difference = float(np.abs(expected - value).max())
        # Written this way round, so that a difference that is no number fails.
        passed = difference <= tolerance
        failures += not passed
        verdict = "passed" if passed else f"ABOVE {tolerance:g}"
        line = f"{trace.name} {name}: largest difference {difference:.3g} of {np.abs(expected).max():.3g}: {verdict}"
        print(line, file=sys.stdout if passed else sys.stderr)
    return failures


def stored(trace: Path, entry) -> np.ndarray:
    """An input of a trace."""
    ending, kind = ("i64", "<i8") if entry.type == "tensor(int64)" else ("f32", "<f4")
    return np.fromfile(trace / f"{entry.name}.{ending}", kind).reshape(entry.shape)


if __name__ == "__main__":
    sys.exit(main())
