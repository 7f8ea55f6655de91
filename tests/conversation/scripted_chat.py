"""A model that says what it was told to, and a tokenizer of bytes and a few special tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pyllama.conversation import Chat, Conversation
from pyllama.sampling import Sampler, SamplingParams
from pyllama.templates import ChatTemplate
from pyllama.tokenizers import Tokenizer
from pyllama.tokenizers.bytelevel import to_bytes

NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
LETTERS = {to_bytes(letter): letter for letter in map(chr, range(0x21, 0x144))}
"""How each byte is spelled in a vocabulary."""

SPECIAL = {
    "<s>": CONTROL,
    "<|im_start|>": CONTROL,
    "<|im_end|>": CONTROL,
    "<think>": USER_DEFINED,
    "</think>": USER_DEFINED,
}
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_tokenizer(special: dict[str, int] = SPECIAL, words: Sequence[str] = ()) -> Tokenizer:
    """A token for each byte; ``words``: tokens that no text is encoded to, but that spell one."""
    texts = [*special, *(LETTERS[bytes([n])] for n in range(256)), *words]
    types = [*special.values(), *[NORMAL] * (256 + len(words))]
    metadata: dict[str, Any] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": texts,
        "tokenizer.ggml.token_type": np.array(types, np.int32),
        "tokenizer.ggml.merges": [],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": True,
    }
    return Tokenizer.from_metadata(metadata, "test")


class ScriptedSession:
    """What follows a prompt is the next of its ``answers``, each ended by ``<|im_end|>``."""

    def __init__(
        self, tokenizer: Tokenizer, answers: Iterable[str | list[int]], context: int = 1000
    ) -> None:
        self.model = SimpleNamespace(tokenizer=tokenizer)
        self.context, self.n_past = context, 0
        self.evaluated: list[list[int]] = []
        self._answers = iter(answers)
        self._next: list[int] = []
        self.fails_with: BaseException | None = None

    def truncate(self, length: int) -> None:
        assert 0 <= length <= self.n_past
        self.n_past = length

    def evaluate(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        if self.fails_with is not None:
            error, self.fails_with = self.fails_with, None
            raise error
        tokenizer = self.model.tokenizer
        self.n_past += len(tokens)
        assert self.n_past <= self.context
        self.evaluated.append(list(tokens))
        if not self._next:
            answer = next(self._answers)
            if isinstance(answer, str):
                answer = tokenizer.encode(answer, add_special=False, parse_special=True)
            self._next = [*answer, tokenizer.eos]
        logits = np.zeros(tokenizer.n_vocab, np.float32)
        logits[self._next.pop(0)] = 1
        return logits

    def advance(self, token: int) -> NDArray[np.float32]:
        return self.evaluate([token])


def scripted(
    *answers: str | list[int],
    template: str = CHATML,
    tokenizer: Tokenizer | None = None,
    context: int = 1000,
    **options: Any,
) -> tuple[Chat, ScriptedSession]:
    """A chat with such a model."""
    tokenizer = tokenizer or byte_tokenizer()
    session = ScriptedSession(tokenizer, answers, context)
    parsed = ChatTemplate.parse(template, tokenizer=tokenizer)
    return Chat(cast("Any", session), parsed, Conversation(), **options), session


def greedy() -> Sampler:
    return Sampler.from_params(SamplingParams(temperature=0))
