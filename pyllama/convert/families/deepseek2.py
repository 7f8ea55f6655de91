"""DeepSeek V2, V2-Lite, V3 and R1: latent attention, dense layers first, then experts."""

from __future__ import annotations

import math
from collections.abc import Callable

from pyllama.convert.config import Config
from pyllama.convert.decoder import DECODER_TENSORS
from pyllama.convert.experts import (
    EXPERT_KEYS,
    GROUP_KEYS,
    LEADING_DENSE,
    SHARED_KEYS,
    choice_biases,
    dense_first,
    expert_rules,
    shared_rules,
    sparse_layers,
)
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import DECODER_KEYS, Key, flag, real, rope_theta, whole
from pyllama.convert.tensor import Array, LazyTensor
from pyllama.convert.transforms import Transform, misfit

_ATTENTION = "model.layers.{i}.self_attn"
_SCORES = {"softmax": 1, "sigmoid": 2}


def _rank(config: Config) -> int:
    return config.whole("kv_lora_rank", default=512)


def _plain(config: Config) -> int:
    return config.whole("qk_nope_head_dim", default=128)


def _rotated(config: Config) -> int:
    return config.whole("qk_rope_head_dim", default=64)


def _value(config: Config) -> int:
    return config.whole("v_head_dim", default=128)


def _of_heads(
    first: Callable[[Config], int], count: Callable[[Config], int], is_turned: bool
) -> Transform:
    """Rows of every head of the matrix that makes keys and values: (heads, count, rank).

    ``is_turned``: (heads, rank, count), for what brings queries into the space of the latents.
    """

    def transform(config: Config, /, *tensors: LazyTensor) -> LazyTensor:
        (tensor,) = tensors
        rows, rank = _plain(config) + _value(config), _rank(config)
        if tensor.shape != (config.heads * rows, rank):
            raise misfit(config, tensor, f"is not {config.heads} heads of {rows} by {rank}")
        start, n = first(config), count(config)

        def cut(array: Array) -> Array:
            part = array.reshape(config.heads, rows, rank)[:, start : start + n]
            return part.swapaxes(1, 2) if is_turned else part

        shape = (config.heads, rank, n) if is_turned else (config.heads, n, rank)
        return tensor.rearranged(shape, cut)

    return transform


def _score(config: Config) -> int:
    """V3 is sigmoid throughout, and newer configurations no longer say so."""
    default = "sigmoid" if config.architecture == "DeepseekV3ForCausalLM" else "softmax"
    name = config.text("scoring_func", default=default)
    if name not in _SCORES:
        raise config.error("scoring_func", f"is {name!r:.40}, not softmax or sigmoid")
    return _SCORES[name]


def _log_multiplier(config: Config) -> float | None:
    """A tenth of what YaRN's logarithm is multiplied by in the scores."""
    given = config.rope.given("mscale_all_dim")
    return 0.1 * config.rope.real("mscale_all_dim") if given else None


def _attention_factor(config: Config) -> float | None:
    """YaRN's magnitude of the rotated part, where it is not one and scores say the rest."""
    rope = config.rope
    if rope.given("attention_factor") is not None:
        return rope.real("attention_factor")
    if rope.given("mscale") is None or not rope.given("mscale_all_dim"):
        return None
    log = math.log(max(1.0, rope.real("factor", default=1.0)))
    part, whole_ = (0.1 * rope.real(name) * log + 1 for name in ("mscale", "mscale_all_dim"))
    return part / whole_ if part != whole_ else None


DEEPSEEK2 = Family(
    gguf="deepseek2",
    architectures=("DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM"),
    keys=extended(
        DECODER_KEYS,
        *EXPERT_KEYS,
        *SHARED_KEYS,
        *GROUP_KEYS,
        LEADING_DENSE,
        Key("attention.head_count_kv", lambda _: 1),
        Key("attention.key_length", lambda config: _rank(config) + _rotated(config)),
        Key("attention.value_length", _rank),
        Key("attention.key_length_mla", lambda config: _plain(config) + _rotated(config)),
        Key("attention.value_length_mla", _value),
        Key("attention.kv_lora_rank", _rank),
        whole("attention.q_lora_rank", "q_lora_rank", default=None),
        real("attention.layer_norm_rms_epsilon", "rms_norm_eps", default=1e-6),
        rope_theta(),
        Key("rope.dimension_count", _rotated),
        Key("rope.scaling.yarn_log_multiplier", _log_multiplier),
        Key("rope.scaling.yarn_attn_factor", _attention_factor),
        Key("expert_gating_func", _score),
        flag("expert_weights_norm", "norm_topk_prob", default=False),
        real("expert_weights_scale", "routed_scaling_factor", default=1.0),
    ),
    tensors=(
        *dense_first(
            tuple(
                rule
                for rule in DECODER_TENSORS
                if not rule.target.startswith(
                    ("blk.{i}.attn_q.", "blk.{i}.attn_k.", "blk.{i}.attn_v.")
                )
            )
        ),
        Rule(f"{_ATTENTION}.q_proj.weight", "blk.{i}.attn_q.weight", optional=True),
        Rule(f"{_ATTENTION}.q_a_proj.weight", "blk.{i}.attn_q_a.weight", optional=True),
        Rule(f"{_ATTENTION}.q_a_layernorm.weight", "blk.{i}.attn_q_a_norm.weight", optional=True),
        Rule(f"{_ATTENTION}.q_b_proj.weight", "blk.{i}.attn_q_b.weight", optional=True),
        Rule(f"{_ATTENTION}.kv_a_proj_with_mqa.weight", "blk.{i}.attn_kv_a_mqa.weight"),
        Rule(f"{_ATTENTION}.kv_a_layernorm.weight", "blk.{i}.attn_kv_a_norm.weight"),
        Rule(
            f"{_ATTENTION}.kv_b_proj.weight",
            "blk.{i}.attn_k_b.weight",
            _of_heads(lambda _: 0, _plain, is_turned=True),
        ),
        Rule(
            f"{_ATTENTION}.kv_b_proj.weight",
            "blk.{i}.attn_v_b.weight",
            _of_heads(_plain, _value, is_turned=False),
        ),
        *expert_rules(layers=sparse_layers),
        *shared_rules("shared_experts", sparse_layers),
        choice_biases(sparse_layers),
    ),
    ignored=("model.layers.{beyond}.*",),
)
