"""Results as csv, json, jsonl and sql: llama-bench's texts, with our own fields behind its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

from pyllama.bench import Result
from pyllama.commands.bench_fields import FIELDS, SAMPLES, Field, Kind


class Formatter(Protocol):
    """A format: text before the first result, for each, and after the last."""

    def header(self) -> str:
        """What comes first."""

    def row(self, result: Result) -> str:
        """A result."""

    def footer(self) -> str:
        """What comes last."""


class Csv:
    """A line of names, then a line of quoted values for each result."""

    def header(self) -> str:
        """The names."""
        return ",".join(field.name for field in FIELDS) + "\n"

    def row(self, result: Result) -> str:
        """The values."""
        values = (field.text(result) or "" for field in FIELDS)
        return ",".join('"' + value.replace('"', '""') + '"' for value in values) + "\n"

    def footer(self) -> str:
        """Nothing."""
        return ""


class Json:
    """One array of objects, a field a line."""

    def __init__(self) -> None:
        self._is_first = True

    def header(self) -> str:
        """The bracket."""
        return "[\n"

    def row(self, result: Result) -> str:
        """An object, and the comma before it."""
        between = "" if self._is_first else ",\n"
        self._is_first = False
        lines = [f'    "{field.name}": {_json(field, result)}' for field in FIELDS]
        lines += [f'    "{name}": {_array(of(result))}' for name, of in SAMPLES]
        return between + "  {\n" + ",\n".join(lines) + "\n  }"

    def footer(self) -> str:
        """The other bracket."""
        return "\n]\n"


class JsonLines:
    """An object a line."""

    def header(self) -> str:
        """Nothing."""
        return ""

    def row(self, result: Result) -> str:
        """An object; as in llama-bench there is no space between its arrays."""
        fields = "".join(f'"{field.name}": {_json(field, result)}, ' for field in FIELDS)
        arrays = ",".join(f'"{name}": {_array(of(result))}' for name, of in SAMPLES)
        return "{" + fields + arrays + "}\n"

    def footer(self) -> str:
        """Nothing."""
        return ""


class Sql:
    """Statements that make a table, if there is none, and fill it."""

    def header(self) -> str:
        """The statement that makes the table."""
        columns = ",\n".join(f"  {field.name} {_SQL[field.kind]}" for field in FIELDS)
        return f"CREATE TABLE IF NOT EXISTS llama_bench (\n{columns}\n);\n\n"

    def row(self, result: Result) -> str:
        """The statement that adds a result."""
        names = ", ".join(field.name for field in FIELDS)
        values = ", ".join(_sql(field.text(result)) for field in FIELDS)
        return f"INSERT INTO llama_bench ({names}) VALUES ({values});\n"

    def footer(self) -> str:
        """Nothing."""
        return ""


_SQL = {
    Kind.TEXT: "TEXT",
    Kind.BOOL: "INTEGER",
    Kind.INTEGER: "INTEGER",
    Kind.REAL: "REAL",
}


def _sql(text: str | None) -> str:
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


def _json(field: Field, result: Result) -> str:
    if field.kind in (Kind.TEXT, Kind.BOOL):
        return json.dumps(field.value(result), ensure_ascii=False)
    return field.text(result) or "null"


def _array(values: Sequence[str]) -> str:
    return f"[ {', '.join(values)} ]"
