"""Makes tests/data/preprocess/golden.json: expected tensors of small volumes, by numpy and scipy in double precision.

Independent of the Rust code: it orients with array transposes and flips, and samples with scipy.ndimage.map_coordinates
(order 1, mode nearest). Run it only when the contract changes:

    python3 tests/peers/preprocess_golden.py tests/data/preprocess/golden.json
"""

import json
import sys

import numpy as np
from scipy.ndimage import map_coordinates

LPS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}


def expected(voxels, geometry, spec):
    """voxels: [k, j, i]. Returns [z, y, x] in double precision."""
    spacing_kji = np.array(geometry["spacing_mm"])[::-1]
    axes = np.array(geometry["direction"])  # axes[a] = direction of index axis a (i, j, k)
    dominant = [int(np.argmax(np.abs(axes[a]))) for a in range(3)]
    array, spacing = voxels.astype(np.float64), []
    order, flips = [], []
    for letter in reversed(spec["orientation"]):  # z, y, x
        patient, sign = LPS[letter]
        index_axis = dominant.index(patient)
        order.append(2 - index_axis)  # place of that index axis in [k, j, i]
        flips.append(np.sign(axes[index_axis][patient]) != sign)
        spacing.append(spacing_kji[2 - index_axis])
    array = np.transpose(array, order)
    for place, flip in enumerate(flips):
        if flip:
            array = np.flip(array, place)
    (kind, grid), = spec["grid"].items()
    size = grid["size"]
    if kind == "resize":
        ratio = [n / s for n, s in zip(array.shape, size)]
        resampled = list(size)
    else:
        ratio = [target / have for target, have in zip(grid["spacing_mm"], spacing)]
        resampled = [max(1, int(np.floor(n / r + 0.5))) for n, r in zip(array.shape, ratio)]
    points = [(np.arange(m) + 0.5) * r - 0.5 for m, r in zip(resampled, ratio)]
    array = map_coordinates(array, np.meshgrid(*points, indexing="ij"), order=1, mode="nearest")
    low, high = spec["window_hu"]
    out_low, out_high = spec["output_range"]
    scale = lambda hu: (np.clip(hu, low, high) - low) / (high - low) * (out_high - out_low) + out_low
    array = scale(array)
    for axis, (have, want) in enumerate(zip(resampled, size)):
        if have >= want:
            start = (have - want) // 2
            array = np.take(array, range(start, start + want), axis)
        else:
            before = (want - have) // 2
            widths = [(0, 0)] * 3
            widths[axis] = (before, want - have - before)
            array = np.pad(array, widths, constant_values=scale(np.float64(spec["fill_hu"])))
    return array


def rotation(order, signs):
    axes = np.zeros((3, 3))
    for a, (patient, sign) in enumerate(zip(order, signs)):
        axes[a, patient] = sign
    return axes.tolist()


def cases():
    rng = np.random.default_rng(20261123)
    oblique = np.array([[np.cos(0.2), np.sin(0.2), 0], [-np.sin(0.2), np.cos(0.2), 0], [0, 0, 1]]).tolist()
    layouts = [
        ("axial", [9, 7, 5], [0.7, 0.8, 2.5], rotation((0, 1, 2), (1, 1, 1))),
        ("feet first", [6, 9, 4], [0.6, 0.6, 5.0], rotation((0, 1, 2), (-1, 1, -1))),
        ("prone", [7, 6, 8], [0.9, 0.9, 1.0], rotation((0, 1, 2), (-1, -1, 1))),
        ("sagittal", [8, 7, 6], [0.5, 1.1, 3.0], rotation((1, 2, 0), (1, -1, 1))),
        ("coronal", [5, 9, 7], [1.3, 0.7, 2.0], rotation((0, 2, 1), (1, -1, -1))),
        ("oblique", [7, 8, 6], [1.0, 1.0, 1.5], oblique),
        ("one voxel", [1, 1, 1], [1.0, 1.0, 1.0], rotation((0, 1, 2), (1, 1, 1))),
    ]
    specs = [
        ("resize", "LPS", {"resize": {"size": [4, 6, 5]}}, [-1000, 1000], [-1, 1], -1000),
        ("coarser", "LPS", {"spacing": {"spacing_mm": [3.1, 1.7, 1.9], "size": [6, 5, 4]}}, [-1000, 200], [0, 1], -1000),
        ("finer", "RAI", {"spacing": {"spacing_mm": [1.25, 0.5, 0.4], "size": [9, 11, 10]}}, [-1150, 350], [0, 1], -500),
        ("turned", "PSR", {"spacing": {"spacing_mm": [1.0, 1.5, 2.0], "size": [5, 6, 7]}}, [-1000, 1000], [-1, 1], 0),
    ]
    for name, size, spacing, direction in layouts:
        for kind, orientation, grid, window, output, fill in specs:
            voxels = rng.integers(-1400, 1400, size[::-1], dtype=np.int16)
            geometry = {"size": size, "spacing_mm": spacing, "origin_mm": [1.0, 2.0, 3.0], "direction": direction}
            spec = {"orientation": orientation, "grid": grid, "window_hu": window, "output_range": output, "fill_hu": fill}
            values = expected(voxels, geometry, spec)
            yield {
                "name": f"{name}, {kind}",
                "geometry": geometry,
                "spec": spec,
                "voxels": voxels.ravel().tolist(),
                "expected": [float(f"{value:.8g}") for value in values.ravel()],
            }


if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases()) + "\n]\n")
