"""Low-rank adapters (Hu et al. 2021, LoRA) in the GGUF files that llama.cpp reads.

    general.type = adapter, adapter.type = lora, general.architecture = that of the model
    adapter.lora.alpha                  f32; 0 stands for the rank of each pair
    NAME.lora_a, NAME.lora_b            a pair for each tensor NAME of the model that is adapted

What is added to a matrix is ``scale * alpha / rank * lora_b @ lora_a``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike

from pyllama.errors import ModelError, UsageError
from pyllama.gguf import GGUFFile, TensorInfo, TensorType
from pyllama.gguf.wording import quoted
from pyllama.graph.adapt import Adaptable, LowRank, adapt, adaptable
from pyllama.graph.graph import Graph
from pyllama.graph.ops import Weight
from pyllama.kernels.formats import FORMATS

log = logging.getLogger(__name__)

TYPE_KEY = "adapter.type"
ALPHA_KEY = "adapter.lora.alpha"
INVOCATION_KEY = "adapter.alora.invocation_tokens"
ENDS = (".lora_a", ".lora_b")

_OTHER_BASE = "it was made for another model"


@dataclass(frozen=True)
class Lora:
    """An adapter that is wanted: its file, and how much of it is added; 1 is all of it."""

    path: str | PathLike[str]
    scale: float = 1.0


@dataclass(frozen=True)
class Adapter:
    """An adapter's open file.

    Attributes:
        file: that holds it.
        label: tells it from the model's other adapters.
        scale: how much of it is added.
        alpha: of the file; 0 for the rank.
    """

    file: GGUFFile
    label: str
    scale: float
    alpha: float

    def full_name(self, name: str) -> str:
        """What a graph calls one of its tensors."""
        return f"{self.label}:{name}"

    def changes(self, places: Mapping[str, Adaptable], model: GGUFFile) -> dict[str, LowRank]:
        """What it adds to which matrices. Raises ModelError, naming what does not fit."""
        return {
            name: self._change(*pair, self._place(name, places, model))
            for name, pair in self._pairs().items()
        }

    def _pairs(self) -> dict[str, tuple[TensorInfo, TensorInfo]]:
        tensors = self.file.tensors
        names: dict[str, None] = {}
        for name in tensors:
            base, dot, kind = name.rpartition(".")
            if dot + kind in ENDS:
                names[base] = None
            elif name.endswith("_norm.weight"):  # mergekit writes them; llama.cpp skips them, too
                log.warning("%s: %s is left out: norms are not adapted", self.file.path, name)
            else:
                raise self._error(f"has the tensor {quoted(name)}, which is half of no pair")
        for name in names:
            for end in ENDS:
                if name + end not in tensors:
                    raise self._error(f"has only half of a pair: {quoted(name + end)} is missing")
        if not names:
            raise self._error("holds no pairs of tensors")
        return {name: (tensors[name + ENDS[0]], tensors[name + ENDS[1]]) for name in names}

    def _place(self, name: str, places: Mapping[str, Adaptable], model: GGUFFile) -> Adaptable:
        if name in places:
            return places[name]
        if name not in model.tensors:
            raise self._error(f"adapts {quoted(name)}, which the model does not have", _OTHER_BASE)
        problem = f"adapts {quoted(name)}; only plain matrices and the embedding can be adapted"
        raise self._error(problem, "merge it into the model first")

    def _change(self, a: TensorInfo, b: TensorInfo, place: Adaptable) -> LowRank:
        rank = b.shape[-1] if b.shape else 0
        for info, wanted in zip((a, b), place.pair(rank), strict=True):
            if info.shape != wanted or not rank:
                found, fits = (" x ".join(map(str, s)) for s in (info.shape, wanted))
                problem = f"tensor {quoted(info.name)} is {found}, not {fits}"
                raise self._error(problem, _OTHER_BASE)
            if info.type not in FORMATS:
                problem = f"tensor {quoted(info.name)} has type {info.type.label}"
                raise self._error(f"{problem}, which pyllama does not compute with")
        is_exact = place.type is TensorType.F32  # what is added need be no finer than the matrix
        one, other = (
            Weight(self.full_name(t.name), t.shape, t.type, is_exact=is_exact) for t in (a, b)
        )
        scale = self.scale * self.alpha / rank if self.alpha else self.scale
        return LowRank(self.label, one, other, scale)

    def _error(self, problem: str, remedy: str = "convert the adapter again") -> ModelError:
        return ModelError(self.file.path, f"the adapter {problem}", remedy)


def open_adapters(wanted: Iterable[Lora], architecture: str) -> tuple[Adapter, ...]:
    """The adapters of a model of an architecture.

    Raises FileError for a file that cannot be read, ModelError for one that is no adapter or one
    of another architecture, UsageError for a scale that is no finite number.
    """
    return tuple(_open(lora, f"lora{n}", architecture) for n, lora in enumerate(wanted, start=1))


def adapted(graph: Graph, adapters: Sequence[Adapter], model: GGUFFile) -> Graph:
    """The graph of a model with its adapters; those with a scale of 0 are checked, and left out.

    Raises ModelError for an adapter that does not fit the model.
    """
    places = adaptable(graph)
    changes: dict[str, list[LowRank]] = {}
    for adapter in adapters:
        found = adapter.changes(places, model)
        for name, change in found.items() if adapter.scale else ():
            changes.setdefault(name, []).append(change)
    return adapt(graph, changes)


def _open(lora: Lora, label: str, architecture: str) -> Adapter:
    if not math.isfinite(lora.scale):
        raise UsageError(f"{lora.path}: the adapter's scale is {lora.scale}; give a finite number")
    file = GGUFFile.open(lora.path)
    adapter = Adapter(file, label, lora.scale, _alpha(file))
    keys = {"general.type": "adapter", TYPE_KEY: "lora"}
    for key, value in keys.items():
        if file.metadata.get(key) != value:
            found = quoted(str(file.metadata.get(key, "missing")))
            problem = f"is no LoRA adapter: {key} is {found}, not {value!r}"
            raise ModelError(file.path, problem, "give a model with -m")
    own = str(file.metadata.get("general.architecture"))
    if own != architecture:
        problem = f"is an adapter for {quoted(own)}, the model is {quoted(architecture)}"
        raise ModelError(file.path, problem, "give an adapter that was made for the model")
    if INVOCATION_KEY in file.metadata:
        problem = "is an adapter that certain tokens switch on (aLoRA), which is not supported"
        raise ModelError(file.path, problem, "give a plain LoRA adapter")
    return adapter


def _alpha(file: GGUFFile) -> float:
    value = file.metadata.get(ALPHA_KEY, 0.0)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ModelError(file.path, f"{ALPHA_KEY} is {value!r:.40}", "convert the adapter again")
    return float(value)
