"""Models that are split over several files.

    model-00001-of-00003.gguf   all metadata, split.no = 0, and the first tensors
    model-00002-of-00003.gguf   split.no = 1, and the next tensors
    model-00003-of-00003.gguf   split.no = 2, and the last tensors

Each file also has ``split.count`` (3) and ``split.tensors.count`` (of all files together). File
names count from 1, ``split.no`` from 0. A merged model keeps the keys with ``split.count`` = 0.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pyllama.errors import FileError
from pyllama.gguf.fields import Field
from pyllama.gguf.wording import AGAIN, counted

SPLIT_NO = "split.no"
SPLIT_COUNT = "split.count"
SPLIT_TENSORS_COUNT = "split.tensors.count"

_MAX_PARTS = 2**16 - 1  # the key is a UINT16
_NAME = re.compile(r"(?P<prefix>.+)-(?P<number>\d{5,})-of-(?P<count>\d{5,})\.gguf", re.DOTALL)


def split_path(prefix: Path, index: int, count: int) -> Path:
    """Path of part ``index`` (from 0) of ``count``: ``prefix-00001-of-00003.gguf`` for 0 of 3."""
    return prefix.with_name(f"{prefix.name}-{index + 1:05d}-of-{count:05d}.gguf")


def part_paths(path: Path, fields: Mapping[str, Field]) -> list[Path]:
    """The files of the model whose first, or only, file is ``path`` with the metadata ``fields``.

    Raises ``FileError`` if ``path`` is another part, or not named as the first part must be.
    """
    count = _number(path, fields, SPLIT_COUNT, default=0)
    if count < 2:
        return [path]
    if count > _MAX_PARTS:
        raise FileError(path, f"claims to be split into {count} parts", AGAIN)
    match = _NAME.fullmatch(path.name)
    prefix = path.with_name(match["prefix"]) if match else path.with_name("NAME")
    first = split_path(prefix, 0, count)
    index = _number(path, fields, SPLIT_NO)
    if index != 0:
        raise FileError(path, f"is part {index + 1} of {count}", f"name the first, {first.name}")
    if path.name != first.name:
        raise FileError(
            path, f"is the first of {count} parts but not named so", f"name it like {first.name}"
        )
    return [split_path(prefix, i, count) for i in range(count)]


def check_present(path: Path, index: int, count: int) -> None:
    """Raise ``FileError`` if part ``index`` of ``count`` is not there."""
    if not os.path.exists(path):
        remedy = "put all parts into one folder"
        raise FileError(path, f"part {index + 1} of {count} is missing", remedy)


def check_part(path: Path, fields: Mapping[str, Field], index: int, count: int) -> None:
    """Raise ``FileError`` unless the file says that it is part ``index`` of ``count``."""
    number = _number(path, fields, SPLIT_NO)
    of = _number(path, fields, SPLIT_COUNT, default=count)
    if (number, of) != (index, count):
        raise FileError(
            path,
            f"says it is part {number + 1} of {of}, but is named part {index + 1} of {count}",
            "restore the original file names",
        )


def check_total(path: Path, fields: Mapping[str, Field], found: int) -> None:
    """Raise ``FileError`` unless the parts together have as many tensors as the first one says."""
    expected = _number(path, fields, SPLIT_TENSORS_COUNT)
    if found != expected:
        raise FileError(
            path, f"announces {counted(expected, 'tensor')}, the parts have {found}", AGAIN
        )


def _number(path: Path, fields: Mapping[str, Field], key: str, default: int | None = None) -> int:
    """An integer key; ``FileError`` if it has another type, or is absent without a default."""
    field = fields.get(key)
    if field is None and default is not None:
        return default
    if field is None:
        raise FileError(path, f"is part of a split model but lacks the key {key}", AGAIN)
    if not isinstance(field.value, int) or isinstance(field.value, bool):
        raise FileError(path, f"the key {key} has the type {field.type.name}, not UINT16", AGAIN)
    return field.value
