"""What the recipes need to know about a model and about its tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from pyllama.gguf.tensors import TensorInfo


class Role(Enum):
    """What a tensor does, as far as the recipes care."""

    OUTPUT = "output"
    EMBEDDING = "embedding"
    ATTENTION_V = "attention v"
    ATTENTION_K = "attention k"
    ATTENTION_Q = "attention q"
    ATTENTION_OUTPUT = "attention output"
    FFN_UP = "ffn up"
    FFN_GATE = "ffn gate"
    FFN_DOWN = "ffn down"
    OTHER = "other"


_NAMES = {
    "output.weight": Role.OUTPUT,
    "token_embd.weight": Role.EMBEDDING,
    "per_layer_token_embd.weight": Role.EMBEDDING,
}
# The first part that a name contains decides. Fused and compressed values count as values.
_PARTS = (
    ("attn_qkv.weight", Role.ATTENTION_V),
    ("attn_kv_b.weight", Role.ATTENTION_V),
    ("attn_v.weight", Role.ATTENTION_V),
    ("attn_k.weight", Role.ATTENTION_K),
    ("attn_q.weight", Role.ATTENTION_Q),
    ("attn_output.weight", Role.ATTENTION_OUTPUT),
    ("ffn_up", Role.FFN_UP),
    ("ffn_gate", Role.FFN_GATE),
    ("ffn_down", Role.FFN_DOWN),
)

# Tensors that stay as they are: small ones, and those that quantization would ruin.
_KEPT_PARTS = (
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
)
_KEPT_NAMES = frozenset({"position_embd.weight", "token_types.weight"})

_LAYER = re.compile(r"blk\.(\d{1,9})\.")


def role_of(name: str) -> Role:
    """The role of a tensor by its name."""
    if name in _NAMES:
        return _NAMES[name]
    return next((role for part, role in _PARTS if part in name), Role.OTHER)


def layer_of(name: str) -> int | None:
    """The layer that a name like ``blk.12.attn_q.weight`` tells, or None."""
    match = _LAYER.match(name)
    return int(match[1]) if match else None


def sort_key(name: str) -> tuple[int, bytes]:
    """The place of a tensor in a quantized file: by layer, those without one first, then name."""
    layer = layer_of(name)
    return (-1 if layer is None else layer, name.encode())


def n_dims(shape: Sequence[int]) -> int:
    """Dimensions without those of size 1 on the outside; at least 1."""
    outer = next((i for i, size in enumerate(shape) if size > 1), len(shape))
    return max(1, len(shape) - outer)


def is_quantizable(name: str, shape: Sequence[int]) -> bool:
    """Whether a recipe may change the type of a tensor at all; ``shape`` in NumPy's order."""
    return (
        n_dims(shape) >= 2
        and name.endswith("weight")
        and name not in _KEPT_NAMES
        and not any(part in name for part in _KEPT_PARTS)
    )


@dataclass(frozen=True)
class Tensor:
    """A tensor of the model by name and shape, in NumPy's order."""

    name: str
    shape: tuple[int, ...]

    @property
    def columns(self) -> int:
        """Elements of a row: blocks run along it."""
        return self.shape[-1] if self.shape else 1

    @property
    def matrices(self) -> int:
        """Matrices that are stacked in a tensor of three dimensions: the experts."""
        return self.shape[-3] if len(self.shape) > 2 else 1

    @property
    def role(self) -> Role:
        """What it does."""
        return role_of(self.name)


@dataclass(frozen=True)
class ModelFacts:
    """Figures of the model that recipes look at.

    Attributes:
        architecture: as ``general.architecture`` says.
        n_layer: all layers, also those that predict further tokens.
        n_expert: experts of a layer, 0 of a dense model.
        n_gqa: query heads that share a key head, 0 where there are no key heads.
        n_values: the tensors whose role is ATTENTION_V.
        tied: no output matrix of its own, the embeddings serve as one.
    """

    architecture: str
    n_layer: int
    n_expert: int
    n_gqa: int
    n_values: int
    tied: bool

    @property
    def is_70b(self) -> bool:
        """Whether llama.cpp calls a model of this shape 70B, for which it has an extra rule."""
        layers = {"llama": 80, "qwen2": 80, "olmo": 80, "deci": 80, "jais2": 68}
        grouped = self.architecture != "llama" or self.n_gqa != 1
        return layers.get(self.architecture) == self.n_layer and grouped

    @classmethod
    def read(cls, metadata: Mapping[str, Any], tensors: Iterable[TensorInfo]) -> ModelFacts:
        """The facts of a file; what its metadata do not say counts as 0."""
        architecture = str(metadata.get("general.architecture", ""))
        names = [tensor.name for tensor in tensors]

        def number(key: str) -> int:
            return _first_number(metadata.get(f"{architecture}.{key}"))

        heads, kv_heads = number("attention.head_count"), number("attention.head_count_kv")
        if f"{architecture}.attention.head_count_kv" not in metadata:
            kv_heads = heads
        return cls(
            architecture=architecture,
            n_layer=number("block_count"),
            n_expert=number("expert_count"),
            n_gqa=heads // kv_heads if kv_heads else 0,
            n_values=sum(role_of(name) is Role.ATTENTION_V for name in names),
            tied="output.weight" not in names,
        )


def _first_number(value: Any) -> int:
    """A whole number, that of the first layer where each has its own; 0 for anything else."""
    if isinstance(value, np.ndarray):
        value = value[0].item() if value.size else 0
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
