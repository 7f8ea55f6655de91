"""Families with RMS norms whose layers use all their weights for every token."""

from __future__ import annotations

from families.case import SHAPE, Case

_YARN = {
    "type": "yarn",
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "attention_factor": 1.2,
}
_LONGROPE = {
    "type": "longrope",
    "short_factor": [1.0, 1.1, 1.3, 1.5, 2.0, 2.5, 3.0, 4.0],
    "long_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 12.0],
}
_LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
_KEY_BIAS = ("k_proj.bias",)


_LLAMA_LIKE = (
    Case(
        "llama",
        "LlamaForCausalLM",
        {**SHAPE, "rope_theta": 500.0},
        (("rope_theta", 1e4), ("rms_norm_eps", 1e-5)),
    ),
    Case("qwen2", "Qwen2ForCausalLM", {**SHAPE, "tie_word_embeddings": True}),
    Case("qwen3", "Qwen3ForCausalLM", {**SHAPE, "head_dim": 16}),
    Case(
        "arcee",
        "ArceeForCausalLM",
        {**SHAPE, "hidden_act": "relu2", "rope_theta": 500.0, "rope_scaling": _LLAMA3},
        (("hidden_act", "relu"), ("rope_scaling", None)),
    ),
    Case(
        "granite",
        "GraniteForCausalLM",
        {
            **SHAPE,
            "embedding_multiplier": 12.0,
            "residual_multiplier": 0.22,
            "attention_multiplier": 0.5,
            "logits_scaling": 8.0,
        },
        (
            ("embedding_multiplier", 1.0),
            ("residual_multiplier", 1.0),
            ("attention_multiplier", 0.25),
            ("logits_scaling", 1.0),
        ),
    ),
    Case(
        "smollm3",
        "SmolLM3ForCausalLM",
        {
            **SHAPE,
            "num_hidden_layers": 4,
            "no_rope_layers": [1, 1, 1, 0],
            "no_rope_layer_interval": 4,
            "rope_theta": 500.0,
            "pad_token_id": 0,
        },
        (("no_rope_layers", [1, 1, 1, 1]),),
    ),
    Case("olmo2", "Olmo2ForCausalLM", {**SHAPE, "rope_theta": 500.0, "pad_token_id": 0}),
    Case(
        "olmo3",
        "Olmo3ForCausalLM",
        {
            **SHAPE,
            "num_hidden_layers": 4,
            "sliding_window": 8,
            "layer_types": ["sliding_attention"] * 3 + ["full_attention"],
            "rope_theta": 500000.0,
            "rope_scaling": _YARN,
            "pad_token_id": 0,
        },
        (("sliding_window", 9), ("rope_scaling", None), ("layer_types", ["full_attention"] * 4)),
    ),
    Case(
        "exaone4",
        "Exaone4ForCausalLM",
        {
            **SHAPE,
            "sliding_window": None,
            "layer_types": ["full_attention"] * 2,
            "rope_theta": 500.0,
        },
    ),
    Case(
        "exaone4_window",
        "Exaone4ForCausalLM",
        {
            **SHAPE,
            "num_hidden_layers": 4,
            "sliding_window": 8,
            "layer_types": ["sliding_attention"] * 3 + ["full_attention"],
            "rope_theta": 500.0,
        },
        (("sliding_window", 9),),
    ),
    Case(
        "glm4",
        "Glm4ForCausalLM",
        {**SHAPE, "head_dim": 16, "partial_rotary_factor": 0.5, "pad_token_id": 0},
        (("partial_rotary_factor", 1.0),),
    ),
    Case(
        "chatglm",
        "GlmForCausalLM",
        {
            **SHAPE,
            "head_dim": 16,
            "partial_rotary_factor": 0.5,
            "attention_bias": True,
            "pad_token_id": 0,
        },
        unseen=_KEY_BIAS,
    ),
)

_GEMMA = (
    Case(
        "gemma",
        "GemmaForCausalLM",
        {**SHAPE, "head_dim": 16, "hidden_act": "gelu_pytorch_tanh", "tie_word_embeddings": True},
    ),
    Case(
        "gemma2",
        "Gemma2ForCausalLM",
        {
            **SHAPE,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
            "sliding_window": 8,
            "hidden_activation": "gelu_pytorch_tanh",
            "tie_word_embeddings": True,
        },
        (
            ("attn_logit_softcapping", None),
            ("final_logit_softcapping", None),
            ("sliding_window", 9),
        ),
    ),
    Case(
        "gemma2_wide_scores",
        "Gemma2ForCausalLM",
        {**SHAPE, "head_dim": 16, "query_pre_attn_scalar": 40, "tie_word_embeddings": True},
        (("query_pre_attn_scalar", 16),),
    ),
    Case(
        "gemma3",
        "Gemma3ForCausalLM",
        {
            **SHAPE,
            "num_hidden_layers": 6,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 8,
            "sliding_window_pattern": 6,
            "rope_theta": 5000.0,
            "rope_local_base_freq": 100.0,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
            "hidden_activation": "gelu_pytorch_tanh",
            "tie_word_embeddings": True,
        },
        (
            ("sliding_window", 9),
            ("rope_theta", 100.0),
            ("rope_local_base_freq", 10000.0),
            ("rope_scaling", None),
        ),
    ),
)

_PHI = (
    Case(
        "phi3",
        "Phi3ForCausalLM",
        {
            **SHAPE,
            "num_key_value_heads": 4,
            "original_max_position_embeddings": 64,
            "sliding_window": 8,
            "pad_token_id": 0,
        },
        (("sliding_window", 9),),
    ),
    Case(
        "phi3_short",
        "Phi3ForCausalLM",
        {
            **SHAPE,
            "max_position_embeddings": 256,
            "original_max_position_embeddings": 64,
            "rope_scaling": _LONGROPE,
            "pad_token_id": 0,
        },
        (("rope_scaling", None), ("original_max_position_embeddings", 16)),
    ),
    Case(
        "phi3_long",
        "Phi3ForCausalLM",
        {
            **SHAPE,
            "max_position_embeddings": 64,
            "original_max_position_embeddings": 16,
            "rope_scaling": _LONGROPE,
            "pad_token_id": 0,
        },
        (("rope_scaling", None), ("original_max_position_embeddings", 64)),
    ),
    Case(
        "phi4",
        "Phi3ForCausalLM",
        {
            **SHAPE,
            "partial_rotary_factor": 0.75,
            "original_max_position_embeddings": 64,
            "sliding_window": None,
            "pad_token_id": 0,
        },
        (("partial_rotary_factor", 1.0),),
    ),
)

DENSE = _LLAMA_LIKE + _GEMMA + _PHI
