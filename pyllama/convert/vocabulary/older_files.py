"""Tokenizers from before ``tokenizer.json``, written as such a document.

    vocab.json + merges.txt    byte-level BPE, as GPT-2 has it: ids by text; a pair of tokens a line
    vocab.txt                  WordPiece, as BERT has it: a token a line

Added tokens stand in ``added_tokens.json`` (ids by text) and under ``added_tokens_decoder`` in
``tokenizer_config.json`` (objects by id).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyllama.convert.documents import read_bytes, read_object, read_optional
from pyllama.convert.vocabulary.document import AGAIN, MAX_BYTES, AddedToken, Document, added_entry
from pyllama.errors import ConversionError
from pyllama.gguf.wording import quoted

_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_STEPS: dict[str, dict[str, Any]] = {
    "Qwen2Tokenizer": {
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": _QWEN2},
                    "behavior": "Isolated",
                    "invert": False,
                },
                {**_BYTE_LEVEL, "use_regex": False},
            ],
        },
    },
}
"""What the classes of tokenizers do that cut otherwise than GPT-2."""
_ROLES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)


def document_of_vocab_json(folder: Path, config: Mapping[str, Any]) -> Document:
    """The document for ``vocab.json`` and ``merges.txt``. Raises FileError, ConversionError."""
    path = folder / "vocab.json"
    vocab = read_object(path)
    lines = _lines(folder / "merges.txt")
    merges = list(filter(None, lines[1:] if lines[0].startswith("#version") else lines))
    steps = _STEPS.get(str(config.get("tokenizer_class")), {"pre_tokenizer": _BYTE_LEVEL})
    return _document(
        path,
        {
            **steps,
            "model": {"type": "BPE", "vocab": vocab, "merges": merges},
            "decoder": {**_BYTE_LEVEL, "use_regex": True},
        },
        _added(folder, config, vocab),
    )


def document_of_vocab_txt(folder: Path, config: Mapping[str, Any]) -> Document:
    """The document for ``vocab.txt``. Raises FileError, ConversionError."""
    path = folder / "vocab.txt"
    vocab = {text: id for id, text in enumerate(_lines(path))}
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    names |= {role: text for role, text in _special_texts(config).items() if role in names}
    ends = {
        key: [names[f"{key}_token"], vocab.get(names[f"{key}_token"])] for key in ("sep", "cls")
    }
    return _document(
        path,
        {
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": config.get("tokenize_chinese_chars", True),
                "strip_accents": config.get("strip_accents"),
                "lowercase": config.get("do_lower_case", True),
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", **ends},
            "model": {
                "type": "WordPiece",
                "vocab": vocab,
                "unk_token": names["unk_token"],
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
            },
        },
        _added(folder, config, vocab)
        | {vocab[text]: (text, True) for text in names.values() if text in vocab},
    )


def listed_added_tokens(folder: Path, config: Mapping[str, Any]) -> tuple[AddedToken, ...]:
    """The tokens that the two files beside a tokenizer add to it; ``ConversionError``."""
    path = folder / "tokenizer_config.json"
    added = _added(folder, config, {})
    document = _document(path, {}, added)
    return document.added_tokens


def _added(
    folder: Path, config: Mapping[str, Any], vocab: Mapping[str, Any]
) -> dict[Any, tuple[str, bool]]:
    """Text of added tokens by id, and whether they are special."""
    special = set(_special_texts(config).values())
    added = {id: (text, text in special) for text, id in _added_json(folder)}
    added |= {id: (text, True) for text, id in vocab.items() if text in special and type(id) is int}
    listed = config.get("added_tokens_decoder") or {}
    for key, entry in listed.items() if isinstance(listed, dict) else ():
        match entry:
            case {"content": str(text)} if key.isascii() and key.isdigit() and len(key) < 10:
                added[int(key)] = (text, entry.get("special") is True)
            case _:
                path = folder / "tokenizer_config.json"
                raise ConversionError(path, f"added token {quoted(key)} has no text", AGAIN)
    return added


def _added_json(folder: Path) -> Iterator[tuple[str, Any]]:
    path = folder / "added_tokens.json"
    for text, id in read_optional(path).items():
        if type(id) is not int:
            raise ConversionError(path, f"token {quoted(text)} has no number for its id", AGAIN)
        yield text, id


def _special_texts(config: Mapping[str, Any]) -> dict[str, str]:
    """The texts of the special tokens by role."""
    values = {role: config.get(role) for role in _ROLES}
    texts = {
        role: value.get("content") if isinstance(value, dict) else value
        for role, value in values.items()
    }
    return {role: text for role, text in texts.items() if isinstance(text, str)}


def _document(path: Path, content: dict[str, Any], added: Mapping[Any, Any]) -> Document:
    tokens = [added_entry(id, text, special) for id, (text, special) in sorted(added.items())]
    return Document(path, {"version": "1.0", **content, "added_tokens": tokens})


def _lines(path: Path) -> list[str]:
    try:
        text = read_bytes(path, MAX_BYTES).decode()
    except UnicodeDecodeError as error:
        raise ConversionError(path, f"is not UTF-8: {error}", AGAIN) from error
    return text.removesuffix("\n").split("\n")
