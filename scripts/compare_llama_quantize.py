"""Quantizes a model with pyllama and with llama-quantize and prints how the results compare.

    python scripts/compare_llama_quantize.py --llama-quantize PATH model-f16.gguf Q4_K_M IQ4_XS

For each type the two take turns with the same threads; times are those of whole processes. Then
their files are compared tensor by tensor: types, the share of blocks whose bytes are equal, and the
root mean square errors against the model as a ratio, pyllama's to llama.cpp's. Without types, all
of them are made; those that want an importance matrix only with ``--imatrix``.

Both write to ``--folder``: on a disk that is slow to write, in memory, the times are of the work.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from turns import spread, take_turns

from pyllama.commands.quantize import TYPES
from pyllama.commands.report import table
from pyllama.errors import PyllamaError
from pyllama.gguf import GGUFFile, TensorInfo
from pyllama.quantize import QuantizeOptions, make_plan, obstacles, parse_recipe, read_importance
from pyllama.quants import Floats, dequantize
from pyllama.threads import default_threads

SLAB = 1 << 20
"""Weights that are compared at a time."""


@dataclass(frozen=True)
class Program:
    """One of the two: how it is started, and what it writes."""

    name: str
    command: tuple[str, ...]
    output: Path

    def run(self, model: Path, recipe: str, threads: int) -> float:
        """Make the file; seconds from start to end."""
        self.output.unlink(missing_ok=True)
        command = [*self.command, str(model), str(self.output), recipe, str(threads)]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, check=False)
        seconds = time.perf_counter() - start
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise PyllamaError(f"{self.name} failed with {done.returncode}: {' '.join(last)}")
        return seconds


@dataclass
class Likeness:
    """How much two files are alike, added up over their tensors."""

    blocks: int = 0
    equal: int = 0
    squares: float = 0.0
    other_squares: float = 0.0
    other_types: int = 0
    """Tensors to which the two gave different types; these are not compared."""

    @property
    def share(self) -> float:
        """Of the blocks those with equal bytes."""
        return self.equal / self.blocks if self.blocks else 1.0

    @property
    def error_ratio(self) -> float:
        """Root mean square error of the first file to that of the second."""
        return (self.squares / self.other_squares) ** 0.5 if self.other_squares else 1.0


def likeness(model: Path, ours: Path, theirs: Path) -> Likeness:
    """Compare what two programs made of a model; tensors that were copied do not count."""
    result = Likeness()
    with GGUFFile.open(model) as source, GGUFFile.open(ours) as a, GGUFFile.open(theirs) as b:
        if a.tensors.keys() != b.tensors.keys():
            raise PyllamaError(f"{ours} and {theirs} do not have the same tensors")
        for name, info in a.tensors.items():
            if info.type is not b.tensors[name].type:
                result.other_types += 1
            elif info.type is not source.tensors[name].type:
                for rows in _slabs(info):
                    _add(result, *(_part(file, name, rows) for file in (source, a, b)))
    return result


Part = tuple[np.ndarray[tuple[int], np.dtype[np.uint8]], TensorInfo, slice]


def _slabs(info: TensorInfo) -> Iterator[slice]:
    """Ranges of whole rows."""
    rows = info.n_elements // info.shape[-1]
    step = max(1, SLAB // info.shape[-1])
    return (slice(start, min(rows, start + step)) for start in range(0, rows, step))


def _part(file: GGUFFile, name: str, rows: slice) -> Part:
    info = file.tensors[name]
    row_bytes = info.shape[-1] // info.type.block_size * info.type.block_bytes
    return file.data(name)[rows.start * row_bytes : rows.stop * row_bytes], info, rows


def _add(result: Likeness, source: Part, ours: Part, theirs: Part) -> None:
    size = ours[1].type.block_bytes
    same = ours[0].reshape(-1, size) == theirs[0].reshape(-1, size)
    result.blocks += len(same)
    result.equal += int(same.all(axis=1).sum())
    wanted = _values(source)
    result.squares += float(np.square(_values(ours) - wanted, dtype=np.float64).sum())
    result.other_squares += float(np.square(_values(theirs) - wanted, dtype=np.float64).sum())


def _values(part: Part) -> Floats:
    data, info, rows = part
    return dequantize(data, info.type, (rows.stop - rows.start, info.shape[-1]))


def possible_types(model: Path, imatrix: Path | None) -> list[str]:
    """The types that can be made of a model with what there is."""
    importance = None if imatrix is None else read_importance(imatrix)
    options = QuantizeOptions(importance=importance, allow_requantize=True)
    with GGUFFile.open(model) as file:
        return [
            t for t in TYPES.split() if not obstacles(make_plan(file, parse_recipe(t), options))
        ]


def comparison(given: argparse.Namespace, folder: Path) -> Iterator[tuple[str, ...]]:
    """A row for each type."""
    extra = [f"--imatrix={given.imatrix}"] if given.imatrix else []
    theirs = ["--imatrix", str(given.imatrix)] if given.imatrix else []
    programs = (
        Program("pyllama", (sys.executable, "-m", "pyllama", "quantize", "--allow-requantize",
                            *extra), folder / "pyllama.gguf"),
        Program("llama.cpp", (str(given.llama_quantize.resolve()), "--allow-requantize", *theirs),
                folder / "llama.gguf"),
    )  # fmt: skip
    for recipe in given.types or possible_types(given.model, given.imatrix):
        run = partial(Program.run, model=given.model, recipe=recipe, threads=given.threads)
        rounds = list(take_turns(programs, run, given.rounds))
        seconds = [[times[i] for times in rounds] for i in range(2)]
        ratios = [b / a for a, b in rounds]
        found = likeness(given.model, *(program.output for program in programs))
        odd = f", {found.other_types} of other types" if found.other_types else ""
        yield (
            recipe,
            *(f"{statistics.median(s):.2f}" for s in seconds),
            spread(ratios),
            f"{100 * found.share:.4f} %{odd}",
            f"{found.error_ratio:.6f}",
        )


def _arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--llama-quantize", type=Path, required=True, help="the program to compare")
    parser.add_argument("model", type=Path)
    parser.add_argument("types", nargs="*", help="names of types; all that are possible")
    parser.add_argument("-t", "--threads", type=int, default=default_threads()[0])
    parser.add_argument("--imatrix", type=Path, help="importance matrix for both")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where both write; a temporary one")
    return parser.parse_args(arguments)


def main() -> None:
    """The command line."""
    given = _arguments()
    titles = ("type", "pyllama s", "llama.cpp s", "times as fast", "equal blocks", "error ratio")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        try:
            rows = list(comparison(given, Path(folder)))
        except (PyllamaError, OSError) as error:
            sys.exit(f"error: {error}")
    print(table(titles, rows, right=titles[1:]), end="")


if __name__ == "__main__":
    main()
