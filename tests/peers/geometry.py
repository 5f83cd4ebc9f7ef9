#!/usr/bin/env python3
"""Compares a volume that ctedge read with what dcm2niix and nibabel make of the same files.

    geometry.py DUMP SOURCE

DUMP holds `volume.json` (`size` along i, j, k; `affine`: RAS, 4 x 4, in mm) and `voxels.f32` (HU, little endian, i
fastest). SOURCE is a folder with one DICOM series, converted by dcm2niix, or a NIfTI file, read as it is.
Prints the largest distance of a corner in mm and of a voxel in HU. Exit status 1 when they are more than 1e-3 mm and 0.
Needs: pip install numpy nibabel; dcm2niix on the path
"""

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np


def peer(source: Path, scratch: Path) -> nibabel.Nifti1Image:
    if source.is_file():
        return nibabel.load(source)
    command = ["dcm2niix", "-b", "n", "-z", "n", "-m", "y", "-o", str(scratch), "-f", "peer", str(source)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    images = list(scratch.glob("*.nii"))
    if len(images) != 1:
        sys.exit(f"dcm2niix made {len(images)} volumes of this series")
    return nibabel.load(images[0])


def main() -> int:
    dump, source = Path(sys.argv[1]), Path(sys.argv[2])
    ours = json.loads((dump / "volume.json").read_text())
    size, affine = ours["size"], np.array(ours["affine"])
    voxels = np.fromfile(dump / "voxels.f32", "<f4").reshape(size, order="F")
    with tempfile.TemporaryDirectory() as scratch:
        image = peer(source, Path(scratch))
        their_affine, their_voxels = image.affine, np.asarray(image.get_fdata(dtype=np.float64))
    if their_voxels.ndim == 4 and their_voxels.shape[3] == 1:
        their_voxels = their_voxels[..., 0]

    # Our index of each of their voxels: a flip of axes at most, if both see the same grid.
    to_ours = np.linalg.inv(affine) @ their_affine
    turn = np.rint(to_ours[:3, :3]).astype(int)
    axes = np.abs(turn).argmax(axis=0)
    if sorted(axes) != [0, 1, 2] or not np.array_equal(np.abs(turn).sum(axis=0), [1, 1, 1]):
        print("the grids do not match")
        return 1
    flipped = [axis for axis in range(3) if turn[axes[axis], axis] < 0]
    seen = np.flip(np.transpose(voxels, axes), flipped)
    if seen.shape != their_voxels.shape:
        print(f"size {seen.shape}, theirs {their_voxels.shape}")
        return 1

    worst_mm = 0.0
    for corner in itertools.product(*[(0, side - 1) for side in their_voxels.shape]):
        theirs = their_affine @ [*corner, 1]
        index = np.zeros(3)
        for axis in range(3):
            side = their_voxels.shape[axis]
            index[axes[axis]] = side - 1 - corner[axis] if axis in flipped else corner[axis]
        worst_mm = max(worst_mm, np.abs(affine @ [*index, 1] - theirs).max())
    worst_hu = np.abs(seen - their_voxels).max()
    print(f"{their_voxels.size} voxels, corners within {worst_mm:.1e} mm, values within {worst_hu:g} HU")
    return 0 if worst_mm <= 1e-3 and worst_hu == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
