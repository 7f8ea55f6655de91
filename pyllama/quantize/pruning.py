"""Models with layers left out: the others close ranks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from pyllama.errors import UsageError
from pyllama.gguf import Field, GGUFFile, TensorInfo, ValueType
from pyllama.quantize.tensors import ModelFacts, Role, layer_of, role_of


@dataclass(frozen=True)
class Pruning:
    """Which layers stay, and their new numbers.

    Attributes:
        architecture: the prefix of the keys about the model.
        layers: how many there are now; 0 where nothing is left out.
        numbers: the new number of each layer that stays; empty where nothing is left out.
    """

    architecture: str
    layers: int
    numbers: Mapping[int, int]

    @classmethod
    def of(cls, file: GGUFFile, pruned: frozenset[int]) -> Pruning:
        """Raises UsageError for layers that the model does not have, or if none would stay."""
        architecture = str(file.metadata.get("general.architecture", ""))
        if not pruned:
            return cls(architecture, 0, {})
        found = {layer_of(name) for name in file.tensors}
        layers = sorted(layer for layer in found if layer is not None)
        missing = sorted(pruned.difference(layers))
        if missing:
            raise UsageError(f"--prune-layers: {file.path} has no layer {missing[0]}")
        kept = [layer for layer in layers if layer not in pruned]
        if not kept:
            raise UsageError(f"--prune-layers: no layer of {file.path} would stay")
        return cls(architecture, len(layers), {layer: i for i, layer in enumerate(kept)})

    def keeps(self, name: str) -> bool:
        """Whether a tensor stays."""
        layer = layer_of(name)
        return not self.numbers or layer is None or layer in self.numbers

    def renamed(self, name: str) -> str:
        """The new name of a tensor that stays."""
        layer = layer_of(name)
        if not self.numbers or layer is None:
            return name
        return re.sub(r"^blk\.\d+\.", f"blk.{self.numbers[layer]}.", name)

    def adjusted(self, facts: ModelFacts, kept: Iterable[TensorInfo]) -> ModelFacts:
        """The facts of the smaller model. llama.cpp goes on counting layers as before."""
        values = sum(role_of(info.name) is Role.ATTENTION_V for info in kept)
        return replace(facts, n_values=values)

    def metadata(self, fields: Mapping[str, Field]) -> dict[str, Field]:
        """The metadata with one value for each layer that stays, where each has its own."""
        return {name: self._shortened(field) for name, field in fields.items()}

    @property
    def block_count(self) -> dict[str, Field]:
        """The metadata that tell how many layers stay; empty where nothing is left out."""
        if not self.numbers:
            return {}
        return {f"{self.architecture}.block_count": Field(ValueType.UINT32, len(self.numbers))}

    def _shortened(self, field: Field) -> Field:
        value = field.value
        if not self.numbers or not isinstance(value, np.ndarray) or len(value) != self.layers:
            return field
        return replace(field, value=value[sorted(self.numbers)])
