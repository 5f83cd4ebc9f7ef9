"""Prints the licences and notices of the packages that a CycloneDX file names, out of Cargo's own copies of them."""

import json
import os
import pathlib
import re
import sys

home = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
wanted = re.compile(r"(licen[cs]e|copying|notice|copyright|unlicense)", re.IGNORECASE)
components = json.load(open(sys.argv[1]))["components"]
print("ctedge is built from these packages. Their licences and notices follow, as they come with them.")
for component in sorted(components, key=lambda part: (part["name"], part["version"])):
    if not component.get("purl", "").startswith("pkg:cargo/"):
        continue
    name = f"{component['name']}-{component['version']}"
    terms = ", ".join(entry.get("expression") or entry["license"].get("id", "") for entry in component.get("licenses", []))
    print(f"\n{'=' * 100}\n{name}  ({terms or 'no licence named'})")
    for folder in home.glob(f"registry/src/*/{name}"):
        for file in sorted(path for path in folder.iterdir() if path.is_file() and wanted.match(path.name)):
            print(f"\n{'-' * 20} {file.name}\n\n{file.read_text(errors='replace').strip()}")
