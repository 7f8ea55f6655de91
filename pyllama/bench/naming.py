"""How llama.cpp describes a model: architecture, size and file type.

Source of the sizes: ``load_arch_hparams`` of llama.cpp (src/models), which goes by the number of
layers and tells apart what shares it by another figure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from pyllama.bench.results import ModelFacts
from pyllama.gguf import GGUFFile
from pyllama.gguf.file_types import FileType
from pyllama.gguf.summary import Summary, summarize
from pyllama.model import Model
from pyllama.models.config import ModelConfig

Choice = str | Callable[[ModelConfig, int], str]
"""A size, or what finds it from the configuration and the number of tokens."""


def _llama_of_32_layers(_config: ModelConfig, n_vocab: int) -> str:
    if n_vocab == 49152:
        return "3B"
    return "7B" if n_vocab < 40000 else "8B"


def _by_width(width: int, then: str, otherwise: str) -> Choice:
    return lambda config, _: then if config.width == width else otherwise


_SIZES: dict[str, dict[int, Choice]] = {
    "llama": {
        16: "1B",
        22: "1B",
        26: "3B",
        28: "3B",
        30: "256M",
        32: _llama_of_32_layers,
        36: "8B",
        40: "13B",
        48: "34B",
        60: "30B",
        80: lambda config, _: "65B" if config.heads == config.kv_heads else "70B",
    },
    "qwen2": {
        24: _by_width(1024, "0.5B", "1B"),
        28: _by_width(1536, "1.5B", "7B"),
        32: "7B",
        36: "3B",
        40: lambda config, _: "4B" if config.heads == 20 else "13B",
        48: "14B",
        64: "32B",
        80: "70B",
    },
    "qwen3": {
        28: _by_width(1024, "0.6B", "1.7B"),
        36: _by_width(2560, "4B", "8B"),
        40: "14B",
        64: "32B",
    },
}


def describe(model: Model) -> ModelFacts:
    """Description, bytes and elements of a model's tensors. Raises FileError for a lost file."""
    with GGUFFile.open(model.path) as file:
        summary = summarize(file)
        most = Counter(info.type for info in file.tensors.values()).most_common(1)[0][0]
    config = model.config
    size = size_name(config, model.n_vocab)
    type = _file_type(summary, most.name)
    total = summary.total
    return ModelFacts(f"{config.architecture} {size} {type}", total.n_bytes, total.elements)


def size_name(config: ModelConfig, n_vocab: int) -> str:
    """``8B``, or ``?B`` for a size that llama.cpp does not know."""
    choice = _SIZES.get(config.architecture, {}).get(config.layers, "?B")
    return choice if isinstance(choice, str) else choice(config, n_vocab)


def _file_type(summary: Summary, most: str) -> str:
    """The label of the file type; where the file names none, after the type of most tensors."""
    known = summary.file_type
    if isinstance(known, FileType):
        return known.label
    if known is not None:
        return "unknown, may not work"
    return f"(guessed) {FileType[most].label if most in FileType.__members__ else most}"
