"""Results of benchmarks that nobody ran, with figures that are easy to follow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pyllama.bench import Result, Trial
from pyllama.bench.ceilings import Ceilings
from pyllama.bench.results import ModelFacts
from pyllama.graph.work import Work

TRIAL = Trial(
    model=Path("models/tiny.gguf"),
    isa=None,
    n_batch=2048,
    n_ubatch=512,
    type_k="f16",
    type_v="f16",
    n_threads=8,
    cpu_mask="0x0",
    cpu_strict=False,
    n_depth=0,
    n_prompt=512,
    n_gen=0,
)

SECOND = 10**9


def sample(trial: dict[str, Any] | None = None, **changes: Any) -> Result:
    """512 tokens in 4 and in 2 seconds, or what the changes say."""
    result = Result(
        trial=replace(TRIAL, **(trial or {})),
        model=ModelFacts("llama 8B Q4_K - Medium", 4_920_000_000, 8_030_000_000),
        isa="avx2",
        cpu="A Processor",
        time="2026-01-02T03:04:05Z",
        samples_ns=(4 * SECOND, 2 * SECOND),
        first_token_ns=(3 * SECOND, 2 * SECOND),
        peak_bytes=5 * 2**30,
        work=Work(n_bytes=6 * SECOND, flops=30 * SECOND),
        ceilings=None,
    )
    return replace(result, **changes)


CEILINGS = Ceilings(bytes_per_second=8e9, flops_per_second=100e9)
