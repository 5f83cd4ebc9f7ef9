"""What an appliance's flags were worth, judged by nobody's code of ours.

    python quality.py '{"patients": FOLDER, "results": FILE, "drafts": FILE, "site_key": FILE, "model": FOLDER, "pool": 100, "draws": 20}'

FOLDER of patients is what `ctedge-trainer phantom --format dicom` writes; FILE of results has one MQTT payload a line. Results
find their patients by the recipe of MQTT.md. AUROC is Mann and Whitney's U by scipy, over the cases without the finding and
those whose finding can be seen at the model's voxels (and over all, for comparison). For retrieval the bundle's two graphs
run in ONNX Runtime on volumes that pydicom and scipy have read; a report that says the same as the volume's own is a hit, and
chance is what a random ranking of the same pools hits. Of drafts it is told
what findings each asserts (`drafts`, a line a series), and counts them against the truth. Prints one JSON object.
"""

import base64
import csv
import hmac
import json
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pydicom
from scipy.stats import mannwhitneyu
from tokenizers import Tokenizer

import pipeline


def main(plan):
    patients, model = Path(plan["patients"]), Path(plan["model"])
    with open(patients / "cases.csv", newline="") as table:
        cases = list(csv.DictReader(table))
    manifest = json.loads((model / "manifest.json").read_text())
    results = by_series(plan["results"])
    key = bytes.fromhex(Path(plan["site_key"]).read_text().strip())
    files = [sorted((patients / case["path"]).iterdir()) for case in cases]
    keys = [series_key(key, paths[0]) for paths in files]
    flags = [{flag["code"]: flag["p"] for flag in results[name]["flags"]} for name in keys]
    print(json.dumps({
        "cases": len(cases),
        "labels": areas(cases, flags, [label["label"] for label in manifest["labels"]]),
        "retrieval": retrieval(cases, files, model, manifest, plan),
        "drafts": drafts(cases, keys, results, plan["drafts"]),
    }))


def by_series(path):
    """Results by series."""
    found = {}
    for line in Path(path).read_text().splitlines():
        result = json.loads(line)
        if not result["flags"]:
            sys.exit(f"a series gave no flags: {result.get('reason_code')}")
        found[result["series_key"]] = result
    return found


def series_key(site_key, path):
    uid = str(pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID)
    return "ek1_" + base64.b32encode(hmac.new(site_key, uid.encode(), "sha256").digest())[:26].decode().lower()


def areas(cases, flags, labels):
    """AUROC of each label over all cases, and without those whose finding cannot be seen."""
    table = {}
    for label in labels:
        score = np.array([flag[label] for flag in flags])
        truth = np.array([case[label] == "1" for case in cases])
        seen = np.array([label in re.findall(r"\w+", case["visible"]) for case in cases])
        table[label] = {
            "positive": int(truth.sum()), "visible": int((truth & seen).sum()),
            "auroc": area(score, truth), "auroc_visible": area(score[seen | ~truth], truth[seen | ~truth]),
        }
    return table


def drafts(cases, keys, results, path):
    """What drafts assert, beside what a constant report, the nearest reference report and a sentence for each flag do,
    and one for each flag that is likelier than not."""
    read = {line["series_key"]: line["labels"] for line in map(json.loads, Path(path).read_text().splitlines())}
    labels = [flag["code"] for flag in results[keys[0]]["flags"]]
    table = lambda rows: np.array([[label in row for label in labels] for row in rows])
    truth = table([[label for label in labels if case[label] == "1"] for case in cases])
    nearest = [results[key].get("evidence", {}).get("neighbours", [])[:1] for key in keys]
    ways = {
        "draft": [read[key] for key in keys],
        "template": [[flag["code"] for flag in results[key]["flags"] if flag["positive"]] for key in keys],
        "hedged": [[flag["code"] for flag in results[key]["flags"] if flag["positive"] and not flag.get("possible")] for key in keys],
        "nearest": [near[0]["labels"] if near else [] for near in nearest],
        "normal": [[] for _ in keys],
    }
    return {way: worth(table(rows), truth) for way, rows in ways.items()}


def worth(called, truth):
    hits, wrong, missed = (called & truth).sum(0), (called & ~truth).sum(0), (~called & truth).sum(0)
    f1 = lambda hits, wrong, missed: 2 * hits / np.maximum(2 * hits + wrong + missed, 1)
    return {
        "micro_f1": float(f1(hits.sum(), wrong.sum(), missed.sum())), "macro_f1": float(f1(hits, wrong, missed).mean()),
        "hallucinated": float(wrong.sum() / len(truth)), "missed": float(missed.sum() / len(truth)),
    }


def area(score, truth):
    present, absent = score[truth], score[~truth]
    if not len(present) or not len(absent):
        return None
    return float(mannwhitneyu(present, absent).statistic / len(present) / len(absent))


def retrieval(cases, files, model, manifest, plan):
    """R@1 both ways in random pools, and what chance reaches."""
    volumes = np.concatenate([see(paths, manifest, session) for session in [runtime(model, manifest["vision"])] for paths in files])
    reports = read([f"{case['findings']} {case['impression']}" for case in cases], model, manifest)
    says = np.unique([case["statement"] for case in cases], return_inverse=True)[1]
    random = np.random.default_rng(0)
    hits, back, chance = [], [], []
    for _ in range(plan["draws"]):
        pool = random.permutation(len(cases))[: plan["pool"]]
        score, same = volumes[pool] @ reports[pool].T, says[pool][:, None] == says[pool][None, :]
        rows = np.arange(len(pool))
        hits.append(same[rows, score.argmax(1)].mean())
        back.append(same[score.argmax(0), rows].mean())
        chance.append(same.mean())
    numbers = {"volume_to_report": hits, "report_to_volume": back, "chance": chance}
    return {"pool": len(pool), **{name: float(np.mean(values)) for name, values in numbers.items()}}


def runtime(model, graph):
    return onnxruntime.InferenceSession(str(model / graph["file"]), providers=["CPUExecutionProvider"])


def see(paths, manifest, session):
    inputs = session.get_inputs()[0]
    volume = pipeline.tensor(*pipeline.read(paths), manifest["input"])
    (name,) = [output.name for output in session.get_outputs() if "embedding" in output.name]
    return session.run([name], {inputs.name: volume.reshape(inputs.shape)})[0].reshape(1, -1)


def read(texts, model, manifest):
    """Unit embeddings of texts, whole sentences left out beyond the graph's length."""
    session = runtime(model, manifest["text"]["graph"])
    tokenizer = Tokenizer.from_file(str(model / manifest["text"]["tokenizer"]))
    begin, end, pad = (tokenizer.token_to_id(mark) for mark in ("[CLS]", "[SEP]", "[PAD]"))
    length = session.get_inputs()[0].shape[1]
    rows = []
    for text in texts:
        text = " ".join(re.sub(r"[\"'()\[\]{}]", "", text).split())
        ids = []
        for sentence in re.split(r"(?<=[.!?])\s+", text):
            more = tokenizer.encode(sentence, add_special_tokens=False).ids
            if len(ids) + len(more) > length - 2:
                break
            ids += more
        ids = [begin, *ids, end]
        mask = np.zeros((1, length), np.float32)
        mask[0, : len(ids)] = 1
        padded = np.full((1, length), pad, np.int64)
        padded[0, : len(ids)] = ids
        rows.append(session.run(None, {"ids": padded, "mask": mask})[0].reshape(-1))
    return np.stack(rows)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
