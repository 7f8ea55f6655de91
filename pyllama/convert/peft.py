"""Adapters as PEFT saves them: ``adapter_config.json`` and low-rank pairs by the names of modules.

    base_model.model.MODULE.lora_A.weight       (rank, n_in)
    base_model.model.MODULE.lora_B.weight       (n_out, rank)
    base_model.model.MODULE.lora_embedding_A    (rank, n_rows)   of an embedding (n_rows, width)
    base_model.model.MODULE.lora_embedding_B    (width, rank)

What is added to the module's matrix is ``lora_alpha / rank * B @ A``, or with ``use_rslora``
``lora_alpha / sqrt(rank) * B @ A`` (Kalajdzievski 2023). Source: PEFT's documentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pyllama.convert.config import Config
from pyllama.convert.documents import read_object
from pyllama.convert.low_rank import Pair
from pyllama.convert.sources.checkpoint import Checkpoint
from pyllama.convert.sources.safetensors import read_safetensors
from pyllama.convert.sources.stored import StoredTensor
from pyllama.convert.sources.torch_zip import read_torch
from pyllama.convert.tensor import LazyTensor
from pyllama.errors import ConversionError, FileError
from pyllama.gguf.wording import quoted

CONFIG = "adapter_config.json"
_PREFIX = "base_model.model."
_FILES: tuple[tuple[str, Callable[[Path], list[StoredTensor]]], ...] = (
    ("adapter_model.safetensors", read_safetensors),
    ("adapter_model.bin", read_torch),
)
_ENDS = {
    ".lora_A.weight": ("a", False),
    ".lora_B.weight": ("b", False),
    ".lora_embedding_A": ("b", True),
    ".lora_embedding_B": ("a", True),
}
"""Ends of names: which half of the pair it is, and whether it has to be transposed."""
_OF_BASE = ".base_layer.weight"
"""End of the weights of the base model that PEFT saves beside an adapted embedding."""

WHOLE = "merge the adapter into the model with PEFT, and convert the result"
"""What is to be done with an adapter that is more than low-rank pairs."""

_REFUSED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "use_dora": ((False,), "scales rows of the sum (DoRA)"),
    "use_qalora": ((False,), "averages groups of inputs (QA-LoRA)"),
    "lora_bias": ((False,), "adds biases"),
    "bias": (("none",), "changes biases"),
    "modules_to_save": (([],), "holds whole modules beside low-rank pairs"),
    "trainable_token_indices": (([], {}), "holds whole rows of the embedding"),
    "target_parameters": (([],), "adapts parameters that are no module's weight"),
    "layer_replication": (([],), "repeats layers of the model"),
    "alora_invocation_tokens": (([],), "is switched on by certain tokens (aLoRA)"),
}
"""What plain low-rank pairs cannot express: the values that ask for nothing, and what others do."""

_CHANGING = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Ways to begin training that change the base model, which the adapter then needs."""


@dataclass(frozen=True)
class PeftAdapter:
    """An adapter's folder.

    Attributes:
        config: ``adapter_config.json``.
        checkpoint: the file that holds the pairs.
        pairs: by module; that of an embedding makes (n_rows, width), as it is stored.
    """

    config: Config
    checkpoint: Checkpoint
    pairs: Mapping[str, Pair]

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.checkpoint.folder

    @property
    def file(self) -> Path:
        """The file that holds the pairs."""
        return self.checkpoint.files[0]

    @property
    def base(self) -> str | None:
        """The base model as it was called in training: a directory or a repository's name."""
        return self.config.text("base_model_name_or_path", default="") or None

    @cached_property
    def alpha(self) -> float:
        """``lora_alpha`` where no pattern says otherwise."""
        return _positive(self.config, "lora_alpha", self.config.real("lora_alpha", default=8.0))

    def factor(self, module: str) -> float:
        """What a module's pair is multiplied by beyond ``alpha / rank``."""
        grown = self.config.flag("use_rslora", default=False)
        root = math.sqrt(self.pairs[module].rank) if grown else 1.0
        return self._alpha_of(module) / self.alpha * root

    def _alpha_of(self, module: str) -> float:
        patterns = self.config.section("alpha_pattern")
        for key in patterns.values:
            name = key.removeprefix("^")
            if not all(part.isidentifier() or part.isdecimal() for part in name.split(".")):
                problem = f"has {quoted(key)}, which is no name of modules"
                raise self.config.error("alpha_pattern", problem, "write names without wildcards")
            if module == name or (name == key and module.endswith(f".{name}")):
                return _positive(self.config, "alpha_pattern", patterns.real(key))
        return self.alpha


def read_adapter(folder: Path) -> PeftAdapter:
    """The adapter in a folder, no weights read yet.

    Raises FileError for what cannot be read, ConversionError for what is no adapter, is damaged, or
    is more than low-rank pairs.
    """
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "no such directory"
        raise FileError(folder, problem, f"name the directory of an adapter, with its {CONFIG}")
    path = folder / CONFIG
    if not path.is_file():
        problem = f"has no {CONFIG}"
        raise ConversionError(folder, problem, "name the directory of an adapter that PEFT saved")
    config = Config(path, read_object(path))
    _check(config)
    for name, reader in _FILES:
        path = folder / name
        if path.is_file():
            stored = reader(path)
            tensors = {tensor.name: tensor.lazy() for tensor in stored}
            n_bytes = sum(tensor.n_bytes for tensor in stored)
            return PeftAdapter(
                config, Checkpoint(folder, (path,), tensors, n_bytes), _pairs(path, tensors)
            )
    looked = " and ".join(name for name, _ in _FILES)
    raise ConversionError(folder, "holds no weights of an adapter", f"looked for {looked}")


def _check(config: Config) -> None:
    kind = config.text("peft_type", default="LORA")
    if kind.upper() != "LORA":
        raise config.error("peft_type", f"is {quoted(kind)}, not LORA", WHOLE)
    for name, (harmless, what) in _REFUSED.items():
        value = config.given(name)
        if value is not None and value not in harmless:
            raise config.error(name, f"is {value!r:.60}: the adapter {what}", WHOLE)
    begun = config.given("init_lora_weights")
    if isinstance(begun, str) and begun.lower().startswith(_CHANGING):
        problem = f"is {quoted(begun)}: the base model was changed before the training"
        raise config.error("init_lora_weights", problem, WHOLE)


def _pairs(path: Path, tensors: Mapping[str, LazyTensor]) -> dict[str, Pair]:
    halves: dict[str, dict[str, LazyTensor]] = {}
    for name, tensor in tensors.items():
        if name.endswith(_OF_BASE):
            continue
        end = next((end for end in _ENDS if name.endswith(end)), None)
        if end is None or len(tensor.shape) != 2 or not all(tensor.shape):
            problem = f"has the tensor {quoted(name)}, which is no part of a low-rank pair"
            raise ConversionError(path, problem, WHOLE)
        half, is_turned = _ENDS[end]
        module = name.removeprefix(_PREFIX).removesuffix(end)
        halves.setdefault(module, {})[half] = _turned(tensor) if is_turned else tensor
    if not halves:
        raise ConversionError(path, "holds no tensors")
    return {module: _pair(path, module, found) for module, found in halves.items()}


def _turned(tensor: LazyTensor) -> LazyTensor:
    return tensor.rearranged(tensor.shape[::-1], lambda array: array.T)


def _pair(path: Path, module: str, found: Mapping[str, LazyTensor]) -> Pair:
    if set(found) != {"a", "b"}:
        problem = f"has only half of the pair of {quoted(module)}"
        raise ConversionError(path, problem, "get the adapter again")
    pair = Pair(found["a"], found["b"])
    if pair.b.shape[1] != pair.rank:
        shapes = " and ".join(" x ".join(map(str, t.shape)) for t in (pair.a, pair.b))
        problem = f"the pair of {quoted(module)}, {shapes}, has no common rank"
        raise ConversionError(path, problem, "get the adapter again")
    return pair


def _positive(config: Config, name: str, value: float) -> float:
    if value <= 0:
        raise config.error(name, f"is {value:g}: it must be above 0")
    return value
