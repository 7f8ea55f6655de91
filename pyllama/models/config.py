"""A model's hyperparameters, read once from the metadata into frozen types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

from pyllama.models.experts import ExpertConfig, read_experts
from pyllama.models.keys import Keys
from pyllama.models.latent import NO_LATENT, LatentConfig, read_latent, score_growth
from pyllama.models.traits import Traits

MAX_LAYERS = 512
MAX_CONTEXT = 1 << 30
MAX_TAPS = 16
"""Of a short convolution."""


@dataclass(frozen=True)
class RopeConfig:
    """Frequencies of the rotary embedding and how they are scaled.

    ``scaling`` is ``none``, ``linear``, ``yarn``, ``longrope`` or ``dynamic``. ``attention_factor``
    is YaRN's factor of cosines and sines where the file gives it, else ``None``. ``whole_pairs``:
    YaRN's ramp begins and ends at whole numbers of pairs.
    """

    dims: int
    base: float
    scaling: str
    factor: float
    original_context: int
    attention_factor: float | None
    extra_attention_factor: float
    beta_fast: float
    beta_slow: float
    extrapolation: float
    whole_pairs: bool = True


@dataclass(frozen=True)
class Scales:
    """What embeddings, additions to the stream, attention scores and logits are multiplied by."""

    embedding: float
    residual: float
    attention: float
    logits: float


@dataclass(frozen=True)
class ModelConfig:
    """What the graph of a model depends on besides its tensors. Sizes are in elements.

    ``windows``: how many positions the tokens of each layer see, 0 for all. ``local_rope`` is the
    rotation of the layers that have a window. A softcap c stands for ``c * tanh(x / c)``; it, the
    clamp of queries, keys and values, and the largest ALiBi slope's exponent are 0 for none.
    """

    architecture: str
    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    context_length: int
    norm: str
    norm_epsilon: float
    windows: tuple[int, ...]
    rope: RopeConfig
    local_rope: RopeConfig
    scales: Scales
    attention_softcap: float
    logit_softcap: float
    clamp: float
    alibi: float
    parallel_residual: bool
    experts: ExpertConfig
    latent: LatentConfig
    conv_taps: int


def read_config(
    path: str | PathLike[str], metadata: Mapping[str, Any], architecture: str, traits: Traits
) -> ModelConfig:
    """The hyperparameters of a model file; ModelError names the key that is wrong."""
    keys = Keys(path, metadata, architecture)
    keys.require(*traits.required)
    layers = keys.integer("block_count", high=MAX_LAYERS)
    layers -= keys.integer("nextn_predict_layers", 0, low=0, high=layers - 1)
    width = keys.integer("embedding_length")
    heads = keys.integer("attention.head_count", high=1 << 16)
    kv_heads = keys.integer("attention.head_count_kv", heads, high=1 << 16, besides=0)
    if heads % kv_heads:
        raise keys.fail("attention.head_count", f"is {heads}, no multiple of {kv_heads} key heads")
    head_dim = keys.integer("attention.key_length", max(1, width // heads), high=1 << 12)
    value_dim = keys.integer("attention.value_length", head_dim, high=1 << 12)
    if value_dim != head_dim and not traits.has_latent:
        raise keys.fail("attention.value_length", "differs from attention.key_length")
    context = keys.integer("context_length", high=MAX_CONTEXT)
    rope = _rope(keys, head_dim, context, traits)
    latent = read_latent(keys, rope.dims) if traits.has_latent else NO_LATENT
    feed_forward = keys.integer("feed_forward_length")
    score_dims = width // heads if layers == traits.wide_score_layers else head_dim
    return ModelConfig(
        architecture=architecture,
        layers=layers,
        width=width,
        feed_forward=feed_forward,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        context_length=context,
        norm=traits.norm,
        norm_epsilon=keys.number(f"attention.{_EPSILONS[traits.norm]}"),
        windows=_windows(keys, layers, traits),
        rope=rope,
        local_rope=_local_rope(keys, rope, traits),
        scales=_scales(keys, width, latent.key_dim or score_dims, traits),
        attention_softcap=keys.factor("attn_logit_softcapping", traits.attention_softcap),
        logit_softcap=keys.factor("final_logit_softcapping", traits.logit_softcap),
        clamp=keys.factor("attention.clamp_kqv", 0.0),
        alibi=keys.factor(
            "attention.max_alibi_bias", traits.alibi if layers == traits.alibi_layers else 0.0
        ),
        parallel_residual=keys.flag("use_parallel_residual", default=True),
        experts=read_experts(keys, feed_forward, traits),
        latent=latent,
        conv_taps=keys.integer("shortconv.l_cache", 0, low=0, high=MAX_TAPS),
    )


_EPSILONS = {"rms": "layer_norm_rms_epsilon", "layer": "layer_norm_epsilon"}


def _windows(keys: Keys, layers: int, traits: Traits) -> tuple[int, ...]:
    window = keys.integer("attention.sliding_window", traits.window, low=0, high=MAX_CONTEXT)
    key = "attention.sliding_window_pattern"
    return tuple(window * local for local in keys.pattern(key, layers, traits.global_every))


def _scales(keys: Keys, width: int, score_dims: int, traits: Traits) -> Scales:
    logits = keys.factor("logit_scale", 1.0)
    growth = score_growth(keys, _factor(keys)) if traits.has_latent else 1.0
    return Scales(
        embedding=keys.factor("embedding_scale", width**0.5 if traits.root_embeddings else 1.0),
        residual=keys.factor("residual_scale", 1.0),
        attention=keys.factor("attention.scale", score_dims**-0.5) * growth,
        logits=1 / logits if traits.logits_divided else logits,
    )


SCALINGS = ("none", "linear", "yarn", "longrope", "dynamic")


def _rope(keys: Keys, head_dim: int, context: int, traits: Traits) -> RopeConfig:
    dims = keys.integer("rope.dimension_count", head_dim, low=2)
    if dims % 2 or dims > head_dim:
        raise keys.fail("rope.dimension_count", f"is {dims}; it must be even and fit a head")
    scaling = keys.text("rope.scaling.type", "linear")
    if scaling not in SCALINGS:
        known = ", ".join(SCALINGS)
        raise keys.fail("rope.scaling.type", f"is {scaling!r}, which is not one of {known}")
    given = keys.number("rope.scaling.yarn_attn_factor", 0.0, positive=False)
    if traits.has_latent and not given:  # scores grow as a whole instead, see score_growth
        given = float(keys.number("rope.scaling.yarn_log_multiplier", 0.0, positive=False) != 0)
    return RopeConfig(
        dims=dims,
        base=keys.number("rope.freq_base", 10000.0),
        scaling=scaling,
        factor=_factor(keys),
        original_context=keys.integer(
            "rope.scaling.original_context_length", context, high=MAX_CONTEXT
        ),
        attention_factor=given or None,
        extra_attention_factor=keys.number("rope.scaling.attn_factor", 1.0),
        beta_fast=keys.number("rope.scaling.yarn_beta_fast", 32.0),
        beta_slow=keys.number("rope.scaling.yarn_beta_slow", 1.0),
        extrapolation=keys.number("rope.scaling.yarn_ext_factor", 1.0, positive=False),
        whole_pairs=traits.yarn_whole_pairs,
    )


def _factor(keys: Keys) -> float:
    """How much longer sequences get by the scaling of frequencies."""
    return keys.number("rope.scaling.factor", keys.number("rope.scale_linear", 1.0))


def _local_rope(keys: Keys, rope: RopeConfig, traits: Traits) -> RopeConfig:
    base = keys.number("rope.freq_base_swa", traits.local_rope_base or rope.base)
    if traits.local_rope_scaled:
        return replace(rope, base=base)
    return replace(rope, base=base, scaling="none", factor=1.0, extra_attention_factor=1.0)
