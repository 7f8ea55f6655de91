"""The saved state of a run: what was measured before an interruption is not measured again.

A file of JSON lines: the first says what is measured (``about``), each other one holds an item,
its arrays as base64 of little-endian numbers. Lines are appended as items are done; one that an
interruption has cut short is dropped when the run goes on.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pyllama.errors import FileError
from pyllama.gguf.atomic import AtomicFile
from pyllama.perplexity.measure import Measurement, Record

MAGIC = "pyllama perplexity state"
VERSION = 1
_REMEDY = "delete it, or name another file"


class Journal:
    """A file of the format above; it need not exist."""

    def __init__(self, path: Path, about: Mapping[str, Any], fields: Collection[str]) -> None:
        """``about``: JSON that must be the same for a run to go on; ``fields``: of a record.

        Raises FileError where ``about`` is not the same, or the file is none of these.
        """
        self._path, self._fields = path, fields
        self._head = {MAGIC: VERSION, "about": dict(about)}
        self._end = 0
        self.saved: list[Record] = self._read()

    def records(self, measurement: Measurement) -> Iterator[Record]:
        """All records: the saved ones, then the others, each saved before it is handed out."""
        yield from self.saved[: measurement.count]
        if len(self.saved) >= measurement.count:
            return
        self._prepare()
        with self._opened() as stream:
            for index, record in enumerate(measurement.records(len(self.saved)), len(self.saved)):
                self._append(stream, {"item": index} | _packed(record))
                yield record

    def _read(self) -> list[Record]:
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise FileError.from_os_error(self._path, error) from error
        head = _parsed(lines[0])
        if head is None or MAGIC not in head:
            raise FileError(self._path, "is no state of pyllama perplexity", _REMEDY)
        if head != self._head:
            raise FileError(self._path, f"is the state of another run: {self._odd(head)}", _REMEDY)
        records: list[Record] = []
        self._end = len(lines[0]) + 1
        for line in lines[1:-1]:  # what follows the last newline is incomplete
            entry = _parsed(line)
            record = None if entry is None else _unpacked(entry, len(records))
            if record is None or record.keys() != set(self._fields):
                raise FileError(self._path, f"item {len(records) + 1} is damaged", _REMEDY)
            records.append(record)
            self._end += len(line) + 1
        return records

    def _odd(self, head: Mapping[str, Any]) -> str:
        """What differs."""
        about, own = head.get("about"), self._head["about"]
        if not isinstance(about, dict) or not isinstance(own, dict):
            return "it is of another version"
        names = sorted(set(about) | set(own))
        odd = [name for name in names if about.get(name) != own.get(name)]
        return f"{', '.join(odd)} differ" if odd else "it is of another version"

    def _prepare(self) -> None:
        """The file with its first line, and without a line that is cut short."""
        if not self._path.exists():
            with AtomicFile(self._path) as file:
                file.write(_line(self._head))
                self._end = file.size

    def _opened(self) -> BinaryIO:
        try:
            stream = self._path.open("r+b")
            stream.seek(self._end)
            stream.truncate()
        except OSError as error:
            raise FileError.from_os_error(self._path, error) from error
        return stream

    def _append(self, stream: BinaryIO, entry: Mapping[str, Any]) -> None:
        try:
            stream.write(_line(entry))
            stream.flush()
        except OSError as error:
            raise FileError.from_os_error(self._path, error) from error


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry).encode() + b"\n"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _packed(record: Record) -> dict[str, str]:
    return {
        name: base64.b64encode(values.astype("<f8").tobytes()).decode()
        for name, values in record.items()
    }


def _unpacked(entry: Mapping[str, Any], index: int) -> Record | None:
    """The record of an item; None where it is damaged or another one."""
    texts = {name: text for name, text in entry.items() if name != "item"}
    try:
        arrays = {
            name: np.frombuffer(base64.b64decode(text, validate=True), "<f8").astype(np.float64)
            for name, text in texts.items()
        }
    except (TypeError, ValueError, binascii.Error):
        return None
    is_whole = entry.get("item") == index and len({len(values) for values in arrays.values()}) == 1
    return arrays if is_whole else None
