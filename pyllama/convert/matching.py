"""Applies the rules of a family to the tensors of a checkpoint: what the file will hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pyllama.convert.config import Config
from pyllama.convert.decoder import ALWAYS_IGNORED
from pyllama.convert.family import Family, Rule
from pyllama.convert.sources.checkpoint import Checkpoint
from pyllama.convert.tensor import LazyTensor
from pyllama.errors import ConversionError
from pyllama.gguf.wording import counted, quoted


@dataclass(frozen=True)
class Match:
    """A tensor of the file to be: its name and where it comes from."""

    target: str
    tensor: LazyTensor


def match_tensors(checkpoint: Checkpoint, family: Family, config: Config) -> list[Match]:
    """The tensors of the file to be: those outside the layers, then layer by layer.

    Raises ConversionError where the checkpoint lacks a tensor that a rule needs or has one that no
    rule takes, or shapes do not fit the configuration.
    """
    tied = config.flag("tie_word_embeddings", default=family.tied)
    matching = _Matching(checkpoint, config)
    for rule in family.tensors:
        if not (tied and rule.source == family.head):
            matching.apply(rule)
    matching.require_all(family)
    ignored = (*ALWAYS_IGNORED, *family.ignored, *((family.head,) if tied else ()))
    _check_all_taken(checkpoint, matching.left, ignored, config)
    extras = ((extra.target, extra.compute(config)) for extra in family.extras)
    matches = [Match(target, tensor) for target, tensor in extras if tensor is not None]
    return sorted([*matches, *matching.found.values()], key=lambda match: _layer(match.target))


class _Matching:
    """Applies rules one after the other, and remembers what they found, took and missed."""

    def __init__(self, checkpoint: Checkpoint, config: Config) -> None:
        self._folder, self._config = checkpoint.folder, config
        self._available = _renamed(checkpoint)
        self._taken: set[str] = set()
        self._missing: dict[str, str] = {}
        self.found: dict[str, Match] = {}

    def apply(self, rule: Rule) -> None:
        """Make the tensors of a rule whose sources are there."""
        for target, sources in places(rule, self._config):
            absent = [name for name in sources if name not in self._available]
            if sources and not absent and target not in self.found:
                tensors = (self._available[name] for name in sources)
                self.found[target] = Match(target, rule.transform(self._config, *tensors))
                self._taken.update(sources)
            elif absent and not (rule.optional and len(absent) == len(sources)):
                self._missing.setdefault(target, absent[0])

    def require_all(self, family: Family) -> None:
        """Raise ConversionError where a tensor that is not optional was not found by any rule."""
        for target, name in self._missing.items():
            if target not in self.found:
                raise ConversionError(
                    self._folder,
                    f"the tensor {quoted(name)} is missing, which {family.gguf} needs",
                    "download the checkpoint again, or check config.json",
                )

    @property
    def left(self) -> set[str]:
        """Tensors that no rule took."""
        return set(self._available) - self._taken


def _renamed(checkpoint: Checkpoint) -> Mapping[str, LazyTensor]:
    """By the names that a model of text alone has."""
    names = {plain_name(name): tensor for name, tensor in checkpoint.tensors.items()}
    if len(names) < len(checkpoint.tensors):
        problem = "has tensors of the same name with and without language_model before it"
        raise ConversionError(checkpoint.folder, problem, "only one model can be converted")
    return names


_WRAPPERS = (("model.language_model.", "model."), ("language_model.", ""))
"""What models that also see put before the names of the part that writes."""


def plain_name(name: str) -> str:
    """The name that a tensor has in a model of text alone."""
    for prefix, plain in _WRAPPERS:
        if name.startswith(prefix):
            return plain + name.removeprefix(prefix)
    return name


def places(rule: Rule, config: Config) -> Iterator[tuple[str, list[str]]]:
    """Every target of a rule with the names of its sources."""
    layers: Iterable[int] = rule.layers(config) if "{i}" in rule.target else (0,)
    for i in layers:
        names = [name for source in rule.sources for name in _experts(source, config, i)]
        yield rule.target.replace("{i}", str(i)), names


def _experts(source: str, config: Config, layer: int) -> Iterator[str]:
    name = source.replace("{i}", str(layer))
    for place, count in _COUNTS.items():
        if place in name:
            for index in range(count(config)):
                yield name.replace(place, str(index))
            return
    yield name


_COUNTS: Mapping[str, Callable[[Config], int]] = {
    "{e}": lambda config: config.experts,
    "{q}": lambda config: config.heads,
    "{k}": lambda config: config.kv_heads,
}


def _check_all_taken(
    checkpoint: Checkpoint, left: set[str], ignored: Iterable[str], config: Config
) -> None:
    patterns = [_pattern(text) for text in ignored]

    def is_ignored(name: str) -> bool:
        matches = (pattern.fullmatch(name) for pattern in patterns)
        return any(
            m and int(m.groupdict().get("beyond", config.layers)) >= config.layers for m in matches
        )

    unknown = sorted(name for name in left if not is_ignored(name))
    if unknown:
        more = f" and {counted(len(unknown) - 1, 'other')}" if len(unknown) > 1 else ""
        raise ConversionError(
            checkpoint.folder,
            f"there is no place in a {config.architecture} with "
            f"{counted(config.layers, 'layer')} for the tensor {quoted(unknown[0])}{more}",
            "check that config.json belongs to these weights",
        )


def _pattern(text: str) -> re.Pattern[str]:
    escaped = re.escape(text).replace(r"\*", ".*").replace(r"\{beyond\}", r"(?P<beyond>\d{1,9})")
    return re.compile(escaped)


def _layer(target: str) -> int:
    found = re.match(r"blk\.(\d+)\.", target)
    return int(found[1]) if found else -1
