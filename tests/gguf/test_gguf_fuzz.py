"""Damaged files: cut at every byte, and with random bytes replaced."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import raw_gguf as raw

from pyllama.errors import FileError
from pyllama.gguf import GGUFFile, StringArray

SMALL = raw.gguf(
    [
        raw.text("general.architecture", "llama"),
        raw.u32("general.alignment", 32),
        raw.field("flag", 7, b"\x01"),
        raw.field("theta", 12, struct.pack("<d", 1e4)),
        raw.array("types", 5, 4, struct.pack("<4i", 1, 2, 3, 4)),
        raw.array("flags", 7, 3, b"\x00\x01\x00"),
        raw.strings("tokens", [b"<s>", b"", b"a", "é".encode(), b"\xff"]),
    ],
    [
        raw.tensor("a", (32, 2), 8, 0),
        raw.tensor("b", (3,), 0, 96),
        raw.tensor("c", (), 24, 128),
    ],
    bytes(range(96)) + struct.pack("<3f20x", 1, 2, 3) + b"c",
)


def read_everything(path: Path) -> None:
    """Touch all that a file holds."""
    with GGUFFile.open(path) as file:
        for value in file.metadata.values():
            if isinstance(value, StringArray):
                assert [value[i] for i in range(len(value))] == list(value)
        for name, tensor in file.tensors.items():
            assert file.data(name).nbytes == tensor.n_bytes
            file.data(name).sum()


def outcome(path: Path) -> str:
    """The message of the error, empty where the file is read."""
    try:
        read_everything(path)
    except FileError as error:
        return str(error)
    return ""


def test_the_whole_file_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(SMALL)
    read_everything(path)


@pytest.mark.parametrize("version", [2, 3])
def test_cut_at_every_byte(tmp_path: Path, version: int) -> None:
    path = tmp_path / "model.gguf"
    whole = SMALL[:4] + struct.pack("<I", version) + SMALL[8:]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(FileError) as caught:
            read_everything(path)
        assert "\n" not in str(caught.value), f"cut at {length}"


def mutations(rng: np.random.Generator, count: int) -> list[bytes]:
    """Copies with one to three bytes replaced; often by those that make a number extreme."""
    copies = []
    for _ in range(count):
        copy = bytearray(SMALL)
        for position in rng.integers(0, len(SMALL), rng.integers(1, 4)):
            extreme = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
            copy[position] = rng.choice([extreme, rng.integers(256)])
        copies.append(bytes(copy))
    return copies


def test_replaced_bytes(tmp_path: Path) -> None:
    """Each file is read or refused, and never takes memory out of proportion to its size."""
    path = tmp_path / "model.gguf"
    refused = 0
    tracemalloc.start()
    try:
        for content in mutations(np.random.default_rng(20240607), 1_000):
            path.write_bytes(content)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            message = outcome(path)
            assert "\n" not in message
            refused += bool(message)
            assert tracemalloc.get_traced_memory()[1] - before < 300_000
    finally:
        tracemalloc.stop()
    assert 100 < refused < 900


def test_every_byte_at_its_extremes(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    header = SMALL.index(bytes(range(96)))
    for position in range(header):
        for value in (SMALL[position] ^ 0x80, 0xFF):
            path.write_bytes(SMALL[:position] + bytes([value]) + SMALL[position + 1 :])
            assert "\n" not in outcome(path)
