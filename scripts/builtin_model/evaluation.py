"""What the trained network is worth: perplexity on held-out files, and text it writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch.nn import functional

from .corpus import IM_END, SourceFile
from .network import Llama
from .vocabulary import END_OF_TEXT, encode_documents


@dataclass(frozen=True)
class Score:
    """Summed cross-entropy over held-out files."""

    files: int
    tokens: int
    bytes: int
    nats: float

    @property
    def perplexity(self) -> float:
        """Per token."""
        return math.exp(self.nats / self.tokens)

    @property
    def bits_per_byte(self) -> float:
        """Of the files' UTF-8 text; independent of the tokenizer."""
        return self.nats / math.log(2) / self.bytes

    @property
    def byte_perplexity(self) -> float:
        """Per byte of the files' UTF-8 text."""
        return math.exp(self.nats / self.bytes)


@torch.no_grad()
def score(model: Llama, tokenizer: Tokenizer, files: Sequence[SourceFile]) -> Score:
    """Predict every token of every file once, in float32.

    Each file starts with end-of-text; a file longer than the context is read in consecutive
    windows that do not overlap, so the first tokens of a window are predicted from little.
    """
    texts = [file.text for file in files]
    tokens, nats = 0, 0.0
    for document in encode_documents(tokenizer, texts):
        ids = torch.from_numpy(document.astype("int64"))
        for start in range(0, len(ids) - 1, model.shape.context):
            window = ids[start : start + model.shape.context + 1]
            logits = model(window[None, :-1])[0]
            nats += functional.cross_entropy(logits, window[1:], reduction="sum").item()
            tokens += len(window) - 1
    return Score(len(texts), tokens, sum(len(text.encode()) for text in texts), nats)


@torch.no_grad()
def continue_text(
    model: Llama,
    tokenizer: Tokenizer,
    prompt: str,
    count: int,
    temperature: float,
    seed: int,
) -> str:
    """Up to ``count`` tokens after ``prompt``, decoded; greedy where ``temperature`` is 0.

    Stops at the end of the text or of the turn.
    """
    ids = [int(token) for token in encode_documents(tokenizer, [prompt])[0]]
    prompt_tokens = len(ids)
    ends = {tokenizer.token_to_id(token) for token in (END_OF_TEXT, IM_END)}
    random = torch.Generator().manual_seed(seed)
    while len(ids) < min(prompt_tokens + count, model.shape.context):
        logits = model(torch.tensor([ids]))[0, -1]
        if temperature > 0:
            chances = functional.softmax(logits / temperature, dim=-1)
            token = int(torch.multinomial(chances, 1, generator=random))
        else:
            token = int(logits.argmax())
        if token in ends:
            break
        ids.append(token)
    text: str = tokenizer.decode(ids[prompt_tokens:])
    return text
