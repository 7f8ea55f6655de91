"""Families with LayerNorm that are otherwise called as most are."""

from __future__ import annotations

from typing import Any

from families.case import SHAPE, Case

_KEY_BIAS = ("k_proj.bias",)


def _layer_norm(name: str = "layer_norm_eps", **more: Any) -> dict[str, Any]:
    """The dimensions of a family with LayerNorm."""
    rest = {key: value for key, value in SHAPE.items() if key != "rms_norm_eps"}
    return {**rest, name: 1e-3, **more}


LAYER_NORM = (
    Case(
        "phi2",
        "PhiForCausalLM",
        _layer_norm(
            num_key_value_heads=4, hidden_act="gelu_new", partial_rotary_factor=0.5, pad_token_id=0
        ),
        (("partial_rotary_factor", 1.0), ("layer_norm_eps", 1e-5)),
        unseen=_KEY_BIAS,
    ),
    Case(
        "starcoder2",
        "Starcoder2ForCausalLM",
        _layer_norm("norm_epsilon", sliding_window=None, tie_word_embeddings=True, use_bias=True),
        (("norm_epsilon", 1e-5),),
        unseen=_KEY_BIAS,
    ),
    Case(
        "starcoder2_window",
        "Starcoder2ForCausalLM",
        _layer_norm("norm_epsilon", sliding_window=8, tie_word_embeddings=True, use_bias=True),
        (("sliding_window", 9),),
        unseen=_KEY_BIAS,
    ),
    Case(
        "stablelm",
        "StableLmForCausalLM",
        _layer_norm(use_qkv_bias=True, partial_rotary_factor=0.25, hidden_act="silu"),
        (("partial_rotary_factor", 1.0),),
        unseen=_KEY_BIAS,
    ),
    Case(
        "stablelm_12b",
        "StableLmForCausalLM",
        _layer_norm(
            qk_layernorm=True,
            use_parallel_residual=True,
            partial_rotary_factor=0.25,
            hidden_act="silu",
        ),
    ),
    Case(
        "command-r",
        "CohereForCausalLM",
        _layer_norm(logit_scale=0.25, tie_word_embeddings=True, rope_theta=500.0, pad_token_id=0),
        (("logit_scale", 1.0), ("layer_norm_eps", 1e-5)),
    ),
    Case(
        "command-r_plus",
        "CohereForCausalLM",
        _layer_norm(
            logit_scale=0.25,
            use_qk_norm=True,
            tie_word_embeddings=True,
            rope_theta=500.0,
            pad_token_id=0,
        ),
    ),
    Case(
        "cohere2",
        "Cohere2ForCausalLM",
        _layer_norm(
            num_hidden_layers=4,
            logit_scale=0.25,
            sliding_window=8,
            sliding_window_pattern=4,
            rotary_pct=1.0,
            tie_word_embeddings=True,
            rope_theta=500.0,
            pad_token_id=0,
        ),
        (("logit_scale", 1.0), ("sliding_window", 9)),
    ),
)
