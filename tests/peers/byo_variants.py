"""The same model as other tools would have written it: byo_variants.py MODEL.onnx OUT.

Each variant computes the same, or cannot be bundled; the name of its folder says which. byo_variants.py MODEL.onnx PACKED.onnx
says instead whether a packed graph is the model but for the names at its ends, in every field that ONNX's own library knows.
"""

import pathlib
import sys

import onnx
from onnx import helper

source, out = sys.argv[1], pathlib.Path(sys.argv[2])

if out.is_file():
    model, packed = onnx.load(source), onnx.load(out)
    onnx.checker.check_model(packed, full_check=True)
    first, last = packed.graph.node[0], packed.graph.node[-1]
    assert [first.op_type, *first.input, *first.output] == ["Identity", "volume", model.graph.input[0].name]
    assert [last.op_type, *last.input, *last.output] == ["Identity", model.graph.output[0].name, "logits"]
    del packed.graph.node[0], packed.graph.node[-1]
    for graph in (model.graph, packed.graph):
        del graph.input[:], graph.output[:]
    assert model == packed and model.SerializeToString(deterministic=True) == packed.SerializeToString(deterministic=True)
    print("the same")
    sys.exit()


def written(name, change, **options):
    model = onnx.load(source)
    change(model.graph)
    (out / name).mkdir(parents=True)
    onnx.save_model(model, out / name / "model.onnx", **options)


def axis(which, place, length=None, name=None):
    def change(graph):
        dim = getattr(graph, which)[0].type.tensor_type.shape.dim[place]
        dim.Clear()
        if name:
            dim.dim_param = name
        elif length:
            dim.dim_value = length

    return change


def kind(graph):
    graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16


def second(graph):
    graph.output.append(helper.make_tensor_value_info(graph.node[0].output[0], 1, None))


def listed(graph):
    graph.input.extend(helper.make_tensor_value_info(one.name, one.data_type, one.dims) for one in graph.initializer)


def ours(graph):
    for name, new in ((graph.input[0].name, "volume"), (graph.output[0].name, "logits")):
        for node in graph.node:
            for names in (node.input, node.output):
                for place, have in enumerate(names):
                    names[place] = new if have == name else have
    graph.input[0].name, graph.output[0].name = "volume", "logits"


written("fine-as-it-is", lambda graph: None)
written("fine-weights-beside", lambda graph: None, save_as_external_data=True, location="model.onnx.data", size_threshold=512)
written("fine-any-batch", lambda graph: (axis("input", 0, name="batch")(graph), axis("output", 0, name="batch")(graph)))
written("fine-unknown-batch", axis("input", 0))
written("fine-constants-listed", listed)
written("fine-our-names", ours)
written("wrong-size", axis("input", 2, length=25))
written("wrong-labels", axis("output", 1, length=4))
written("wrong-kind", kind)
written("wrong-outputs", second)
written("wrong-operator", lambda graph: graph.node.append(helper.make_node("Sum", ["linear"], ["x"], domain="com.other")))
