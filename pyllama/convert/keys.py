"""Metadata of a family: which value of the configuration stands under which key.

Names and meanings of the keys are llama.cpp's; see the GGUF specification.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from pyllama.convert.config import Config

REQUIRED: Any = object()
"""Default of a value that the configuration must have."""


@dataclass(frozen=True)
class Key:
    """A key and how its value comes about.

    Attributes:
        name: without the architecture's name before it; as it is if it begins with ``general.``.
        value: from the configuration: an ``int`` is written as UINT32, a ``float`` as FLOAT32, a
            list as an array of INT32, FLOAT32, BOOL or STRING; None is not written.
    """

    name: str
    value: Callable[[Config], Any]

    def overrides(self, other: Self) -> bool:
        """Whether it takes the other one's place."""
        return self.name == other.name


def whole(name: str, *names: str, default: int | None = REQUIRED) -> Key:
    """A whole number; ``default`` None: not written where the configuration does not have it."""
    return _key(name, Config.whole, names, default)


def real(name: str, *names: str, default: float | None = REQUIRED) -> Key:
    """A number."""
    return _key(name, Config.real, names, default)


def flag(name: str, *names: str, default: bool | None = REQUIRED) -> Key:
    """True or false."""
    return _key(name, Config.flag, names, default)


def _key(name: str, read: Callable[..., Any], names: tuple[str, ...], default: Any) -> Key:
    def value(config: Config) -> Any:
        if default is None and config.given(*names) is None:
            return None
        return read(config, *names, default=None if default is REQUIRED else default)

    return Key(name, value)


def rope_theta(default: float = 10000.0) -> Key:
    """The base of the rotary frequencies."""
    return Key("rope.freq_base", lambda config: config.rope.real("rope_theta", default=default))


def rotated(config: Config) -> int:
    """Elements of a head that turn with its position."""
    share = config.rope.real("partial_rotary_factor", default=1.0)
    return int(config.head_dim * share)


def scaling(config: Config) -> str | None:
    """How frequencies are scaled by llama.cpp's names; None where no key says it."""
    return _SCALINGS.get(config.rope.text("rope_type", default="default"))


_SCALINGS = {"linear": "linear", "yarn": "yarn", "longrope": "longrope", "su": "longrope"}


def _of_scaling(kinds: tuple[str, ...], name: str, read: Callable[..., Any]) -> Any:
    """A value of the scaling, only written for these kinds of it and where it is given."""

    def value(config: Config) -> Any:
        if scaling(config) not in kinds or config.rope.given(name) is None:
            return None
        return read(config.rope, name)

    return value


def _attention_factor(config: Config) -> float | None:
    """How much larger YaRN's factor of cosines and sines is than the one that it has by default."""
    if scaling(config) != "yarn" or config.rope.given("attention_factor") is None:
        return None
    default = 0.1 * math.log(max(config.rope.real("factor"), 1.0)) + 1.0
    return config.rope.real("attention_factor") / default


ROPE_SCALING_KEYS = (
    Key("rope.scaling.type", scaling),
    Key("rope.scaling.factor", _of_scaling(("linear", "yarn"), "factor", Config.real)),
    Key(
        "rope.scaling.original_context_length",
        _of_scaling(("yarn", "longrope"), "original_max_position_embeddings", Config.whole),
    ),
    Key("rope.scaling.attn_factor", _attention_factor),
    Key("rope.scaling.yarn_beta_fast", _of_scaling(("yarn",), "beta_fast", Config.real)),
    Key("rope.scaling.yarn_beta_slow", _of_scaling(("yarn",), "beta_slow", Config.real)),
    Key(
        "rope.scaling.yarn_ext_factor", _of_scaling(("yarn",), "extrapolation_factor", Config.real)
    ),
)
"""Linear, YaRN and LongRoPE scaling. Llama 3's needs none: it is in the tensor rope_freqs."""

CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")

SIZE_KEYS = (
    Key("block_count", lambda config: config.layers),
    whole("context_length", *CONTEXT_NAMES),
    Key("embedding_length", lambda config: config.width),
    whole("feed_forward_length", "intermediate_size", "n_inner", "ffn_hidden_size"),
    Key("attention.head_count", lambda config: config.heads),
    Key("attention.head_count_kv", lambda config: config.kv_heads),
)
"""What every decoder has."""

DECODER_KEYS = (
    *SIZE_KEYS,
    whole("attention.key_length", "head_dim", default=None),
    whole("attention.value_length", "head_dim", default=None),
    real("attention.layer_norm_rms_epsilon", "rms_norm_eps", "norm_eps"),
    rope_theta(),
    *ROPE_SCALING_KEYS,
    whole("vocab_size", "vocab_size"),
    Key("rope.dimension_count", rotated),
)
"""A decoder like Llama: RMS norms, rotary positions."""


def layer_norm_keys(*names: str, default: float | None = REQUIRED) -> tuple[Key, ...]:
    """The same, for a decoder with LayerNorm; ``names`` under which its epsilon may stand."""
    kept = (key for key in DECODER_KEYS if key.name != "attention.layer_norm_rms_epsilon")
    return (*kept, real("attention.layer_norm_epsilon", *names, default=default))


def expects(values: tuple[Any, ...], *names: str, default: Any = None) -> Key:
    """Writes nothing, but refuses a checkpoint whose value is none of these."""

    def value(config: Config) -> None:
        given = config.given(*names)
        if (default if given is None else given) not in values:
            raise config.error(names[0], f"is {given!r:.40}, which GGUF has no form for")

    return Key(f"expects {names[0]}", value)


GELU = ("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh")
"""Names of GELU and of its approximation, which GGUF does not tell apart."""

SILU = ("silu", "swish")


def windowed_layers(period: int) -> Key:
    """Which layers have a window: all but every so many-th where the configuration is silent."""

    def value(config: Config) -> list[bool]:
        layers = range(config.layers)
        kinds = config.given("layer_types")
        if kinds is not None:
            if not isinstance(kinds, list) or len(kinds) < len(layers):
                raise config.error("layer_types", f"is no list of {len(layers)} kinds")
            return [kinds[i] == "sliding_attention" for i in layers]
        pattern = config.given("sliding_window_pattern")
        if isinstance(pattern, str) and pattern:  # such as LLLG, over and over
            return [pattern[i % len(pattern)] == "L" for i in layers]
        every = config.whole("sliding_window_pattern", default=period)
        if not every:
            raise config.error("sliding_window_pattern", "is 0")
        return [(i + 1) % every != 0 for i in layers]

    return Key("attention.sliding_window_pattern", value)
