"""SentencePiece models, from their own file and as ``tokenizer.json`` has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from checkpoint_folders import (
    TRAINING_TEXT,
    added,
    convert,
    different,
    trained_sentencepiece,
    write,
)
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from pyllama.convert.vocabulary import read_vocabulary
from pyllama.tokenizers.vocabulary import TokenType

SPACE = "\u2581"
PREPEND = {"type": "Prepend", "prepend": SPACE}
ESCAPE = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}


@pytest.fixture(scope="module")
def bpe() -> bytes:
    return trained_sentencepiece("bpe")


@pytest.fixture(scope="module")
def unigram() -> bytes:
    return trained_sentencepiece("unigram", normalization_rule_name="nmt_nfkc")


def rows(proto: bytes) -> int:
    return int(sentencepiece.SentencePieceProcessor(model_proto=proto).vocab_size())


def as_document(proto: bytes) -> dict[str, Any]:
    """The BPE document that is made of a SentencePiece BPE: a merge for each way to a token."""
    model = sentencepiece.SentencePieceProcessor(model_proto=proto)
    texts = [model.id_to_piece(id) for id in range(model.vocab_size())]
    vocab = {text: id for id, text in enumerate(texts)}
    normal = {t for t, id in vocab.items() if not (model.is_control(id) or model.is_byte(id))}
    pairs = [
        (-model.get_score(vocab[text]), [text[:cut], text[cut:]])
        for text in texts
        for cut in range(1, len(text))
        if text in normal and text[:cut] in normal and text[cut:] in normal
    ]
    pairs.sort(key=lambda entry: entry[0])
    return {
        "version": "1.0",
        "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": [PREPEND, ESCAPE]},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "ByteFallback"},
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": vocab,
            "merges": [pair for _, pair in pairs],
        },
    }


def test_a_bpe_model(bpe: bytes, tmp_path: Path) -> None:
    config = {"add_bos_token": True, "add_eos_token": False}
    folder = write(tmp_path, tokenizer__model=bpe, tokenizer_config__json=config)
    vocabulary, tokenizer = convert(folder, rows(bpe) + 5)
    assert (tokenizer.model, vocabulary.whole, vocabulary.warnings) == ("llama", None, ())
    assert different(vocabulary, tokenizer) == []
    assert (tokenizer.unk, tokenizer.bos, tokenizer.eos) == (0, 1, 2)
    assert tokenizer.encode("a")[0] == 1
    texts = vocabulary.tokens.texts
    assert texts[-1] == f"[PAD{len(texts) - 1}]"
    assert set(vocabulary.tokens.types.tolist()) == {
        *(TokenType.UNKNOWN, TokenType.CONTROL, TokenType.BYTE, TokenType.NORMAL, TokenType.UNUSED)
    }
    for text in TRAINING_TEXT[:6]:
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_unigram_model(unigram: bytes, tmp_path: Path) -> None:
    vocabulary, tokenizer = convert(write(tmp_path, tokenizer__model=unigram), rows(unigram))
    assert tokenizer.model == "t5"
    assert tokenizer.add_eos  # as the format has it, where nothing else is said
    assert not tokenizer.add_bos
    keys = vocabulary.metadata()
    assert keys["tokenizer.ggml.precompiled_charsmap"].dtype == np.uint8
    assert keys["tokenizer.ggml.remove_extra_whitespaces"] is False
    (warning,) = vocabulary.warnings
    assert "unknown characters in bytes" in warning
    vocabulary, tokenizer = convert(
        write(
            tmp_path / "b", tokenizer__model=trained_sentencepiece("unigram", byte_fallback=False)
        ),
        rows(unigram),
    )
    assert different(vocabulary, tokenizer) == []


def test_user_defined_tokens(tmp_path: Path) -> None:
    proto = trained_sentencepiece("bpe", user_defined_symbols=["<sep>", SPACE * 2])
    vocabulary, tokenizer = convert(write(tmp_path, tokenizer__model=proto), rows(proto))
    ids = vocabulary.tokens.ids
    for text in ("<sep>", "  "):
        assert vocabulary.tokens.types[ids[text]] == TokenType.USER_DEFINED
    assert ids["<sep>"] in tokenizer.encode("a<sep>b", parse_special=False)


def test_tokens_that_files_beside_the_model_add(bpe: bytes, tmp_path: Path) -> None:
    n = rows(bpe)
    decoder = {str(n + 1): {"content": "<tool>", "special": False}, "1": {"content": "<s>"}}
    folder = write(
        tmp_path,
        tokenizer__model=bpe,
        added_tokens__json={"<|user|>": n, "<tool>": n + 1},
        tokenizer_config__json={"added_tokens_decoder": decoder},
    )
    vocabulary, tokenizer = convert(folder, n + 3)
    assert vocabulary.tokens.texts[n:] == ["<|user|>", "<tool>", f"[PAD{n + 2}]"]
    assert vocabulary.tokens.types[n:].tolist() == [
        *(TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNUSED)
    ]
    assert tokenizer.encode("a<tool>", add_special=False)[-1] == n + 1


def test_what_gguf_cannot_say_of_a_bpe_model_is_a_warning(tmp_path: Path) -> None:
    proto = trained_sentencepiece(
        "bpe", normalization_rule_name="nmt_nfkc", remove_extra_whitespaces=True
    )
    vocabulary, tokenizer = convert(write(tmp_path, tokenizer__model=proto), rows(proto))
    first, second = vocabulary.warnings
    assert first == "the original normalizes text (nmt_nfkc), which GGUF cannot say"
    assert "runs of spaces" in second
    assert different(vocabulary, tokenizer) != []


def test_the_document_of_a_bpe_model_is_the_same_tokenizer(bpe: bytes, tmp_path: Path) -> None:
    document = as_document(bpe)
    config = {"bos_token": "<s>", "eos_token": "</s>"}
    folder = write(tmp_path, tokenizer__json=document, tokenizer_config__json=config)
    vocabulary, tokenizer = convert(folder, rows(bpe))
    assert (tokenizer.model, vocabulary.whole, vocabulary.warnings) == ("llama", None, ())
    assert different(vocabulary, tokenizer) == []
    own = read_vocabulary(write(tmp_path / "own", tokenizer__model=bpe), rows(bpe))
    assert vocabulary.tokens.texts == own.tokens.texts
    assert (vocabulary.tokens.types == own.tokens.types).all()
    made = {a + b for a, b in document["model"]["merges"]}
    order = sorted(made, key=lambda text: -vocabulary.tokens.scores[vocabulary.tokens.ids[text]])
    assert order == sorted(made, key=lambda text: -own.tokens.scores[own.tokens.ids[text]])


GEMMA_SPLIT = {
    "type": "Split",
    "pattern": {"String": " "},
    "behavior": "MergedWithPrevious",
    "invert": False,
}
METASPACE = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": False}


@pytest.mark.parametrize(
    ("normalizer", "pre_tokenizer", "prefix"),
    [
        (ESCAPE, None, False),
        (ESCAPE, GEMMA_SPLIT, False),
        (None, METASPACE, True),
        (None, {**METASPACE, "prepend_scheme": "first"}, True),
        (None, {**METASPACE, "prepend_scheme": "never"}, False),
    ],
)
def test_spaces(
    bpe: bytes, tmp_path: Path, normalizer: Any, pre_tokenizer: Any, prefix: bool
) -> None:
    steps = {"normalizer": normalizer, "pre_tokenizer": pre_tokenizer}
    folder = write(tmp_path, tokenizer__json=as_document(bpe) | steps)
    vocabulary, tokenizer = convert(folder, rows(bpe))
    assert vocabulary.whole is None
    assert tokenizer.policy.space_prefix == prefix
    # the library puts no second space before a text that begins with one
    known = [t for t in different(vocabulary, tokenizer) if not t.startswith((" ", SPACE))]
    assert [t for t in known if not any(s in t for s in vocabulary.special_texts)] == []
    assert bool(vocabulary.warnings) == prefix


def test_user_defined_tokens_of_a_document_have_plain_spaces(bpe: bytes, tmp_path: Path) -> None:
    document = as_document(bpe)
    document["added_tokens"].append(added(rows(bpe), SPACE * 3, special=False))
    folder = write(tmp_path, tokenizer__json=document)
    vocabulary = read_vocabulary(folder, rows(bpe) + 1)
    assert vocabulary.tokens.texts[-1] == "   "


def test_merges_of_added_tokens_are_of_no_account(bpe: bytes, tmp_path: Path) -> None:
    document = as_document(bpe)
    made = {a + b for a, b in document["model"]["merges"]}
    text = next(t for t in made if t.startswith(SPACE) and not any(t in m for m in made - {t}))
    pairs = [pair for pair in document["model"]["merges"] if "".join(pair) == text]
    document["model"]["merges"] = [
        *pairs[:1],
        *(pair for pair in document["model"]["merges"] if pair not in pairs),
        *pairs[1:],
    ]
    id = document["model"]["vocab"][text]
    document["added_tokens"].append(added(id, text, special=False))
    vocabulary = read_vocabulary(write(tmp_path, tokenizer__json=document), rows(bpe))
    assert vocabulary.whole is None
    assert vocabulary.tokens.texts[id] == text.replace(SPACE, " ")


@pytest.mark.parametrize("change", ["lost", "moved", "trained", "no bytes"])
def test_merges_that_sentencepiece_would_not_make(bpe: bytes, tmp_path: Path, change: str) -> None:
    document = as_document(bpe)
    merges = document["model"]["merges"]
    if change == "lost":
        made = [a + b for a, b in merges]
        del merges[next(i for i, text in enumerate(made) if made.count(text) > 1)]
    elif change == "moved":
        made = [a + b for a, b in merges]
        merges.append(merges.pop(next(i for i, text in enumerate(made) if made.count(text) > 1)))
    elif change == "no bytes":
        document["model"]["byte_fallback"] = False
    else:
        library = Library(models.BPE(unk_token="<unk>", byte_fallback=True))
        library.normalizer = normalizers.Replace(" ", SPACE)
        library.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        library.decoder = decoders.ByteFallback()
        tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
        trainer = trainers.BpeTrainer(vocab_size=800, special_tokens=tokens, show_progress=False)
        library.train_from_iterator(TRAINING_TEXT, trainer)
        document = json.loads(library.to_str())
        document["added_tokens"] = [added(0, "<unk>")]
    folder = write(tmp_path, tokenizer__json=document)
    vocabulary, tokenizer = convert(folder, 1000)
    assert vocabulary.whole is not None
    assert different(vocabulary, tokenizer) == []
    (warning,) = (w for w in vocabulary.warnings if "stored whole" in w)
    assert "other programs" in warning


def unigram_document(proto: bytes, **steps: Any) -> dict[str, Any]:
    model = sentencepiece.SentencePieceProcessor(model_proto=proto)
    ids = range(model.vocab_size())
    return {
        "version": "1.0",
        "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": METASPACE,
        "model": {
            "type": "Unigram",
            "unk_id": 0,
            "vocab": [[model.id_to_piece(id), model.get_score(id)] for id in ids],
        },
        **steps,
    }


SPACES_MERGED = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
STRIP = {"type": "Strip", "strip_left": True, "strip_right": True}


@pytest.mark.parametrize(
    ("normalizer", "merges"),
    [
        (None, False),
        ({"type": "Sequence", "normalizers": [STRIP, SPACES_MERGED]}, True),
    ],
)
def test_the_document_of_a_unigram_model(tmp_path: Path, normalizer: Any, merges: bool) -> None:
    proto = trained_sentencepiece("unigram", byte_fallback=False)
    document = unigram_document(proto, normalizer=normalizer, pre_tokenizer=METASPACE)
    vocabulary, tokenizer = convert(write(tmp_path, tokenizer__json=document), rows(proto))
    assert (tokenizer.model, vocabulary.whole) == ("t5", None)
    assert tokenizer.policy.merge_spaces == merges
    plain = [
        text
        for text in different(vocabulary, tokenizer)
        if not text.startswith((" ", SPACE))
        and not any(s in text for s in vocabulary.special_texts)
    ]
    assert [text for text in plain if text.isprintable() and text.isascii()] == []


@pytest.mark.parametrize("normalizer", [{"type": "Lowercase"}, STRIP, SPACES_MERGED])
def test_a_unigram_model_with_steps_of_its_own_is_stored_whole(
    tmp_path: Path, normalizer: Any
) -> None:
    proto = trained_sentencepiece("unigram", byte_fallback=False)
    document = unigram_document(proto, normalizer=normalizer, pre_tokenizer=METASPACE)
    vocabulary, tokenizer = convert(write(tmp_path, tokenizer__json=document), rows(proto))
    assert vocabulary.whole is not None
    assert different(vocabulary, tokenizer) == []


def test_a_list_of_base64_is_no_sentencepiece_model(bpe: bytes, tmp_path: Path) -> None:
    document = as_document(bpe)
    folder = write(tmp_path, tokenizer__model=b"IQ== 0\nIg== 1\n", tokenizer__json=document)
    assert read_vocabulary(folder, rows(bpe)).model == "llama"
