"""A classifier of volumes that is not ours, by PyTorch: byo_torch.py RECIPE GOLDEN.npy OUT.

Writes OUT/model.onnx, named as PyTorch names things, and OUT/golden.json, the logits that PyTorch itself computes for the
tensor that `ctedge-trainer golden RECIPE` has written. Its output is committed in tests/data/byo, since PyTorch is too large
for every run of the tests; OUT/made_by.txt says by which version.
"""

import json
import pathlib
import sys
import tomllib

import numpy as np
import onnx
import torch

recipe, golden, out = sys.argv[1], np.load(sys.argv[2]), pathlib.Path(sys.argv[3])
labels = len(tomllib.loads(pathlib.Path(recipe).read_text())["labels"])
torch.manual_seed(7)
model = torch.nn.Sequential(
    torch.nn.Conv3d(1, 8, 3, stride=2, padding=1),
    torch.nn.InstanceNorm3d(8, affine=True),
    torch.nn.GELU(),
    torch.nn.Conv3d(8, 16, 3, stride=2, padding=1),
    torch.nn.ReLU(),
    torch.nn.AdaptiveAvgPool3d(1),
    torch.nn.Flatten(),
    torch.nn.Linear(16, labels),
).eval()
volume = torch.from_numpy(golden)
out.mkdir(parents=True, exist_ok=True)
with torch.no_grad():
    logits = model(volume)[0].tolist()
    torch.onnx.export(model, (volume,), str(out / "model.onnx"), external_data=False, verbose=False)
graph = onnx.load(out / "model.onnx")
for node in graph.graph.node:
    del node.metadata_props[:]  # PyTorch notes where in the files of this machine each operator comes from
onnx.save(graph, out / "model.onnx")
(out / "golden.json").write_text(json.dumps(logits) + "\n")
(out / "made_by.txt").write_text(f"PyTorch {torch.__version__}\n")
