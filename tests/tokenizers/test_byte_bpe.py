"""Byte-level BPE against the Hugging Face library."""

from __future__ import annotations

import random

import pytest
from tokenizer_data import bpe_metadata, byte_bpe_metadata, nasty_strings, prefixed, train_byte_bpe
from tokenizers import Regex, models, pre_tokenizers
from tokenizers import Tokenizer as Original

from pyllama.tokenizers import Tokenizer
from pyllama.tokenizers.bytelevel import to_bytes, to_characters
from pyllama.tokenizers.merging import merge
from pyllama.tokenizers.patterns import LLAMA3


@pytest.fixture(scope="module")
def trained() -> Original:
    return train_byte_bpe()


def test_exact_on_nasty_strings_and_back(trained: Original) -> None:
    tokenizer = Tokenizer.from_metadata(byte_bpe_metadata(trained), "x")
    for text in nasty_strings():
        ids = tokenizer.encode(text)
        assert ids == trained.encode(text, add_special_tokens=False).ids, text[:200]
        assert tokenizer.decode(ids) == text


def test_a_piece_that_is_a_token_is_taken_whole_if_merges_are_ignored(trained: Original) -> None:
    metadata = byte_bpe_metadata(trained, pre="llama-bpe", bos_token_id=0)
    tokens, merges = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.merges"]
    metadata["tokenizer.ggml.merges"] = merges = merges[::3]  # many tokens are out of reach now
    pairs = [tuple(pair.split(" ")) for pair in merges]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    original = Original(models.BPE(vocabulary, pairs, ignore_merges=True))
    original.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer = Tokenizer.from_metadata(metadata, "x")
    for text in nasty_strings():
        assert tokenizer.encode(text) == [0, *original.encode(text, add_special_tokens=False).ids]


def test_bytes_are_spelled_as_in_the_library() -> None:
    every = "".join(map(chr, range(0x800))) + "日👩"
    spelled = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    assert to_characters(every) == "".join(p for p, _ in spelled.pre_tokenize_str(every))
    assert to_bytes(to_characters(every)) == every.encode()
    assert to_bytes("Ġ日Ċ") == b" " + "日".encode() + b"\n"


def test_of_equal_merges_the_first_counts() -> None:
    metadata = bpe_metadata(["ab", "bc"], ("a b", "b c", "a b"))
    tokenizer = Tokenizer.from_metadata(metadata, "x")
    assert [tokenizer.token(i) for i in tokenizer.encode("abc")] == ["ab", "c"]


def test_what_is_no_token_is_spelled_by_its_bytes_or_lost() -> None:
    metadata = bpe_metadata([], ("a b",))  # the result of the merge is no token
    tokenizer = Tokenizer.from_metadata(metadata, "x")
    assert [tokenizer.token(i) for i in tokenizer.encode("xab\x01!")] == ["x", "a", "b", "!"]


def _gemma(*tokens: str, merges: tuple[str, ...] = ()) -> Tokenizer:
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    vocabulary = ["<bos>", "<eos>", *tokens, *byte_tokens]
    types = [3, 3, *[1] * len(tokens), *[6] * 256]
    metadata = prefixed(
        model="gemma4",
        tokens=vocabulary,
        token_type=types,
        merges=list(merges),
        bos_token_id=0,
        eos_token_id=1,
        add_bos_token=False,
    )
    return Tokenizer.from_metadata(metadata, "x")


def test_plain_text_bpe_with_byte_fallback() -> None:
    tokenizer = _gemma("a", "b", "▁", "▁a", "\n", "\n\n", "▁▁", merges=("▁ a", "▁ ▁"))
    ids = tokenizer.encode("a a  b\n\n\né")
    texts = ["<bos>", "a", "▁a", "▁▁", "b", "\n", "\n", "\n", "<0xC3>", "<0xA9>"]
    assert [tokenizer.token(i) for i in ids] == texts
    assert tokenizer.token(tokenizer.encode("\n\n")[1]) == "\n\n"
    assert tokenizer.decode(ids) == "a a  b\n\n\né"
    assert tokenizer.pre == "gemma4"


def test_plain_text_bpe_merges_over_spaces_where_its_merges_do() -> None:
    tokenizer = _gemma("a", "b", "▁", "▁b", "a▁b", merges=("▁ b", "a ▁b"))
    assert [tokenizer.token(i) for i in tokenizer.encode("a b b")] == ["<bos>", "a▁b", "▁b"]


@pytest.mark.parametrize("joint", ["", " "])
def test_the_merge_loop_does_what_its_definition_says(joint: str) -> None:
    """The definition: join the best pair, the leftmost of equals, until there is none."""

    def by_definition(symbols: list[str], ranks: dict[str, float]) -> list[str]:
        while True:
            pairs = [
                (ranks[key], left)
                for left in range(len(symbols) - 1)
                if (key := symbols[left] + joint + symbols[left + 1]) in ranks
            ]
            if not pairs:
                return symbols
            _, left = min(pairs)
            symbols[left : left + 2] = ["".join(symbols[left : left + 2])]

    for text, ranks in _merge_cases(joint):
        assert merge(list(text), ranks, joint) == by_definition(list(text), ranks)


def _merge_cases(joint: str) -> list[tuple[str, dict[str, float]]]:
    """Random texts of two letters with random ranks, many of them equal."""
    draw = random.Random(3)

    def parts(longest: int) -> list[str]:
        return ["".join(draw.choices("ab", k=draw.randint(1, longest))) for _ in range(60)]

    def ranks() -> dict[str, float]:
        pairs = zip(parts(4), parts(4), strict=True)
        return {left + joint + right: float(draw.randint(0, 9)) for left, right in pairs}

    return [("".join(draw.choices("ab", k=length)), ranks()) for length in [0, 1, 2, 9, 40] * 40]
