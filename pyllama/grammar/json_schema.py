"""From a JSON schema to the grammar of the JSON texts that satisfy it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pyllama.errors import GrammarError
from pyllama.grammar.lark import HEADER

_WHITESPACE = r"( |\n[ \t]{0,20})?"
"""Space between the parts, as llama.cpp allows it. JSON allows any amount, but a model that writes
blanks might then never stop."""

_MAX_DEPTH = 100

# Where these stand beside "properties", the properties are not all that the schema knows about.
_COMPOSED = frozenset({"$ref", "allOf", "anyOf", "oneOf", "if", "patternProperties"})
_LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "prefixItems")
_MAPS_OF_SCHEMAS = ("properties", "$defs", "definitions", "patternProperties")
_SCHEMAS = ("items", "additionalProperties", "additionalItems", "contains")


def schema_to_lark(schema: str | Mapping[str, Any], source: str) -> str:
    """A grammar in Lark for a schema, given as text or parsed.

    Properties that the schema does not list are not allowed unless it says so with
    ``additionalProperties``: as in llama.cpp, against the standard, for the sake of small models.
    Raises GrammarError for text that is no JSON, with line and column, and for no schema.
    """
    parsed = _parse(schema, source) if isinstance(schema, str) else schema
    if parsed is True:
        parsed = {}
    if not isinstance(parsed, Mapping):
        raise GrammarError(source, 'a JSON schema is an object, such as {"type": "object"}')
    closed = _closed(parsed, source, 0)
    guidance = closed.get("x-guidance")
    extras = guidance if isinstance(guidance, Mapping) else {}
    closed["x-guidance"] = {"whitespace_pattern": _WHITESPACE, **extras}
    try:
        return f"{HEADER}start: %json {json.dumps(closed, allow_nan=False)}\n"
    except (TypeError, ValueError) as error:
        raise GrammarError(source, f"the schema is not JSON: {error}") from error


def _parse(text: str, source: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise GrammarError(source, error.msg.lower(), error.lineno, error.colno) from error
    except (RecursionError, ValueError) as error:
        raise GrammarError(source, f"this JSON cannot be read: {error}") from error


def _closed(schema: Mapping[str, Any], source: str, depth: int) -> dict[str, Any]:
    """A copy in which objects have no other properties than those that are listed.

    What stands in ``allOf`` is left as it is: its parts describe one object together.
    """
    if depth > _MAX_DEPTH:
        raise GrammarError(source, f"the schema is nested more than {_MAX_DEPTH} deep")

    def close(part: object) -> object:
        return _closed(part, source, depth + 1) if isinstance(part, Mapping) else part

    copy = dict(schema)
    for key in _LISTS_OF_SCHEMAS:
        if isinstance(copy.get(key), list):
            copy[key] = [close(part) for part in copy[key]]
    for key in _MAPS_OF_SCHEMAS:
        if isinstance(copy.get(key), Mapping):
            copy[key] = {name: close(part) for name, part in copy[key].items()}
    for key in _SCHEMAS:
        if key in copy:
            copy[key] = close(copy[key])
    if "properties" in copy and not _COMPOSED & copy.keys():
        copy.setdefault("additionalProperties", False)
    return copy
