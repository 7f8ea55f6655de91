"""Every fault of a file is a one-line ``FileError`` that names the file, the thing and a remedy."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
import raw_gguf as raw

from pyllama.errors import FileError
from pyllama.gguf import GGUFFile


def message_of(path: Path) -> str:
    with pytest.raises(FileError) as caught:
        GGUFFile.open(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert caught.value.remedy
    return message


def with_version(version: int) -> bytes:
    return raw.gguf(version=version)


def with_type(number: int) -> bytes:
    return raw.gguf([], [raw.tensor("t", (256,), number)], bytes(4096))


def alignment(payload: bytes, type: int = 4) -> bytes:
    return raw.gguf([raw.field("general.alignment", type, payload)])


F32, I8 = 0, 24
HUGE = 2**62

FAULTS = {
    # not a GGUF
    "empty": (b"", "is empty"),
    "magic cut short": (b"GGU", "inside the magic"),
    "noise": (b"noise, nothing else", "begins with b'nois', not b'GGUF'"),
    "safetensors": (struct.pack("<Q", 20) + b'{"a":{}}', "safetensors file; convert"),
    "zip": (b"PK\x03\x04....", "zip archive or PyTorch"),
    "pickle": (b"\x80\x02}q\x00.", "pickled PyTorch"),
    "ggml": (struct.pack("<I", 0x67676D6C), "old GGML format; convert the original"),
    "ggjt": (struct.pack("<I", 0x67676A74), "old GGJT format"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer; download"),
    "web page": (b"<!DOCTYPE html><html>", "web page"),
    "json": (b'{"model_type": "llama"}', "JSON file"),
    "zeros": (bytes(64), "unfinished download"),
    # version
    "version 0": (with_version(0), "bad GGUF version 0"),
    "version 1": (with_version(1), "version 1 is no longer read"),
    "version 4": (with_version(4), "version 4 is newer than 3"),
    "big-endian": (b"GGUF" + struct.pack(">Iqq", 3, 0, 0), "big-endian"),
    # counts
    "negative tensors": (raw.gguf(n_tensors=-1), "claims -1 tensors"),
    "many tensors": (raw.gguf(n_tensors=HUGE), f"claims {HUGE} tensors, but"),
    "negative keys": (raw.gguf(n_fields=-5), "claims -5 keys"),
    "many keys": (raw.gguf(n_fields=HUGE), f"claims {HUGE} keys, but"),
    "more keys than any model": (
        raw.gguf(n_fields=70_000, data=bytes(10**6)),
        "70000 keys, more than any model",
    ),
    # keys and values
    "empty key": (raw.gguf([raw.u32("", 1)]), "metadata key 1 of 1 is empty"),
    "duplicate key": (raw.gguf([raw.u32("k", 1), raw.u32("k", 2)]), "key 'k' occurs twice"),
    "key not UTF-8": (raw.gguf([raw.u32(b"k\xff", 1)]), "name that is not UTF-8: 'k�'"),
    "key with a newline": (
        raw.gguf([raw.field("a\nb", 99, b"")]),
        r"key 'a\nb' has the unknown value type 99",
    ),
    "long key": (raw.gguf([raw.u32("k" * 70_000, 1)]), "a name of 70000 bytes, 65535 are allowed"),
    "key length": (raw.gguf([raw.string("k", HUGE)]), "bytes of name, but"),
    "value type": (raw.gguf([raw.field("k", 13, b"")]), "unknown value type 13"),
    "negative value type": (raw.gguf([raw.field("k", -1, b"")]), "unknown value type -1"),
    "element type": (raw.gguf([raw.array("k", 13, 0, b"")]), "unknown element type 13"),
    "array of arrays": (raw.gguf([raw.array("k", 9, 0, b"")]), "array of arrays"),
    "bool": (raw.gguf([raw.field("k", 7, b"\x02")]), "'k' is a bool with the value 2"),
    "bool array": (raw.gguf([raw.array("k", 7, 3, b"\x00\x01\x07")]), "the value 7"),
    "string length": (
        raw.gguf([raw.field("k", 8, raw.string("abc", HUGE))]),
        f"'k' claims {HUGE} bytes of text",
    ),
    "array length": (raw.gguf([raw.array("k", 5, HUGE, b"")]), f"claims {HUGE} numbers"),
    "array of strings length": (
        raw.gguf([raw.array("k", 8, HUGE, b"")]),
        f"claims {HUGE} strings",
    ),
    "string in an array": (
        raw.gguf([raw.array("k", 8, 2, raw.string("a") + raw.string("b", HUGE))]),
        "key 'k' reaches to byte",
    ),
    "string in an array beyond 64 bits": (
        raw.gguf([raw.array("k", 8, 2, raw.string("a", 2**64 - 1) + raw.string("b"))]),
        "key 'k' reaches to byte",
    ),
    # alignment
    "alignment 0": (alignment(struct.pack("<I", 0)), "alignment is 0, not a power of two"),
    "alignment 48": (alignment(struct.pack("<I", 48)), "alignment is 48, not a power of two"),
    "alignment 2^31": (alignment(struct.pack("<I", 2**31)), "not a power of two up to"),
    "alignment type": (alignment(struct.pack("<Q", 32), 10), "has the type UINT64, not UINT32"),
    # tensors
    "duplicate tensor": (
        raw.gguf([], [raw.tensor("t", (0,)), raw.tensor("t", (0,))]),
        "tensor 't' occurs twice",
    ),
    "tensor name not UTF-8": (raw.gguf([], [raw.tensor(b"\xff", (1,))]), "not UTF-8"),
    "long tensor name": (raw.gguf([], [raw.tensor("t" * 64, (1,))]), "64 bytes, 63 are allowed"),
    "five dimensions": (raw.gguf([], [raw.tensor("t", (1,) * 5)]), "5 dimensions, GGUF allows 4"),
    "negative dimension": (raw.gguf([], [raw.tensor("t", (4, -1))]), "negative dimension"),
    "element overflow": (raw.gguf([], [raw.tensor("t", (HUGE, 2), I8)]), "64 bits"),
    "byte overflow": (raw.gguf([], [raw.tensor("t", (HUGE,), F32)]), "64 bits"),
    "overflow behind a zero": (raw.gguf([], [raw.tensor("t", (HUGE, HUGE, 0))]), "64 bits"),
    "row of half a block": (
        raw.gguf([], [raw.tensor("t", (300,), 12)]),
        "rows of 300 elements, q4_K needs a multiple of 256",
    ),
    "unknown type": (with_type(43), "'t' has unknown type 43"),
    "negative type": (with_type(-1), "unknown type -1"),
    "removed type": (with_type(31), "type 31 (Q4_0_4_4), which ggml has removed; requantize to Q4"),
    "ik_llama.cpp type": (with_type(139), "type 139 (IQ4_K), which only ik_llama.cpp knows"),
    "unnamed ik_llama.cpp type": (with_type(230), "type 230, which only ik_llama.cpp knows"),
    "gap": (
        raw.gguf([], [raw.tensor("a", (1,)), raw.tensor("b", (1,), offset=64)], bytes(128)),
        "tensor 'b' has the offset 64, not 32",
    ),
    "overlap": (
        raw.gguf([], [raw.tensor("a", (1,)), raw.tensor("b", (1,), offset=0)], bytes(128)),
        "tensor 'b' has the offset 0, not 32",
    ),
    "data cut short": (
        raw.gguf([], [raw.tensor("t", (8,))], bytes(31)),
        "incomplete: tensor 't' reaches to byte 96, the file has 95",
    ),
    "no data": (raw.gguf([], [raw.tensor("t", (8,))])[:-1], "incomplete: tensor 't'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_file(tmp_path: Path, name: str) -> None:
    content, expected = FAULTS[name]
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert expected in message_of(path)


def test_missing_file(tmp_path: Path) -> None:
    assert "no such file" in message_of(tmp_path / "model.gguf")


def test_directory(tmp_path: Path) -> None:
    assert "is a directory; name a .gguf file" in message_of(tmp_path)


def test_name_that_no_file_can_have(tmp_path: Path) -> None:
    assert "no file can have this name" in message_of(tmp_path / "model\0.gguf")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in message_of(tmp_path / "pipe")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated: root may read everything, and containers run as root."""
    path = tmp_path / "model.gguf"
    path.write_bytes(raw.gguf())

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "permission denied; check the file's permissions" in message_of(path)


def test_long_names_are_cut_in_messages(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(raw.gguf([raw.field("k" * 60_000, 99, b"")]))
    assert len(message_of(path)) < len(str(path)) + 250


def test_a_file_that_shrinks_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(raw.gguf([raw.text("k", "v" * 1000)]))
    real = os.path.getsize(path)
    monkeypatch.setattr("pyllama.gguf.reader._size_of", lambda _: real + 1000)
    assert "shrank while it was read" in message_of(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows would fill the file with zeros")
def test_header_beyond_a_gigabyte(tmp_path: Path) -> None:
    """A flipped bit in a length must not make us read gigabytes of weights as text."""
    path = tmp_path / "model.gguf"
    with path.open("wb") as stream:
        stream.write(raw.gguf([raw.field("k", 8, raw.string("", 2**31))]))
        stream.truncate(2**32)  # sparse: occupies no disk
    assert "beyond a header of 1 GiB" in message_of(path)
