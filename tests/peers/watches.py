"""What a model says of findings that are told in sentences, by pydicom, scipy, Hugging Face's tokenizers and ONNX Runtime.

    python watches.py '{"scan": FOLDER, "model": FOLDER, "sentences": [["It is there.", "It is not there."], ...]}'

Prints a list: for each pair the bundle's contrastive factor times the difference of the two cosines with the volume.
"""

import json
import sys
from pathlib import Path

import quality


def main(plan):
    model = Path(plan["model"])
    manifest = json.loads((model / "manifest.json").read_text())
    (volume,) = quality.see(sorted(Path(plan["scan"]).iterdir()), manifest, quality.runtime(model, manifest["vision"]))
    texts = [text for pair in plan["sentences"] for text in pair]
    cosines = quality.read(texts, model, manifest) @ volume
    scale = manifest["text"]["contrastive"]["scale"]
    print(json.dumps([scale * float(present - absent) for present, absent in cosines.reshape(-1, 2)]))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
