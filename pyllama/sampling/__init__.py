"""Sampling: from logits to the next token, through a chain of small filters."""

from pyllama.sampling.candidates import Candidates
from pyllama.sampling.filters import (
    Filter,
    FilterWithMemory,
    LogitBias,
    MinP,
    Temperature,
    TopK,
    TopP,
)
from pyllama.sampling.params import SamplingParams
from pyllama.sampling.penalties import Penalties
from pyllama.sampling.rng import RANDOM_SEED, Mt19937
from pyllama.sampling.sampler import FILTERS, Sampler

__all__ = [
    "FILTERS",
    "RANDOM_SEED",
    "Candidates",
    "Filter",
    "FilterWithMemory",
    "LogitBias",
    "MinP",
    "Mt19937",
    "Penalties",
    "Sampler",
    "SamplingParams",
    "Temperature",
    "TopK",
    "TopP",
]
