"""What a quantized file will be, worked out before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyllama.errors import FileError, UsageError
from pyllama.gguf import Field, GGUFFile, TensorInfo, TensorType, ValueType, tensor_bytes
from pyllama.gguf.file_types import FILE_TYPE_KEY, FileType
from pyllama.gguf.split import SPLIT_COUNT, SPLIT_NO, SPLIT_TENSORS_COUNT
from pyllama.gguf.wording import quoted
from pyllama.quantize.importance import Importance
from pyllama.quantize.mix import Choice, Mix, MixOptions, Override
from pyllama.quantize.pruning import Pruning
from pyllama.quantize.recipes import FLOAT_TYPES
from pyllama.quantize.tensors import ModelFacts, Role, Tensor, role_of, sort_key
from pyllama.quants import Floats

QUANTIZATION_VERSION = 2
_VERSION_KEY = "general.quantization_version"
_LONGEST_TEXT = 127  # characters of the texts about the importance matrix, as in llama.cpp

_INTEGERS = frozenset({TensorType.I8, TensorType.I16, TensorType.I32, TensorType.I64})


@dataclass(frozen=True)
class QuantizeOptions:
    """What is wanted beside the recipe.

    Attributes:
        pure, keep_output, output_type, embedding_type, overrides: see ``MixOptions``.
        importance: how much columns matter.
        allow_requantize: take tensors that are quantized already.
        allow_fallback: replace types whose blocks do not divide the rows.
        metadata: keys to set, whatever the file says.
        prune_layers: layers to leave out.
        keep_split: write as many parts as the model has.
    """

    pure: bool = False
    keep_output: bool = False
    output_type: TensorType | None = None
    embedding_type: TensorType | None = None
    overrides: Sequence[Override] = ()
    importance: Importance | None = None
    allow_requantize: bool = False
    allow_fallback: bool = True
    metadata: Mapping[str, Field] = field(default_factory=dict)
    prune_layers: frozenset[int] = frozenset()
    keep_split: bool = False

    @property
    def mix(self) -> MixOptions:
        """The part that the choice of types depends on."""
        return MixOptions(
            pure=self.pure,
            keep_output=self.keep_output,
            output_type=self.output_type,
            embedding_type=self.embedding_type,
            overrides=self.overrides,
            has_importance=self.importance is not None,
        )


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor of the file to be.

    Attributes:
        source: the tensor of the model.
        name: its new name; another one where layers before it are left out.
        type: its new type.
        choice: why.
        importance: float32 (matrices, columns), if it has any and is to be quantized.
    """

    source: TensorInfo
    name: str
    type: TensorType
    choice: Choice
    importance: Floats | None = None

    @property
    def converted(self) -> bool:
        """Whether its type changes; otherwise its bytes are copied."""
        return self.type is not self.source.type

    @property
    def n_bytes(self) -> int:
        """Its size in the file to be, without padding."""
        return tensor_bytes(self.source.shape, self.type)


@dataclass(frozen=True)
class Plan:
    """A quantized file to be.

    Attributes:
        file: the model.
        recipe: None to copy.
        options: as given.
        tensors: in the order of the new file.
        fields: its metadata, without those about its parts.
        parts: of how many files it consists.
    """

    file: GGUFFile
    recipe: FileType | None
    options: QuantizeOptions
    tensors: tuple[PlannedTensor, ...]
    fields: Mapping[str, Field]
    parts: int

    @property
    def n_bytes(self) -> int:
        """Size of the tensors to be."""
        return sum(tensor.n_bytes for tensor in self.tensors)

    @property
    def source_bytes(self) -> int:
        """Size of the same tensors in the model."""
        return sum(tensor.source.n_bytes for tensor in self.tensors)

    @property
    def n_elements(self) -> int:
        """Weights in all tensors."""
        return sum(tensor.source.n_elements for tensor in self.tensors)

    @property
    def fallbacks(self) -> tuple[PlannedTensor, ...]:
        """Tensors whose rows the blocks of the type that was due do not divide."""
        return tuple(tensor for tensor in self.tensors if tensor.choice.wanted is not None)

    @property
    def idle_rules(self) -> tuple[Override, ...]:
        """Rules of the user that decide no tensor: others do, or it is never quantized."""
        deciding = {tensor.choice.override for tensor in self.tensors}
        return tuple(rule for rule in self.options.overrides if rule not in deciding)

    @property
    def without_importance(self) -> tuple[PlannedTensor, ...]:
        """Tensors to be quantized that the importance matrix says nothing about."""
        if self.options.importance is None:
            return ()
        return tuple(
            tensor
            for tensor in self.tensors
            if tensor.converted and tensor.importance is None and tensor.type not in FLOAT_TYPES
        )


def make_plan(file: GGUFFile, recipe: FileType | None, options: QuantizeOptions) -> Plan:
    """Work out what ``quantize`` makes of an open model; ``recipe`` None copies the tensors.

    Raises UsageError for options that contradict each other or have no effect on this model,
    FileError for a model or an importance matrix that do not fit.
    """
    _check_effects(file, recipe, options)
    pruning = Pruning.of(file, options.prune_layers)
    facts = ModelFacts.read(file.metadata, file.tensors.values())
    infos = [info for info in file.tensors.values() if pruning.keeps(info.name)]
    if options.keep_split:
        infos.sort(key=lambda info: (info.part, info.offset))
    else:
        infos.sort(key=lambda info: sort_key(info.name))
    facts = pruning.adjusted(facts, infos)
    mix = None if recipe is None else Mix(recipe, facts, options.mix)
    tensors = tuple(_planned(info, mix, options, pruning.renamed(info.name)) for info in infos)
    _check_rules(file, tensors, options.overrides)
    fields = _fields(file, recipe, options, pruning)
    return Plan(
        file, recipe, options, tensors, fields, len(file.paths) if options.keep_split else 1
    )


def _planned(
    info: TensorInfo, mix: Mix | None, options: QuantizeOptions, name: str
) -> PlannedTensor:
    if mix is None:
        return PlannedTensor(info, name, info.type, Choice(None, "copied"))
    choice = mix.choose(Tensor(name, info.shape))
    if info.type in _INTEGERS:
        choice = Choice(None, "whole numbers")
    type = info.type if choice.type is None else choice.type
    if type is info.type or options.importance is None:
        return PlannedTensor(info, name, type, choice)
    return PlannedTensor(info, name, type, choice, _importance(info, options.importance))


def _importance(info: TensorInfo, importance: Importance) -> Floats | None:
    """The entry of a tensor, looked up by the name that it has in the model."""
    values = importance.entries.get(info.name)
    tensor = Tensor(info.name, info.shape)
    if values is None:
        return None
    if values.size != tensor.columns * tensor.matrices:
        if role_of(info.name) is Role.EMBEDDING:  # collected for its use as output matrix, if so
            return None
        raise FileError(
            importance.path,
            f"has {values.size} values for {quoted(info.name)}, "
            f"which has {tensor.matrices} x {tensor.columns} columns",
            "name the importance matrix of this model",
        )
    return values.reshape(tensor.matrices, tensor.columns)


def _check_effects(file: GGUFFile, recipe: FileType | None, options: QuantizeOptions) -> None:
    """Refuse what would be without effect."""
    plain = recipe is None or recipe in (FileType.F32, FileType.F16, FileType.BF16)
    if options.overrides and plain:
        what = "COPY" if recipe is None else recipe.name
        raise UsageError(f"--tensor-type has no effect on {what}")
    if options.importance is not None and not any(
        name in file.tensors for name in options.importance.entries
    ):
        problem = f"has no entry for any tensor of {file.path}"
        raise FileError(options.importance.path, problem, "name the one of this model")


def _check_rules(
    file: GGUFFile, tensors: Sequence[PlannedTensor], overrides: Sequence[Override]
) -> None:
    """Refuse a rule that names nothing; names are those of the file to be."""
    for override in overrides:
        if not any(override.pattern.search(tensor.name) for tensor in tensors):
            raise UsageError(
                f"--tensor-type {override.pattern.pattern}: no tensor of {file.path} matches"
            )


def _fields(
    file: GGUFFile, recipe: FileType | None, options: QuantizeOptions, pruning: Pruning
) -> dict[str, Field]:
    """The metadata: those of the model, those about its quantization, those that were asked for."""
    fields = pruning.metadata(file.fields)
    for key in (SPLIT_NO, SPLIT_COUNT, SPLIT_TENSORS_COUNT):
        fields.pop(key, None)
    _set(fields, _VERSION_KEY, Field(ValueType.UINT32, QUANTIZATION_VERSION))
    if recipe is not None:
        _set(fields, FILE_TYPE_KEY, Field(ValueType.UINT32, int(recipe)))
    elif FILE_TYPE_KEY in fields:
        _set(fields, FILE_TYPE_KEY, fields[FILE_TYPE_KEY])
    for more in (options.metadata, _importance_fields(options.importance), pruning.block_count):
        for key, value in more.items():
            _set(fields, key, value)
    return fields


def _set(fields: dict[str, Field], key: str, value: Field) -> None:
    """Set a key; it moves to the end, as in llama.cpp."""
    fields.pop(key, None)
    fields[key] = value


def _importance_fields(importance: Importance | None) -> dict[str, Field]:
    if importance is None:
        return {}
    prefix = "quantize.imatrix."
    count = len(importance.entries)
    fields = {f"{prefix}file": _text_field(str(importance.path))}
    if importance.datasets:
        fields[f"{prefix}dataset"] = _text_field(importance.datasets[0])
    fields[f"{prefix}entries_count"] = Field(ValueType.UINT32, count)
    if importance.chunks:
        fields[f"{prefix}chunks_count"] = Field(ValueType.UINT32, importance.chunks)
    return fields


def _text_field(text: str) -> Field:
    return Field(ValueType.STRING, text[:_LONGEST_TEXT])
