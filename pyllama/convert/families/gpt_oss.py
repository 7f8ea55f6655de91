"""gpt-oss: experts of all layers in a few tensors, in MXFP4 as published."""

from collections.abc import Iterator

import numpy as np

from pyllama.convert.config import Config
from pyllama.convert.decoder import DECODER_TENSORS
from pyllama.convert.experts import DENSE_FEED_FORWARD, EXPERT_KEYS, without
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import DECODER_KEYS, Key, real, rope_theta, whole
from pyllama.convert.tensor import Array, LazyTensor
from pyllama.convert.transforms import Transform, misfit, then, transposed
from pyllama.gguf import TensorType

_NIBBLES = 16
"""Bytes of a block of 32 four-bit floats."""


def mxfp4(_: Config, /, *tensors: LazyTensor) -> LazyTensor:
    """Blocks (..., rows, n, 16) and their scales (..., rows, n) as one tensor (..., rows, 32 n).

    A byte of the checkpoint holds neighbours, the first one in its low half; a byte of the file
    holds elements 16 apart. Scales are the same.
    """
    blocks, scales = tensors
    if blocks.shape != (*scales.shape, _NIBBLES):
        raise misfit(_, blocks, f"has not {_NIBBLES} bytes for each of {scales.name}")
    shape = (*scales.shape[:-1], scales.shape[-1] * 2 * _NIBBLES)

    def pieces() -> Iterator[Array]:
        packed, exponents = (np.asarray(t.read()).view(np.uint8) for t in tensors)
        nibbles = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*scales.shape, -1)
        halves = nibbles[..., :_NIBBLES] | nibbles[..., _NIBBLES:] << 4
        rows = np.concatenate([exponents[..., None], halves], axis=-1)
        yield rows.reshape(*scales.shape[:-1], -1)

    return LazyTensor(blocks.name, shape, TensorType.MXFP4, pieces)


def every_other(first: int) -> Transform:
    """Every other row (dimension 1, of biases too) from ``first`` on: gates and ups by turns."""

    def transform(config: Config, /, *tensors: LazyTensor) -> LazyTensor:
        (tensor,) = tensors
        if len(tensor.shape) < 2 or tensor.shape[1] % 2:
            raise misfit(config, tensor, "has no two rows for each element")
        shape = (tensor.shape[0], tensor.shape[1] // 2, *tensor.shape[2:])
        return tensor.rearranged(shape, lambda array: array[:, first::2])

    return transform


def _expert_rules() -> Iterator[Rule]:
    source = "model.layers.{i}.mlp.experts"
    for part, name, taken in (
        ("gate", "gate_up_proj", every_other(0)),
        ("up", "gate_up_proj", every_other(1)),
        ("down", "down_proj", None),
    ):
        target = f"blk.{{i}}.ffn_{part}_exps"
        packed = f"{source}.{name}_blocks", f"{source}.{name}_scales"
        steps = (taken,) if taken else ()
        yield Rule(packed, f"{target}.weight", then(mxfp4, *steps), optional=True)
        yield Rule(f"{source}.{name}", f"{target}.weight", then(transposed, *steps))
        yield Rule(f"{source}.{name}_bias", f"{target}.bias", *steps)


GPT_OSS = Family(
    gguf="gpt-oss",
    architectures=("GptOssForCausalLM",),
    keys=extended(
        DECODER_KEYS,
        *EXPERT_KEYS,
        Key("attention.key_length", lambda config: config.head_dim),
        Key("attention.value_length", lambda config: config.head_dim),
        real("attention.layer_norm_rms_epsilon", "rms_norm_eps", default=1e-5),
        rope_theta(150000.0),
        whole("expert_feed_forward_length", "intermediate_size"),
        whole("attention.sliding_window", "sliding_window", default=128),
    ),
    tensors=(
        *extended(
            without(DECODER_TENSORS, *DENSE_FEED_FORWARD),
            Rule(
                "model.layers.{i}.post_attention_layernorm.weight",
                "blk.{i}.post_attention_norm.weight",
            ),
            Rule("model.layers.{i}.self_attn.sinks", "blk.{i}.attn_sinks.weight"),
            Rule("model.layers.{i}.mlp.router.weight", "blk.{i}.ffn_gate_inp.weight"),
            Rule("model.layers.{i}.mlp.router.bias", "blk.{i}.ffn_gate_inp.bias"),
        ),
        *_expert_rules(),
    ),
)
