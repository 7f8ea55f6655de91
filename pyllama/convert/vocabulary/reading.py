"""Finds and reads the tokenizer in the folder of a checkpoint."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from pyllama.convert.documents import read_optional
from pyllama.convert.vocabulary.byte_bpe import is_byte_level, read_byte_bpe
from pyllama.convert.vocabulary.chat_templates import read_chat_templates
from pyllama.convert.vocabulary.document import Document, read_document
from pyllama.convert.vocabulary.frame import read_frame
from pyllama.convert.vocabulary.older_files import (
    document_of_vocab_json,
    document_of_vocab_txt,
    listed_added_tokens,
)
from pyllama.convert.vocabulary.originals import huggingface_original, sentencepiece_original
from pyllama.convert.vocabulary.sentencepiece import read_sentencepiece
from pyllama.convert.vocabulary.sentencepiece_bpe import read_sentencepiece_bpe
from pyllama.convert.vocabulary.sentencepiece_model import read_sentencepiece_model
from pyllama.convert.vocabulary.source import Reading, Source
from pyllama.convert.vocabulary.special import Configuration, read_special
from pyllama.convert.vocabulary.tekken import document_of_tekken, roles_of_tekken
from pyllama.convert.vocabulary.tokens import by_id, complete
from pyllama.convert.vocabulary.unigram import read_unigram
from pyllama.convert.vocabulary.vocabulary import Vocabulary
from pyllama.convert.vocabulary.wordpiece import read_wordpiece
from pyllama.errors import ConversionError, UsageError
from pyllama.gguf.wording import quoted
from pyllama.tokenizers.pretokenizers import PRE_TOKENIZERS

_WHOLE = (
    "no known name describes the tokenizer: it is stored whole, which pyllama uses; other programs"
    " need a name (--pre), or will cut text differently"
)
_UNCHECKED = "the tokenizer cannot be compared with its original: install sentencepiece"
_CONFIGURATION = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "config.json",
    "generation_config.json",
)


def read_vocabulary(folder: Path, embedding_rows: int, *, pre: str | None = None) -> Vocabulary:
    """The tokenizer of a checkpoint.

    Args:
        folder: with the tokenizer's files and the configuration beside them.
        embedding_rows: tokens that the model has weights for; the vocabulary gets that long.
        pre: a name to give to the pre-tokenizer of a byte-level BPE, whatever its structure.

    Raises ``FileError`` for a file that cannot be read, ``ConversionError`` for a tokenizer that
    is missing, malformed, larger than the embedding or of an unknown kind, ``UsageError`` for a
    ``pre`` that nobody knows.
    """
    if pre is not None and pre not in PRE_TOKENIZERS:
        known = ", ".join(PRE_TOKENIZERS)
        raise UsageError(f"unknown pre-tokenizer {quoted(pre)}; there are: {known}")
    config = Configuration(*(read_optional(folder / name) for name in _CONFIGURATION))
    source = _find(folder, config, pre)
    reading = source.reading
    added = by_id(source.added, reading.tokens, escaped_spaces=reading.escaped_spaces)
    tokens = complete(source.path, reading.tokens, added, embedding_rows)
    special = read_special(tokens, config, reading.roles, source.frame)
    return Vocabulary(
        model=reading.model,
        pre=reading.pre,
        tokens=tokens,
        scored=reading.scored,
        merges=reading.merges,
        keys={**special.keys(), **reading.keys},
        templates=read_chat_templates(folder, config.tokenizer),
        whole=source.whole,
        warnings=(*reading.warnings, *tokens.warnings, *special.warnings),
        read_original=source.read_original,
    )


def _find(folder: Path, config: Configuration, pre: str | None) -> Source:
    """The first tokenizer of the folder, in the order in which programs prefer them."""
    readers: dict[str, Callable[[], Source | None]] = {
        "tokenizer.json": lambda: _documented(
            partial(read_document, folder / "tokenizer.json"), pre
        ),
        "tokenizer.model": lambda: _sentencepiece(folder, config, pre),
        "tekken.json": lambda: _tekken(folder / "tekken.json", pre),
        "vocab.json": lambda: _documented(
            partial(document_of_vocab_json, folder, config.tokenizer), pre
        ),
        "vocab.txt": lambda: _documented(
            partial(document_of_vocab_txt, folder, config.tokenizer), pre
        ),
    }
    for name, read in readers.items():
        if (folder / name).is_file():
            source = read()
            if source is not None:
                return source
    raise ConversionError(
        folder, "has no tokenizer", f"one of these files is needed: {', '.join(readers)}"
    )


def _documented(read: Callable[[], Document], pre: str | None) -> Source:
    document = read()
    reading = _read_kind(document, pre)
    whole = None
    if not reading.exact:
        huggingface_original(document)  # it will have to read the document again
        whole = json.dumps(document.content, ensure_ascii=False)
        reading = replace(reading, warnings=(*reading.warnings, _WHOLE))
    return Source(
        path=document.path,
        reading=reading,
        added=document.added_tokens,
        frame=read_frame(document),
        whole=whole,
        read_original=lambda: huggingface_original(read()),
    )


def _tekken(path: Path, pre: str | None) -> Source:
    read = partial(document_of_tekken, path)
    source = _documented(read, pre)
    return replace(source, reading=replace(source.reading, roles=roles_of_tekken(source.added)))


def _read_kind(document: Document, pre: str | None) -> Reading:
    match document.kind:
        case "BPE" if is_byte_level(document):
            return read_byte_bpe(document, pre)
        case "BPE":
            reading = read_sentencepiece_bpe(document)
        case "Unigram":
            reading = read_unigram(document)
        case "WordPiece":
            reading = read_wordpiece(document)
        case kind:
            raise document.error(
                f"its tokenizer is of the kind {kind}", "GGUF has BPE, Unigram and WordPiece"
            )
    return _without_name(reading, pre)


def _sentencepiece(folder: Path, config: Configuration, pre: str | None) -> Source | None:
    path = folder / "tokenizer.model"
    model = read_sentencepiece_model(path)
    if model is None:
        return None
    reading = _without_name(read_sentencepiece(path, model), pre)
    if importlib.util.find_spec("sentencepiece") is None:
        reading = replace(reading, warnings=(*reading.warnings, _UNCHECKED))
    return Source(
        path=path,
        reading=reading,
        added=listed_added_tokens(folder, config.tokenizer),
        frame=None,
        whole=None,
        read_original=partial(sentencepiece_original, path),
    )


def _without_name(reading: Reading, pre: str | None) -> Reading:
    """``reading`` of a kind that has no named pre-tokenizers, with a warning where one is given."""
    if pre is None:
        return reading
    unused = f"--pre {pre} has no use: only a byte-level BPE has a pre-tokenizer of a name"
    return replace(reading, warnings=(*reading.warnings, unused))
