"""The rules of the recipes: which tensors of a mix get another type than its base type.

A table lists, for each role, rules in the order in which they are asked; the first one that names
the recipe and whose condition holds gives the type. These are llama.cpp's mixes, so that files of
the same recipe are alike (source: llama-quant.cpp). What they encode: values and the way down of
the feed-forward network suffer most from few bits, the first and the last layers more than those
between them, and what many heads or experts share is small and cheap to keep precise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyllama.gguf.file_types import FileType as F
from pyllama.gguf.types import TensorType as T
from pyllama.quantize.recipes import BASE_TYPES
from pyllama.quantize.tensors import ModelFacts, Role


@dataclass(frozen=True)
class Place:
    """Where a tensor stands.

    Attributes:
        model: facts of the model.
        layer, layers: the layer as the rules count it, and how many there are.
        count: tensors of this role so far.
        has_importance: whether an importance matrix is used.
    """

    model: ModelFacts
    layer: int
    layers: int
    count: int
    has_importance: bool


@dataclass(frozen=True)
class Condition:
    """What a rule asks of a place, with the words that say so in a report."""

    words: str
    holds: Callable[[Place], bool]

    def __and__(self, other: Condition) -> Condition:
        words = ", ".join(filter(None, (self.words, other.words)))
        return Condition(words, lambda place: self.holds(place) and other.holds(place))


@dataclass(frozen=True)
class Rule:
    """Tensors of ``recipes`` get ``type`` where ``when`` holds; None is the recipe's base type."""

    recipes: frozenset[F]
    type: T | None
    when: Condition


def more_bits(layer: int, layers: int) -> bool:
    """The first and the last eighth of the layers, and every third one between them."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


_ALWAYS = Condition("", lambda _: True)
_SPREAD = Condition(
    "outer and every third layer", lambda place: more_bits(place.layer, place.layers)
)
_VALUES_SPREAD = Condition(
    "outer and every third layer", lambda place: more_bits(place.count, place.model.n_values)
)
_FIRST_TWO = Condition("first 2", lambda place: place.count < 2)
_FIRST_FOUR = Condition("first 4", lambda place: place.count < 4)
_EIGHTH = Condition("first eighth of layers", lambda place: place.layer < place.layers // 8)
_SIXTEENTH = Condition("first sixteenth of layers", lambda place: place.layer < place.layers // 16)
_FIRST_OF_EIGHTH = Condition("first eighth", lambda place: place.count < place.layers // 8)
_MIDDLE = Condition(
    "middle layers",
    lambda place: place.layers // 8 <= place.layer < 7 * place.layers // 8,
)
_GROUPED = Condition("4 or more heads a key head", lambda place: place.model.n_gqa >= 4)
_SHARED = Condition(
    "4 or more experts or heads a key head",
    lambda place: place.model.n_gqa >= 4 or place.model.n_expert >= 4,
)
_EIGHT_EXPERTS = Condition("8 experts", lambda place: place.model.n_expert == 8)
_FALCON = Condition("falcon", lambda place: place.model.architecture == "falcon")
_UNWEIGHTED = Condition("no imatrix", lambda place: not place.has_importance)
_WEIGHTED = Condition("imatrix", lambda place: place.has_importance)


LOW = frozenset({F.IQ1_S, F.IQ1_M, F.IQ2_XXS, F.IQ2_XS, F.IQ2_S, F.IQ2_M})
"""The recipes of at most about two bits, which have rules of their own."""

_LOWEST = frozenset({F.IQ1_S, F.IQ1_M})
_IQ2_LARGE = frozenset({F.IQ2_S, F.IQ2_M})
_OTHERS = frozenset(BASE_TYPES) - LOW
_IQ4 = frozenset({F.IQ4_NL, F.IQ4_XS})


def _rule(recipes: F | frozenset[F], type: T | None, when: Condition = _ALWAYS) -> Rule:
    return Rule(frozenset({recipes}) if isinstance(recipes, F) else recipes, type, when)


_FALCON_DOWN = (
    _rule(F.Q3_K_M, T.Q5_K, _FALCON & _SIXTEENTH),
    _rule(F.Q3_K_M, T.Q4_K, _FALCON & _SPREAD),
    _rule(F.Q3_K_M, T.Q3_K, _FALCON),
    _rule(F.Q3_K_L, T.Q4_K, _FALCON),
    _rule(F.Q4_K_M, T.Q6_K, _FALCON & _SIXTEENTH),
    _rule(F.Q4_K_M, T.Q5_K, _FALCON & _SPREAD),
    _rule(F.Q4_K_M, T.Q4_K, _FALCON),
    _rule(F.Q4_K_S, None, _FALCON),
)

_DOWN = (
    _rule(_IQ2_LARGE, T.IQ3_S, _FIRST_OF_EIGHTH),
    _rule(LOW - _IQ2_LARGE, T.Q2_K, _FIRST_OF_EIGHTH),
    *_FALCON_DOWN,
    _rule(F.Q2_K, T.Q3_K),
    _rule(F.Q2_K_S, T.Q4_K, _EIGHTH),
    _rule(F.IQ3_XXS, T.Q4_K, _UNWEIGHTED & _EIGHTH),
    _rule(F.IQ3_XXS, T.Q3_K, _UNWEIGHTED),
    _rule(F.Q3_K_M, T.Q5_K, _SIXTEENTH),
    _rule(F.Q3_K_M, T.Q4_K),
    _rule(F.IQ3_M, T.Q4_K, _EIGHTH),
    _rule(F.IQ3_M, T.Q4_K, _EIGHT_EXPERTS & _SPREAD),
    _rule(F.Q3_K_L, T.Q5_K),
    _rule(frozenset({F.Q4_K_M, F.Q5_K_M}), T.Q6_K, _SPREAD),
    _rule(_IQ4, T.Q5_K, _UNWEIGHTED & _EIGHTH),
    _rule(F.Q4_K_S, T.Q5_K, _EIGHTH),
    _rule(F.Q4_0, T.Q4_1, _WEIGHTED & _EIGHTH),
    _rule(F.Q5_0, T.Q5_1, _WEIGHTED & _EIGHTH),
)

_VALUES = (
    _rule(LOW, T.Q4_K, _SHARED),
    _rule(_IQ2_LARGE, T.IQ3_S),
    _rule(LOW, T.Q2_K),
    _rule(_OTHERS, T.Q8_0, _EIGHT_EXPERTS),
    _rule(F.Q2_K, T.Q4_K, _GROUPED),
    _rule(F.Q2_K, T.Q3_K),
    _rule(frozenset({F.Q2_K_S, F.IQ3_XXS, F.IQ3_XS, F.IQ3_S}), T.Q4_K, _GROUPED),
    _rule(F.IQ3_XXS, T.IQ3_S, _UNWEIGHTED),
    _rule(F.IQ3_M, T.Q4_K),
    _rule(F.Q3_K_M, T.Q5_K, _FIRST_TWO),
    _rule(F.Q3_K_M, T.Q4_K),
    _rule(F.Q3_K_L, T.Q5_K),
    _rule(_IQ4, T.Q5_K, _GROUPED),
    _rule(frozenset({F.Q4_K_M, F.Q5_K_M}), T.Q6_K, _VALUES_SPREAD),
    _rule(F.Q4_K_S, T.Q5_K, _FIRST_FOUR),
)

_ATTENTION_OUTPUT_OF_EIGHT = frozenset(
    {
        F.Q2_K,
        F.Q3_K_S,
        F.Q3_K_M,
        F.Q4_K_S,
        F.Q4_K_M,
        F.IQ3_XXS,
        F.IQ3_XS,
        F.IQ3_S,
        F.IQ3_M,
        F.IQ4_NL,
        F.IQ4_XS,
    }
)

_ATTENTION_OUTPUT = (
    _rule(LOW, T.Q5_K, _EIGHT_EXPERTS),
    _rule(_LOWEST, T.IQ2_XXS),
    _rule(_IQ2_LARGE, T.IQ3_S),
    _rule(F.Q3_K_L, T.Q4_K, _FALCON),
    _rule(_OTHERS, None, _FALCON),
    _rule(_ATTENTION_OUTPUT_OF_EIGHT, T.Q5_K, _EIGHT_EXPERTS),
    _rule(_OTHERS, None, _EIGHT_EXPERTS),
    _rule(F.Q2_K, T.Q3_K),
    _rule(F.IQ3_XXS, T.IQ3_S),
    _rule(frozenset({F.Q3_K_M, F.IQ3_M}), T.Q4_K),
    _rule(F.Q3_K_L, T.Q5_K),
)

_QUERIES = (_rule(F.IQ3_XS, T.IQ3_XXS), _rule(F.IQ3_XXS, T.IQ2_S))
_KEYS = (
    _rule(LOW, T.Q4_K, _EIGHT_EXPERTS),
    _rule(_OTHERS, T.Q8_0, _EIGHT_EXPERTS),
    *_QUERIES,
)
_UP = (_rule(F.IQ3_XS, T.IQ3_XXS, _MIDDLE),)

_EMBEDDING = (
    _rule(_LOWEST | {F.IQ2_XXS, F.IQ2_XS}, T.Q2_K),
    _rule(_IQ2_LARGE | {F.IQ3_XXS}, T.IQ3_S),
    _rule(frozenset({F.TQ1_0, F.TQ2_0}), T.Q4_K),
)

RULES: Mapping[Role, tuple[Rule, ...]] = {
    Role.EMBEDDING: _EMBEDDING,
    Role.ATTENTION_V: _VALUES,
    Role.ATTENTION_K: _KEYS,
    Role.ATTENTION_Q: _QUERIES,
    Role.ATTENTION_OUTPUT: _ATTENTION_OUTPUT,
    Role.FFN_DOWN: _DOWN,
    Role.FFN_GATE: _UP,
    Role.FFN_UP: _UP,
}
"""For every recipe but MXFP4_MOE, and every role but that of the output matrix."""

FALLBACKS: Mapping[T, T] = {
    T.IQ1_S: T.IQ4_NL,
    T.IQ1_M: T.IQ4_NL,
    T.IQ2_XXS: T.IQ4_NL,
    T.IQ2_XS: T.IQ4_NL,
    T.IQ2_S: T.IQ4_NL,
    T.IQ3_XXS: T.IQ4_NL,
    T.IQ3_S: T.IQ4_NL,
    T.IQ4_XS: T.IQ4_NL,
    T.Q2_0: T.Q4_0,
    T.Q2_K: T.Q4_0,
    T.Q3_K: T.Q4_0,
    T.TQ1_0: T.Q4_0,
    T.TQ2_0: T.Q4_0,
    T.Q4_K: T.Q5_0,
    T.Q5_K: T.Q5_1,
    T.Q6_K: T.Q8_0,
}
"""What takes the place of a type whose blocks do not divide the rows; F16 where that fails too."""

NEEDS_IMPORTANCE = frozenset({T.IQ3_XXS, T.IQ2_XXS, T.IQ2_XS, T.IQ2_S, T.IQ1_M, T.IQ1_S})
"""Types that are garbage without an importance matrix."""
