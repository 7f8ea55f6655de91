"""The comparison of two tokenizers, and the texts it is made with."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from checkpoint_folders import GPT2, byte_bpe, convert, different, sequence, size, write

from pyllama.convert.vocabulary import Difference, check_round_trip, nasty_texts


def test_the_texts_reach_everywhere() -> None:
    texts = nasty_texts()
    assert texts == nasty_texts()
    assert 500 < len(texts) == len(set(texts)) < 700
    everything = "".join(texts)
    categories = {unicodedata.category(character) for character in everything}
    assert categories == {
        *("Cc", "Cf", "Cn", "Co", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", "No"),
        *("Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs"),
    }
    everything.encode()  # valid Unicode
    assert not {"", "\0", "\r\n", " " * 100, "\ufffd"} - set(texts)
    assert any(unicodedata.normalize("NFC", text) != text for text in texts)


def test_special_tokens_stand_in_the_texts() -> None:
    texts = nasty_texts([f"<{i}>" for i in range(1000)])
    assert {"<7>", "a<7>b", "a <7> b", "\n<7>\n", "<7><7>", "<7"} <= set(texts)
    assert len(texts) < 1200


def test_a_difference_is_found_and_shown(tmp_path: Path) -> None:
    document = byte_bpe(sequence({**GPT2}))
    folder = write(tmp_path, tokenizer__json=document)
    vocabulary, _ = convert(folder, size(document))
    assert vocabulary.original is not None
    _, other = convert(folder, size(document), pre="starcoder")
    texts = ["a b", "in 2024 and 1234567"]
    assert check_round_trip(vocabulary.original, other, texts[:1]) == []
    (difference,) = check_round_trip(vocabulary.original, other, texts)
    assert difference.text == texts[1]
    assert difference.original == tuple(vocabulary.original.encode(texts[1]))
    assert difference.converted == tuple(other.encode(texts[1], add_special=False))


def test_a_difference_in_one_line() -> None:
    text = str(Difference("a\nb", (1, 2, 3, 4, 5, 6, 7), (1, 9, 8)))
    assert text == r"'a\nb': from token 1 on [9, 8], the original has [2, 3, 4, 5]"
    assert str(Difference("x", (1, 2), (1,))) == "'x': from token 1 on [], the original has [2]"


def test_a_normalization_that_gguf_cannot_say_is_a_warning(tmp_path: Path) -> None:
    document = byte_bpe(sequence(GPT2)) | {"normalizer": {"type": "NFC"}}
    vocabulary, tokenizer = convert(write(tmp_path, tokenizer__json=document), size(document))
    (warning,) = vocabulary.warnings
    assert "NFC" in warning
    texts = different(vocabulary, tokenizer)
    assert texts
    assert all(unicodedata.normalize("NFC", text) != text for text in texts)
