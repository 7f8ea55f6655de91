"""Tells what a file without the GGUF magic is instead."""

from __future__ import annotations

from pyllama.gguf.types import MAGIC
from pyllama.gguf.wording import AGAIN

SNIFF_BYTES = 512

_CONVERT = "convert the model with `pyllama convert`"
_CONVERT_FRESH = "convert the original model again with `pyllama convert`"
_DOWNLOAD = "download the file itself"

# (first bytes, what begins so, remedy)
_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (b"lmgg", "a model in the old GGML format", _CONVERT_FRESH),
    (b"fmgg", "a model in the old GGMF format", _CONVERT_FRESH),
    (b"tjgg", "a model in the old GGJT format", _CONVERT_FRESH),
    (b"algg", "an adapter in the old GGLA format", _CONVERT_FRESH),
    (b"PK\x03\x04", "a zip archive or PyTorch checkpoint", _CONVERT),
    (b"\x80\x02", "a pickled PyTorch checkpoint", _CONVERT),
    (b"\x89HDF", "an HDF5 file", _CONVERT),
    (b"version https://git-lfs", "a Git LFS pointer", _DOWNLOAD + " with `git lfs pull`"),
    (b"<", "a web page or XML file", _DOWNLOAD),
    (b"{", "a JSON file", "name the .gguf file"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it first"),
    (bytes(16), "an unfinished download (zeros)", AGAIN),
)


def explain_magic(start: bytes) -> tuple[str, str]:
    """What a file that does not begin with ``GGUF`` is, from its first bytes, and the remedy."""
    if not start:
        return "is empty", AGAIN
    if start == MAGIC[: len(start)]:
        return "is truncated inside the magic bytes", AGAIN
    if _is_safetensors(start):
        return "is not a GGUF file but looks like a safetensors file", _CONVERT
    for first, what, remedy in _STARTS:
        if start.startswith(first):
            return f"is not a GGUF file but looks like {what}", remedy
    return f"is not a GGUF file: it begins with {start[:4]!r}, not {MAGIC!r}", "name a .gguf file"


def _is_safetensors(start: bytes) -> bool:
    """A safetensors file: the length of a JSON header in 8 bytes, then the header."""
    length = int.from_bytes(start[:8], "little")
    return start[8:9] == b"{" and 0 < length < 2**40
