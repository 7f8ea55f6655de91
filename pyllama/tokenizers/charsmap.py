"""SentencePiece's character normalization (``tokenizer.ggml.precompiled_charsmap``).

    u32 size | size bytes: double array, u32 entries | replacement texts, each ended by NUL

The double array is a trie over UTF-8 bytes (Yata, as in Darts-clone). An entry holds

    bits 0-7    the byte that leads here            bit 31  set: the entry is a value
    bit 8       a value hangs below this node       bits 0-30 of a value: offset of the replacement
    bit 9       the base below is to be shifted by 8
    bits 10-30  base: the child for byte c is at (this node ^ base ^ c)

The longest prefix of the text that has a value is replaced.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyllama.tokenizers.keys import PREFIX, Keys

_NAME = "precompiled_charsmap"
_VALUE, _BYTE, _HAS_VALUE, _SHIFTED = 1 << 31, 0xFF, 1 << 8, 1 << 9


@dataclass(frozen=True, slots=True)
class CharacterMap:
    """The parsed map: entries of the double array and the replacement texts."""

    entries: tuple[int, ...]
    replacements: bytes

    def normalize(self, text: str) -> str:
        """``text`` with the longest mapped prefix replaced again and again."""
        if not self.entries:
            return text
        source, out, at = text.encode(), bytearray(), 0
        while at < len(source):
            length, replacement = self._longest_prefix(source, at)
            if length == 0:
                length = _character_length(source[at])
                replacement = source[at : at + length]
            out += replacement
            at += length
        return out.decode(errors="replace")

    def _longest_prefix(self, source: bytes, start: int) -> tuple[int, bytes]:
        """Length and replacement of the longest mapped text at ``start``; 0 if there is none.

        A link that leads out of the map ends the search, as a missing child does.
        """
        entries, best = self.entries, (0, b"")
        node = _base(entries[0])
        for at in range(start, len(source)):
            byte = source[at]
            node ^= byte
            if byte == 0 or node >= len(entries) or entries[node] & (_VALUE | _BYTE) != byte:
                break
            entry = entries[node]
            node ^= _base(entry)
            if entry & _HAS_VALUE and node < len(entries):
                offset = entries[node] & (_VALUE - 1)
                end = self.replacements.find(b"\0", offset)
                best = (at + 1 - start, self.replacements[offset:end])
        return best


def read_character_map(keys: Keys) -> CharacterMap:
    """The map of a model, empty if it has none; raises ``ModelError`` for a malformed one."""
    array = keys.numbers(_NAME)
    if array is None:
        return CharacterMap((), b"")
    if array.dtype.itemsize != 1:
        raise keys.error(f"{PREFIX}{_NAME} is not an array of bytes")
    try:
        return parse_character_map(array.tobytes())
    except ValueError as error:
        raise keys.error(f"{PREFIX}{_NAME} {error}") from error


def parse_character_map(blob: bytes) -> CharacterMap:
    """The map in a ``precompiled_charsmap``; ``ValueError`` for a malformed one."""
    size = int.from_bytes(blob[:4], "little")
    if len(blob) < 4 or size % 4 or not 4 <= size < len(blob) - 4:
        raise ValueError(f"of {len(blob)} bytes is cut short")
    replacements = blob[4 + size :]
    if replacements[-1] != 0:
        raise ValueError("ends within a replacement")
    entries: NDArray[np.uint32] = np.frombuffer(blob, "<u4", size // 4, offset=4)
    offsets = entries[entries >= _VALUE] - np.uint32(_VALUE)
    if len(offsets) and offsets.max() >= len(replacements):
        raise ValueError("points outside its replacements")
    return CharacterMap(tuple(entries.tolist()), replacements)


def decode_character_map(value: object) -> bytes:
    """The bytes of a map that stands as Base64 in a JSON; ``ValueError`` if it is malformed."""
    if not isinstance(value, str):
        raise ValueError("precompiled_charsmap is no text")
    try:
        blob = base64.b64decode(value, validate=True)
        parse_character_map(blob)
    except ValueError as error:
        raise ValueError(f"precompiled_charsmap {error}") from error
    return blob


def _base(entry: int) -> int:
    return (entry >> 10) << ((entry & _SHIFTED) >> 6)


def _character_length(lead: int) -> int:
    """Bytes of the UTF-8 character that begins with ``lead``."""
    return 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
