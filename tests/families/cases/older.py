"""Families with names and habits of their own, and those that transformers has no class for."""

from __future__ import annotations

from typing import Any

from families.case import CONTEXT, SHAPE, VOCABULARY, Case


def _neox(parallel: bool) -> dict[str, Any]:
    return {
        **{key: value for key, value in SHAPE.items() if key not in ("num_key_value_heads",)},
        "layer_norm_eps": 1e-3,
        "rotary_pct": 0.25,
        "rotary_emb_base": 500,
        "hidden_act": "gelu",
        "use_parallel_residual": parallel,
    }


def _falcon(**more: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "layer_norm_epsilon": 1e-3,
        "alibi": False,
        "bias": False,
        "parallel_attn": True,
        **more,
    }


def _mpt(heads: int, **attention: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "d_model": 16 * heads,
        "n_heads": heads,
        "n_layers": 2,
        "max_seq_len": CONTEXT,
        "expansion_ratio": 4,
        "no_bias": True,
        "attn_config": {"alibi": True, "alibi_bias_max": 8, "clip_qkv": None, **attention},
    }


_OLDER = (
    Case(
        "gpt2",
        "GPT2LMHeadModel",
        {
            "vocab_size": VOCABULARY,
            "n_positions": CONTEXT,
            "n_ctx": CONTEXT,
            "n_embd": 64,
            "n_layer": 2,
            "n_head": 4,
            "layer_norm_epsilon": 1e-3,
            "activation_function": "gelu_new",
        },
        (("layer_norm_epsilon", 1e-5),),
    ),
    Case("gptneox", "GPTNeoXForCausalLM", _neox(parallel=True), (("rotary_emb_base", 10000),)),
    Case("gptneox_serial", "GPTNeoXForCausalLM", _neox(parallel=False), (("rotary_pct", 1.0),)),
    Case(
        "falcon_7b",
        "FalconForCausalLM",
        _falcon(multi_query=True, new_decoder_architecture=False),
        (("layer_norm_epsilon", 1e-5),),
    ),
    Case(
        "falcon_40b",
        "FalconForCausalLM",
        _falcon(num_kv_heads=2, new_decoder_architecture=True),
    ),
    Case("mpt", "MptForCausalLM", _mpt(heads=4)),
    Case(
        "mpt_clamped",
        "MptForCausalLM",
        _mpt(heads=6, clip_qkv=0.5),
        (("attn_config", {"alibi": True}),),
    ),
)

_NOT_IN_TRANSFORMERS = (
    Case(
        "exaone",
        "ExaoneForCausalLM",
        {
            "model_type": "exaone",
            "vocab_size": VOCABULARY,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": CONTEXT,
            "layer_norm_epsilon": 1e-3,
            "activation_function": "silu",
            "rope_theta": 500.0,
            "tie_word_embeddings": False,
        },
        (("rope_theta", 1e4), ("layer_norm_epsilon", 1e-5)),
    ),
    Case(
        "internlm2",
        "InternLM2ForCausalLM",
        {**SHAPE, "model_type": "internlm2", "bias": False, "rope_theta": 500.0},
        (("rope_theta", 1e4), ("rms_norm_eps", 1e-5)),
    ),
    Case(
        "minicpm",
        "MiniCPMForCausalLM",
        {
            **SHAPE,
            "model_type": "minicpm",
            "scale_emb": 12,
            "scale_depth": 1.4,
            "dim_model_base": 16,
            "tie_word_embeddings": True,
        },
        (("scale_emb", 1), ("scale_depth", 1.0), ("dim_model_base", 64)),
    ),
    Case(
        "baichuan_7b",
        "BaichuanForCausalLM",
        {
            **{key: value for key, value in SHAPE.items() if key != "num_key_value_heads"},
            "model_type": "baichuan",
        },
        (("rms_norm_eps", 1e-5),),
    ),
    Case(
        "baichuan_13b",
        "BaichuanForCausalLM",
        {
            **{
                key: value
                for key, value in SHAPE.items()
                if key not in ("num_key_value_heads", "max_position_embeddings")
            },
            "model_type": "baichuan",
            "model_max_length": CONTEXT,
        },
        (("max_position_embeddings", CONTEXT),),
    ),
)

OLDER = _OLDER + _NOT_IN_TRANSFORMERS
