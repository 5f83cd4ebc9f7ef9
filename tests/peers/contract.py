"""Holds messages against the contract with an independent validator (jsonschema).

    contract.py ASYNCAPI SCHEMAS MESSAGES [OLDER_SCHEMAS ...]

ASYNCAPI names the topics, SCHEMAS is the folder of today's schemas, MESSAGES holds files of lines "topic TAB payload",
OLDER_SCHEMAS are what a subscriber of an earlier release validates with: it must accept what is sent today.

Prints how many messages of each kind were valid. Fails when one is not, when a message belongs to no topic of the contract,
when a topic of the contract was never seen, or when the validator does not notice broken messages.
"""

import copy
import json
import re
import sys
from collections import Counter
from pathlib import Path

from jsonschema import Draft202012Validator, FormatChecker

MOST_ERRORS = 10
# Keywords that bound a value; without any it may be anything.
BOUNDS = {"type", "$ref", "anyOf", "oneOf", "allOf", "const", "enum", "pattern"}


def outgoing(asyncapi):
    """Of each channel on which the device sends: its schema's name, and a pattern of its topic below the device's root."""
    channels = {operation["channel"]["$ref"].rsplit("/", 1)[1]: operation["action"] for operation in asyncapi["operations"].values()}
    for name, channel in asyncapi["channels"].items():
        levels = channel["address"].split("/v1/", 1)[1].split("/")[1:]
        pattern = "/".join("([^/]+)" if level.startswith("{") else re.escape(level) for level in levels)
        values = [value["enum"] for value in channel.get("parameters", {}).values() if "enum" in value]
        yield name, re.compile(pattern), channels[name] == "send", values


def exact_first(channel):
    """A topic that is written out comes before one with levels that vary."""
    _, pattern, _, _ = channel
    return pattern.groups


def validators(folder):
    made = {}
    for path in sorted(Path(folder).glob("*.schema.json")):
        schema = json.loads(path.read_text())
        Draft202012Validator.check_schema(schema)
        made[path.name.removesuffix(".schema.json")] = Draft202012Validator(schema, format_checker=FormatChecker())
    assert made, f"no schemas in {folder}"
    return made


def messages(folder):
    """Topic below the device's root and payload of what subscribers of the tests have heard."""
    for path in sorted(Path(folder).iterdir()):
        for line in path.read_text(errors="replace").splitlines():
            topic, _, payload = line.partition("\t")
            if "/v1/" in topic and payload:
                yield topic.split("/v1/", 1)[1].partition("/")[2], payload


def broken(validator, message):
    """Ways of breaking a valid message that the validator does not notice, and how many were tried."""
    unnoticed, tried = [], 0
    for key in validator.schema.get("required", []):
        for change in ("remove", "replace"):
            other = copy.deepcopy(message)
            if change == "remove":
                del other[key]
            else:
                other[key] = [["of another type"]]
            accepts_any = change == "replace" and not BOUNDS & validator.schema["properties"][key].keys()
            tried += not accepts_any
            if not accepts_any and validator.is_valid(other):
                unnoticed.append(f"{validator.schema['title']}: {change} {key}")
    return unnoticed, tried


def main(asyncapi, schemas, heard, *older):
    channels = sorted(outgoing(json.loads(Path(asyncapi).read_text())), key=exact_first)
    today, earlier = validators(schemas), [(folder, validators(folder)) for folder in older]
    valid, seen, examples, errors = Counter(), set(), {}, []
    for topic, payload in messages(heard):
        name, match, sent, _ = next(
            ((name, match, sent, values) for name, pattern, sent, values in channels if (match := pattern.fullmatch(topic))),
            (None, None, None, None),
        )
        if name is None:
            errors.append(f"{topic}: no topic of the contract")
            continue
        if not sent:
            continue
        try:
            message = json.loads(payload)
        except json.JSONDecodeError as error:
            errors.append(f"{topic}: {error}")
            continue
        with_old = [(folder, old[name]) for folder, old in earlier if name in old]
        for folder, validator in [(schemas, today[name]), *with_old]:
            for error in list(validator.iter_errors(message))[:1]:
                errors.append(f"{topic} against {folder}: {error.json_path}: {error.message}")
        valid[name] += 1
        seen.update((name, value) for value in match.groups())
        examples.setdefault(name, message)
    for name, _, sent, values in channels:
        if sent and not valid[name]:
            errors.append(f"no message of {name} was heard")
        for value in (value for enum in values for value in enum if sent and (name, value) not in seen):
            errors.append(f"no message of {name} {value} was heard")
    caught = [broken(today[name], message) for name, message in examples.items()]
    unnoticed, tried = [way for ways, _ in caught for way in ways], sum(count for _, count in caught)
    errors.extend(f"control: not noticed: {way}" for way in unnoticed)
    for name, count in sorted(valid.items()):
        print(f"{name:<12} {count:6} messages valid")
    print(f"control: {tried - len(unnoticed)} of {tried} broken messages noticed")
    for error in errors[:MOST_ERRORS]:
        print(error, file=sys.stderr)
    sys.exit(f"{len(errors)} breaches of the contract" if errors else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
