"""What a device's drafting is measured beside: the same graphs in a bare ONNX Runtime loop, and numpy's exact search.

    python drafting.py '{"decode": {"scan": FOLDER, "model": FOLDER, "tokens": 240, "runs": 5}}'
    python drafting.py '{"search": {"folder": FOLDER, "rows": 50000, "width": 128, "runs": 20}}'

`decode` reads a scan with pydicom and scipy, runs the volume graph, and has the decoder write greedily, one token at a time, its
keys and values kept in place by I/O binding. `search` writes unit embeddings `rows.f16` and a query `query.f32`, and finds the five
nearest rows with a 32-bit matrix product. Both print one JSON object with the median of the seconds.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

import quality
from draft_check import Decoder

NEAREST = 5


def decode(plan):
    model = Path(plan["model"])
    manifest = json.loads((model / "manifest.json").read_text())
    session = quality.runtime(model, manifest["vision"])
    volume = quality.pipeline.tensor(*quality.pipeline.read(sorted(Path(plan["scan"]).iterdir())), manifest["input"])
    inputs = session.get_inputs()[0]
    tokens, logits = session.run(["tokens", "logits"], {inputs.name: volume.reshape(inputs.shape)})
    labels = manifest["labels"]
    warm = logits[0] / np.array([label["temperature"] for label in labels])
    raised = 1 / (1 + np.exp(-warm)) >= np.array([label["threshold"] for label in labels])
    flags = np.where(raised, 1, -1).astype(np.float32)[None]
    decoder = Decoder(*(
        onnxruntime.InferenceSession(str(model / graph["file"]), providers=["CPUExecutionProvider"])
        for graph in (manifest["decoder"]["cross"], manifest["decoder"]["step"])
    ))
    begin = quality.Tokenizer.from_file(str(model / manifest["decoder"]["tokenizer"])).token_to_id("[CLS]")
    seconds = []
    for _ in range(plan["runs"]):
        begun = time.perf_counter()
        decoder.begin(tokens, flags)
        last = begin
        for _ in range(plan["tokens"]):
            last = int(decoder.read([last])[0].argmax())
        seconds.append(time.perf_counter() - begun)
    return {"seconds": statistics.median(seconds)}


def search(plan):
    folder, random = Path(plan["folder"]), np.random.default_rng(0)
    unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)
    rows = unit(random.standard_normal((plan["rows"], plan["width"]))).astype("<f2")
    query = unit(random.standard_normal((1, plan["width"]))).astype("<f4")[0]
    rows.tofile(folder / "rows.f16")
    query.tofile(folder / "query.f32")
    wide, seconds = rows.astype(np.float32), []
    for _ in range(plan["runs"]):
        begun = time.perf_counter()
        cosines = wide @ query
        nearest = np.argpartition(-cosines, NEAREST)[:NEAREST]
        nearest = nearest[np.argsort(-cosines[nearest])]
        seconds.append(time.perf_counter() - begun)
    return {"seconds": statistics.median(seconds), "nearest": nearest.tolist()}


if __name__ == "__main__":
    (kind, plan), = json.loads(sys.argv[1]).items()
    print(json.dumps({"decode": decode, "search": search}[kind](plan)))
