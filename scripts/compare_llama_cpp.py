"""Runs pyllama bench and llama.cpp's llama-bench in alternation and prints how they compare.

    python scripts/compare_llama_cpp.py --llama-bench PATH -m model.gguf -p 512 -n 128

Both get the same file, threads and sizes, and take turns, so that a machine whose speed drifts
treats them alike. A fair peer is a llama-bench that was built for this processor; ``--isa`` lets
pyllama use no more than a peer that was built for less. Ratios are pyllama's speed to llama.cpp's:
the median over the rounds, and the least and the greatest of them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from turns import spread, take_turns

from pyllama.bench.compare import Test, read_results
from pyllama.bench.plan import name_of_test
from pyllama.commands.report import table
from pyllama.errors import PyllamaError
from pyllama.threads import default_threads

Speeds = dict[Test, float]


@dataclass(frozen=True)
class Program:
    """One of the two: how it is started."""

    name: str
    command: tuple[str, ...]

    def run(self, options: Sequence[str]) -> Speeds:
        """The median speed of every test, in tokens a second."""
        done = subprocess.run([*self.command, *options], capture_output=True, check=False)
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise PyllamaError(f"{self.name} failed with {done.returncode}: {' '.join(last)}")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{self.name}.json"
            path.write_bytes(done.stdout)
            return {found.test: statistics.median(found.samples) for found in read_results(path)}


def comparison(rounds: Sequence[tuple[Speeds, ...]], names: Sequence[str]) -> str:
    """A table with a row for each test that both have run."""
    ours, theirs = rounds[0]
    titles = ("test", *(f"{name} t/s" for name in names), "ratio")
    rows = []
    for test in ours:
        if test in theirs:
            both = [[speeds[test] for speeds in column] for column in zip(*rounds, strict=True)]
            ratios = [a / b for a, b in zip(*both, strict=True)]
            rows.append((name_of_test(*test), *map(spread, (*both, ratios))))
    return table(titles, rows, right=titles[1:])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--llama-bench", type=Path, required=True, help="the program to compare")
    parser.add_argument("-m", "--model", type=Path, required=True)
    parser.add_argument("-p", "--n-prompt", default="512")
    parser.add_argument("-n", "--n-gen", default="128")
    parser.add_argument("-d", "--n-depth", default="0")
    parser.add_argument("-t", "--threads", type=int, default=default_threads()[0])
    parser.add_argument("-r", "--repetitions", type=int, default=3, help="samples in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--isa", help="instruction set for pyllama")
    return parser.parse_args()


def main() -> None:
    """The command line."""
    given = _arguments()
    isa = ("--isa", given.isa) if given.isa else ()
    programs = (
        Program("pyllama", (sys.executable, "-m", "pyllama", "bench", *isa)),
        Program("llama.cpp", (str(given.llama_bench.resolve()),)),
    )
    sizes = {
        "-m": given.model.resolve(),
        "-p": given.n_prompt,
        "-n": given.n_gen,
        "-d": given.n_depth,
        "-t": given.threads,
        "-r": given.repetitions,
        "-o": "json",
    }
    options = [str(part) for pair in sizes.items() for part in pair]
    try:
        rounds = list(take_turns(programs, lambda p: p.run(options), max(1, given.rounds)))
    except (PyllamaError, OSError) as error:
        sys.exit(f"error: {error}")
    print(comparison(rounds, [program.name for program in programs]), end="")


if __name__ == "__main__":
    main()
