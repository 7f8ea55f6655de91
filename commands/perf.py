"""The timing block, in llama.cpp's words and columns: scripts read it from stderr."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyllama.generation import Span, Timings

_PREFIX = "common_perf_print: "


@dataclass(frozen=True)
class Loading:
    """How long the model took to be ready, and when it was, by ``perf_counter``."""

    seconds: float
    ended: float

    @classmethod
    def begun(cls, start: float) -> Loading:
        """One that began at ``start`` and ends now."""
        now = perf_counter()
        return cls(now - start, now)

    def elapsed(self) -> float:
        """Seconds since then: the total of a run, as llama.cpp has it."""
        return perf_counter() - self.ended


def perf_block(timings: Timings, load: float, total: float) -> str:
    """The lines of the block.

    load: seconds that loading the model took; total: seconds since then, of which those that are
    neither sampling nor evaluation (tokenizing, writing and so on) are not accounted for.
    """
    known = timings.sampling.seconds + timings.prompt.seconds + timings.eval.seconds
    rest = total - known
    share = 100 * rest / total if total else 0.0
    tokens = timings.prompt.tokens + timings.eval.tokens
    lines = (
        f"   sampling time = {_ms(timings.sampling.seconds)}",
        f"   samplers time = {_ms(timings.samplers.seconds)} / {timings.samplers.tokens:5d} tokens",
        f"       load time = {_ms(load)}",
        f"prompt eval time = {_rate(timings.prompt, 'tokens')}",
        f"       eval time = {_rate(timings.eval, 'runs  ')}",
        f"      total time = {_ms(total)} / {tokens:5d} tokens",
        f"unaccounted time = {_ms(rest)} / {share:5.1f} %"
        "      (total - sampling - prompt eval - eval) / (total)",
    )
    return "\n".join(_PREFIX + line for line in lines)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:10.2f} ms"


def _rate(span: Span, unit: str) -> str:
    each = span.seconds * 1e3 / max(span.tokens, 1)
    speed = span.tokens / span.seconds if span.seconds else 0.0
    return (
        f"{_ms(span.seconds)} / {span.tokens:5d} {unit} "
        f"({each:8.2f} ms per token, {speed:8.2f} tokens per second)"
    )
