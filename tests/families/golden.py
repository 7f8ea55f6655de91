"""Golden files of families: what they hold (made by ``scripts/make_family_goldens.py``)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from families.weights import Array

FOLDER = Path(__file__).parent / "goldens"


@dataclass(frozen=True)
class Golden:
    """A checkpoint without its values, tokens, and the logits of some positions."""

    config: dict[str, Any]
    """config.json"""
    parameters: dict[str, tuple[int, ...]]
    """Name -> shape of every tensor of the checkpoint."""
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


def path_of(case: str) -> Path:
    """A case's golden file."""
    return FOLDER / f"{case}.npz"


def save(golden: Golden, path: Path) -> None:
    """Write a golden file; the same golden gives the same bytes."""
    arrays = {**vars(golden)}
    for name in ("config", "parameters"):
        arrays[name] = np.array(json.dumps(arrays[name], sort_keys=True))
    np.savez_compressed(path, **arrays)


def load(case: str) -> Golden:
    """Read a case's golden file."""
    with np.load(path_of(case), allow_pickle=False) as arrays:
        fields: dict[str, Any] = dict(arrays)
    for name in ("config", "parameters"):
        fields[name] = json.loads(str(fields[name]))
    shapes = {name: tuple(shape) for name, shape in fields["parameters"].items()}
    return Golden(**{**fields, "parameters": shapes})
