"""Thoughts and answers are told apart by tokens."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from scripted_chat import SPECIAL, byte_tokenizer

from pyllama.conversation.channels import (
    Channel,
    Piece,
    Splitter,
    channel_after,
    find_markers,
)
from pyllama.gguf import GGUFFile
from pyllama.tokenizers import Tokenizer

THINK, ANSWER = Channel.REASONING, Channel.ANSWER
HARMONY = dict.fromkeys(
    ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>"), 4
)


def joined(pieces: Iterable[Piece]) -> list[tuple[Channel, str]]:
    """Neighbours of one channel as one."""
    result: list[tuple[Channel, str]] = []
    for piece in pieces:
        if result and result[-1][0] is piece.channel:
            result[-1] = (piece.channel, result[-1][1] + piece.text)
        else:
            result.append((piece.channel, piece.text))
    return result


def split(
    tokenizer: Tokenizer,
    text: str,
    template: str = "",
    channel: Channel = ANSWER,
    stop: tuple[str, ...] = (),
) -> list[tuple[Channel, str]]:
    splitter = Splitter(tokenizer, find_markers(tokenizer, template), channel, stop)
    tokens = tokenizer.encode(text, add_special=False, parse_special=True)
    return joined([*(p for t in tokens for p in splitter.push(t)), *splitter.finish()])


def test_thoughts_between_their_tokens() -> None:
    text = "<think>\nHm, ü.\n</think>\n\nYes."
    assert split(byte_tokenizer(), text) == [(THINK, "Hm, ü."), (ANSWER, "Yes.")]
    lines = "<think>a\n\nb\n</think>c\n"
    assert split(byte_tokenizer(), lines) == [(THINK, "a\n\nb"), (ANSWER, "c\n")]


def test_an_answer_without_thoughts_is_as_the_model_wrote_it() -> None:
    assert split(byte_tokenizer(), "\n\n Yes.\n") == [(ANSWER, "\n\n Yes.\n")]


def test_thoughts_that_the_template_has_begun() -> None:
    tokenizer = byte_tokenizer()
    markers = find_markers(tokenizer, "")
    ask = tokenizer.encode("<|im_start|>assistant\n<think>\n", parse_special=True)
    assert channel_after(tokenizer, markers, ask) is THINK
    closed = tokenizer.encode("<think>\n\n</think>\n\n", parse_special=True)
    assert channel_after(tokenizer, markers, closed) is ANSWER
    assert split(tokenizer, "So.</think>Yes", channel=THINK) == [(THINK, "So."), (ANSWER, "Yes")]


def test_letters_are_no_tokens() -> None:
    """The same letters, spelled by ordinary tokens, are text: the model speaks of the marker."""
    tokenizer = byte_tokenizer()
    splitter = Splitter(tokenizer, find_markers(tokenizer, ""))
    letters = [tokenizer.vocabulary.ids[letter] for letter in "<think>"]
    pieces = joined([*splitter.push(*letters), *splitter.finish()])
    assert pieces == [(ANSWER, "<think>")]


def test_a_model_whose_markers_are_no_tokens_of_their_own() -> None:
    plain = {text: kind for text, kind in SPECIAL.items() if "think" not in text}
    tokenizer = byte_tokenizer(plain)
    text = "<think>\nHm\n</think>\nYes <thin"
    assert split(tokenizer, text, template="{{ '</think>' }}") == [
        (THINK, "Hm"),
        (ANSWER, "Yes <thin"),
    ]
    assert split(tokenizer, text) == [(ANSWER, text)]
    assert find_markers(tokenizer, "") == {}


def test_harmony() -> None:
    template = "<|start|>assistant<|channel|>analysis<|message|>"
    tokenizer = byte_tokenizer({"<s>": 3} | HARMONY)
    text = (
        "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Yes, ä"
    )
    assert split(tokenizer, text, template) == [(THINK, "Hm"), (ANSWER, "Yes, ä")]
    only = "<|channel|>final<|message|>Yes"
    assert split(tokenizer, only, template) == [(ANSWER, "Yes")]


def test_stop_strings_end_the_text() -> None:
    assert split(byte_tokenizer(), "<think>a END</think>b ENd END c", stop=("END",)) == [
        (THINK, "a "),
    ]
    assert split(byte_tokenizer(), "<think>a EN</think>D", stop=("END",)) == [
        (THINK, "a EN"),
        (ANSWER, "D"),
    ]


@pytest.mark.parametrize("name", ["qwen2", "gpt-2", "llama-bpe", "falcon", "llama-spm", "phi-3"])
def test_real_vocabularies_without_such_tokens(shared: Path, name: str) -> None:
    with GGUFFile.open(shared / "vocabs" / f"ggml-vocab-{name}.gguf") as file:
        tokenizer = Tokenizer.from_gguf(file)
    assert find_markers(tokenizer, "") == {}
    template = (shared / "templates" / "Qwen-Qwen3-0.6B.jinja").read_text()
    assert split(tokenizer, "<think>\nHm.\n</think>\n\nYes.", template) == [
        (THINK, "Hm."),
        (ANSWER, "Yes."),
    ]
