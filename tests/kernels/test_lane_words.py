"""The lane vocabulary: what every instruction set emits for a word against what the word means."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from kernel_cases.targets import EVERY, PORTABLE
from kernel_cases.words import word_cases

from pyllama.kernels.isa import meaning
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.jit import Library

WITHOUT_MEANING = {"pause"}


def public(namespace: Any) -> set[str]:
    """Names of the functions that a module or class defines for others."""
    return {
        name
        for name, value in vars(namespace).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


WORDS = sorted(public(meaning))


def test_every_word_has_a_meaning_and_is_run() -> None:
    assert set(WORDS) == public(ISA) - WITHOUT_MEANING == set(word_cases(32))


@pytest.mark.parametrize("library", [*EVERY, PORTABLE], indirect=True)
@pytest.mark.parametrize("word", WORDS)
def test_word(word: str, library: Library) -> None:
    for case in word_cases(library.isa.dot_lanes)[word]:
        case.run(library)
