#!/usr/bin/env python3
"""Writes ONNX's own test graphs, one or more for each of its operators, and the networks that come with it.

    onnx_examples.py OUT_FOLDER

Prints a JSON list: path, operator set, inputs and outputs (name, kind of element, shape). Left out are graphs without fixed
shapes, of operator sets before 7 and of other domains; a set that ONNX Runtime 1.28 does not support yet is called 26.
Needs: pip install onnx numpy
"""

import json
import sys
import warnings
from pathlib import Path

import onnx
from onnx.backend.test.case.node import collect_testcases

NEWEST = 26


def ports(values):
    """Name, kind of element and shape of each; none where one has no fixed shape."""
    listed = []
    for value in values:
        tensor = value.type.tensor_type
        fixed = all(dim.WhichOneof("value") == "dim_value" for dim in tensor.shape.dim)
        if value.type.WhichOneof("value") != "tensor_type" or not fixed:
            return None
        listed.append([value.name, tensor.elem_type, [dim.dim_value for dim in tensor.shape.dim]])
    return listed


def written(model, path):
    """Writes a graph of which constants are no inputs, in a format that goes with that."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = min(max(model.ir_version, 4), 13)
    own = [known for known in model.opset_import if known.domain in ("", "ai.onnx")]
    for known in own:
        known.version = min(known.version, NEWEST)
    row = {"path": str(path), "inputs": ports(inputs), "outputs": ports(model.graph.output)}
    foreign = any(node.domain not in ("", "ai.onnx") for node in model.graph.node)
    if foreign or len(own) != 1 or own[0].version < 7 or row["inputs"] is None or row["outputs"] is None:
        return []
    path.write_bytes(model.SerializeToString())
    return [{**row, "opset": own[0].version}]


def main():
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    rows = []
    for example in collect_testcases(None):
        rows += written(example.model, folder / f"{example.name}.onnx")
    stored = Path(onnx.__file__).parent / "backend/test/data"
    for number, path in enumerate(sorted(stored.rglob("*.onnx"))):
        rows += written(onnx.load(path, load_external_data=False), folder / f"stored_{number}.onnx")
    json.dump(rows, sys.stdout)


main()
