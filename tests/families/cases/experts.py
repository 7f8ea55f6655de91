"""Families in which a router chooses who computes a token, and other unusual ones."""

from __future__ import annotations

from families.case import SHAPE, Case


def _idle(layer: int, *experts: int, block: str = "mlp") -> tuple[str, ...]:
    """Weights of experts that no token chooses whose logits are kept."""
    return tuple(
        f"layers.{layer}.{block}.experts.{expert}.{part}.weight"
        for expert in experts
        for part in ("gate_proj", "up_proj", "down_proj", "w1", "w2", "w3")
    )


_EXPERTS = (
    Case(
        "mixtral",
        "MixtralForCausalLM",
        {**SHAPE, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None},
        (("num_experts_per_tok", 3),),
        unseen=_idle(1, 2, block="block_sparse_moe"),
    ),
    Case(
        "qwen2moe",
        "Qwen2MoeForCausalLM",
        {
            **SHAPE,
            "num_experts": 5,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 40,
            "shared_expert_intermediate_size": 56,
            "norm_topk_prob": False,
        },
        (("num_experts_per_tok", 2), ("norm_topk_prob", True)),
        unseen=("k_proj.bias", *_idle(1, 0)),
    ),
    Case(
        "qwen3moe",
        "Qwen3MoeForCausalLM",
        {
            **SHAPE,
            "num_hidden_layers": 3,
            "head_dim": 16,
            "num_experts": 5,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 40,
            "norm_topk_prob": True,
            "mlp_only_layers": [1],
        },
        (("norm_topk_prob", False),),
    ),
    Case(
        "granitemoe",
        "GraniteMoeForCausalLM",
        {
            **SHAPE,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "attention_multiplier": 0.4,
            "embedding_multiplier": 3.0,
            "residual_multiplier": 0.7,
            "logits_scaling": 2.0,
        },
        (
            ("attention_multiplier", 1.0),
            ("embedding_multiplier", 1.0),
            ("residual_multiplier", 1.0),
            ("logits_scaling", 1.0),
        ),
    ),
    Case(
        "granitemoe_shared",
        "GraniteMoeSharedForCausalLM",
        {
            **SHAPE,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "shared_intermediate_size": 56,
            "attention_multiplier": 0.25,
        },
    ),
    Case(
        "gpt_oss",
        "GptOssForCausalLM",
        {
            **SHAPE,
            "head_dim": 16,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "sliding_window": 8,
            "rope_theta": 1500.0,
            "rope_scaling": {
                "rope_type": "yarn",
                "factor": 4.0,
                "beta_fast": 8.0,
                "beta_slow": 0.5,
                "truncate": False,
                "original_max_position_embeddings": 16,
            },
        },
        (("sliding_window", 9), ("rope_theta", 1e4)),
        unseen=("k_proj.bias",),
    ),
    Case(
        "olmoe",
        "OlmoeForCausalLM",
        {
            **SHAPE,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "norm_topk_prob": False,
        },
        (("norm_topk_prob", True),),
    ),
    Case(
        "glm4moe",
        "Glm4MoeForCausalLM",
        {
            **SHAPE,
            "head_dim": 16,
            "n_routed_experts": 7,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 40,
            "n_shared_experts": 2,
            "first_k_dense_replace": 1,
            "n_group": 1,
            "topk_group": 1,
            "partial_rotary_factor": 0.5,
            "attention_bias": True,
            "use_qk_norm": True,
            "routed_scaling_factor": 1.5,
        },
        (("partial_rotary_factor", 1.0), ("routed_scaling_factor", 1.0)),
        unseen=("k_proj.bias", *_idle(1, 4, 6)),
    ),
)

_DENSE_FIRST = (
    Case(
        "deepseek",
        "DeepseekForCausalLM",
        {
            **SHAPE,
            "n_routed_experts": 4,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 40,
            "n_shared_experts": 2,
            "first_k_dense_replace": 1,
            "norm_topk_prob": False,
        },
        (("norm_topk_prob", True), ("num_experts_per_tok", 1)),
    ),
)

_LATENT = {
    **SHAPE,
    "num_hidden_layers": 3,
    "num_key_value_heads": 4,
    "kv_lora_rank": 32,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 24,
    "moe_intermediate_size": 40,
    "first_k_dense_replace": 1,
    "rope_theta": 500.0,
    "rms_norm_eps": 1e-6,
}

_LATENTS = (
    Case(
        "deepseek2_lite",
        "DeepseekV2ForCausalLM",
        {
            **_LATENT,
            "q_lora_rank": None,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "n_shared_experts": 2,
            "topk_method": "greedy",
            "routed_scaling_factor": 1.0,
            "rope_scaling": {
                "type": "yarn",
                "factor": 4.0,
                "beta_fast": 8.0,
                "beta_slow": 1.0,
                "mscale": 0.707,
                "mscale_all_dim": 0.707,
                "original_max_position_embeddings": 16,
            },
        },
        (("rope_theta", 1e4), ("num_experts_per_tok", 1)),
    ),
    Case(
        "deepseek2",
        "DeepseekV2ForCausalLM",
        {
            **_LATENT,
            "q_lora_rank": 24,
            "n_routed_experts": 6,
            "num_experts_per_tok": 2,
            "n_shared_experts": 1,
            "topk_method": "group_limited_greedy",
            "n_group": 2,
            "topk_group": 1,
            "routed_scaling_factor": 2.5,
        },
        (("topk_group", 2), ("routed_scaling_factor", 1.0)),
        unseen=(*_idle(1, 3), *_idle(2, 3)),
    ),
    Case(
        "deepseek3",
        "DeepseekV3ForCausalLM",
        {
            **_LATENT,
            "q_lora_rank": 24,
            "n_routed_experts": 8,
            "num_experts_per_tok": 3,
            "n_shared_experts": 1,
            "n_group": 4,
            "topk_group": 2,
            "norm_topk_prob": True,
            "routed_scaling_factor": 2.5,
        },
        (("topk_group", 4), ("norm_topk_prob", False), ("routed_scaling_factor", 1.0)),
        unseen=(*_idle(1, 4, 5), *_idle(2, 1)),
    ),
)

_CONVOLVED = {
    **{key: value for key, value in SHAPE.items() if key != "rms_norm_eps"},
    "norm_eps": 1e-3,
    "num_hidden_layers": 3,
    "layer_types": ["conv", "full_attention", "conv"],
    "conv_L_cache": 3,
    "conv_bias": False,
    "rope_theta": 500.0,
}

_CONVOLUTIONS = (
    Case(
        "lfm2",
        "Lfm2ForCausalLM",
        {
            **_CONVOLVED,
            "block_ff_dim": 120,
            "block_auto_adjust_ff_dim": True,
            "block_multiple_of": 32,
            "block_ffn_dim_multiplier": 1.1,
            "tie_word_embeddings": True,
        },
        (("norm_eps", 1e-5), ("rope_theta", 1e4)),
    ),
    Case(
        "lfm2moe",
        "Lfm2MoeForCausalLM",
        {
            **_CONVOLVED,
            "conv_L_cache": 4,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 40,
            "num_dense_layers": 1,
            "use_expert_bias": True,
            "norm_topk_prob": True,
            "routed_scaling_factor": 1.5,
        },
        (("norm_topk_prob", False), ("routed_scaling_factor", 1.0)),
    ),
)

EXPERTS = _EXPERTS + _DENSE_FIRST + _LATENTS + _CONVOLUTIONS
