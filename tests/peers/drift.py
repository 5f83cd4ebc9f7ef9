"""How far apart two forward passes are that `ctedge-trainer trace` wrote down.

    python drift.py REFERENCE OTHER ...
    python drift.py REFERENCE vision.onnx

Prints, for each output, the largest difference and the length of the difference over the reference's own length.
"""

import pathlib
import sys

import numpy


def arrays(place):
    if place.suffix != ".onnx":
        return {path.stem: numpy.fromfile(path, "<f4") for path in place.glob("*.f32")}
    import onnxruntime

    session = onnxruntime.InferenceSession(str(place), providers=["CPUExecutionProvider"])
    (volume,) = session.get_inputs()
    shape = [edge if isinstance(edge, int) else 1 for edge in volume.shape]
    given = numpy.fromfile(reference / "volume.f32", "<f4").reshape(shape)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {volume.name: given})))


reference = pathlib.Path(sys.argv[1])
expected = arrays(reference)
for place in map(pathlib.Path, sys.argv[2:]):
    found = arrays(place)
    for name in sorted(expected.keys() & found.keys() - {"volume"}):
        theirs, ours = expected[name].astype("f8"), found[name].astype("f8").ravel()
        apart = ours - theirs
        share = numpy.linalg.norm(apart) / numpy.linalg.norm(theirs)
        print(f"{place.name:12} {name:10} largest {abs(apart).max():.2e}  relative {share:.2e}")
