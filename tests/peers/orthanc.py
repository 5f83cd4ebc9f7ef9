"""Puts DICOM files into an Orthanc and has it send them on.

    python orthanc.py PORT MODALITY FOLDER

Prints Orthanc's own account of the transfer.
"""

import json
import pathlib
import sys
import urllib.request


def ask(port, path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", data=body, method="POST")
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def main():
    port, modality, folder = sys.argv[1:]
    files = sorted(pathlib.Path(folder).glob("*.dcm"))
    ids = [ask(port, "instances", path.read_bytes())["ID"] for path in files]
    told = ask(port, f"modalities/{modality}/store", json.dumps({"Resources": ids, "Synchronous": True}).encode())
    print(json.dumps(told))


main()
