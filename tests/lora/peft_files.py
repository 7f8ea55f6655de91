"""Adapters as PEFT saves them, for the tiny checkpoints of the families."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from families.checkpoint import write_checkpoint
from families.golden import load
from families.weights import draw_all
from numpy.typing import NDArray
from safetensors.numpy import save_file

from pyllama.convert import ConvertOptions, convert
from pyllama.gguf.file_types import FileType

Array = NDArray[np.float32]
PREFIX = "base_model.model."


def weights(case: str) -> tuple[Mapping[str, Any], dict[str, Array]]:
    """config.json and the tensors of a case's checkpoint."""
    golden = load(case)
    return golden.config, draw_all(case, golden.parameters)


def adapted_modules(tensors: Mapping[str, Array]) -> list[str]:
    """The modules of a checkpoint's matrices, but for experts and tables of positions."""
    return [
        name.removesuffix(".weight")
        for name, array in tensors.items()
        if array.ndim == 2 and ".experts." not in name and "wpe" not in name
    ]


def is_embedding(module: str) -> bool:
    return module.rpartition(".")[2] in ("embed_tokens", "wte", "word_embeddings", "tok_embeddings")


def write_peft(
    folder: Path,
    shapes: Mapping[str, tuple[int, int]],
    rank: int = 4,
    ranks: Mapping[str, int] | None = None,
    extra: Mapping[str, Array] | None = None,
    **config: Any,
) -> dict[str, tuple[Array, Array]]:
    """Write an adapter of random numbers for modules (n_out, n_in), of an embedding (n_rows,
    width); returns A (rank, n_in) and B (n_out, rank) of each, of an embedding (rank, n_rows) and
    (width, rank)."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    pairs, tensors = {}, dict(extra or {})
    for module, shape in shapes.items():
        n = (ranks or {}).get(module, rank)
        n_out, n_in = shape[::-1] if is_embedding(module) else shape
        a, b = ((0.3 * rng.standard_normal(s)).astype(np.float32) for s in ((n, n_in), (n_out, n)))
        pairs[module] = a, b
        names = (
            ("lora_embedding_A", "lora_embedding_B")
            if is_embedding(module)
            else ("lora_A.weight", "lora_B.weight")
        )
        tensors |= {f"{PREFIX}{module}.{name}": x for name, x in zip(names, (a, b), strict=True)}
    save_file(tensors, folder / "adapter_model.safetensors")
    values = {"peft_type": "LORA", "r": rank, "lora_alpha": 6, "bias": "none", **config}
    (folder / "adapter_config.json").write_text(json.dumps(values))
    return pairs


def write_base(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Array]) -> Path:
    """Write a checkpoint, convert it to float32, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    write_checkpoint(folder, config, {n: np.ascontiguousarray(t) for n, t in tensors.items()})
    options = ConvertOptions(file_type=FileType.F32, vocabulary=False)
    convert(folder, folder / "tiny.gguf", options)
    return folder / "tiny.gguf"


def merged(
    tensors: Mapping[str, Array],
    pairs: Mapping[str, tuple[Array, Array]],
    scales: Mapping[str, float],
    stored_turned: Iterable[str] = (),
) -> dict[str, Array]:
    """The checkpoint's tensors with the pairs added as PEFT adds them."""
    result = dict(tensors)
    for module, (a, b) in pairs.items():
        delta = scales[module] * b @ a
        is_turned = is_embedding(module) or module in stored_turned
        name = f"{module}.weight"
        result[name] = (result[name] + (delta.T if is_turned else delta)).astype(np.float32)
    return result
