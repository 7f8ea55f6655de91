"""Converted tiny models for tests that ask for one by name."""

from __future__ import annotations

from pathlib import Path

from families.checkpoint import write_checkpoint
from families.golden import Golden, load
from families.weights import draw_all
from pyllama.convert import ConvertOptions, convert
from pyllama.gguf.file_types import FileType


def convert_case(
    name: str, folder: Path, file_type: FileType = FileType.F32
) -> tuple[Golden, Path]:
    """A case's golden file, and the path of its model."""
    golden, path = load(name), folder / "tiny.gguf"
    write_checkpoint(folder, golden.config, draw_all(name, golden.parameters))
    convert(folder, path, ConvertOptions(file_type=file_type, vocabulary=False))
    return golden, path
