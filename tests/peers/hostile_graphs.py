#!/usr/bin/env python3
"""Makes ONNX graphs that no device may load, and harmless ones of the same kinds.

    hostile_graphs.py VISION.onnx OUT_FOLDER     writes OUT_FOLDER/CASE/vision.onnx, and other files of the case beside it
    hostile_graphs.py --load MODEL.onnx          loads a graph in ONNX Runtime with 4 GiB of address space

Every graph has the inputs and outputs of VISION.onnx. The first prints a line a case: its name, the code with which it is
to be refused (or `fine`), and which control flow its manifest declares (or `-`).
Needs: pip install onnx onnxruntime numpy
"""

import os
import resource
import sys
from pathlib import Path

os.environ.setdefault("CI", "1")  # newer ONNX Runtime reports usage unless told that it runs in CI

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
CASES = []


def case(code="fine", control_flow="-"):
    """Registers a function that changes a plain model, or returns the file's bytes, as a case."""

    def register(function):
        CASES.append((function.__name__, code, control_flow, function))
        return function

    return register


def plain(reference):
    """A model with the reference's inputs and outputs that computes nothing."""
    outputs = list(reference.graph.output)
    shape = lambda output: [dim.dim_value for dim in output.type.tensor_type.shape.dim]
    lengths = [numpy_helper.from_array(np.array(shape(output), np.int64), f"{output.name}/shape") for output in outputs]
    nodes = [helper.make_node("ConstantOfShape", [f"{output.name}/shape"], [output.name]) for output in outputs]
    graph = helper.make_graph(nodes, "plain", list(reference.graph.input), outputs, lengths)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def constant(model, values, name="k"):
    model.graph.initializer.append(numpy_helper.from_array(np.array(values), name))


def node(model, operator, inputs, **settings):
    model.graph.node.append(helper.make_node(operator, inputs, ["made"], **settings))


def external(location, offset=0, length=400, elements=100, **more):
    """A tensor of floats that lies in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[elements], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": offset, "length": length, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def varint(number):
    """A number as protobuf writes it."""
    low = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([seven | 0x80 for seven in low[:-1]] + low[-1:])


def body(*nodes):
    """The branch of an If."""
    output = helper.make_tensor_value_info("inside", TensorProto.FLOAT, None)
    return helper.make_graph(list(nodes), "branch", [], [output])


def branch(model, *nodes):
    """An If of which both branches are these nodes."""
    constant(model, True, "yes")
    node(model, "If", ["yes"], then_branch=body(*nodes), else_branch=body(*nodes))


def function(model, name, *nodes):
    """A function of the model, called once."""
    sets = [helper.make_opsetid("", OPSET), helper.make_opsetid("site", 1)]
    model.functions.append(helper.make_function("site", name, ["a"], ["b"], list(nodes), sets))
    if not any(known.domain == "site" for known in model.opset_import):
        model.opset_import.append(helper.make_opsetid("site", 1))
        node(model, name, ["volume"], domain="site")


NEGATE = helper.make_node("Neg", ["volume"], ["inside"])


@case()
def nothing_added(model, folder):
    pass


@case()
def external_within_the_bundle(model, folder):
    (folder / "weights.bin").write_bytes(bytes(400))
    model.graph.initializer.append(external("weights.bin"))


@case(control_flow="If")
def branch_declared(model, folder):
    branch(model, NEGATE)


@case()
def function_of_onnx_operators(model, folder):
    function(model, "Negate", helper.make_node("Neg", ["a"], ["b"]))


@case()
def small_shapes(model, folder):
    constant(model, np.array([2, 3, 4], np.int64))
    node(model, "ConstantOfShape", ["k"])


@case("onnx_external_data")
def external_absolute(model, folder):
    model.graph.initializer.append(external("/etc/passwd"))


@case("onnx_external_data")
def external_parent(model, folder):
    model.graph.initializer.append(external("../../../../etc/passwd"))


@case("onnx_external_data")
def external_unnamed(model, folder):
    model.graph.initializer.append(external("weights.bin"))


@case("onnx_external_data")
def external_beyond_the_end(model, folder):
    (folder / "weights.bin").write_bytes(bytes(399))
    model.graph.initializer.append(external("weights.bin"))


@case("onnx_external_data")
def external_overflowing_offset(model, folder):
    (folder / "weights.bin").write_bytes(bytes(400))
    model.graph.initializer.append(external("weights.bin", offset=2**64 - 1))


@case("onnx_external_data")
def external_memory_address(model, folder):
    """ONNX Runtime's mark for tensors in its own memory: offset is a pointer."""
    model.graph.initializer.append(external("*/_ORT_MEM_ADDR_/*", offset=4096))


@case("onnx_external_data")
def external_in_an_attribute(model, folder):
    node(model, "Constant", [], value=external("/etc/passwd"))


@case("onnx_external_data", "If")
def external_in_a_branch(model, folder):
    branch(model, helper.make_node("Constant", [], ["inside"], value=external("/etc/passwd")))


@case("onnx_external_data")
def external_in_a_function(model, folder):
    function(model, "Read", helper.make_node("Constant", [], ["b"], value=external("/etc/passwd")))


@case("onnx_external_data")
def external_in_a_sparse_tensor(model, folder):
    indices = numpy_helper.from_array(np.arange(100, dtype=np.int64))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(external("/etc/passwd"), indices, [100]))


@case("onnx_domain")
def unknown_domain(model, folder):
    model.opset_import.append(helper.make_opsetid("com.evil", 1))
    node(model, "Shell", ["volume"], domain="com.evil")


@case("onnx_domain")
def compiled_engine(model, folder):
    """A node that holds an engine compiled elsewhere, or names a file that does."""
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    node(model, "EPContext", ["volume"], domain="com.microsoft", embed_mode=0, ep_cache_context="/tmp/engine")


@case("onnx_domain")
def unknown_domain_in_a_function(model, folder):
    function(model, "Innocent", helper.make_node("Shell", ["a"], ["b"], domain="com.evil"))


@case("onnx_control_flow")
def loop_undeclared(model, folder):
    constant(model, True, "yes")
    flag = lambda name: helper.make_tensor_value_info(name, TensorProto.BOOL, [])
    number = helper.make_tensor_value_info("number", TensorProto.INT64, [])
    steps = [helper.make_node("Identity", ["on"], ["on_again"]), helper.make_node("Not", ["flag"], ["flag_again"])]
    endless = helper.make_graph(steps, "g", [number, flag("on"), flag("flag")], [flag("on_again"), flag("flag_again")])
    node(model, "Loop", ["", "yes", "yes"], body=endless)


@case("onnx_control_flow", "If")
def loop_in_a_declared_branch(model, folder):
    branch(model, helper.make_node("Loop", ["", "yes"], ["inside"], body=body(NEGATE)))


@case("onnx_control_flow")
def branch_in_a_function(model, folder):
    inside = helper.make_node("If", ["a"], ["b"], then_branch=body(NEGATE), else_branch=body(NEGATE))
    function(model, "Choose", inside)


@case("onnx_size")
def constant_of_16_gigabytes(model, folder):
    constant(model, np.array([4, 1 << 30], np.int64))
    node(model, "ConstantOfShape", ["k"])


@case("onnx_size")
def expanded(model, folder):
    constant(model, np.array([1 << 20, 1 << 20], np.int64))
    constant(model, np.float32(0), "zero")
    node(model, "Expand", ["zero", "k"])


@case("onnx_size")
def tiled(model, folder):
    constant(model, np.array([1, 1, 1000, 1000, 1000], np.int64))
    node(model, "Tile", ["volume", "k"])


@case("onnx_size")
def counted(model, folder):
    for name, value in [("from", 0), ("to", 1 << 40), ("step", 1)]:
        constant(model, np.int64(value), name)
    node(model, "Range", ["from", "to", "step"])


@case("onnx_size")
def resized(model, folder):
    constant(model, np.array([1, 1, 100, 100, 100], np.float32))
    node(model, "Resize", ["volume", "", "k"])


@case("onnx_size")
def length_computed_by_the_graph(model, folder):
    constant(model, np.array([1 << 20], np.int64))
    model.graph.node.append(helper.make_node("Mul", ["k", "k"], ["product"]))
    node(model, "ConstantOfShape", ["product"])


@case("onnx_size")
def declared_value(model, folder):
    model.graph.value_info.append(helper.make_tensor_value_info("v", TensorProto.FLOAT, [1 << 20, 1 << 20]))


@case("onnx_size")
def sparse_constant(model, folder):
    values = numpy_helper.from_array(np.zeros(1, np.float32), "sparse")
    indices = numpy_helper.from_array(np.zeros(1, np.int64))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1 << 34]))


@case("onnx_malformed")
def shape_beyond_the_bytes(model, folder):
    constant(model, np.zeros(4, np.float32))
    model.graph.initializer[-1].dims[:] = [4096]


@case("onnx_malformed")
def no_onnx_file(model, folder):
    return b"MZ" + bytes(1000)


@case("onnx_malformed")
def deep(model, folder):
    """Graphs in attributes of nodes of graphs, deeper than Python's protobuf writes them."""
    graph = b""
    for _ in range(60):
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            graph = tag + varint(len(graph)) + graph
    return model.SerializeToString() + b"\x3a" + varint(len(graph)) + graph


@case("onnx_malformed")
def function_that_calls_itself(model, folder):
    function(model, "Again", helper.make_node("Again", ["a"], ["b"], domain="site"))


@case("onnx_complex")
def functions_that_multiply(model, folder):
    for level in range(30):
        calls = [helper.make_node(f"F{level + 1}", ["a"], [name], domain="site") for name in ("b", "c")]
        function(model, f"F{level}", *calls)
    function(model, "F30", helper.make_node("Neg", ["a"], ["b"]))


@case("onnx_complex")
def a_flood_of_empty_nodes(model, folder):
    return model.SerializeToString() + b"\x3a" + varint(1 << 23) + b"\x0a\x00" * (1 << 22)


@case("onnx_training")
def training_information(model, folder):
    model.training_info.add()


@case("onnx_version")
def another_operator_set(model, folder):
    model.opset_import[0].version = OPSET + 1


@case("onnx_version")
def a_format_of_the_future(model, folder):
    model.ir_version = 99


@case("onnx_shape")
def another_output_shape(model, folder):
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 2


@case("onnx_shape")
def another_kind_of_element(model, folder):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


@case("onnx_shape")
def an_open_length(model, folder):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "any"


@case("onnx_shape")
def one_more_input(model, folder):
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def load(path):
    """Whether ONNX Runtime loads it, or what it says."""
    import onnxruntime

    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    onnxruntime.set_default_logger_severity(4)
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        inputs = {entry.name: np.zeros(entry.shape, np.float32) for entry in session.get_inputs()}
        session.run(None, inputs)
        print("runs")
    except Exception as error:
        print(f"fails: {error}")


def main():
    if sys.argv[1] == "--load":
        return load(sys.argv[2])
    reference = onnx.load(sys.argv[1])
    for name, code, control_flow, change in CASES:
        folder = Path(sys.argv[2]) / name
        folder.mkdir(parents=True)
        model = plain(reference)
        content = change(model, folder)
        (folder / "vision.onnx").write_bytes(content if content is not None else model.SerializeToString())
        print(name, code, control_flow)


main()
