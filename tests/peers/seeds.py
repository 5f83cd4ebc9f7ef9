"""Small files of every kind that the reader takes, for fuzzing and for damaging.

    python seeds.py FOLDER

Slices 0 to 2 of a made-up series, slice 1 in every transfer syntax, a multi-frame object, NIfTI in both versions, a report.
"""

import json
import pathlib
import subprocess
import sys

import nibabel
import numpy as np
import pydicom
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
