"""Folders with tokenizers as checkpoints have them, trained here, and what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sentencepiece_training import sentencepiece_model
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers, trainers

from pyllama.convert.vocabulary import Vocabulary, check_round_trip, nasty_texts, read_vocabulary
from pyllama.gguf import GGUFFile, write_gguf
from pyllama.tokenizers import Tokenizer

TRAINING_TEXT = [
    "The old man went down to the river, and the river didn't answer. He'll WAIT there, he's said.",
    "def total(values):\n    result = 0\n    for value in values:\n        result += value\n",
    "Über den Wölken, café déjà vu, naïve; 2024 was 1234567 or 3.1415 -- a != b && c <= d ... ???",
    "今日は良い天気です。我们在北京吃饭，한국어 문장도 있다. Привет, мир! ελληνικά עברית عربي",
    "हिन्दी भाषा",
    "\tone\n\n\n  two   three\r\n    four\u3000five  \n",
    "👍🏽 👨‍👩‍👧 ½ ² “quoted” — dash … e\u0301",
] * 4

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
ONLY_BYTES = {**BYTE_LEVEL, "use_regex": False}
GPT2 = {**BYTE_LEVEL, "use_regex": True}

Document = dict[str, Any]


def split(regex: str, behavior: str = "Isolated", invert: bool = False) -> Document:
    """A step that cuts with a regular expression."""
    return {
        "type": "Split",
        "pattern": {"Regex": regex},
        "behavior": behavior,
        "invert": invert,
    }


def sequence(*steps: Document) -> Document:
    """Several steps of a pre-tokenizer."""
    return {"type": "Sequence", "pretokenizers": list(steps)}


def added(id: int, content: str, special: bool = True, **flags: Any) -> Document:
    """An entry of ``added_tokens``."""
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": id, "content": content, "special": special, **plain, **flags}


def byte_bpe(
    pre_tokenizer: Document, vocab_size: int = 500, special: Sequence[str] = ("<|end|>",)
) -> Document:
    """A byte-level BPE trained with a pre-tokenizer; the special tokens come last."""
    shell = json.loads(Library(models.BPE()).to_str())
    library = Library.from_str(json.dumps({**shell, "pre_tokenizer": pre_tokenizer}))
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(TRAINING_TEXT, trainer)
    library.add_special_tokens(list(special))
    document: Document = json.loads(library.to_str())
    return document


def size(document: Document) -> int:
    """How many ids a document of BPE or WordPiece needs."""
    vocab: dict[str, int] = document["model"]["vocab"]
    ids = [*vocab.values(), *(int(token["id"]) for token in document["added_tokens"])]
    return 1 + max(ids)


def trained_sentencepiece(model_type: str, **options: Any) -> bytes:
    """The bytes of a ``tokenizer.model``, with tokens for the bytes."""
    return sentencepiece_model(
        TRAINING_TEXT, model_type, **{"vocab_size": 460, "byte_fallback": True} | options
    )


def write(folder: Path, **files: Any) -> Path:
    """Files by name with ``__`` for the dot; bytes and texts as they are, the rest as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content)
            path.write_text(text, newline="")
    return folder


def convert(
    folder: Path, rows: int, pre: str | None = None, **more: Any
) -> tuple[Vocabulary, Tokenizer]:
    """The vocabulary of a folder, and the tokenizer of the file it went into."""
    vocabulary = read_vocabulary(folder, rows, pre=pre)
    path = folder / "converted.gguf"
    fields: Mapping[str, Any] = {"general.architecture": "llama", **vocabulary.metadata(), **more}
    write_gguf(path, fields, {})
    with GGUFFile.open(path) as file:
        return vocabulary, Tokenizer.from_gguf(file)


def different(vocabulary: Vocabulary, tokenizer: Tokenizer) -> list[str]:
    """The nasty texts that get other ids than from the original."""
    original = vocabulary.original
    assert original is not None
    texts = nasty_texts(vocabulary.special_texts)
    return [d.text for d in check_round_trip(original, tokenizer, texts)]
