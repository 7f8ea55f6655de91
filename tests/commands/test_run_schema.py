"""A JSON schema as it is written for programs, and the built-in model that has to satisfy it."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cli_runner import call

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {
        "author": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 20},
                "since": {"type": "string", "format": "date"},
            },
            "required": ["name", "since"],
        },
    },
    "type": "object",
    "properties": {
        "module": {"enum": ["json", "os", "re"]},
        "version": {"type": "string", "pattern": r"^[0-9]{1,2}\.[0-9]{1,2}$"},
        "stable": {"type": "boolean"},
        "lines": {"type": "integer", "minimum": 1, "maximum": 5000},
        "score": {"type": "number", "minimum": 0, "maximum": 1, "multipleOf": 0.01},
        "authors": {
            "type": "array",
            "items": {"$ref": "#/$defs/author"},
            "minItems": 1,
            "maxItems": 2,
        },
        "tags": {"type": "array", "items": {"enum": ["fast", "old"]}, "maxItems": 3},
        "next": {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 5}]},
    },
    "required": ["module", "version", "stable", "lines", "score", "authors", "tags", "next"],
}


@pytest.mark.parametrize("seed", ["1", "2"])
def test_every_part_of_a_schema_is_kept(tmp_path: Path, seed: str) -> None:
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(SCHEMA))
    constrained = ("-p", "config = ", "-jf", file, "-s", seed, "-n", "700", "--no-perf")
    result = call("run", *constrained, "--output-format", "json")
    assert result.code == 0, result
    document = json.loads(result.out)
    assert document["finish_reason"] == "stop"
    check(json.loads(document["text"]))
    text = call("run", *constrained, "--no-display-prompt").out.decode()
    assert text == document["text"] + "\n"


def check(value: dict[str, Any]) -> None:
    assert list(value) == list(SCHEMA["properties"])
    assert value["module"] in ("json", "os", "re")
    assert re.fullmatch(r"[0-9]{1,2}\.[0-9]{1,2}", value["version"])
    assert type(value["stable"]) is bool
    assert type(value["lines"]) is int
    assert 1 <= value["lines"] <= 5000
    assert 0 <= value["score"] <= 1
    assert len(value["authors"]) in (1, 2)
    for author in value["authors"]:
        assert list(author) == ["name", "since"]
        assert 1 <= len(author["name"]) <= 20
        assert re.fullmatch(r"[0-9]{4}-[01][0-9]-[0-3][0-9]", author["since"])
    assert len(value["tags"]) <= 3
    assert set(value["tags"]) <= {"fast", "old"}
    assert value["next"] is None or len(value["next"]) <= 5
    if importlib.util.find_spec("jsonschema"):  # a judge from outside, where there is one
        importlib.import_module("jsonschema").validate(value, SCHEMA)
