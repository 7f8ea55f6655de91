"""Golden files: where they are and what they hold (made by ``scripts/make_goldens.py``)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.case import Case
from models.weights import Array

FOLDER = Path(__file__).parent / "goldens"


@dataclass(frozen=True)
class Golden:
    """Tokens and the logits that transformers gives for them at some positions."""

    tokens: NDArray[np.int32]
    """(prompt + decode,)"""
    prefill_at: NDArray[np.int32]
    """Positions of ``prefill``."""
    prefill: Array
    """(positions, n_vocab), from one call for all tokens."""
    decode_at: NDArray[np.int32]
    """Positions of ``decode``: the prompt's last and later ones."""
    decode: Array
    """(positions, n_vocab), from one call for the prompt, then one for each token."""


def path_of(case: Case) -> Path:
    """The case's golden file."""
    return FOLDER / f"{case.name}.npz"


def save(golden: Golden, path: Path) -> None:
    """Write a golden file; the same golden gives the same bytes."""
    arrays: dict[str, Any] = asdict(golden)
    np.savez_compressed(path, **arrays)


def load(case: Case) -> Golden:
    """Read the case's golden file."""
    with np.load(path_of(case), allow_pickle=False) as arrays:
        return Golden(**arrays)


def relative_error(logits: NDArray[np.floating[Any]], expected: NDArray[np.floating[Any]]) -> float:
    """Largest difference of the two, in parts of the largest expected logit."""
    assert logits.shape == expected.shape
    return float(np.abs(logits - expected).max() / np.abs(expected).max())
