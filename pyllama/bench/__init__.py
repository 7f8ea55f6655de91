"""Measures how fast a model runs: llama-bench's tests, with random tokens.

plan        what to measure: a product of parameters, and the tests it stands for
measure     runs the tests: an iterator of events, the last of each test its result
results     every sample of a test, and the figures that follow from them
naming      how llama.cpp describes a model: ``llama 8B Q4_K - Medium``
machine     the processor's name, and peak memory
ceilings    what memory and processor can do at most, measured with our own kernels
forecast    how long the rest will take
compare     two sets of results side by side
plot        a picture of a sweep
"""

from __future__ import annotations

from pyllama.bench.measure import Benchmark, Event, Finished, Stage, Started
from pyllama.bench.plan import BenchmarkPlan, Trial
from pyllama.bench.results import Result

__all__ = [
    "Benchmark",
    "BenchmarkPlan",
    "Event",
    "Finished",
    "Result",
    "Stage",
    "Started",
    "Trial",
]
