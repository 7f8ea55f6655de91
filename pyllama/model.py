"""A loaded model: immutable, shared by all sessions."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import ModelError, TargetError
from pyllama.gguf import GGUFFile, TensorType
from pyllama.graph.graph import Graph
from pyllama.graph.passes import optimize
from pyllama.kernels import target
from pyllama.kernels.jit import Library
from pyllama.kernels.self_check import wrong_types
from pyllama.lora import Lora, adapted, open_adapters
from pyllama.models import find_architecture
from pyllama.models.blocks import LOCAL_ROPE_TABLE
from pyllama.models.build import GraphBuilder
from pyllama.models.config import ModelConfig, RopeConfig, read_config
from pyllama.placement import ANYWHERE, Placement
from pyllama.threads import WorkerPool
from pyllama.tokenizers import Tokenizer
from pyllama.weights import Weights

log = logging.getLogger(__name__)

EMBEDDING = "token_embd.weight"
ROPE_FACTORS = "rope_freqs.weight"
LONG_ROPE_FACTORS = "rope_factors_long.weight"
SHORT_ROPE_FACTORS = "rope_factors_short.weight"
"""Divisors of rotary frequencies; the latter two by the length of the context."""


class Model:
    """Weights (mapped, in place), graph, tokenizer and compiled kernels of a file and its adapters.

    Sessions of any number of threads may share it.
    """

    def __init__(
        self,
        file: GGUFFile,
        isa: str | None = None,
        overrides: Mapping[str, str | int | float | bool] | None = None,
        loras: Sequence[Lora] = (),
    ) -> None:
        """Use ``load``."""
        self.path: Path = file.path
        name = file.metadata.get("general.architecture")
        given = {_full_key(key, name): value for key, value in (overrides or {}).items()}
        self.metadata: Mapping[str, Any] = MappingProxyType({**file.metadata, **given})
        architecture = find_architecture(file.path, self.metadata)
        self.config: ModelConfig = read_config(
            file.path, self.metadata, architecture.name, architecture.traits
        )
        self._file = file
        self._check_vocabulary()
        builder = GraphBuilder(file.path, file.tensors, self.config)
        graph = architecture.build(builder, self.n_vocab)
        self._adapters = open_adapters(loras, architecture.name)
        self._weights = Weights(file, self._adapters)
        self.graph: Graph = optimize(adapted(graph, self._adapters, file))
        self.library = _checked_library(isa, {weight.type for weight in self.graph.weights()})
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._pools: dict[tuple[int, Placement], WorkerPool] = {}
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        isa: str | None = None,
        overrides: Mapping[str, str | int | float | bool] | None = None,
        loras: Sequence[Lora] = (),
    ) -> Model:
        """Open a GGUF file; of a split one, its first part.

        ``isa`` forces an instruction set. ``overrides`` take the place of the file's metadata; a
        key that begins with a dot goes behind the architecture's name. ``loras``: adapters, whose
        sum is added to the weights. Raises FileError for a file that cannot be read, ModelError for
        one that is no model that pyllama runs, or no adapter of this model, TargetError for an
        instruction set that this machine does not have.
        """
        return cls(GGUFFile.open(path), isa, overrides, loras)

    @property
    def name(self) -> str:
        """The model's own name, or that of its file."""
        return str(self.metadata.get("general.name") or self.path.stem)

    @property
    def n_vocab(self) -> int:
        """Number of tokens."""
        return self._file.tensors[EMBEDDING].shape[0]

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, built when it is first asked for."""
        return Tokenizer.from_metadata(self.metadata, str(self.path))

    def _check_vocabulary(self) -> None:
        embedding = self._file.tensors.get(EMBEDDING)
        again = "the file is damaged or incomplete: get it again"
        if embedding is None or len(embedding.shape) != 2:
            raise ModelError(self.path, f"missing tensor {EMBEDDING!r}", again)
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        if tokens is not None and len(tokens) != embedding.shape[0]:
            raise ModelError(
                self.path,
                f"the vocabulary has {len(tokens)} tokens, {EMBEDDING} {embedding.shape[0]} rows",
                again,
            )

    @property
    def n_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(self._weights.info(name).n_bytes for name in self._weights)

    @cached_property
    def fingerprint(self) -> bytes:
        """32 bytes that tell models apart: of the configuration, and a page of every tensor.

        Fine-tuned siblings differ in their weights alone, and nearly always in all of them.
        Adapters count, with what they are multiplied by.
        """
        scales = [(adapter.scale, adapter.alpha) for adapter in self._adapters]
        digest = hashlib.sha256(repr((self.config, self.n_vocab, *scales)).encode())
        for name in self._weights:
            info = self._weights.info(name)
            digest.update(repr((name, info.shape, info.type, info.n_bytes)).encode())
            digest.update(self._weights.data(name)[:4096].tobytes())
        return digest.digest()

    def weight(self, name: str) -> NDArray[np.uint8]:
        """The bytes of a tensor, mapped."""
        return self._weights.data(name)

    def dequantized(self, name: str) -> NDArray[np.float32]:
        """A tensor as float32, in memory of its own."""
        return self._weights.dequantized(name)

    def vector(self, name: str) -> NDArray[np.float32]:
        """A small tensor (a norm's weights, a bias) as float32, kept for all sessions."""
        with self._lock:
            if name not in self._vectors:
                is_plain = self._weights.info(name).type is TensorType.F32
                data = self.weight(name).view("<f4") if is_plain else self.dequantized(name)
                self._vectors[name] = data
            return self._vectors[name]

    def rope(self, table: str, context: int) -> tuple[RopeConfig, NDArray[np.float32] | None]:
        """The rotation that a table of the graph stands for, in sessions of ``context`` positions.

        With it (pairs,) divisors of its frequencies, where the file has them.
        """
        if table == LOCAL_ROPE_TABLE:
            return self.config.local_rope, None
        rope = self.config.rope
        longer = context > rope.original_context
        for name in (ROPE_FACTORS, LONG_ROPE_FACTORS if longer else SHORT_ROPE_FACTORS):
            if name in self._file.tensors:
                return rope, self._rope_factors(name)
        return rope, None

    def _rope_factors(self, name: str) -> NDArray[np.float32]:
        factors = self.vector(name)
        pairs = self.config.rope.dims // 2
        if factors.shape != (pairs,) or not (np.isfinite(factors) & (factors > 0)).all():
            raise ModelError(
                self.path,
                f"tensor {name!r} must hold {pairs} positive numbers",
                "the file is damaged: get it again",
            )
        return factors

    def workers(self, threads: int, placement: Placement = ANYWHERE) -> WorkerPool:
        """The pool of so many threads, placed so, that all sessions of the model share."""
        key = threads, placement
        with self._lock:
            if key not in self._pools:
                self._pools[key] = WorkerPool(self.library, threads, placement)
            return self._pools[key]


def _full_key(key: str, architecture: object) -> str:
    return f"{architecture}{key}" if key.startswith(".") else key


def _checked_library(isa: str | None, types: set[TensorType]) -> Library:
    """The best instruction set whose kernels compute what they should; see ``self_check``."""
    for candidate in target.candidates(isa):
        library = Library(candidate)
        wrong = wrong_types(library, types)
        if not wrong:
            return library
        names = ", ".join(type.label for type in wrong)
        log.warning("%s computes %s wrongly on this machine: not used", candidate.name, names)
    raise TargetError("no instruction set of this machine computes the model rightly")
