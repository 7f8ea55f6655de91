"""Special tokens: where they are found, what ends an answer, what is added to a text."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tokenizer_data import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    bpe_metadata,
    prefixed,
    with_types,
)

from pyllama.errors import UsageError
from pyllama.tokenizers import Tokenizer


def load(metadata: dict[str, Any], **keys: Any) -> Tokenizer:
    return Tokenizer.from_metadata({**metadata, **prefixed(**keys)}, "model.gguf")


def shown(tokenizer: Tokenizer, text: str, **options: bool) -> list[str]:
    return [tokenizer.token(token) for token in tokenizer.encode(text, **options)]


SPECIALS = with_types(
    bpe_metadata(["<c>", "<cc>", "<u>", "<uu>", "<unk>"]),
    {"<c>": CONTROL, "<cc>": CONTROL, "<u>": USER_DEFINED, "<uu>": USER_DEFINED, "<unk>": UNKNOWN},
)


def test_user_defined_tokens_are_always_found_control_tokens_if_asked_for() -> None:
    tokenizer = load(SPECIALS)
    text = "a<c><u>b<unk><uu>"
    plain = ["a", "<", "c", ">", "<u>", "b", "<", "u", "n", "k", ">", "<uu>"]
    assert shown(tokenizer, text) == plain
    parsed = ["a", "<c>", "<u>", "b", "<unk>", "<uu>"]
    assert shown(tokenizer, text, parse_special=True) == parsed


def test_the_longest_special_token_is_found_first_wherever_it_stands() -> None:
    metadata = bpe_metadata(["ab", "bcd"])
    tokenizer = load(with_types(metadata, {"ab": USER_DEFINED, "bcd": USER_DEFINED}))
    assert shown(tokenizer, "abcd ab") == ["a", "bcd", "Ġ", "ab"]


def test_pieces_by_type() -> None:
    metadata = with_types(
        bpe_metadata(["<c>", "<unk>", "<u> Ġ", "<0xE2>", "unused", "Ġé"]),
        {
            "<c>": CONTROL,
            "<unk>": UNKNOWN,
            "<u> Ġ": USER_DEFINED,
            "<0xE2>": BYTE,
            "unused": UNUSED,
            "Ġé": NORMAL,
        },
    )
    tokenizer = load(metadata)
    tokens = metadata["tokenizer.ggml.tokens"]

    def pieces(text: str) -> tuple[bytes, bytes]:
        token = tokens.index(text)
        return tokenizer.piece(token), tokenizer.piece(token, special=True)

    assert pieces("<c>") == (b"", b"<c>")
    assert pieces("<unk>") == (b"", b"<unk>")
    assert pieces("<u> Ġ") == ("<u> Ġ".encode(),) * 2
    assert pieces("<0xE2>") == (b"\xe2",) * 2
    assert pieces("unused") == (b"", b"")
    assert pieces("Ġé") == (b" \xe9",) * 2


def test_decode_shows_control_tokens_only_if_asked_for() -> None:
    tokenizer = load(SPECIALS)
    ids = tokenizer.encode("a<c>b<u>", parse_special=True)
    assert tokenizer.decode(ids) == "ab<u>"
    assert tokenizer.decode(ids, special=True) == "a<c>b<u>"


@pytest.mark.parametrize("token", [-1, 10_000])
def test_a_token_out_of_range(token: int) -> None:
    tokenizer = load(SPECIALS)
    for use in (tokenizer.piece, tokenizer.token, lambda t: tokenizer.decode([t])):
        with pytest.raises(UsageError, match=r"outside the vocabulary of 101 tokens"):
            use(token)


def test_phi_3_swallows_white_space_behind_special_tokens() -> None:
    metadata = with_types(
        bpe_metadata(["<|end|>", "<s>", "</s>"]), {"<|end|>": CONTROL, "<s>": CONTROL}
    )
    text = "a <|end|>\n\n b<s> c</s> d"
    phi = load({**metadata, "general.name": "Phi-3 Mini"})
    expected = ["a", "Ġ", "<|end|>", "b", "<s>", "Ġ", "c", "</s>", "d"]
    assert shown(phi, text, parse_special=True) == expected
    other = load({**metadata, "general.name": "Llama"})
    spaces = ["a", "Ġ", "<|end|>", "Ċ", "Ċ", "Ġ", "b", "<s>", "Ġ", "c", "</s>", "Ġ", "d"]
    assert shown(other, text, parse_special=True) == spaces


@pytest.mark.parametrize(
    "keys",
    [
        {"tokenizer.ggml.pre": "jina-v2-de"},
        {"general.architecture": "jina-bert-v3"},
    ],
)
def test_the_mask_of_jina_swallows_the_white_space_before_it(keys: dict[str, str]) -> None:
    metadata = with_types(bpe_metadata(["<mask>"]), {"<mask>": CONTROL})
    tokenizer = load({**metadata, **keys})
    assert shown(tokenizer, "a \n<mask> b", parse_special=True) == ["a", "<mask>", "Ġ", "b"]


END_TEXTS = (
    "<|eot_id|> <|im_end|> <|end|> <|return|> <|call|> <|flush|> <|calls|> <end_of_turn>"
    " <|endoftext|> </s> <|eom_id|> <EOT> _<EOT> [EOT] [EOS] <|end_of_text|> <end_of_utterance>"
    " <eos> <turn|> <|tool_response> <｜end▁of▁sentence｜> [e~["
)


@pytest.mark.parametrize("text", END_TEXTS.split())
def test_a_token_ends_the_answer_by_its_text_and_becomes_a_control_token(text: str) -> None:
    tokenizer = load(bpe_metadata([text]))
    end = tokenizer.n_vocab - 1
    assert end in tokenizer.end_of_generation
    assert tokenizer.piece(end) == b""
    assert tokenizer.piece(end, special=True) == text.encode()


@pytest.mark.parametrize("key", ["eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep"])
def test_a_token_ends_the_answer_by_its_role(key: str) -> None:
    tokenizer = load(bpe_metadata([]), **{f"{key}_token_id": 5})
    assert 5 in tokenizer.end_of_generation
    assert getattr(tokenizer.special, key) == 5


@pytest.mark.parametrize(
    ("role", "text"),
    [
        ("eot", "<|im_end|>"),
        ("eom", "<|eom_id|>"),
        ("fim_pre", "<|fim_prefix|>"),
        ("fim_suf", "<SUF>"),
        ("fim_mid", "▁<MID>"),
        ("fim_pad", "[PAD]"),
        ("fim_rep", "<|repo_name|>"),
        ("fim_sep", "<|file_sep|>"),
    ],
)
def test_a_role_follows_from_the_text_unless_the_file_names_it(role: str, text: str) -> None:
    metadata = bpe_metadata([text])
    found = load(metadata)
    assert getattr(found.special, role) == found.n_vocab - 1
    assert found.piece(found.n_vocab - 1) == b""
    assert getattr(load(metadata, **{f"{role}_token_id": 3}).special, role) == 3


def test_the_likeliest_text_decides_the_end_of_turn() -> None:
    tokenizer = load(bpe_metadata(["<|endoftext|>", "<|im_end|>"]))
    assert tokenizer.eot is not None
    assert tokenizer.token(tokenizer.eot) == "<|im_end|>"


@pytest.mark.parametrize(
    ("texts", "still_ends"),
    [
        (("<|end|>", "<|return|>", "<|call|>"), False),
        (("<|end|>", "<|flush|>", "<|calls|>"), False),
        (("<|end|>", "<|call|>", "<|flush|>"), False),
        (("<|end|>", "<|return|>"), True),
        (("<|end|>",), True),
    ],
)
def test_harmony_ends_only_a_part_of_the_answer(texts: tuple[str, ...], still_ends: bool) -> None:
    metadata = bpe_metadata([*texts, "<|channel|>"])
    tokenizer = load(with_types(metadata, dict.fromkeys([*texts, "<|channel|>"], CONTROL)))
    end = metadata["tokenizer.ggml.tokens"].index("<|end|>")
    assert (end in tokenizer.end_of_generation) == still_ends
    assert tokenizer.piece(end) == (b"" if still_ends else b"<|end|>")
    assert tokenizer.piece(tokenizer.n_vocab - 1) == b"<|channel|>"


def test_gemma_4_does_not_end_with_the_end_of_other_models() -> None:
    metadata = bpe_metadata(["<|tool_response>", "</s>"])
    tokenizer = load(with_types(metadata, {"<|tool_response>": CONTROL, "</s>": CONTROL}))
    ends = {tokenizer.token(token) for token in tokenizer.end_of_generation}
    assert "<|tool_response>" in ends
    assert "</s>" not in ends
    assert tokenizer.piece(tokenizer.n_vocab - 1) == b"</s>"


def test_defaults_of_each_kind_of_tokenizer() -> None:
    tokens = [f"t{i}" for i in range(110)]
    scores = [0.0] * 110
    llama = load(prefixed(model="llama", tokens=tokens, scores=scores))
    assert (llama.bos, llama.eos, llama.unk, llama.pad) == (1, 2, 0, None)
    assert (llama.add_bos, llama.add_eos) == (True, False)
    gpt2 = load(bpe_metadata([]))
    assert (gpt2.bos, gpt2.eos, gpt2.unk, gpt2.add_bos, gpt2.add_eos) == (
        11,
        11,
        None,
        False,
        False,
    )
    bert = load(prefixed(model="bert", tokens=tokens))
    assert (bert.bos, bert.unk, bert.special.sep, bert.pad, bert.special.mask) == (
        101,
        100,
        102,
        0,
        103,
    )
    t5 = load(prefixed(model="t5", tokens=tokens, scores=scores))
    assert (t5.bos, t5.eos, t5.unk, t5.pad) == (None, 1, 2, 0)
    assert (t5.add_bos, t5.add_eos) == (False, True)
    glm = load(bpe_metadata([]), pre="glm4")
    assert glm.bos is None
    small = load(prefixed(model="llama", tokens=["a"], scores=[0.0], add_bos_token=False))
    assert (small.bos, small.eos, small.unk) == (None, None, 0)


def test_what_is_added_is_the_files_decision() -> None:
    metadata = bpe_metadata(["<s>", "<e>"])
    n = len(metadata["tokenizer.ggml.tokens"])
    keys = {"bos_token_id": n - 2, "eos_token_id": n - 1}
    assert shown(load(metadata, **keys), "a") == ["a"]
    assert shown(load(metadata, **keys, add_bos_token=True), "a") == ["<s>", "a"]
    assert shown(load(metadata, **keys, add_eos_token=True), "") == ["<e>"]
    both = load(metadata, **keys, add_bos_token=True, add_eos_token=True)
    assert shown(both, "a") == ["<s>", "a", "<e>"]
    assert shown(both, "a", add_special=False) == ["a"]
    assert shown(load(metadata, **keys, pre="llama-bpe"), "a") == ["<s>", "a"]
    assert shown(load(metadata, **keys, pre="llama-bpe", add_bos_token=False), "a") == ["a"]


def test_a_doubled_beginning_is_noticed() -> None:
    metadata = with_types(bpe_metadata(["<s>"]), {"<s>": CONTROL})
    bos = len(metadata["tokenizer.ggml.tokens"]) - 1
    tokenizer = load(metadata, bos_token_id=bos, add_bos_token=True)
    assert tokenizer.doubles_bos(tokenizer.encode("<s>a", parse_special=True))
    assert not tokenizer.doubles_bos(tokenizer.encode("<s>a"))
    assert not tokenizer.doubles_bos([bos])
    assert not load(metadata, bos_token_id=bos).doubles_bos([bos, bos])


def test_a_missing_pre_tokenizer_is_replaced_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metadata = bpe_metadata([])
    del metadata["tokenizer.ggml.pre"]
    with caplog.at_level(logging.WARNING, "pyllama"):
        tokenizer = load(metadata)
    assert tokenizer.pre == "default"
    assert "model.gguf: tokenizer.ggml.pre is missing" in caplog.text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Hi , you ! What ? Yes .", "Hi, you! What? Yes."),
        ("it 's we 've I 'm they 're he 'll I 'd", "it's we've I'm they're he 'll I 'd"),
        ("a ' b", "a'b"),
        (" ? ", "? "),
    ],
)
def test_cleaning_of_spaces_is_for_show(text: str, cleaned: str) -> None:
    tokenizer = load(bpe_metadata([]))
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids, clean=True) == cleaned
    assert load(bpe_metadata([]), pre="smollm").decode(ids, clean=True) == text
