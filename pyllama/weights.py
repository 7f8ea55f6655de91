"""The tensors that a model computes with: those of its file, and those of its adapters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pyllama import quants
from pyllama.gguf import GGUFFile, TensorInfo
from pyllama.lora import Adapter


class Weights:
    """Tensors by the names that a graph has for them; they stay in their files, mapped."""

    def __init__(self, file: GGUFFile, adapters: Sequence[Adapter] = ()) -> None:
        self._places = {name: (file, name) for name in file.tensors}
        for adapter in adapters:
            for name in adapter.file.tensors:
                self._places[adapter.full_name(name)] = adapter.file, name

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def info(self, name: str) -> TensorInfo:
        """Shape, type and size of a tensor."""
        file, own = self._places[name]
        return file.tensors[own]

    def data(self, name: str) -> NDArray[np.uint8]:
        """Its bytes: a view of the mapped file."""
        file, own = self._places[name]
        return file.data(own)

    def dequantized(self, name: str) -> NDArray[np.float32]:
        """Its elements, in memory of their own."""
        info = self.info(name)
        return quants.dequantize(self.data(name), info.type, info.shape)
