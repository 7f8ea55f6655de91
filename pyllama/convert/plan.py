"""What a converted file will be, worked out before any weight is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pyllama.convert.card import read_card
from pyllama.convert.check import check_shapes
from pyllama.convert.config import Config
from pyllama.convert.family import Family
from pyllama.convert.matching import match_tensors
from pyllama.convert.model_name import ModelName, size_label
from pyllama.convert.sampling import sampling_fields
from pyllama.convert.sources.checkpoint import Checkpoint, open_checkpoint
from pyllama.convert.support import family_of, scale_block
from pyllama.convert.tensor import LazyTensor
from pyllama.convert.types import automatic, due_type, tensor_type
from pyllama.convert.vocabulary import Vocabulary, read_vocabulary
from pyllama.errors import ConversionError
from pyllama.gguf import TensorType, tensor_bytes
from pyllama.gguf.file_types import FILE_TYPE_KEY, FileType
from pyllama.gguf.parts import Limits, PartTensor, assign_parts
from pyllama.gguf.types import DEFAULT_ALIGNMENT
from pyllama.gguf.wording import counted

EMBEDDING = "token_embd.weight"
QUANTIZATION_VERSION = 2
_NO_VOCABULARY = {"tokenizer.ggml.model": "no_vocab"}


@dataclass(frozen=True)
class ConvertOptions:
    """What is wanted.

    Attributes:
        file_type: of the weights; None for that of the checkpoint.
        pre: the pre-tokenizer's name, where it is not to be recognized.
        name: the model's name, where it is not that of the folder.
        metadata: keys to set, whatever the checkpoint says.
        limits: of the parts to be written.
        vocabulary: whether to write it; a file without one computes, but knows no text.
        weights: whether to write them.
    """

    file_type: FileType | None = None
    pre: str | None = None
    name: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    vocabulary: bool = True
    weights: bool = True


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor of the file to be.

    Attributes:
        name: in the file.
        type: in the file.
        source: where it comes from.
        part: the part that it is written to, from 0.
    """

    name: str
    type: TensorType
    source: LazyTensor
    part: int

    @property
    def n_bytes(self) -> int:
        """Its size in the file, without padding."""
        return tensor_bytes(self.source.shape, self.type)


@dataclass(frozen=True)
class Plan:
    """A file to be.

    Attributes:
        checkpoint: what it is made from; None where only the vocabulary is written.
        family: of the model.
        config: of the model.
        name: of the model.
        file_type: of the weights.
        fields: metadata in order.
        tensors: in order.
        vocabulary: what the metadata say of it, and its original; None where it is left out.
        warnings: what the user should know.
    """

    checkpoint: Checkpoint | None
    family: Family
    config: Config
    name: ModelName
    file_type: FileType
    fields: Mapping[str, Any]
    tensors: tuple[PlannedTensor, ...]
    vocabulary: Vocabulary | None
    warnings: tuple[str, ...]

    @property
    def parts(self) -> int:
        """Number of files."""
        return 1 + max((tensor.part for tensor in self.tensors), default=0)

    @property
    def n_bytes(self) -> int:
        """Size of all tensors."""
        return sum(tensor.n_bytes for tensor in self.tensors)

    def loaded(self) -> Plan:
        """The same with all weights in memory."""
        tensors = (replace(tensor, source=tensor.source.loaded()) for tensor in self.tensors)
        return replace(self, tensors=tuple(tensors))

    @property
    def part_tensors(self) -> list[PartTensor]:
        """The tensors as they are declared."""
        return [PartTensor(t.name, t.source.shape, t.type, t.part) for t in self.tensors]

    @property
    def file_name(self) -> str:
        """The name that the file gets where none is given."""
        return self.name.file_name(self.file_type.name if self.tensors else "vocab")


def make_plan(folder: Path, options: ConvertOptions) -> Plan:
    """Work out what becomes of the checkpoint in a folder.

    Raises FileError, ConversionError for whatever is wrong with it.
    """
    config = Config.read(folder)
    family = family_of(config)
    config = config.completed(family.defaults)
    checkpoint = open_checkpoint(folder, scale_block(config)) if options.weights else None
    file_type = options.file_type
    if file_type is None:
        file_type = automatic(checkpoint.tensors.values() if checkpoint else ())
    tensors = _tensors(checkpoint, family, config, file_type, options.limits)
    name = _name(folder, config, tensors)
    card, warning = read_card(folder)
    rows = _embedding_rows(config, tensors)
    vocabulary = read_vocabulary(folder, rows, pre=options.pre) if options.vocabulary else None
    fields = {
        "general.architecture": family.gguf,
        "general.type": "model",
        **_identity(name, options.name, card),
        **options.metadata,
        **sampling_fields(folder),
        **family_fields(family, config),
        FILE_TYPE_KEY: int(file_type),
        "general.quantization_version": QUANTIZATION_VERSION,
        **(_NO_VOCABULARY if vocabulary is None else vocabulary.metadata()),
    }
    notes = (*_fallbacks(tensors, file_type), warning, *(vocabulary.warnings if vocabulary else ()))
    warnings = tuple(note for note in notes if note)
    plan = Plan(checkpoint, family, config, name, file_type, fields, tensors, vocabulary, warnings)
    if tensors:
        check_shapes(folder, fields, plan.part_tensors, rows)
    return plan


def family_fields(family: Family, config: Config) -> dict[str, Any]:
    """The metadata that the family's keys give."""
    fields: dict[str, Any] = {}
    for key in family.keys:
        value = key.value(config)
        if value is not None:
            prefix = "" if key.name.startswith("general.") else f"{family.gguf}."
            fields[prefix + key.name] = value
    return fields


def _tensors(
    checkpoint: Checkpoint | None,
    family: Family,
    config: Config,
    file_type: FileType,
    limits: Limits,
) -> tuple[PlannedTensor, ...]:
    if checkpoint is None:
        return ()
    matches = match_tensors(checkpoint, family, config)
    types = [tensor_type(match.target, match.tensor, file_type) for match in matches]
    sizes = [_size(m.tensor, type) for m, type in zip(matches, types, strict=True)]
    parts = assign_parts(sizes, limits, DEFAULT_ALIGNMENT)
    return tuple(
        PlannedTensor(match.target, type, match.tensor, part)
        for match, type, part in zip(matches, types, parts, strict=True)
    )


def _fallbacks(tensors: tuple[PlannedTensor, ...], file_type: FileType) -> Iterator[str]:
    """A warning where blocks of the type that was due do not divide rows."""
    due = {tensor.name: due_type(tensor.name, tensor.source, file_type) for tensor in tensors}
    replaced = [tensor for tensor in tensors if tensor.type is not due[tensor.name]]
    if replaced:
        first = replaced[0]
        yield (
            f"{counted(len(replaced), 'tensor')} become {first.type.label} instead of "
            f"{due[first.name].label}, whose blocks do not divide rows: {first.name}, ..."
        )


def _size(tensor: LazyTensor, type: TensorType) -> int:
    try:
        return tensor_bytes(tensor.shape, type)
    except ValueError as problem:
        raise ConversionError(tensor.name, f"the tensor {problem}") from None


def _embedding_rows(config: Config, tensors: tuple[PlannedTensor, ...]) -> int:
    said = config.vocabulary
    shapes = (tensor.source.shape for tensor in tensors if tensor.name == EMBEDDING)
    rows = next((shape[0] for shape in shapes if shape), said)
    if rows != said:
        problem = f"is {said}, but the embedding has {counted(rows, 'row')}"
        raise config.error("vocab_size", problem, "check that it belongs to these weights")
    return rows


def _name(folder: Path, config: Config, tensors: tuple[PlannedTensor, ...]) -> ModelName:
    """The folder's, with a size label where it has weights but tells no size."""
    name = ModelName.of_folder(folder)
    if not tensors:
        return name
    counts = [(tensor.name, tensor.source.n_elements) for tensor in tensors]
    return name.with_size(size_label(counts, config.experts))


def _identity(name: ModelName, given: str | None, card: Mapping[str, Any]) -> dict[str, Any]:
    """Who the model is, by its folder and its card."""
    parts = {
        "name": given or name.name,
        "organization": name.organization,
        "finetune": name.finetune,
        "basename": name.basename,
        "version": name.version,
        "size_label": name.size,
    }
    own = {f"general.{key}": value for key, value in parts.items() if value}
    return own | {**card, **({"general.name": given} if given else {})}
