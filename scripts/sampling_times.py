"""How long it takes to draw a token: every combination of filters, on logits of several shapes.

Prints the slowest combinations, by the fastest draw of several rounds over all of them, so that
what else the machine does counts little. The bar is 2 ms for a vocabulary of 128k tokens.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator
from itertools import product
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyllama.sampling import Sampler, SamplingParams

Options = dict[str, Any]

OFF: Options = {
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "temperature": 1.0,
    "dry_sequence_breakers": (),
    "seed": 7,
}
FILTERS: dict[str, Options] = {
    "penalties": {"repeat_penalty": 1.1, "presence_penalty": 0.1},
    "dry": {"dry_multiplier": 0.8, "dry_penalty_last_n": 4096},
    "top-n-sigma": {"top_n_sigma": 9.0},  # forbids next to nothing
    "top-k": {"top_k": 100_000},
    "typical": {"typical_p": 0.95},
    "top-p": {"top_p": 0.95},
    "min-p": {"min_p": 0.05},
    "xtc": {"xtc_probability": 1.0},
}
TEMPERATURES: dict[str, Options] = {
    "": {},
    "temperature": {"temperature": 0.8},
    "dynamic temperature": {"temperature": 0.8, "dynatemp_range": 0.3},
}
CHOICES: dict[str, Options] = {"": {}, "adaptive-p": {"adaptive_target": 0.3}}
MIROSTATS: dict[str, Options] = {"mirostat 1": {"mirostat": 1}, "mirostat 2": {"mirostat": 2}}
STEPS = FILTERS | TEMPERATURES | CHOICES | MIROSTATS

SCALES = (0.0, 0.01, 1.0, 3.0)
"""Standard deviations of the logits, from flat to those of a model."""


def chains() -> Iterator[tuple[str, Options]]:
    """Every combination: its name and its options."""
    switches = [("", name) for name in FILTERS]
    for names in product(*switches, TEMPERATURES, CHOICES):
        yield _chain(names)
    yield from map(_chain, product(MIROSTATS, TEMPERATURES))


def _chain(names: Iterable[str]) -> tuple[str, Options]:
    used = [name for name in names if name]
    options = OFF | {key: value for name in used for key, value in STEPS[name].items()}
    return ", ".join(used) or "nothing", options


def best_time(options: Options, logits: NDArray[np.float32], draws: int) -> float:
    """Seconds of the fastest of some draws, after a text and with a few forbidden tokens."""
    sampler = Sampler.from_params(SamplingParams(**options), banned=range(8))
    sampler.accept(*range(200))
    times = []
    for _ in range(draws):
        start = perf_counter()
        sampler.accept(sampler.sample(logits))
        times.append(perf_counter() - start)
    return min(times)


def main() -> None:
    """Measure them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocabulary", type=int, default=128_256, help="tokens")
    parser.add_argument("--rounds", type=int, default=4, help="rounds over all combinations")
    parser.add_argument("--draws", type=int, default=3, help="draws of a combination in a round")
    parser.add_argument("--show", type=int, default=20, help="how many to print")
    given = parser.parse_args()
    best: dict[tuple[float, str], float] = {}
    for _, scale in product(range(given.rounds), SCALES):
        normal = np.random.default_rng(0).normal(size=given.vocabulary)
        logits = (normal * scale).astype(np.float32)
        for name, options in chains():
            time = best_time(options, logits, given.draws)
            best[scale, name] = min(time, best.get((scale, name), math.inf))
    slow = sum(time >= 2e-3 for time in best.values())
    print(f"{len(best)} measured, {slow} of them took 2 ms or more; the slowest:")
    for (scale, name), time in sorted(best.items(), key=lambda item: -item[1])[: given.show]:
        print(f"{time * 1e3:5.2f} ms  scale {scale:<4g}  {name}")


if __name__ == "__main__":
    main()
