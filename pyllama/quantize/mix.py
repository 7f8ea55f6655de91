"""Which type each tensor of a model gets.

``Mix.choose`` takes the tensors one after the other, in the order in which they are written, since
some rules count: the first two of a role, the first eighth.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyllama.gguf.file_types import FileType
from pyllama.gguf.types import TensorType
from pyllama.quantize.recipes import BASE_TYPES, FLOAT_TYPES
from pyllama.quantize.rules import FALLBACKS, LOW, RULES, Place
from pyllama.quantize.tensors import ModelFacts, Role, Tensor, is_quantizable, layer_of

_PER_LAYER = "per_layer_token_embd.weight"


@dataclass(frozen=True)
class Override:
    """A rule that the user gave: tensors whose name has ``pattern`` in it get ``type``."""

    pattern: re.Pattern[str]
    type: TensorType


@dataclass(frozen=True)
class Choice:
    """The type of a tensor and why.

    Attributes:
        type: what it is stored as; None where it stays as it is.
        rule: what decided, in a few words.
        wanted: the type that was due, where its blocks do not divide the rows and ``type``
            replaces it.
        override: the user's rule that decided, if one did.
    """

    type: TensorType | None
    rule: str
    wanted: TensorType | None = None
    override: Override | None = None


@dataclass(frozen=True)
class MixOptions:
    """What the user wants otherwise than the recipe.

    Attributes:
        pure: no rules, every tensor gets the base type.
        keep_output: ``output.weight`` stays as it is.
        output_type, embedding_type: of the output matrix and of the token embeddings.
        overrides: the first one that matches a name decides.
        has_importance: whether an importance matrix is used.
    """

    pure: bool = False
    keep_output: bool = False
    output_type: TensorType | None = None
    embedding_type: TensorType | None = None
    overrides: Sequence[Override] = ()
    has_importance: bool = False


@dataclass
class Mix:
    """A recipe, applied to the tensors of one model in order; it counts what it has seen."""

    recipe: FileType
    model: ModelFacts
    options: MixOptions = MixOptions()
    _seen: Counter[Role] = field(default_factory=Counter)

    def choose(self, tensor: Tensor) -> Choice:
        """The type of the next tensor."""
        if not is_quantizable(tensor.name, tensor.shape):
            return Choice(None, "never quantized")
        if self.options.keep_output and tensor.role is Role.OUTPUT:
            return Choice(None, "--leave-output-tensor")
        return _fitted(tensor, self._wanted(tensor))

    def _wanted(self, tensor: Tensor) -> Choice:
        """The type that is due, whether or not its blocks fit."""
        options, base = self.options, BASE_TYPES[self.recipe]
        override = self._override(tensor.name)
        # the table of per-layer embeddings is large: a rule that names it goes first
        named = override is not None and tensor.name == _PER_LAYER
        if tensor.role is Role.EMBEDDING and options.embedding_type is not None and not named:
            return Choice(options.embedding_type, "--token-embedding-type")
        if tensor.role is Role.OUTPUT and options.output_type is not None:
            return Choice(options.output_type, "--output-tensor-type")
        if base in FLOAT_TYPES:
            return Choice(base, "base")
        if override is not None:
            return Choice(
                override.type, f"--tensor-type {override.pattern.pattern}", None, override
            )
        if options.pure:
            return Choice(base, "--pure")
        return self._by_rules(tensor)

    def _override(self, name: str) -> Override | None:
        return next((o for o in self.options.overrides if o.pattern.search(name)), None)

    def _by_rules(self, tensor: Tensor) -> Choice:
        role, base = tensor.role, BASE_TYPES[self.recipe]
        if role is Role.OUTPUT or (role is Role.EMBEDDING and self.model.tied):
            return self._output(tensor)
        if self.recipe is FileType.MXFP4_MOE:
            if tensor.matrices > 1:
                return Choice(base, "base")
            return Choice(TensorType.Q8_0, "no experts")
        place = self._place(tensor)
        choice = Choice(base, "base")
        for rule in RULES.get(role, ()):
            if self.recipe in rule.recipes and rule.when.holds(place):
                words = ", ".join(filter(None, (role.value, rule.when.words)))
                choice = Choice(rule.type or base, words)
                break
        self._seen[role] += 1
        return self._of_70b(tensor, choice)

    def _place(self, tensor: Tensor) -> Place:
        """Dense models count their feed-forward tensors, others name the layer."""
        layer = layer_of(tensor.name) if self.model.n_expert > 1 else None
        count = self._seen[tensor.role]
        return Place(
            model=self.model,
            layer=count if layer is None else layer,
            layers=self.model.n_layer,
            count=count,
            has_importance=self.options.has_importance,
        )

    def _output(self, tensor: Tensor) -> Choice:
        """The output matrix, or the embeddings that serve as one: precise in every recipe."""
        base = BASE_TYPES[self.recipe]
        if self.options.output_type is not None:
            return Choice(self.options.output_type, "--output-tensor-type")
        odd = tensor.columns % base.block_size != 0
        plain = self.recipe is FileType.MXFP4_MOE or base is TensorType.Q8_0
        if odd or plain or self.model.architecture == "falcon":
            return Choice(TensorType.Q8_0, "output")
        if self.recipe in LOW or self.recipe is FileType.IQ3_XXS:
            return Choice(TensorType.Q5_K, "output")
        return Choice(TensorType.Q6_K, "output")

    def _of_70b(self, tensor: Tensor, choice: Choice) -> Choice:
        """Values of a 70B model, shared by eight heads, are small: more bits cost little."""
        small = choice.type in (TensorType.Q3_K, TensorType.Q4_K)
        values = tensor.role is Role.ATTENTION_V and self.recipe not in LOW
        if small and values and self.model.is_70b:
            return Choice(TensorType.Q5_K, "attention v of a 70B model")
        return choice


def _fitted(tensor: Tensor, choice: Choice) -> Choice:
    """The choice, or what replaces it where its blocks do not divide the rows."""
    wanted = choice.type
    assert wanted is not None
    if tensor.columns % wanted.block_size == 0:
        return choice
    type = FALLBACKS.get(wanted, wanted)
    if tensor.columns % type.block_size:
        type = TensorType.F16
    rule = f"{wanted.label} needs rows of {wanted.block_size}"
    return Choice(type, rule, wanted, choice.override)
