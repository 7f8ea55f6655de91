"""Writes docs/quantization.md: what each type costs the built-in model, and how large it is.

    python scripts/make_quality_table.py

The model is made in every type, and each of them reads the same held-out files of the standard
library (see ``builtin_model/corpus.py``), as it runs here. Needs matplotlib for the picture.
"""

from __future__ import annotations

import argparse
import math
import platform
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from builtin_model.corpus import SourceFile, source_files, standard_library
from numpy.typing import NDArray

from pyllama import builtin
from pyllama.commands.quantize import TYPES
from pyllama.gguf import GGUFFile
from pyllama.imatrix.collecting import Collector
from pyllama.model import Model
from pyllama.perplexity.windows import Windows
from pyllama.picture import save
from pyllama.quantize import (
    Importance,
    QuantizeOptions,
    make_plan,
    parse_recipe,
    write_plan,
)
from pyllama.session import Session
from pyllama.threads import default_threads

FOLDER = Path(__file__).resolve().parent.parent / "docs"
WINDOW = 512
IMPORTANCE_FILES = 100
SEED = 1
REFERENCE = "F32"

TEXT = """\
# What quantization costs

Written by `scripts/make_quality_table.py`: the built-in model (4.6 million weights, width 256) in
every type that `pyllama quantize` makes, measured on {tokens:,} tokens of files of Python's
standard library that it was not trained on (Python {python}; windows of {window} tokens, of which
the second half is predicted), with the kernels for {isa}. Those marked * are made with an
importance matrix, collected over other files.

- *bits*: of the file's tensors, for each weight; the recipes keep some tensors at more bits.
- *perplexity*: of the next token; the ± is its standard error, which all rows share.
- *divergence*: Kullback-Leibler divergence of the predictions from those of F32, mean and 99th
  percentile, in nats.
- *same first choice*: how often the likeliest token is that of F32.

A model as small as this loses more than a large one: read the table as an order, not as amounts.
TQ1_0 and TQ2_0 are for models that were trained to three levels. MXFP4_MOE is Q8_0 here: only
experts become MXFP4.

{table}
![Size and divergence](quantization.svg)
"""


@dataclass(frozen=True)
class Quality:
    """One row of the table."""

    recipe: str
    weighted: bool
    n_bytes: int
    bits: float
    perplexity: float
    error: float
    divergences: NDArray[np.float64]
    agreement: float

    @property
    def divergence(self) -> float:
        """The mean."""
        return float(self.divergences.mean())


class Measured:
    """Sums over the predictions of one model."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.losses: list[NDArray[np.float64]] = []
        self.divergences: list[NDArray[np.float64]] = []
        self.agreements: list[NDArray[np.bool_]] = []

    def read(
        self, window: Sequence[int], reference: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Predict the second half of a window; the logarithms of the probabilities."""
        self.session.reset()
        half = len(window) // 2
        logits = self.session.evaluate(window[:-1], all_logits=True)[half - 1 :]
        logs = log_softmax(logits.astype(np.float64))
        wanted = reference if reference is not None else logs
        self.losses.append(-logs[np.arange(len(logs)), window[half:]])
        self.divergences.append((np.exp(wanted) * (wanted - logs)).sum(axis=1))
        self.agreements.append(logs.argmax(axis=1) == wanted.argmax(axis=1))
        return logs


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms of probabilities, row by row."""
    shifted: NDArray[np.float64] = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def windows(model: Model, files: Sequence[SourceFile], count: int, length: int) -> list[list[int]]:
    """Windows of tokens, drawn from all of the files."""
    found = []
    for file in files:
        ids = model.tokenizer.encode("<|endoftext|>" + file.text, parse_special=True)
        found += [ids[i : i + length] for i in range(0, len(ids) - length + 1, length)]
    random.Random(SEED).shuffle(found)
    return found[:count]


def collect_importance(model: Model, windows: Sequence[Sequence[int]]) -> Importance:
    """What ``pyllama imatrix`` collects over windows of tokens, all of one length."""
    size = len(windows[0])
    collector = Collector(Session(model, context=size), scores=False)
    for _ in collector.steps(Windows.saved(np.array(windows, np.int32).reshape(-1), size, None)):
        pass
    return Importance.of(collector.imatrix(Path("imatrix.gguf"), ("standard library",), size))


@dataclass(frozen=True)
class Made:
    """A file in one type: the bytes of its tensors, and their bits for each weight."""

    path: Path
    n_bytes: int
    bits: float


def make(source: Path, recipe: str, importance: Importance, folder: Path) -> Made:
    """The model in one type."""
    path = folder / f"{recipe}.gguf"
    options = QuantizeOptions(importance=importance if needs_importance(recipe) else None)
    with GGUFFile.open(source) as file:
        plan = make_plan(file, parse_recipe(recipe), options)
        for _ in write_plan(plan, path, default_threads()[0]):
            pass
        return Made(path, plan.n_bytes, 8 * plan.n_bytes / plan.n_elements)


def needs_importance(recipe: str) -> bool:
    """Whether a recipe is made with an importance matrix: below four bits it always helps."""
    return recipe.startswith(("IQ1", "IQ2", "IQ3", "Q2", "Q3"))


def qualities(count: int, importance_windows: int, folder: Path) -> Iterator[Quality]:
    """A row for each type, the reference first."""
    files = list(source_files(standard_library()))
    source = Model.load(builtin.path())
    text = windows(source, [f for f in files if f.held_out], count, WINDOW)
    print(f"{len(text)} windows; collecting importance", file=sys.stderr)
    others = random.Random(SEED).sample([f for f in files if not f.held_out], IMPORTANCE_FILES)
    importance = collect_importance(source, windows(source, others, importance_windows, WINDOW))
    recipes = [REFERENCE, *(t for t in TYPES.split() if t != REFERENCE)]
    made = {recipe: make(builtin.path(), recipe, importance, folder) for recipe in recipes}
    measured = {
        recipe: Measured(Session(Model.load(file.path), context=WINDOW, cache_type="f32"))
        for recipe, file in made.items()
    }
    for number, window in enumerate(text, start=1):
        reference = measured[REFERENCE].read(window, None)
        for recipe in recipes[1:]:
            measured[recipe].read(window, reference)
        print(f"window {number} of {len(text)}", file=sys.stderr)
    for recipe in recipes:
        yield _quality(recipe, made[recipe], measured[recipe])


def _quality(recipe: str, made: Made, measured: Measured) -> Quality:
    losses = np.concatenate(measured.losses)
    perplexity = math.exp(losses.mean())
    return Quality(
        recipe=recipe,
        weighted=needs_importance(recipe),
        n_bytes=made.n_bytes,
        bits=made.bits,
        perplexity=perplexity,
        error=perplexity * float(losses.std()) / math.sqrt(len(losses)),
        divergences=np.concatenate(measured.divergences),
        agreement=float(np.concatenate(measured.agreements).mean()),
    )


def as_table(rows: Sequence[Quality]) -> str:
    """Markdown, from the largest file to the smallest."""
    titles = ("type", "MB", "bits", "perplexity", "divergence", "99 %", "same first choice")
    lines = [" | ".join(titles), " | ".join(["---"] + ["---:"] * (len(titles) - 1))]
    for row in sorted(rows, key=lambda row: -row.n_bytes):
        cells = (
            row.recipe + "*" * row.weighted,
            f"{row.n_bytes / 1e6:.2f}",
            f"{row.bits:.2f}",
            f"{row.perplexity:.3f} ± {row.error:.2f}",
            f"{row.divergence:.5f}",
            f"{np.quantile(row.divergences, 0.99):.4f}",
            f"{100 * row.agreement:.1f} %",
        )
        lines.append(" | ".join(cells))
    return "".join(f"| {line} |\n" for line in lines)


def draw(rows: Sequence[Quality], path: Path) -> None:
    """Size against divergence, both logarithmic: the lower left is best."""
    from matplotlib.figure import Figure

    shown = [row for row in rows if row.recipe != REFERENCE and row.divergence > 0]
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log", xlabel="bits per weight", ylabel="divergence from F32")
    for weighted, label in ((False, "plain"), (True, "with importance matrix")):
        chosen = [row for row in shown if row.weighted is weighted]
        axes.scatter([r.bits for r in chosen], [r.divergence for r in chosen], s=18, label=label)
    # labels of neighbours on different sides, since many lie close together
    sides = (((4, 3), "left"), ((-4, -8), "right"))
    for number, row in enumerate(sorted(shown, key=lambda row: (row.bits, row.divergence))):
        offset, alignment = sides[number % 2]
        axes.annotate(
            row.recipe,
            (row.bits, row.divergence),
            offset,
            textcoords="offset points",
            fontsize=7,
            horizontalalignment=alignment,
        )
    ticks = (2, 3, 4, 5, 6, 8, 12, 16)
    axes.set_xlim(2, 20)
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--windows", type=int, default=64, help=f"of {WINDOW} tokens, to measure on"
    )
    parser.add_argument("--importance-windows", type=int, default=64)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = list(qualities(given.windows, given.importance_windows, Path(folder)))
    text = TEXT.format(
        tokens=len(rows[0].divergences),
        python=platform.python_version(),
        window=WINDOW,
        isa=Model.load(builtin.path()).library.isa.name,
        table=as_table(rows),
    )
    (FOLDER / "quantization.md").write_text(text)
    draw(rows, FOLDER / "quantization.svg")


if __name__ == "__main__":
    main()
