"""Puts an endless loop into a model, for volumes that are bright on the whole.

    python looping.py vision.onnx OUT.onnx

The output `logits` goes through an ONNX Loop without a last iteration, which goes on as long as the mean of the input is
above a bound. Ordinary chests lie far below it, and do not go round once.
"""

import sys

import onnx
from onnx import TensorProto, helper

# The input is scaled to -1 … 1: air to -1. A chest has a mean of about -0.5.
BOUND = 0.2


def main():
    model = onnx.load(sys.argv[1])
    graph = model.graph
    volume = graph.input[0].name
    for node in graph.node:
        node.output[:] = ["logits_once" if name == "logits" else name for name in node.output]
        node.input[:] = ["logits_once" if name == "logits" else name for name in node.input]
    logits = next(output for output in graph.output if output.name == "logits")
    shape = [dim.dim_value for dim in logits.type.tensor_type.shape.dim]
    value = lambda name, kind, dims: helper.make_tensor_value_info(name, kind, dims)
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on"], ["goes_on_again"]),
            helper.make_node("Identity", ["round"], ["round_again"]),
        ],
        "endless",
        [value("number", TensorProto.INT64, []), value("goes_on", TensorProto.BOOL, []), value("round", TensorProto.FLOAT, shape)],
        [value("goes_on_again", TensorProto.BOOL, []), value("round_again", TensorProto.FLOAT, shape)],
    )
    graph.initializer.append(helper.make_tensor("bound", TensorProto.FLOAT, [], [BOUND]))
    graph.node.extend(
        [
            helper.make_node("ReduceMean", [volume], ["brightness"], keepdims=0),
            helper.make_node("Greater", ["brightness", "bound"], ["is_bright"]),
            helper.make_node("Loop", ["", "is_bright", "logits_once"], ["logits"], body=body),
        ]
    )
    onnx.checker.check_model(model)
    onnx.save(model, sys.argv[2])


main()
