"""Do weights and configuration agree? The graph that will run knows what it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pyllama.errors import ConversionError, ModelError
from pyllama.gguf import Field, TensorInfo
from pyllama.gguf.parts import PartTensor
from pyllama.models import ARCHITECTURES, find_architecture
from pyllama.models.build import GraphBuilder
from pyllama.models.config import read_config


def check_shapes(
    folder: Path, fields: Mapping[str, Any], tensors: Iterable[PartTensor], n_vocab: int
) -> None:
    """Raise ConversionError where a tensor is missing, or is not of the shape that fits the rest.

    Nothing is read; architectures that pyllama does not run are taken as they are.
    """
    metadata = {key: _as_read(value) for key, value in fields.items()}
    if metadata["general.architecture"] not in ARCHITECTURES:
        return
    infos = {t.name: TensorInfo(t.name, t.shape, t.type, t.n_bytes, 0) for t in tensors}
    try:
        architecture = find_architecture(folder, metadata)
        config = read_config(folder, metadata, architecture.name, architecture.traits)
        architecture.build(GraphBuilder(folder, infos, config), n_vocab)
    except ModelError as error:
        remedy = "config.json and weights contradict each other: get the checkpoint again"
        raise ConversionError(folder, error.problem, remedy) from error


def _as_read(value: Any) -> Any:
    """A value as it will be when the file is opened."""
    value = value.value if isinstance(value, Field) else value
    is_array = isinstance(value, list | tuple) and not any(isinstance(v, str) for v in value)
    return np.asarray(value) if is_array else value
