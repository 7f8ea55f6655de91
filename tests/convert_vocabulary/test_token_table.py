"""Added tokens, gaps, duplicates, padding to the embedding; roles, and what is added to a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from checkpoint_folders import GPT2, added, byte_bpe, convert, different, size, write

from pyllama.convert.vocabulary import Vocabulary, read_vocabulary
from pyllama.errors import ConversionError
from pyllama.gguf.strings import NO_STRINGS
from pyllama.tokenizers.vocabulary import TokenType

N, C, U, X = TokenType.NORMAL, TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNUSED


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """A byte-level BPE of 400 tokens without any added ones."""
    return byte_bpe(GPT2, 400, special=())


def with_added(document: dict[str, Any], *tokens: dict[str, Any]) -> dict[str, Any]:
    return {**document, "added_tokens": list(tokens)}


def types(vocabulary: Vocabulary, *ids: int) -> list[int]:
    return [int(vocabulary.tokens.types[id]) for id in ids]


def test_added_tokens_gaps_and_padding(document: dict[str, Any], tmp_path: Path) -> None:
    changed = with_added(
        document,
        added(400, "<|end|>"),
        added(401, "<think>", special=False),
        added(402, "<|fim_prefix|>", special=False),
        added(406, "[PAD404]", special=False),
    )
    folder = write(tmp_path, tokenizer__json=changed)
    vocabulary, tokenizer = convert(folder, 410)
    texts = vocabulary.tokens.texts
    assert tokenizer.n_vocab == len(texts) == 410
    assert texts[400:] == [
        *("<|end|>", "<think>", "<|fim_prefix|>", "[PAD403]", "[[PAD404]]", "[PAD405]"),
        *("[PAD404]", "[PAD407]", "[PAD408]", "[PAD409]"),
    ]
    assert types(vocabulary, 399, *range(400, 408)) == [N, C, U, C, X, X, X, U, X]
    assert vocabulary.warnings == ()
    assert tokenizer.encode("a<think>b<|end|>", parse_special=True)[1::2] == [401, 400]


def test_a_vocabulary_of_single_bytes_has_no_merges(
    document: dict[str, Any], tmp_path: Path
) -> None:
    model = document["model"]
    single = [text for text in model["vocab"] if len(text) == 1]
    ids = {text: id for id, text in enumerate(single)}
    changed = document | {"model": model | {"vocab": ids, "merges": []}}
    vocabulary, tokenizer = convert(write(tmp_path, tokenizer__json=changed), len(ids))
    assert vocabulary.metadata()["tokenizer.ggml.merges"] is NO_STRINGS
    assert tokenizer.encode("ab") == [ids["a"], ids["b"]]


def test_an_added_token_that_the_model_has_keeps_its_id(
    document: dict[str, Any], tmp_path: Path
) -> None:
    text = next(text for text, id in document["model"]["vocab"].items() if id == 300)
    changed = with_added(document, added(400, text), added(401, "<new>"))
    vocabulary, tokenizer = convert(write(tmp_path, tokenizer__json=changed), 402)
    assert vocabulary.tokens.texts[300] == text
    assert types(vocabulary, 300, 400, 401) == [C, X, C]
    assert tokenizer.encode(text, parse_special=True) == [300]
    assert vocabulary.original is not None
    assert vocabulary.original.encode(text) == [300]


def test_of_two_tokens_with_one_text_the_second_is_left_out(
    document: dict[str, Any], tmp_path: Path
) -> None:
    changed = with_added(document, *(added(400 + i, "<twice>") for i in range(3)))
    vocabulary = read_vocabulary(write(tmp_path, tokenizer__json=changed), 403)
    assert vocabulary.tokens.texts[400:] == ["<twice>", "[PAD401]", "[PAD402]"]
    (warning,) = vocabulary.warnings
    assert "tokens 400 and 401 are both '<twice>', and there are 1 more such" in warning


def test_what_is_added_beyond_the_embedding_is_left_out(
    document: dict[str, Any], tmp_path: Path
) -> None:
    changed = with_added(document, added(400, "<|end|>"), added(401, "<image>"), added(402, "<b>"))
    vocabulary = read_vocabulary(write(tmp_path, tokenizer__json=changed), 401)
    assert vocabulary.tokens.texts[400:] == ["<|end|>"]
    (warning,) = vocabulary.warnings
    assert warning == "2 added tokens from '<image>' (401) on left out: the embedding has 401 rows"


def test_a_vocabulary_larger_than_the_embedding_is_refused(
    document: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match=r"reaches up to token 399, .* has 399 rows; the tok"):
        read_vocabulary(write(tmp_path, tokenizer__json=document), 399)


def template(before: list[int], after: list[int], between: list[int] | None = None) -> Any:
    def special(ids: list[int]) -> list[Any]:
        return [{"SpecialToken": {"id": f"t{id}", "type_id": 0}} for id in ids]

    a, b = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    every = [*before, *after, *(between or [])]
    return {
        "type": "TemplateProcessing",
        "single": [*special(before), a, *special(after)],
        "pair": [*special(before), a, *special(between or []), b, *special(after)],
        "special_tokens": {
            f"t{id}": {"id": f"t{id}", "ids": [id], "tokens": [f"t{id}"]} for id in every
        },
    }


CONFIG = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": "<missing>"}
FRAMES: list[tuple[Any, dict[str, Any], list[int], list[int]]] = [
    (None, {}, [], []),
    (None, {"add_bos_token": True}, [400], []),
    (None, {"add_bos_token": True, "add_eos_token": True}, [400], [401]),
    (GPT2, {"add_bos_token": False}, [], []),
    (template([400], []), {"add_bos_token": False}, [400], []),
    (template([400], [401]), {}, [400], [401]),
    (template([402], []), {}, [402], []),
    (template([], [402]), {}, [], [402]),
    ({"type": "BertProcessing", "cls": ["c", 402], "sep": ["s", 401]}, {}, [402], [401]),
]


@pytest.mark.parametrize(("frame", "flags", "before", "after"), FRAMES)
def test_what_is_put_around_a_text(
    document: dict[str, Any],
    tmp_path: Path,
    frame: Any,
    flags: dict[str, Any],
    before: list[int],
    after: list[int],
) -> None:
    tokens = [added(400, "<s>"), added(401, "</s>"), added(402, "<cls>")]
    changed = {**with_added(document, *tokens), "post_processor": frame}
    folder = write(tmp_path, tokenizer__json=changed, tokenizer_config__json=CONFIG | flags)
    vocabulary, tokenizer = convert(folder, 403)
    text = tokenizer.encode("a b", add_special=False)
    assert tokenizer.encode("a b") == [*before, *text, *after]
    assert tokenizer.pad is None
    assert vocabulary.warnings == ()
    assert different(vocabulary, tokenizer) == []


def test_an_end_that_gives_way_to_another_still_ends_an_answer(
    document: dict[str, Any], tmp_path: Path
) -> None:
    tokens = [added(400, "<s>"), added(401, "<a>"), added(402, "<b>")]
    changed = {**with_added(document, *tokens), "post_processor": template([], [402])}
    config = CONFIG | {"eos_token": "<a>"}
    folder = write(tmp_path, tokenizer__json=changed, tokenizer_config__json=config)
    _, tokenizer = convert(folder, 403)
    assert (tokenizer.eos, tokenizer.eot) == (402, 401)
    assert tokenizer.end_of_generation == {401, 402}


def test_more_tokens_before_a_text_than_gguf_can_say(
    document: dict[str, Any], tmp_path: Path
) -> None:
    tokens = [added(400, "[gMASK]"), added(401, "<sop>")]
    changed = {**with_added(document, *tokens), "post_processor": template([400, 401], [])}
    vocabulary, tokenizer = convert(write(tmp_path, tokenizer__json=changed), 402)
    assert not tokenizer.add_bos
    (warning,) = vocabulary.warnings
    assert warning == "the original puts '[gMASK]<sop>' before a text, which GGUF cannot say"


@pytest.mark.parametrize(("between", "expected"), [([], None), ([401], False), ([401, 401], True)])
def test_a_separator_between_two_texts(
    document: dict[str, Any], tmp_path: Path, between: list[int], expected: bool | None
) -> None:
    tokens = [added(400, "<s>"), added(401, "</s>")]
    frame = template([400], [401], between)
    changed = {**with_added(document, *tokens), "post_processor": frame}
    folder = write(tmp_path, tokenizer__json=changed, tokenizer_config__json=CONFIG)
    metadata = convert(folder, 402)[0].metadata()
    assert metadata.get("tokenizer.ggml.add_sep_token") is expected


def test_roles_come_from_texts_then_from_ids(document: dict[str, Any], tmp_path: Path) -> None:
    texts = ["<a>", "<b>", "<c>", "<d>", "<e>", "<f>", "<|fim_prefix|>"]
    changed = with_added(document, *(added(400 + i, text) for i, text in enumerate(texts)))
    folder = write(
        tmp_path,
        tokenizer__json=changed,
        tokenizer_config__json={"bos_token": "<a>", "unk_token": None},
        special_tokens_map__json={"bos_token": "<b>", "mask_token": {"content": "<c>"}},
        config__json={
            "bos_token_id": 403,
            "pad_token_id": -1,
            "text_config": {"eos_token_id": 403},
        },
        generation_config__json={"eos_token_id": [403, 404, 405, 9999], "pad_token_id": 400},
    )
    vocabulary, tokenizer = convert(folder, 407)
    special = tokenizer.special
    assert (special.bos, special.eos, special.eot, special.eom) == (400, 403, 404, 405)
    assert (special.pad, special.mask, special.unk, special.fim_pre) == (400, 402, None, 406)
    keys = [key.rpartition(".")[2] for key in vocabulary.metadata() if key.endswith("_id")]
    assert keys == [
        *("bos_token_id", "eos_token_id", "eot_token_id", "eom_token_id", "padding_token_id"),
        *("mask_token_id", "fim_pre_token_id"),
    ]


def test_more_ends_than_gguf_has_roles(document: dict[str, Any], tmp_path: Path) -> None:
    texts = ["<eos>", "<a>", "<|eot_id|>", "<b>"]
    changed = with_added(document, *(added(400 + i, text) for i, text in enumerate(texts)))
    ends = {"eos_token_id": [400, 401, 402, 403]}
    folder = write(tmp_path, tokenizer__json=changed, generation_config__json=ends)
    vocabulary, tokenizer = convert(folder, 404)
    assert (tokenizer.eos, tokenizer.eot, tokenizer.special.eom) == (400, 402, 401)
    assert tokenizer.end_of_generation == {400, 401, 402}
    assert vocabulary.warnings == ("'<b>' ends an answer, too, which GGUF cannot say",)


def test_the_order_of_the_keys(document: dict[str, Any], tmp_path: Path) -> None:
    changed = with_added(document, added(400, "<s>"), added(401, "</s>"))
    folder = write(
        tmp_path,
        tokenizer__json=changed,
        tokenizer_config__json=CONFIG | {"chat_template": "{{ messages }}"},
    )
    prefix = "tokenizer.ggml."
    assert list(read_vocabulary(folder, size(changed)).metadata()) == [
        *(prefix + name for name in ("model", "pre", "tokens", "token_type", "merges")),
        *(prefix + name for name in ("bos_token_id", "eos_token_id")),
        *(prefix + name for name in ("add_bos_token", "add_eos_token")),
        "tokenizer.chat_template",
    ]
