"""OLMo 2 and 3: blocks are normed behind; OLMo 3 has windows."""

from pyllama.convert.config import Config
from pyllama.convert.decoder import DECODER_TENSORS, HEAD_NORMS
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import DECODER_KEYS, SILU, Key, expects, whole, windowed_layers

_LAYER = "model.layers.{i}"
_PATTERN = windowed_layers(4)

POST_NORMS = (
    Rule(f"{_LAYER}.post_attention_layernorm.weight", "blk.{i}.post_attention_norm.weight"),
    Rule(f"{_LAYER}.post_feedforward_layernorm.weight", "blk.{i}.post_ffw_norm.weight"),
)
"""Norms behind attention and feed-forward, of layers that have none before."""


def post_normed(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """A decoder's rules with norms behind its blocks instead of before them."""
    before = ("blk.{i}.attn_norm.weight", "blk.{i}.ffn_norm.weight")
    return (*(rule for rule in rules if rule.target not in before), *POST_NORMS)


def _windowed(config: Config) -> list[bool] | None:
    return _PATTERN.value(config) if config.given("sliding_window") else None


OLMO2 = Family(
    gguf="olmo2",
    architectures=("Olmo2ForCausalLM", "Olmo3ForCausalLM"),
    keys=(
        *DECODER_KEYS,
        whole("attention.sliding_window", "sliding_window", default=None),
        Key("attention.sliding_window_pattern", _windowed),
        expects(SILU, "hidden_act", default="silu"),
    ),
    tensors=extended(post_normed(DECODER_TENSORS), *HEAD_NORMS),
)
