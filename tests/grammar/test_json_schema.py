"""JSON schemas: which texts satisfy them, and schemas that cannot be used."""

from __future__ import annotations

import json
from typing import Any

import pytest
from grammar_vocabularies import follows, matches, tokenizer

from pyllama.errors import GrammarError
from pyllama.grammar import Grammar

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 5},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["red", "blue"]}, "maxItems": 2},
    },
    "required": ["name", "age"],
}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (
            PERSON,
            ['{"name": "Ann","age":7}', '{"name":"é語","age":120,"tags":["red", "blue"]}'],
            [
                '{"name":"","age":7}',
                '{"name":"Annabel","age":7}',
                '{"name":"Ann"}',
                '{"name":"Ann","age":121}',
                '{"name":"Ann","age":7,"tags":["green"]}',
                '{"name":"Ann","age":7,"more":1}',
            ],
        ),
        ({}, ['{"a": [1]}', "3", '"x"', "null"], ["{", "[1,]", "tru"]),
        ({"type": "object"}, ['{"any": {"thing": 1}}', "{}"], ["[]", "1"]),
        ({"const": {"a": 1}}, ['{"a":1}'], ['{"a":2}', "{}"]),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, ["true", "null"], ['"x"', "1"]),
        (
            {"properties": {"a": {"type": "null"}}, "additionalProperties": {"type": "integer"}},
            ['{"a":null,"b":5}', "{}"],
            ['{"b":"x"}'],
        ),
        (
            {"$ref": "#/$defs/list", "$defs": {"list": {"type": "array", "items": {"$ref": "#"}}}},
            ["[[],[[]]]", "[]"],
            ["[1]", "{}"],
        ),
        (
            {
                "allOf": [
                    {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]},
                    {"type": "object", "properties": {"b": {"const": 2}}, "required": ["b"]},
                ]
            },
            ['{"a":1,"b":2}'],
            ['{"a":1}', '{"b":2}'],
        ),
        ({"type": "string", "pattern": "^[ab]+$"}, ['"abba"'], ['""', '"abc"']),
    ],
    ids=str,
)
def test_which_texts_satisfy(schema: dict[str, Any], good: list[str], bad: list[str]) -> None:
    for given in (schema, json.dumps(schema)):
        grammar = Grammar.from_json_schema(given, tokenizer())
        assert [text for text in good if not matches(grammar, text)] == []
        assert [text for text in bad if matches(grammar, text)] == []


def test_the_schema_is_left_as_it_was() -> None:
    before = json.dumps(PERSON)
    Grammar.from_json_schema(PERSON, tokenizer())
    assert json.dumps(PERSON) == before


def test_white_space_is_limited() -> None:
    grammar = Grammar.from_json_schema({"type": "object"}, tokenizer())
    assert follows(grammar, "{\n" + " " * 20)
    assert not follows(grammar, "{\n" + " " * 21)
    assert not follows(grammar, "{\n\n")


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [('{"type":', 1, 9), ('{"type": "object",\n  "properties": {]}', 2, 18), ("", 1, 1)],
)
def test_text_that_is_no_json(text: str, line: int, column: int) -> None:
    with pytest.raises(GrammarError) as caught:
        Grammar.from_json_schema(text, tokenizer(), "--json-schema")
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"--json-schema, line {line}, column {column}: ")


def nested(depth: int) -> str:
    return '{"items":' * depth + "{}" + "}" * depth


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1]", "object"),
        ("false", "object"),
        ('{"type": "thing"}', "thing"),
        ('{"not": {"type": "string"}}', "not"),
        ('{"enum": []}', "nsatisfiable"),
        ('{"type": "integer", "minimum": 5, "maximum": 3}', "minimum"),
        ('{"type": "string", "pattern": "("}', "regex"),
        ('{"$ref": "#/nowhere"}', "nowhere"),
        ('{"$ref": "https://example.com/schema"}', "example.com"),
        ('{"type": "number", "multipleOf": NaN}', "JSON"),
        (nested(200), "nested"),
        (nested(100_000), "read"),
    ],
    ids=lambda text: text[:40],
)
def test_schemas_that_cannot_be_used(text: str, problem: str) -> None:
    with pytest.raises(GrammarError) as caught:
        Grammar.from_json_schema(text, tokenizer(), "schema.json")
    message = str(caught.value)
    assert message.startswith("schema.json: ")
    assert problem in message
    assert "\n" not in message
