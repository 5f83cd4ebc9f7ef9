"""Reads audit messages, one XML document a line, with libxml2, holds each against the schema of DICOM PS3.15, A.5.1, and
prints what they say as one JSON list of [event, kind, action, outcome, {object kind: [ids]}]."""

import json
import sys
from pathlib import Path

from lxml import etree

schema = etree.RelaxNG(etree.parse(Path(sys.argv[1])))
said = []
for line in Path(sys.argv[2]).read_bytes().splitlines():
    message = etree.fromstring(line)
    schema.assertValid(message)
    event = message.find("EventIdentification")
    kind = event.find("EventTypeCode")
    objects = {}
    for named in message.findall("ParticipantObjectIdentification"):
        code = named.find("ParticipantObjectIDTypeCode").get("csd-code")
        objects.setdefault(code, []).append(named.get("ParticipantObjectID"))
    codes = [event.find("EventID").get("csd-code"), None if kind is None else kind.get("csd-code")]
    said.append([*codes, event.get("EventActionCode"), int(event.get("EventOutcomeIndicator")), objects])
# The schema has teeth.
broken = etree.fromstring(line)
broken.find("EventIdentification").set("EventOutcomeIndicator", "1")
assert not schema.validate(broken)
print(json.dumps(said))
