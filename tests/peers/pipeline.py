"""The same job as ctedge's, as one would write it in Python: the peer of the benchmark.

Watches a folder, and when a series has been quiet long enough reads it with pydicom, stacks it in HU, resamples it with
scipy to the model's grid, runs the same ONNX graph with onnxruntime and publishes the flags with paho to the same broker.

    python pipeline.py '{"incoming": ..., "model": ..., "spec": {...}, "port": ..., "quiet_s": ..., "settle_s": ...,
                         "poll_s": ..., "topic": ...}'
"""

import json
import os
import sys
import time

import numpy as np
import onnxruntime
import paho.mqtt.client as mqtt
import pydicom
from scipy.ndimage import map_coordinates

LPS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}


def read(paths):
    """Volume in HU [k, j, i], spacing in mm (k, j, i) and the unit vectors of i, j, k."""
    slices = [pydicom.dcmread(path) for path in paths]
    x, y = (np.array(slices[0].ImageOrientationPatient[a : a + 3], float) for a in (0, 3))
    normal = np.cross(x, y)
    slices.sort(key=lambda ds: float(np.dot(normal, ds.ImagePositionPatient)))
    volume = np.stack([ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in slices])
    places = [float(np.dot(normal, ds.ImagePositionPatient)) for ds in slices]
    rows, columns = map(float, slices[0].PixelSpacing)
    return volume.astype(np.float32), [float(np.mean(np.diff(places))), rows, columns], np.array([x, y, normal])


def tensor(volume, spacing_kji, axes, spec):
    """The model's input, [z, y, x]."""
    dominant = [int(np.argmax(np.abs(axes[a]))) for a in range(3)]
    order, flips = [], []
    for letter in reversed(spec["orientation"]):
        patient, sign = LPS[letter]
        axis = dominant.index(patient)
        order.append(2 - axis)
        flips.append(np.sign(axes[axis][patient]) != sign)
    volume = np.transpose(volume, order)
    spacing = [spacing_kji[place] for place in order]
    volume = np.flip(volume, [axis for axis, flip in enumerate(flips) if flip])
    ((kind, grid),) = spec["grid"].items()
    size = grid["size"]
    if kind == "resize":
        ratio, resampled = [n / s for n, s in zip(volume.shape, size)], list(size)
    else:
        ratio = [target / have for target, have in zip(grid["spacing_mm"], spacing)]
        resampled = [max(1, int(np.floor(n / r + 0.5))) for n, r in zip(volume.shape, ratio)]
    points = [(np.arange(m, dtype=np.float32) + 0.5) * r - 0.5 for m, r in zip(resampled, ratio)]
    out = map_coordinates(volume, np.meshgrid(*points, indexing="ij"), order=1, mode="nearest", output=np.float32)
    low, high = spec["window_hu"]
    start, end = spec["output_range"]
    scale = lambda hu: (np.clip(hu, low, high) - low) / (high - low) * (end - start) + start
    out = scale(out)
    for axis, (have, want) in enumerate(zip(resampled, size)):
        if have >= want:
            first = (have - want) // 2
            out = np.take(out, range(first, first + want), axis)
        else:
            widths = [(0, 0)] * 3
            widths[axis] = ((want - have) // 2, want - have - (want - have) // 2)
            out = np.pad(out, widths, constant_values=scale(spec["fill_hu"]))
    return np.ascontiguousarray(out, np.float32)


def main(plan):
    session = onnxruntime.InferenceSession(plan["model"], providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()[0]
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", plan["port"])
    client.loop_start()
    client.publish(plan["topic"] + "/status", json.dumps({"state": "online"}), qos=1, retain=True).wait_for_publish()
    sizes, series, done = {}, {}, set()
    while True:
        now = time.monotonic()
        for entry in os.scandir(plan["incoming"]):
            if entry.path in done or entry.name.endswith(".part"):
                continue
            size = entry.stat().st_size
            if sizes.get(entry.path, (None,))[0] != size:
                sizes[entry.path] = (size, now)
            elif now - sizes[entry.path][1] >= plan["settle_s"]:
                uid = str(pydicom.dcmread(entry.path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"]).SeriesInstanceUID)
                series.setdefault(uid, ([], now))
                series[uid] = (series[uid][0] + [entry.path], now)
                done.add(entry.path)
        for uid in [uid for uid, (_, last) in series.items() if now - last >= plan["quiet_s"]]:
            paths, _ = series.pop(uid)
            begin = time.monotonic()
            volume = tensor(*read(paths), plan["spec"])
            outputs = session.run(None, {inputs.name: volume.reshape(inputs.shape)})
            names = [output.name for output in session.get_outputs()]
            logits = outputs[names.index(plan["logits"])].reshape(-1)
            flags = (1 / (1 + np.exp(-logits))).tolist()
            payload = {"id": uid, "outcome": "flagged", "flags": flags, "work_s": time.monotonic() - begin}
            client.publish(plan["topic"] + "/result/flagged", json.dumps(payload), qos=1).wait_for_publish()
        time.sleep(plan["poll_s"])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
