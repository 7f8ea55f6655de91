"""``tokenizer.model``, SentencePiece's own file: a protocol buffer.

    message    fields, each: varint (number << 3 | wire type), then its value
    wire type  0 varint, 1 eight bytes, 2 varint length and that many bytes, 5 four bytes

    ModelProto        1 pieces, repeated   2 trainer_spec   3 normalizer_spec
    piece             1 text   2 score, f32   3 type (1 normal ... 6 byte, as in GGUF)
    trainer_spec      3 model_type (1 unigram, 2 BPE)   40-43 ids of unk, bos, eos, pad
    normalizer_spec   1 name   2 precompiled_charsmap   3 add_dummy_prefix
                      4 remove_extra_whitespaces

Source: ``sentencepiece_model.proto`` of SentencePiece.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pyllama.convert.documents import read_bytes
from pyllama.convert.vocabulary.document import AGAIN, MAX_BYTES
from pyllama.convert.vocabulary.tokens import Token
from pyllama.errors import ConversionError
from pyllama.tokenizers.vocabulary import TokenType

UNIGRAM, BPE = 1, 2

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_ROLES = {40: "unk", 41: "bos", 42: "eos", 43: "pad"}
_DEFAULT_IDS = {"unk": 0, "bos": 1, "eos": 2, "pad": -1}

Value = int | bytes


@dataclass(slots=True)
class SentencePieceModel:
    """What the file says; fields that it leaves out have SentencePiece's defaults.

    Attributes:
        tokens: by id, in the file's order.
        model_type: ``UNIGRAM``, ``BPE``, or another number.
        ids: of the special tokens by role; -1 where there is none.
        normalization: its name, such as ``identity`` or ``nmt_nfkc``.
        character_map: see ``pyllama.tokenizers.charsmap``; empty if there is none.
        add_dummy_prefix: a space is put before a text.
        remove_extra_whitespaces: runs of spaces count as one.
    """

    tokens: list[Token] = field(default_factory=list)
    model_type: int = UNIGRAM
    ids: dict[str, int] = field(default_factory=lambda: dict(_DEFAULT_IDS))
    normalization: str = ""
    character_map: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True


def read_sentencepiece_model(path: Path) -> SentencePieceModel | None:
    """The model in a file; ``None`` where it is no protocol buffer but a list of Base64 tokens.

    Llama 3 and others give such a list this name. Raises ``FileError`` where the file cannot be
    read, ``ConversionError`` where it is damaged.
    """
    data = read_bytes(path, MAX_BYTES)
    if data[:1] != b"\n":  # field 1, bytes: the first piece
        return None
    try:
        return _parse(data)
    except ValueError as error:
        problem = f"is no SentencePiece model: {error}"
        raise ConversionError(path, problem, AGAIN) from error


def _parse(data: bytes) -> SentencePieceModel:
    model = SentencePieceModel()
    for number, value in _fields(data):
        if number == 1:
            model.tokens.append(_token(_as_bytes(value)))
        elif number == 2:
            _read_trainer(model, _as_bytes(value))
        elif number == 3:
            _read_normalizer(model, _as_bytes(value))
    return model


def _token(data: bytes) -> Token:
    text, score, type = "", 0.0, TokenType.NORMAL
    for number, value in _fields(data):
        if number == 1:
            text = _as_bytes(value).decode()
        elif number == 2:
            score = _as_float(value)
        elif number == 3:
            type = TokenType(_as_int(value))
    if not math.isfinite(score):
        raise ValueError(f"token {text!r} has the score {score}")
    return Token(text, type, score)


def _read_trainer(model: SentencePieceModel, data: bytes) -> None:
    for number, value in _fields(data):
        if number == 3:
            model.model_type = _as_int(value)
        elif number in _ROLES:
            id = _as_int(value)
            model.ids[_ROLES[number]] = id if id < 1 << 31 else -1


def _read_normalizer(model: SentencePieceModel, data: bytes) -> None:
    for number, value in _fields(data):
        if number == 1:
            model.normalization = _as_bytes(value).decode()
        elif number == 2:
            model.character_map = _as_bytes(value)
        elif number == 3:
            model.add_dummy_prefix = bool(value)
        elif number == 4:
            model.remove_extra_whitespaces = bool(value)


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each field; a value is the integer of a varint, else bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        value: Value
        if wire == _VARINT:
            value, at = _varint(data, at)
        else:
            if wire == _BYTES:
                length, at = _varint(data, at)
            elif wire in (_EIGHT, _FOUR):
                length = 8 if wire == _EIGHT else 4
            else:
                raise ValueError(f"field {key >> 3} has the wire type {wire}")
            if length > len(data) - at:
                raise ValueError(f"field {key >> 3} is cut short")
            value, at = data[at : at + length], at + length
        yield key >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at ``at``, up to 64 bits, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it is cut short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number has more than 64 bits")


def _as_bytes(value: Value) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number stands where bytes belong")
    return value


def _as_float(value: Value) -> float:
    data = _as_bytes(value)
    if len(data) != 4:
        raise ValueError(f"{len(data)} bytes stand where a score belongs")
    return float(struct.unpack("<f", data)[0])


def _as_int(value: Value) -> int:
    if not isinstance(value, int):
        raise ValueError("bytes stand where a number belongs")
    return value
