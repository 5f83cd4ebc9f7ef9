"""Small files of every kind that the reader takes, for fuzzing and for damaging.

    python seeds.py FOLDER

Slices 0 to 2 of a made-up series, slice 1 in every transfer syntax, a multi-frame object, NIfTI in both versions, a report; and a graph in a folder of its own.
"""

import json
import pathlib
import subprocess
import sys

import nibabel
import numpy as np
import onnx
import pydicom
from onnx import TensorProto, helper
from pydicom.uid import BasicTextSRStorage

HERE = pathlib.Path(__file__).parent
SIZE = 16

# Programs that write a slice anew: input and output follow.
WAYS = {
    "implicit": ["dcmconv", "+ti"],
    "big_endian": ["dcmconv", "+tb"],
    "deflated": ["dcmconv", "+td"],
    "undefined_lengths": ["dcmconv", "-e"],
    "rle": ["dcmcrle"],
    "jpeg_lossless": ["dcmcjpeg", "+e1"],
    "jpeg_12_bits": ["dcmcjpeg", "+ee", "+bt"],
    "jpeg_ls": ["dcmcjpls"],
    "jpeg_2000": ["gdcmconv", "--j2k"],
    "htj2k": [sys.executable, HERE / "syntax.py", "htj2k"],
    "jpeg_xl": [sys.executable, HERE / "syntax.py", "jpegxl"],
    "encapsulated": [sys.executable, HERE / "syntax.py", "encapsulated"],
}

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
plan = {"series": 1, "slices": 3, "size": SIZE, "seed": 5, "marker": ""}
subprocess.run([sys.executable, HERE / "make_series.py", folder, json.dumps(plan)], check=True)
slices = [path.rename(folder / f"slice_{number}.dcm") for number, path in enumerate(sorted((folder / "0").iterdir()))]
for path in [*folder.glob("*.uid")]:
    path.unlink()
for name, command in WAYS.items():
    subprocess.run([*command, slices[1], folder / f"{name}.dcm"], check=True, capture_output=True)
(folder / "0").rmdir()

parts = folder / "parts"
parts.mkdir()
for path in slices:
    (parts / path.name).symlink_to(path.resolve())
subprocess.run([sys.executable, HERE / "enhanced.py", "enhanced", parts, folder], check=True, capture_output=True)
for path in [*parts.iterdir()]:
    path.unlink()
parts.rmdir()

report = pydicom.dcmread(slices[0])
del report.PixelData, report.Rows, report.Columns
report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
report.Modality = "SR"
report.save_as(folder / "report.dcm")

values = np.arange(SIZE * SIZE * 3, dtype=np.int16).reshape(SIZE, SIZE, 3) - 1000
nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 1, 2, 1])), folder / "one.nii")
nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 1, 2, 1])), folder / "one.nii.gz")
nibabel.save(nibabel.Nifti2Image(values, np.diag([1, 1, 2, 1])), folder / "two.nii")

# The graph that `fuzz/src/bin/graph.rs` expects, with something of every kind in it.
flow = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xyz"]
weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1, 4], data_location=TensorProto.EXTERNAL)
weights.external_data.add(key="location", value="weights.bin")
inside = helper.make_graph([helper.make_node("Neg", ["x"], ["z"])], "inside", [], flow[2:])
nodes = [
    helper.make_node("Negate", ["x"], ["n"], domain="site"),
    helper.make_node("If", ["yes"], ["b"], then_branch=inside, else_branch=inside),
    helper.make_node("Mul", ["k", "k"], ["kk"]),
    helper.make_node("ConstantOfShape", ["kk"], ["c"]),
    helper.make_node("Tile", ["w", "k"], ["t"]),
    helper.make_node("Identity", ["n"], ["y"]),
]
constants = [helper.make_tensor("k", TensorProto.INT64, [2], [1, 2]), helper.make_tensor("yes", TensorProto.BOOL, [], [True])]
graph = helper.make_graph(nodes, "seed", flow[:1], flow[1:2], [*constants, weights])
sets = [helper.make_opsetid("", 17), helper.make_opsetid("site", 1)]
negate = helper.make_function("site", "Negate", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], sets)
(folder / "graph").mkdir()
onnx.save(helper.make_model(graph, functions=[negate], opset_imports=sets, ir_version=8), folder / "graph" / "seed.onnx")
