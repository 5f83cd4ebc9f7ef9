"""Reads a CT series as one would in Python: the peers of the benchmark of reading.

    python reading.py pydicom|simpleitk FOLDER
    python reading.py scipy|torch VOLUME.npy SPEC

Prints one JSON object: seconds of the work itself, imports left aside, and the process's peak memory in kB. SPEC is
`{"size": [z, y, x]}` with the tensor's size.
"""

import json
import pathlib
import resource
import sys
import time

import numpy as np


def pydicom(folder):
    import pydicom

    def work():
        slices = [pydicom.dcmread(path) for path in sorted(pathlib.Path(folder).iterdir())]
        slices.sort(key=lambda ds: float(ds.ImagePositionPatient[2]))
        volume = np.empty((len(slices), slices[0].Rows, slices[0].Columns), np.int16)
        for plane, ds in zip(volume, slices):
            plane[:] = ds.pixel_array.astype(np.int16) * int(ds.RescaleSlope) + int(ds.RescaleIntercept)
        return volume

    return work


def simpleitk(folder):
    import SimpleITK

    def work():
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
        return reader.Execute()

    return work


def scaled(values):
    np.clip(values, -1000, 1000, out=values)
    values /= 1000
    return values


def scipy(volume, spec):
    from scipy import ndimage

    volume, size = np.load(volume), json.loads(spec)["size"]
    factors = [to / have for to, have in zip(size, volume.shape)]
    return lambda: scaled(ndimage.zoom(volume, factors, np.float32, order=1, mode="nearest", grid_mode=True))


def torch(volume, spec):
    import torch

    volume, size = torch.from_numpy(np.load(volume)), json.loads(spec)["size"]

    def work():
        voxels = volume.float()[None, None]
        out = torch.nn.functional.interpolate(voxels, size=size, mode="trilinear", align_corners=False)
        return out.clamp_(-1000, 1000).div_(1000)

    return work


work = globals()[sys.argv[1]](*sys.argv[2:])
start = time.perf_counter()
work()
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
