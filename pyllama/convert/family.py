"""How the checkpoints of a model family become GGUF, as data.

QWEN3 = Family(
    gguf="qwen3",
    architectures=("Qwen3ForCausalLM",),
    keys=DECODER_KEYS,
    tensors=extended(DECODER_TENSORS, *HEAD_NORMS),
)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from pyllama.convert.config import Config
from pyllama.convert.keys import Key
from pyllama.convert.tensor import LazyTensor
from pyllama.convert.transforms import Transform, as_it_is


def every_layer(config: Config) -> Iterable[int]:
    """Layers that ``{i}`` stands for where a rule does not say otherwise."""
    return range(config.layers)


@dataclass(frozen=True)
class Rule:
    """Where a tensor of the file comes from.

    Names are patterns: ``{i}`` is every layer, ``{e}`` every expert, ``{q}`` every query head and
    ``{k}`` every key head.

    Attributes:
        source: name in the checkpoint; several where they make up one tensor.
        target: name in the file.
        transform: what happens on the way. It gets the sources one after the other; of a source
            with ``{e}``, ``{q}`` or ``{k}`` all their tensors.
        optional: the checkpoint need not have it.
        layers: which layers ``{i}`` stands for.

    Of several rules with the same target, the first one whose sources are there is taken.
    """

    source: str | tuple[str, ...]
    target: str
    transform: Transform = as_it_is
    optional: bool = False
    layers: Callable[[Config], Iterable[int]] = every_layer

    @property
    def sources(self) -> tuple[str, ...]:
        """The source patterns, however many there are."""
        return (self.source,) if isinstance(self.source, str) else self.source

    def overrides(self, other: Self) -> bool:
        """Whether it takes the other one's place: the same target, or a source in common."""
        return self.target == other.target or not set(self.sources).isdisjoint(other.sources)


@dataclass(frozen=True)
class Extra:
    """A tensor that no checkpoint has: computed from the configuration, None where not needed."""

    target: str
    compute: Callable[[Config], LazyTensor | None]


@dataclass(frozen=True)
class Family:
    """A model family.

    Attributes:
        gguf: its name in GGUF files, the prefix of its keys.
        architectures: the classes in config.json whose checkpoints have this form.
        keys: metadata, in order.
        tensors: every tensor of a checkpoint must be taken by one of these rules, or ignored.
        extras: tensors to add.
        ignored: patterns of tensors that are dropped: ``*`` stands for anything, ``{beyond}`` for
            the number of a layer that the configuration does not count.
        tied: whether the embedding serves as output matrix where config.json does not say.
        head: the output matrix in the checkpoint; it is dropped where the embedding serves.
        defaults: values of config.json where it is silent, for families whose files often are.
    """

    gguf: str
    architectures: tuple[str, ...]
    keys: tuple[Key, ...]
    tensors: tuple[Rule, ...]
    extras: tuple[Extra, ...] = ()
    ignored: tuple[str, ...] = ()
    tied: bool = False
    head: str = "lm_head.weight"
    defaults: Mapping[str, Any] = field(default_factory=dict)


Item = TypeVar("Item", Key, Rule)


def extended(base: tuple[Item, ...], *items: Item) -> tuple[Item, ...]:
    """``base`` with the new items, each in the place of the first one that it overrides.

    What overrides nothing comes last.
    """
    result: list[Item] = []
    for old in base:
        over = [item for item in items if item.overrides(old)]
        result += [item for item in over if item not in result] if over else [old]
    return tuple(result + [item for item in items if item not in result])
