"""A series as it would be had the patient lain, or the scanner stood, otherwise: positions and directions are turned together.

    python turned.py SERIES FOLDER

Makes FOLDER/sagittal, coronal, prone, feet_first, decubitus, oblique and against (slices counted against their normal).
"""

import pathlib
import sys

import numpy as np
import pydicom

SLICES = 8
c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
WAYS = {
    "sagittal": [[0, 0, 1], [1, 0, 0], [0, -1, 0]],
    "coronal": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "prone": [[-1, 0, 0], [0, -1, 0], [0, 0, 1]],
    "feet_first": [[-1, 0, 0], [0, 1, 0], [0, 0, -1]],
    "decubitus": [[0, 1, 0], [-1, 0, 0], [0, 0, 1]],
    "oblique": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ [[1, 0, 0], [0, c, -s], [0, s, c]],
    "against": np.eye(3),
}

slices = [pydicom.dcmread(path) for path in sorted(pathlib.Path(sys.argv[1]).iterdir()) if path.suffix != ".txt"]
slices = sorted((ds for ds in slices if "PixelData" in ds), key=lambda ds: float(ds.ImagePositionPatient[2]))[:SLICES]
places = [(np.array(ds.ImagePositionPatient, float), np.array(ds.ImageOrientationPatient, float)) for ds in slices]
for name, turn in WAYS.items():
    folder = pathlib.Path(sys.argv[2]) / name
    folder.mkdir(parents=True)
    for number, (ds, (place, axes)) in enumerate(zip(slices, places)):
        axes = np.concatenate([np.asarray(turn) @ axes[:3], np.asarray(turn) @ axes[3:]])
        if name == "against":
            # Rows from below: the normal of the image plane points the other way.
            axes = axes * [1, 1, 1, -1, -1, -1]
        ds.ImagePositionPatient = [f"{value:.6f}" for value in np.asarray(turn) @ place]
        ds.ImageOrientationPatient = [f"{value:.9f}" for value in axes]
        ds.SeriesInstanceUID = f"2.25.{1000 + len(name)}"
        ds.InstanceNumber = SLICES - number
        for keyword in ("SliceLocation", "PatientPosition"):
            if keyword in ds:
                del ds[keyword]
        ds.save_as(folder / f"{number}.dcm")
