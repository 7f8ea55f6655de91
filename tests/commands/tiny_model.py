"""A tiny Llama of random weights as a GGUF file, whole or with faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from models import tiny
from models.cases import CASES
from numpy.typing import NDArray

from pyllama.gguf import TensorType, write_gguf

Metadata = dict[str, Any]
Tensors = dict[str, NDArray[np.float32]]

_CASE = next(case for case in CASES if case.name == "llama_gqa")


def write_model(
    path: Path,
    metadata: Mapping[str, Any] | None = None,
    change: Callable[[Metadata, Tensors], None] = lambda _metadata, _tensors: None,
) -> Path:
    """Write the model with more ``metadata``, after ``change`` had its way with both."""
    keys: Metadata = {**tiny.metadata(_CASE), **(metadata or {})}
    arrays: Tensors = dict(tiny.tensors(_CASE))
    change(keys, arrays)
    table = {name: (array.shape, TensorType.F32, array) for name, array in arrays.items()}
    write_gguf(path, keys, table)
    return path
