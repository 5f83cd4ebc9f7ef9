"""Compares a volume that ctedge resampled (tilted gantry, uneven steps) with what scipy and dcm2niix make of the series.

    python resample.py DUMP SERIES

DUMP as geometry.py has it. scipy interpolates the acquired slices at the places of our voxels: it has to agree to half a HU,
which is what rounding leaves (and 0.02 more for rounded directions). dcm2niix resamples by a method of its own onto slices of
its own; the pictures have to be alike.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from scipy.ndimage import map_coordinates

FILL = -1000.0
SAME_PLACE_MM = 0.01  # what lies this near to a slice is that slice
EDGE = 1e-3  # voxels beyond an edge that still count as on it


def acquired(series):
    """Slices in order: positions, pixel vectors, HU."""
    slices = [pydicom.dcmread(path) for path in sorted(Path(series).iterdir())]
    row, column = (np.array(slices[0].ImageOrientationPatient[part], float) for part in (slice(3), slice(3, 6)))
    normal = np.cross(row, column)
    slices.sort(key=lambda s: np.dot(np.array(s.ImagePositionPatient, float), normal))
    positions = np.array([s.ImagePositionPatient for s in slices], float)
    dj, di = (float(value) for value in slices[0].PixelSpacing)
    hu = np.stack([s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices])
    return positions, (row * di, column * dj, normal), hu


def by_scipy(size, affine_lps, positions, vectors, hu):
    row, column, normal = vectors
    along = positions @ normal
    volume = np.empty(size[::-1])
    i, j = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    for k in range(size[2]):
        points = affine_lps[:3, :3] @ np.stack([i.ravel(), j.ravel(), np.full(i.size, k)]) + affine_lps[:3, 3:]
        place = np.interp(float(points[:, 0] @ normal), along, np.arange(len(along)))
        nearest = round(place)
        if abs(float(points[:, 0] @ normal) - along[nearest]) <= SAME_PLACE_MM:
            place = nearest
        below, share = int(place), place - int(place)
        planes = []
        for index in (below, min(below + 1, len(along) - 1)):
            beside = points - positions[index][:, None]
            at = [column @ beside / (column @ column), row @ beside / (row @ row)]
            for x, last in zip(at, (hu.shape[1] - 1, hu.shape[2] - 1)):
                x[(x < 0) & (x >= -EDGE)] = 0
                x[(x > last) & (x <= last + EDGE)] = last
            planes.append(map_coordinates(hu[index], at, order=1, mode="constant", cval=np.nan))
        filled = [np.where(np.isnan(plane), FILL, plane) for plane in planes]
        mix = filled[0] * (1 - share) + filled[1] * share
        volume[k] = mix.reshape(i.shape)
    return volume


def like_dcm2niix(voxels, step_mm, series):
    """Least likeness of three slices to those of dcm2niix, and how many rows they lie apart.

    The pictures are compared, not their places: dcm2niix 2022 does not move the origin of a volume that it shears back, so
    that its slices lie some rows beside the positions in the headers.
    """
    with tempfile.TemporaryDirectory() as scratch:
        command = ["dcm2niix", "-b", "n", "-z", "n", "-m", "y", "-o", scratch, "-f", "peer", str(series)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        name = max(Path(scratch).glob("*.nii"), key=lambda path: len(path.name))
        image = nibabel.load(name)
        theirs = np.asarray(image.get_fdata()).transpose(2, 1, 0)[:, ::-1]
    if theirs.shape[1:] != voxels.shape[1:]:
        sys.exit(f"dcm2niix made slices of {theirs.shape[1:]}, ctedge of {voxels.shape[1:]}")
    rows, columns = (slice(side // 6, -side // 6) for side in voxels.shape[1:])
    found = []
    for k in (voxels.shape[0] * quarter // 4 for quarter in (1, 2, 3)):
        their_slice = theirs[round(k * step_mm / np.linalg.norm(image.affine[:3, 2]))]
        ours = voxels[k][rows, columns].ravel()
        shifts = range(-5, 6)
        likeness = [np.corrcoef(ours, np.roll(their_slice, s, 0)[rows, columns].ravel())[0, 1] for s in shifts]
        found.append((max(likeness), shifts[int(np.argmax(likeness))]))
    return min(found)[0], [shift for _, shift in found]


def main():
    dump, series = Path(sys.argv[1]), sys.argv[2]
    ours = json.loads((dump / "volume.json").read_text())
    size, affine = ours["size"], np.array(ours["affine"])
    voxels = np.fromfile(dump / "voxels.f32", "<f4").reshape(size[::-1])
    scipy = by_scipy(size, np.diag([-1, -1, 1, 1]) @ affine, *acquired(series))
    apart = np.abs(voxels - scipy)
    worst = np.unravel_index(apart.argmax(), apart.shape)
    said = f"size {size}; scipy: at most {apart.max():.3f} HU apart, at {worst}: {voxels[worst]} and {scipy[worst]:.3f}"
    if apart.max() > 0.52:
        sys.exit(f"{said}; {(apart > 0.52).mean():.5f} of the voxels")
    print(said)
    if voxels.max() < 0:
        return print("noise: no picture that dcm2niix could be compared with")
    likeness, shifts = like_dcm2niix(voxels, float(np.linalg.norm(affine[:3, 2])), series)
    said = f"dcm2niix: correlation at least {likeness:.3f}, with shifts of {shifts} rows"
    if likeness < 0.8:
        sys.exit(said)
    print(said)


if __name__ == "__main__":
    main()
