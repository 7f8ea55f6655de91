"""Makes GGUF adapters (see ``pyllama.lora``) of those that PEFT saves.

A pair gets the names that the matrix has in the base model's file, and its rows and columns are
moved as the converter moves those of the matrix: the base model's family knows how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pyllama.convert.card import read_card
from pyllama.convert.config import Config
from pyllama.convert.family import Family, Rule
from pyllama.convert.low_rank import Moves, Pair, moves
from pyllama.convert.matching import places, plain_name
from pyllama.convert.model_name import ModelName
from pyllama.convert.peft import WHOLE, PeftAdapter
from pyllama.convert.plan import EMBEDDING, QUANTIZATION_VERSION, Plan, PlannedTensor
from pyllama.convert.sources.checkpoint import open_checkpoint
from pyllama.convert.support import family_of
from pyllama.convert.tensor import LazyTensor
from pyllama.convert.transforms import Transform
from pyllama.convert.types import automatic, tensor_type
from pyllama.errors import ConversionError, FileError
from pyllama.gguf.file_types import FILE_TYPE_KEY, FileType
from pyllama.gguf.wording import counted, quoted
from pyllama.lora import ALPHA_KEY, ENDS, TYPE_KEY

_OTHER = "give the model that the adapter was trained on (--base)"


def make_lora_plan(adapter: PeftAdapter, base: Path, file_type: FileType | None = None) -> Plan:
    """Work out the file of an adapter; ``base``: a folder with the base model's ``config.json``.

    file_type: of the weights; None for that of the adapter. The result is written by
    ``write_plan``. Raises FileError, ConversionError for what cannot be read, and where a module is
    none of the base model's, does not fit its configuration, or cannot be expressed in the file.
    """
    config = Config.read(base)
    family = family_of(config)
    config = config.completed(family.defaults)
    stored = [half for pair in adapter.pairs.values() for half in (pair.a, pair.b)]
    if file_type is None:
        file_type = automatic(stored)
    moving = _Moving(adapter, family, config, _shapes(base, config))
    tensors = tuple(
        PlannedTensor(target + end, tensor_type(target, half, file_type), half, part=0)
        for module, pair in adapter.pairs.items()
        for target, moved in moving.targets(module, pair.multiplied(adapter.factor(module)))
        for end, half in zip(ENDS, _halves(target, moved), strict=True)
    )
    name = ModelName.of_folder(adapter.folder)
    name = replace(name, finetune="-".join(filter(None, (name.finetune, "LoRA"))))
    card, warning = read_card(adapter.folder)
    return Plan(
        checkpoint=adapter.checkpoint,
        family=family,
        config=config,
        name=name,
        file_type=file_type,
        fields={
            "general.architecture": family.gguf,
            "general.type": "adapter",
            "general.name": name.name,
            **card,
            TYPE_KEY: "lora",
            ALPHA_KEY: adapter.alpha,
            FILE_TYPE_KEY: int(file_type),
            "general.quantization_version": QUANTIZATION_VERSION,
        },
        tensors=tensors,
        vocabulary=None,
        warnings=(warning,) if warning else (),
    )


def _halves(target: str, pair: Pair) -> tuple[LazyTensor, LazyTensor]:
    """What is stored as lora_a and lora_b; of the embedding (n_rows, rank) and (width, rank)."""
    if target != EMBEDDING:
        return pair.a, pair.b
    (rank, width) = pair.a.shape
    return pair.b, pair.a.rearranged((width, rank), lambda array: array.T)


@dataclass(frozen=True)
class _Place:
    """What a tensor of the base model becomes, by which rule, and how many make that up."""

    target: str
    rule: Rule
    sources: Sequence[str]


class _Moving:
    """Brings pairs from the base model's checkpoint to its file."""

    def __init__(
        self,
        adapter: PeftAdapter,
        family: Family,
        config: Config,
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        self._adapter, self._family, self._config = adapter, family, config
        self._shapes = shapes
        self._places = _places(family, config)
        self._known: dict[tuple[Transform, tuple[int, int]], Moves | None] = {}

    def targets(self, module: str, pair: Pair) -> list[tuple[str, Pair]]:
        """The tensors of the file that a module's matrix becomes, with their pairs."""
        name = f"{plain_name(module)}.weight"
        if name not in self._places:
            what = f"{self._config.architecture} of {counted(self._config.layers, 'layer')}"
            why = f"has no place in a {what}"
            if name == self._family.head:
                why = "is the embedding in the base model, so that it has no tensor of its own"
            raise self._error(module, f", which {why}", _OTHER)
        return [(place.target, self._moved(module, pair, place)) for place in self._places[name]]

    def _moved(self, module: str, pair: Pair, place: _Place) -> Pair:
        found = None
        if len(place.sources) == 1:
            found = self._moves(module, place.rule.transform, pair.shape)
        if found is None:
            problem = f", and {place.target} is made of it in a way that no pair can express"
            raise self._error(module, problem, WHOLE)
        fits = pair.shape[::-1] if found.is_turned else pair.shape
        shape = self._shapes.get(f"{plain_name(module)}.weight", fits)
        if shape != fits:
            sizes = (" x ".join(map(str, s)) for s in (fits, shape))
            raise self._error(module, " as {}, but the base model has {}".format(*sizes), _OTHER)
        return found.apply(pair)

    def _error(self, module: str, problem: str, remedy: str) -> ConversionError:
        return ConversionError(self._adapter.file, f"adapts {quoted(module)}{problem}", remedy)

    def _moves(self, module: str, transform: Transform, shape: tuple[int, int]) -> Moves | None:
        key = transform, shape
        if key not in self._known:
            self._known[key] = moves(transform, self._config, module, shape)
        return self._known[key]


def _shapes(base: Path, config: Config) -> dict[str, tuple[int, ...]]:
    """Of the base model's weights, where they are there: config.json is all that is needed."""
    if config.given("quantization_config"):
        return {}  # shapes are those of packed weights
    with suppress(FileError):
        stored = open_checkpoint(base).tensors.items()
        return {plain_name(name): tensor.shape for name, tensor in stored}
    return {}


def _places(family: Family, config: Config) -> Mapping[str, list[_Place]]:
    """What becomes of each tensor that the base model may have."""
    tied = config.flag("tie_word_embeddings", default=family.tied)
    found: dict[str, list[_Place]] = {}
    for rule in family.tensors:
        if tied and rule.source == family.head:
            continue
        for target, sources in places(rule, config):
            for source in sources:
                found.setdefault(source, []).append(_Place(target, rule, sources))
    return found
