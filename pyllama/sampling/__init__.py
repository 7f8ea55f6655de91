"""Sampling: from logits to the next token, through a chain of small filters."""

from pyllama.sampling.candidates import Candidates
from pyllama.sampling.chain import FILTERS, suppressed_tokens
from pyllama.sampling.choices import AdaptiveP, Choice, Dist, Mirostat1, Mirostat2
from pyllama.sampling.dry import Dry, find_breakers
from pyllama.sampling.filters import Filter, FilterWithMemory, LogitBias
from pyllama.sampling.options import (
    DEFAULT_SAMPLERS,
    OPTIONS,
    Option,
    parse_logit_bias,
    parse_sampler_sequence,
    parse_samplers,
)
from pyllama.sampling.params import SamplingParams
from pyllama.sampling.penalties import Penalties
from pyllama.sampling.rng import RANDOM_SEED, Mt19937
from pyllama.sampling.sampler import Sampler
from pyllama.sampling.temperature import DynamicTemperature, Temperature
from pyllama.sampling.truncation import MinP, TopK, TopNSigma, TopP, Typical, Xtc

__all__ = [
    "DEFAULT_SAMPLERS",
    "FILTERS",
    "OPTIONS",
    "RANDOM_SEED",
    "AdaptiveP",
    "Candidates",
    "Choice",
    "Dist",
    "Dry",
    "DynamicTemperature",
    "Filter",
    "FilterWithMemory",
    "LogitBias",
    "MinP",
    "Mirostat1",
    "Mirostat2",
    "Mt19937",
    "Option",
    "Penalties",
    "Sampler",
    "SamplingParams",
    "Temperature",
    "TopK",
    "TopNSigma",
    "TopP",
    "Typical",
    "Xtc",
    "find_breakers",
    "parse_logit_bias",
    "parse_sampler_sequence",
    "parse_samplers",
    "suppressed_tokens",
]
