"""Gemma 3 (text): normed heads; layers with a window rotate by a base of their own."""

from pyllama.convert.config import Config
from pyllama.convert.families.gemma import GEMMA_KEYS
from pyllama.convert.families.gemma2 import GEMMA2_TENSORS, score_scale
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import Key, real, whole, windowed_layers
from pyllama.convert.transforms import plus_one


def _local_base(config: Config) -> float:
    kinds = config.section("rope_parameters").section("sliding_attention")
    return kinds.real("rope_theta", default=config.real("rope_local_base_freq"))


GEMMA3 = Family(
    gguf="gemma3",
    architectures=("Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"),
    keys=extended(
        GEMMA_KEYS,
        Key("rope.freq_base_swa", _local_base),
        real("final_logit_softcapping", "final_logit_softcapping", default=None),
        whole("attention.sliding_window", "sliding_window"),
        windowed_layers(6),
        Key("attention.scale", score_scale),
    ),
    tensors=extended(
        GEMMA2_TENSORS,
        *(
            Rule(
                f"model.layers.{{i}}.self_attn.{letter}_norm.weight",
                f"blk.{{i}}.attn_{letter}_norm.weight",
                plus_one,
            )
            for letter in "qk"
        ),
    ),
    tied=True,
    defaults={
        "vocab_size": 262208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "rope_local_base_freq": 10000.0,
        "sliding_window": 4096,
        "query_pre_attn_scalar": 256,
    },
)
"""The defaults are those of transformers: models that see leave out what equals them."""
