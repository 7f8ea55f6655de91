"""GPT-2's spelling of bytes as printable characters.

The bytes that print in Latin-1 (``!`` to ``~``, ``¡`` to ``¬``, ``®`` to ``ÿ``) stand for
themselves; the other 68 are, in order, U+0100 and up. So a space is ``Ġ`` and a newline ``Ċ``.
Source: the encoder of GPT-2 (``bytes_to_unicode``).
"""

from __future__ import annotations

_PRINTING = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
_OTHERS = [byte for byte in range(256) if byte not in _PRINTING]
_CHARACTERS = {byte: chr(byte) for byte in _PRINTING} | {
    byte: chr(0x100 + i) for i, byte in enumerate(_OTHERS)
}
_BYTES = {character: byte for byte, character in _CHARACTERS.items()}


def to_characters(text: str) -> str:
    """The UTF-8 bytes of ``text``, a character for each."""
    return spell(text.encode())


def spell(data: bytes) -> str:
    """A character for each byte."""
    return data.decode("latin-1").translate(_CHARACTERS)


def to_bytes(spelled: str) -> bytes:
    """The bytes that ``spelled`` stands for; characters that stand for none stay as they are."""
    try:
        return bytes([_BYTES[character] for character in spelled])
    except KeyError:
        return b"".join(
            bytes([_BYTES[c]]) if c in _BYTES else c.encode("utf-8", "surrogateescape")
            for c in spelled
        )
