"""Small vocabularies made by the original libraries, and strings that break tokenizers."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import sentencepiece
from sentencepiece_training import sentencepiece_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

TRAINING_TEXT = [
    "The quick brown fox jumps over the lazy dog, and the dog doesn't mind at all.",
    "def read_lines(path):\n    with open(path) as file:\n        return file.read().split()",
    "Äpfel und Öl, naïve café, 1234567890 3.14159 -- == != <= >= ... !!! ???",
    "日本語のテキストと中文的文本, 한국어 문장, русский текст, ελληνικά, עברית, عربي",
    "for i in range(10):\n\n\t\tprint(i, i * i, '    spaces    and   more  spaces   ')",
    "👩‍👩‍👧 🏳️‍🌈 🚀🚀🚀 ¿qué? “quoted” ‘text’ — dash … ½ ² ³",
] * 4


def nasty_strings() -> Iterator[str]:
    """Runs of white space, emoji, marks, scripts, control characters, look-alikes; seeded."""
    yield from ("", " ", "  ", " " * 7, " " * 100, "\t", "\n\n\n", " \n \t ", "\r\n" * 9, "\r")
    yield from ("a" * 10_000, "=" * 10_000, " " * 10_000, "ab" * 5_000, "1234567890" * 100)
    yield from ("\0", "a\0b", "\0\0\0", "\x7f\x80\x9f", "\ufeffBOM", "\ufffd", "\u2028\u2029\u0085")
    yield from ("👨‍👩‍👧‍👦 family", "🏳️‍🌈🏴‍☠️", "e\u0301\u0301 a\u0308" * 9, "Z͑ͫ̓͏̴̙A̴̵̜L̠ͨG̴̻͈O̵̹")
    yield from ("שלום עולם", "مرحبا بالعالم", "\u202eabc\u202c", "我想在apple工作1314151天～")
    yield from ("한국어 텍스트", "ﷺ" * 9, "\U0010ffff\U000e0001", "ſtraße İI ıi", "x²½Ⅷ٣")
    yield from ("<s>", "</s>", "<unk>", "a<s>b</s>c<unk>d", "<0x0A>", "<0x41>", "<|endoftext|>")
    yield from ("\u2581", "\u2581\u2581a", " \u2581 ", "a\u00a0b\u3000c", "  lead", "trail  ")
    yield from ("HelloWORLD iPhone'S we'Re I'LL x's 'tis", "a  b   c    d     e", "don't/can't")
    yield "".join(map(chr, range(1, 256)))
    for character in "a=- _#*\n.1日":
        yield from (character * length for length in range(2, 40))
    draw = random.Random(1)
    alphabet = [*"abcdehilnorstuwxyz     \n\t<>/|{}()=-_.,'\"0123ABCÄé", "▁", "日", "👩", "\u200d"]
    alphabet += ["\u0301", "ש", "<s>", "the", "ing", "\0", "▁▁", "  ", "    ", "'s", "'LL"]
    for _ in range(600):
        yield "".join(draw.choices(alphabet, k=draw.choice([3, 10, 40, 200])))
    anything = [*map(chr, range(0x20, 0xD800)), *map(chr, range(0xE000, 0x20000))]
    for _ in range(200):
        yield "".join(draw.choices(anything, k=20))


def train_sentencepiece(model_type: str, **options: Any) -> sentencepiece.SentencePieceProcessor:
    """A SentencePiece model of some hundred tokens."""
    proto = sentencepiece_model(TRAINING_TEXT, model_type, **options)
    return sentencepiece.SentencePieceProcessor(model_proto=proto)


def sentencepiece_metadata(
    model: str, processor: sentencepiece.SentencePieceProcessor, **keys: Any
) -> dict[str, Any]:
    """The metadata that a converter writes for a SentencePiece model."""
    ids = range(processor.vocab_size())
    kinds = (
        (UNKNOWN, processor.is_unknown),
        (CONTROL, processor.is_control),
        (UNUSED, processor.is_unused),
        (BYTE, processor.is_byte),
    )
    types = [next((kind for kind, test in kinds if test(i)), NORMAL) for i in ids]
    return prefixed(
        model=model,
        tokens=[processor.id_to_piece(i) for i in ids],
        scores=np.array([processor.get_score(i) for i in ids], np.float32),
        token_type=np.array(types, np.int32),
        unknown_token_id=processor.unk_id(),
        bos_token_id=processor.bos_id(),
        eos_token_id=processor.eos_id(),
        **keys,
    )


def train_byte_bpe(vocab_size: int = 700) -> Tokenizer:
    """A byte-level BPE tokenizer of the Hugging Face library, with GPT-2's pre-tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TRAINING_TEXT, trainer)
    return tokenizer


def byte_bpe_metadata(tokenizer: Tokenizer, **keys: Any) -> dict[str, Any]:
    """The metadata that a converter writes for a byte-level BPE tokenizer."""
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    return prefixed(**{"model": "gpt2", "pre": "gpt-2", "tokens": tokens, "merges": merges} | keys)


def bpe_metadata(tokens: list[str], merges: tuple[str, ...] = (), **keys: Any) -> dict[str, Any]:
    """A byte-level vocabulary of the printing ASCII characters, space, newline and ``tokens``."""
    alphabet = [*map(chr, range(0x21, 0x7F)), "Ġ", "Ċ"]
    new = [token for token in tokens if token not in alphabet]
    return prefixed(
        **{"model": "gpt2", "pre": "gpt-2", "tokens": alphabet + new, "merges": list(merges)} | keys
    )


def with_types(metadata: Mapping[str, Any], types: Mapping[str, int]) -> dict[str, Any]:
    """The same vocabulary with the types of some tokens, given by text."""
    tokens = metadata["tokenizer.ggml.tokens"]
    array = np.array([types.get(token, NORMAL) for token in tokens], np.int32)
    return {**metadata, "tokenizer.ggml.token_type": array}


def prefixed(**keys: Any) -> dict[str, Any]:
    """The keys under the prefix of the format."""
    return {f"tokenizer.ggml.{name}": value for name, value in keys.items()}
