"""The timing block, column for column."""

from __future__ import annotations

from pyllama.commands.perf import perf_block
from pyllama.generation import Span, Timings


def test_the_block_is_llama_cpps() -> None:
    timings = Timings(
        prompt=Span(0.5, 100),
        eval=Span(2.0, 50),
        sampling=Span(0.25, 51),
        samplers=Span(0.125, 51),
    )
    assert perf_block(timings, load=1.0, total=3.0).splitlines() == [
        "common_perf_print:    sampling time =     250.00 ms",
        "common_perf_print:    samplers time =     125.00 ms /    51 tokens",
        "common_perf_print:        load time =    1000.00 ms",
        "common_perf_print: prompt eval time =     500.00 ms /   100 tokens "
        "(    5.00 ms per token,   200.00 tokens per second)",
        "common_perf_print:        eval time =    2000.00 ms /    50 runs   "
        "(   40.00 ms per token,    25.00 tokens per second)",
        "common_perf_print:       total time =    3000.00 ms /   150 tokens",
        "common_perf_print: unaccounted time =     250.00 ms /   8.3 %      "
        "(total - sampling - prompt eval - eval) / (total)",
    ]


def test_nothing_done_is_no_division_by_zero() -> None:
    block = perf_block(Timings(), 0.0, 0.0)
    assert "0 runs   (    0.00 ms per token,     0.00 tokens per second)" in block
    assert "0.0 %" in block
