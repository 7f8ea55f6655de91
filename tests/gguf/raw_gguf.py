"""Builds GGUF files byte by byte, independently of pyllama's writer, wrong ones included."""

from __future__ import annotations

import struct

ARRAY, STRING = 9, 8


def string(text: bytes | str, length: int | None = None) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw) if length is None else length) + raw


def field(key: bytes | str, type: int, payload: bytes) -> bytes:
    return string(key) + struct.pack("<i", type) + payload


def u32(key: bytes | str, value: int) -> bytes:
    return field(key, 4, struct.pack("<I", value))


def text(key: bytes | str, value: bytes | str) -> bytes:
    return field(key, STRING, string(value))


def array(key: bytes | str, element_type: int, count: int, items: bytes) -> bytes:
    return field(key, ARRAY, struct.pack("<iQ", element_type, count) + items)


def strings(key: bytes | str, items: list[bytes]) -> bytes:
    return array(key, STRING, len(items), b"".join(string(item) for item in items))


def tensor(name: bytes | str, dims: tuple[int, ...], type: int = 0, offset: int = 0) -> bytes:
    """``dims`` in the file's order, innermost first."""
    head = string(name) + struct.pack("<I", len(dims))
    return head + struct.pack(f"<{len(dims)}qiQ", *dims, type, offset)


def gguf(
    fields: list[bytes] | None = None,
    tensors: list[bytes] | None = None,
    data: bytes = b"",
    *,
    version: int = 3,
    n_fields: int | None = None,
    n_tensors: int | None = None,
    alignment: int = 32,
) -> bytes:
    fields, tensors = fields or [], tensors or []
    counts = (
        len(tensors) if n_tensors is None else n_tensors,
        len(fields) if n_fields is None else n_fields,
    )
    head = b"GGUF" + struct.pack("<Iqq", version, *counts) + b"".join(fields) + b"".join(tensors)
    return head + bytes(-len(head) % alignment) + data
