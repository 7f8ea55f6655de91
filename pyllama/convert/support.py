"""Which checkpoints can be converted, and why others cannot."""

from __future__ import annotations

from pyllama.convert.config import Config
from pyllama.convert.families import BY_ARCHITECTURE, FAMILIES
from pyllama.convert.family import Family
from pyllama.convert.sources.fp8 import DEFAULT_BLOCK, Block
from pyllama.errors import ConversionError

_READABLE = ("fp8", "mxfp4")
"""Ways of quantization that a checkpoint may have; every other one is refused by its name."""


def supported() -> list[tuple[str, tuple[str, ...]]]:
    """The families by their GGUF names, with the classes in config.json that belong to each."""
    found: dict[str, list[str]] = {}
    for family in FAMILIES:
        found.setdefault(family.gguf, []).extend(family.architectures)
    return [(gguf, tuple(names)) for gguf, names in found.items()]


def family_of(config: Config) -> Family:
    """The family that converts a checkpoint. Raises ConversionError where there is none."""
    family = BY_ARCHITECTURE.get(config.architecture)
    if family is None:
        remedy = "`pyllama convert --print-supported-models` lists what can be"
        problem = f"its architecture {config.architecture!r:.80} cannot be converted"
        raise ConversionError(config.path, problem, remedy)
    return family


def scale_block(config: Config) -> Block:
    """Rows and columns that share a scale, of a checkpoint of eight bits.

    Raises ConversionError for a checkpoint that is quantized in another way.
    """
    quantization = config.section("quantization_config")
    if not quantization.values:
        return DEFAULT_BLOCK
    method = quantization.text("quant_method", default="unnamed")
    if method not in _READABLE:
        raise config.error(
            "quantization_config",
            f"says that the weights are quantized already, by {method.upper()!r:.40}",
            "convert the original checkpoint, and quantize the result with `pyllama quantize`",
        )
    block = quantization.given("weight_block_size")
    if block is None:
        return DEFAULT_BLOCK
    if not (isinstance(block, list) and len(block) == 2 and all(_is_size(n) for n in block)):
        raise config.error("weight_block_size", f"is {block!r:.40}, not two sizes")
    return block[0], block[1]


def _is_size(value: object) -> bool:
    return type(value) is int and 0 < value <= 1 << 16
