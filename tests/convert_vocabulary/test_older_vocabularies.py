"""WordPiece, and the files from before ``tokenizer.json``; Mistral's ``tekken.json``."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from checkpoint_folders import (
    GPT2,
    ONLY_BYTES,
    TRAINING_TEXT,
    byte_bpe,
    convert,
    different,
    sequence,
    size,
    split,
    write,
)
from tokenizers import Tokenizer as Library
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

from pyllama.convert.vocabulary import read_vocabulary
from pyllama.errors import ConversionError
from pyllama.tokenizers.bytelevel import to_bytes

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def wordpiece(lowercase: bool = True) -> dict[str, Any]:
    library = Library(models.WordPiece(unk_token="[UNK]"))
    library.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=SPECIAL, show_progress=False)
    library.train_from_iterator(TRAINING_TEXT, trainer)
    document: dict[str, Any] = json.loads(library.to_str())
    return document


BERT = {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]", "pad_token": "[PAD]"}


def known(texts: list[str]) -> list[str]:
    """Without what the format cannot say: longer words are unknown, U+2581 begins no word."""
    return [
        text
        for text in texts
        if "\u2581" not in text and all(len(word) <= 100 for word in text.split())
    ]


@pytest.mark.parametrize("lowercase", [False, True])
def test_wordpiece(lowercase: bool, tmp_path: Path) -> None:
    document = wordpiece(lowercase)
    folder = write(tmp_path, tokenizer__json=document, tokenizer_config__json=BERT)
    vocabulary, tokenizer = convert(folder, size(document))
    assert (tokenizer.model, vocabulary.whole, vocabulary.warnings) == ("bert", None, ())
    assert known(different(vocabulary, tokenizer)) == []
    ids = tokenizer.encode("river")
    assert (ids[0], ids[-1], len(ids)) == (
        2,
        3,
        2 + len(tokenizer.encode("river", add_special=False)),
    )
    special = tokenizer.special
    assert (special.bos, special.eos, special.sep, special.pad, special.mask) == (2, 3, 3, 0, 4)
    assert vocabulary.metadata()["tokenizer.ggml.cls_token_id"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": {"type": "WhitespaceSplit"}},
    ],
)
def test_wordpiece_that_is_not_berts_is_stored_whole(
    change: dict[str, Any], tmp_path: Path
) -> None:
    document = wordpiece() | change
    vocabulary, tokenizer = convert(write(tmp_path, tokenizer__json=document), size(document))
    assert vocabulary.whole is not None
    assert different(vocabulary, tokenizer) == []


def test_vocab_txt(tmp_path: Path) -> None:
    document = wordpiece()
    vocab: dict[str, int] = document["model"]["vocab"]
    lines = "".join(f"{text}\n" for text in sorted(vocab, key=vocab.__getitem__))
    config = BERT | {"do_lower_case": True}
    folder = write(tmp_path, vocab__txt=lines, tokenizer_config__json=config)
    vocabulary, tokenizer = convert(folder, size(document))
    same = convert(
        write(tmp_path / "b", tokenizer__json=document, tokenizer_config__json=BERT), size(document)
    )[0]
    assert vocabulary.tokens.texts == same.tokens.texts
    assert (vocabulary.tokens.types == same.tokens.types).all()
    assert known(different(vocabulary, tokenizer)) == []
    assert tokenizer.encode("river")[0] == 2


@pytest.mark.parametrize(
    ("tokenizer_class", "steps", "pre"),
    [
        ("GPT2Tokenizer", [GPT2], "gpt-2"),
        ("Qwen2Tokenizer", [split(QWEN2), ONLY_BYTES], "qwen2"),
    ],
)
def test_vocab_json(tokenizer_class: str, steps: list[Any], pre: str, tmp_path: Path) -> None:
    document = byte_bpe(sequence(*steps), special=())
    n = size(document)
    merges = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in document["model"]["merges"])
    decoder = {str(n + 1): {"content": "<tool>", "special": False}}
    folder = write(
        tmp_path,
        vocab__json=document["model"]["vocab"],
        merges__txt=merges,
        added_tokens__json={"<|end|>": n},
        tokenizer_config__json={
            "tokenizer_class": tokenizer_class,
            "eos_token": "<|end|>",
            "added_tokens_decoder": decoder,
        },
    )
    vocabulary, tokenizer = convert(folder, n + 2)
    assert tokenizer.pre == pre
    assert tokenizer.eos == n
    assert vocabulary.tokens.texts[n:] == ["<|end|>", "<tool>"]
    plain = [text for text in different(vocabulary, tokenizer) if text.isascii()]
    assert plain == []


def tekken(**changes: Any) -> dict[str, Any]:
    document = byte_bpe(sequence(split(TEKKEN), ONLY_BYTES), special=())
    vocab: dict[str, int] = document["model"]["vocab"]
    # the bytes come first, in order, then what the merges made, in their order
    tokens = [bytes([byte]) for byte in range(256)]
    tokens += [to_bytes(t) for t in sorted(vocab, key=vocab.__getitem__) if len(to_bytes(t)) > 1]
    entries = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for rank, token in enumerate(tokens)
    ]
    config = {
        "pattern": TEKKEN,
        "default_num_special_tokens": 30,
        "default_vocab_size": len(tokens) + 30 - 5,
    }
    return {"config": config, "vocab": entries, **changes}


def test_tekken(tmp_path: Path) -> None:
    content = tekken()
    rows = content["config"]["default_vocab_size"]
    vocabulary, tokenizer = convert(write(tmp_path, tekken__json=content), rows)
    assert (tokenizer.pre, vocabulary.whole, vocabulary.warnings) == ("tekken", None, ())
    assert vocabulary.tokens.texts[:4] == ["<unk>", "<s>", "</s>", "[INST]"]
    assert vocabulary.tokens.texts[29] == "<SPECIAL_29>"
    assert tokenizer.encode("[INST]", parse_special=True) == [1, 3]
    assert (tokenizer.bos, tokenizer.eos, tokenizer.unk) == (1, 2, 0)
    assert [text for text in different(vocabulary, tokenizer) if text.isascii()] == []
    for text in TRAINING_TEXT:
        assert tokenizer.decode(tokenizer.encode(text)) == text
    made = [
        a + b
        for a, b in (pair.split(" ") for pair in vocabulary.metadata()["tokenizer.ggml.merges"])
    ]
    assert made == vocabulary.tokens.texts[30 + 256 :]


def test_tekken_with_its_own_special_tokens(tmp_path: Path) -> None:
    listed = [{"rank": i, "token_str": text} for i, text in enumerate(["<u>", "<b>", "<e>"])]
    content = tekken(special_tokens=listed)
    rows = content["config"]["default_vocab_size"]
    vocabulary, tokenizer = convert(write(tmp_path, tekken__json=content), rows)
    assert vocabulary.tokens.texts[:4] == ["<u>", "<b>", "<e>", "<SPECIAL_3>"]
    assert tokenizer.encode("a")[0] == 1
    assert tokenizer.eos != 2  # nothing says which token that is


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"config": {}}, "KeyError"),
        ({"config": None}, "TypeError"),
        ({"vocab": [{"rank": 0, "token_bytes": "?"}]}, "base64"),
        ({"vocab": [{"rank": i, "token_bytes": "IQ=="} for i in (0, 1)]}, "same bytes"),
        ({"special_tokens": [{"rank": 30, "token_str": "x"}]}, "IndexError"),
        ({"config": {"default_num_special_tokens": 5, "default_vocab_size": 1}}, "5 special"),
    ],
)
def test_a_damaged_tekken(changes: dict[str, Any], problem: str, tmp_path: Path) -> None:
    folder = write(tmp_path, tekken__json=tekken(**changes))
    with pytest.raises(ConversionError, match=f"is no tekken tokenizer: .*{problem}"):
        read_vocabulary(folder, 1000)
