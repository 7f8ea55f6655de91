"""The model card: ``card.md`` filled with what was measured."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from .corpus import HELD_OUT_ONE_IN, MAX_BYTES, Corpus
from .evaluation import Score
from .network import Shape
from .training import Done, Recipe

TEMPLATE = Path(__file__).with_name("card.md")
PROMPT = "def read_lines(path):"
REQUEST = "Return the number of lines in a file."
SAMPLE_TOKENS = 64


@dataclass(frozen=True)
class Facts:
    """All that differs from one training to the next."""

    name: str
    file_bytes: int
    weights: int
    shape: Shape
    corpus: Corpus
    train_tokens: int
    recipe: Recipe
    done: Done
    threads: int
    everything: Score
    library: Score
    continuation: str
    answer: str


def render(facts: Facts) -> str:
    """The card as Markdown."""
    train_bytes = sum(len(document.encode()) for document in facts.corpus.documents)
    seen = facts.done.steps * facts.recipe.rows * facts.shape.context
    return TEMPLATE.read_text(encoding="utf-8").format(
        **vars(facts),
        python=platform.python_version(),
        millions=facts.weights / 1e6,
        held_out=len(facts.corpus.held_out),
        one_in=HELD_OUT_ONE_IN,
        max_bytes=MAX_BYTES,
        bytes_per_token=train_bytes / facts.train_tokens,
        seen=seen,
        epochs=seen / facts.train_tokens,
        minutes=facts.done.seconds / 60,
        prompt=PROMPT,
        request=REQUEST,
        sample_tokens=SAMPLE_TOKENS,
    )
