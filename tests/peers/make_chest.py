"""A long series made of the slices of a real one, forth and back, 1 mm apart: noise and anatomy as scanners write them.

    python make_chest.py FOLDER OUT COUNT
"""

import pathlib
import sys

import pydicom

source, out, count = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
slices = [pydicom.dcmread(path) for path in sorted(source.iterdir())]
slices = sorted((ds for ds in slices if "PixelData" in ds), key=lambda ds: float(ds.ImagePositionPatient[2]))
out.mkdir(parents=True, exist_ok=True)
for number in range(count):
    # Forth and back, so that neighbours stay alike.
    turn = number % (2 * len(slices) - 2)
    ds = slices[min(turn, 2 * len(slices) - 2 - turn)]
    x, y, _ = ds.ImagePositionPatient
    ds.ImagePositionPatient = [x, y, float(number)]
    ds.SliceLocation, ds.SliceThickness, ds.InstanceNumber = float(number), 1, number + 1
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"2.25.77{number}"
    ds.save_as(out / f"{number:04}.dcm")
