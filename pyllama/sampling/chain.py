"""From the options to the filters and the choice that they describe."""

from __future__ import annotations

import logging
import math
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from pyllama.errors import ModelError, UsageError
from pyllama.sampling.choices import AdaptiveP, Choice, Dist, Mirostat1, Mirostat2
from pyllama.sampling.dry import Dry, find_breakers
from pyllama.sampling.filters import Filter, LogitBias
from pyllama.sampling.options import OPTIONS
from pyllama.sampling.params import SamplingParams
from pyllama.sampling.penalties import Penalties
from pyllama.sampling.temperature import DynamicTemperature, Temperature
from pyllama.sampling.truncation import MinP, TopK, TopNSigma, TopP, Typical, Xtc

if TYPE_CHECKING:
    from pyllama.tokenizers.tokenizer import Tokenizer

log = logging.getLogger(__name__)

Maker = Callable[[SamplingParams, "Tokenizer | None"], Filter | None]


def _penalties(p: SamplingParams, _: Tokenizer | None) -> Filter | None:
    if not p.penalizes:
        return None
    return Penalties(p.repeat_last_n, p.repeat_penalty, p.presence_penalty, p.frequency_penalty)


def _dry(p: SamplingParams, tokenizer: Tokenizer | None) -> Filter | None:
    if not (p.dry_multiplier and p.dry_penalty_last_n):
        return None
    if p.dry_sequence_breakers and tokenizer is None:
        raise UsageError("DRY's sequence breakers need the tokenizer; pass it, or no breakers")
    breakers = find_breakers(p.dry_sequence_breakers, tokenizer) if tokenizer else {}
    return Dry(p.dry_multiplier, p.dry_base, p.dry_allowed_length, p.dry_penalty_last_n, breakers)


def _xtc(p: SamplingParams, _: Tokenizer | None) -> Filter | None:
    active = p.xtc_probability > 0 and p.xtc_threshold <= 0.5
    return Xtc(p.xtc_probability, p.xtc_threshold, p.seed) if active else None


def _temperature(p: SamplingParams, _: Tokenizer | None) -> Filter | None:
    if p.dynatemp_range > 0:
        return DynamicTemperature(p.temperature, p.dynatemp_range, p.dynatemp_exponent)
    return Temperature(p.temperature) if p.temperature != 1 else None


FILTERS: Mapping[str, Maker] = MappingProxyType(
    {
        "penalties": _penalties,
        "dry": _dry,
        "top_n_sigma": lambda p, _: TopNSigma(p.top_n_sigma) if p.top_n_sigma > 0 else None,
        "top_k": lambda p, _: TopK(p.top_k) if p.top_k > 0 else None,
        "typ_p": lambda p, _: Typical(p.typical_p) if p.typical_p < 1 else None,
        "top_p": lambda p, _: TopP(p.top_p) if p.top_p < 1 else None,
        "min_p": lambda p, _: MinP(p.min_p) if p.min_p > 0 else None,
        "xtc": _xtc,
        "temperature": _temperature,
    }
)
"""How each filter is made from the options (with a seed that is settled), None where it would do
nothing. ``adaptive_p`` is no filter, it chooses; see ``make_choice``."""


def make_filters(
    params: SamplingParams, tokenizer: Tokenizer | None, banned: Collection[int]
) -> list[Filter]:
    """The filters in their order, the biases first. Raises UsageError, see ``logit_bias``."""
    bias = logit_bias(params, tokenizer, banned)
    filters: list[Filter] = [LogitBias(bias)] if bias else []
    if params.mirostat:
        _tell_what_mirostat_replaces(params)
        names: tuple[str, ...] = ("temperature",)
    else:
        names = tuple(name for name in params.samplers if name in FILTERS)
    made = (FILTERS[name](params, tokenizer) for name in names)
    return [*filters, *_needed([filter for filter in made if filter is not None])]


def _needed(filters: Sequence[Filter]) -> list[Filter]:
    """The filters without those in front of a greedy temperature that keep what it keeps."""
    needed: list[Filter] = []
    for filter in filters:
        if isinstance(filter, Temperature) and filter.is_greedy:
            while needed and needed[-1].keeps_best:
                needed.pop()
        needed.append(filter)
    return needed


def make_choice(params: SamplingParams) -> Choice:
    """What draws the token in the end."""
    if params.mirostat:
        version = Mirostat1 if params.mirostat == 1 else Mirostat2
        return version(params.mirostat_ent, params.mirostat_lr)
    if params.adaptive_target >= 0:
        return AdaptiveP(params.adaptive_target, params.adaptive_decay)
    return Dist()


def logit_bias(
    params: SamplingParams, tokenizer: Tokenizer | None, banned: Collection[int]
) -> Mapping[int, float]:
    """What is added to the logit of each token; the biases of a token add up.

    Raises UsageError for a token outside the vocabulary.
    """
    bias: defaultdict[int, float] = defaultdict(float)
    for token, value in params.logit_bias:
        if tokenizer is not None and token >= tokenizer.n_vocab:
            raise UsageError(
                f"--logit-bias names token {token}, but the vocabulary ends with token "
                f"{tokenizer.n_vocab - 1}"
            )
        bias[token] += value
    bias.update(dict.fromkeys(banned, -math.inf))
    return bias


def suppressed_tokens(
    path: str | os.PathLike[str], metadata: Mapping[str, object], n_vocab: int
) -> frozenset[int]:
    """The tokens that the model's file says must never be chosen; to be banned.

    Raises ModelError where ``tokenizer.ggml.suppress_tokens`` is no list of tokens.
    """
    key = "tokenizer.ggml.suppress_tokens"
    values = np.asarray(metadata.get(key, ()))
    if values.size == 0:
        return frozenset()
    whole = values.ndim == 1 and values.dtype.kind in "iu"
    if not (whole and values.min() >= 0 and values.max() < n_vocab):
        raise ModelError(path, f"{key} is no list of token ids", "convert the model again")
    return frozenset(values.tolist())


def _tell_what_mirostat_replaces(params: SamplingParams) -> None:
    idle = [
        OPTIONS[field].flag
        for field in ("dry_multiplier", "top_n_sigma", "typical_p", "xtc_probability")
        if getattr(params, field) != SamplingParams.__dataclass_fields__[field].default
    ]
    if params.penalizes:
        idle.insert(0, "the penalties")
    if idle:
        log.warning("--mirostat replaces the chain: no effect of %s", ", ".join(idle))
