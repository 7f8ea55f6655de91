"""Reads the options of ``pyllama quantize``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyllama.commands.overrides import key_values
from pyllama.errors import FileError, UsageError
from pyllama.gguf import Field, TensorType, ValueType
from pyllama.quantize import Importance, Override, parse_tensor_type, read_importance

_MAX_FILE = 2**20
_MAX_INTEGER = 2**32 - 1


def tensor_type(text: str | None) -> TensorType | None:
    """A tensor type, if one is given."""
    return None if text is None else parse_tensor_type(text)


def overrides(rules: Iterable[str], file: Path | None) -> tuple[Override, ...]:
    """The rules ``PATTERN=TYPE``, those of the file after the others."""
    return tuple(_override(rule) for rule in (*rules, *_rules_of(file)))


def _rules_of(file: Path | None) -> Iterator[str]:
    if file is None:
        return
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_FILE + 1)
        text = data.decode()
    except OSError as error:
        raise FileError.from_os_error(file, error) from error
    except UnicodeDecodeError:
        raise FileError(file, "is no text (UTF-8)", "name a file of PATTERN=TYPE lines") from None
    if len(data) > _MAX_FILE:
        raise FileError(file, "is longer than any list of rules", "check the path")
    yield from text.split()


def _override(rule: str) -> Override:
    pattern, equals, type = rule.partition("=")
    if not (pattern and equals and type):
        raise UsageError(f"--tensor-type {rule!r:.60} is not PATTERN=TYPE")
    try:
        return Override(re.compile(pattern.lower()), parse_tensor_type(type))
    except re.error as error:
        raise UsageError(
            f"--tensor-type {pattern!r:.60} is no regular expression: {error}"
        ) from None


def importance(
    path: Path | None, include: Iterable[str], exclude: Iterable[str]
) -> Importance | None:
    """The importance matrix, without the entries that are not to be used."""
    if path is None:
        if tuple(include) or tuple(exclude):
            raise UsageError("--include-weights and --exclude-weights need an --imatrix")
        return None
    return read_importance(path).only(include, exclude)


def layers(text: str | None) -> frozenset[int]:
    """Layer numbers, separated by commas."""
    if text is None:
        return frozenset()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) < 6 for part in parts):
        raise UsageError(f"--prune-layers {text!r:.60} is no list of layers such as 3,4,5")
    return frozenset(map(int, parts))


def metadata(rules: Iterable[str]) -> dict[str, Field]:
    """Metadata to set. Whole numbers are stored as UINT32, as in llama.cpp."""
    return {key: _field(key, value) for key, value in key_values(rules).items()}


def _field(key: str, value: str | int | float | bool) -> Field:
    match value:
        case bool():
            return Field(ValueType.BOOL, value)
        case str():
            return Field(ValueType.STRING, value)
        case float():
            return Field(ValueType.FLOAT32, value)
        case _:
            if not 0 <= value <= _MAX_INTEGER:
                raise UsageError(f"--override-kv {key}: {value} is not from 0 to {_MAX_INTEGER}")
            return Field(ValueType.UINT32, value)
