"""Reads a page of metrics with the reader of Prometheus' own client: one JSON list of [name, labels, value]."""

import json
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

page = Path(sys.argv[1]).read_text(encoding="utf-8")
samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
print(json.dumps([[sample.name, sample.labels, sample.value] for sample in samples]))
