"""What a matmul does with a finished sum before it writes it."""

from __future__ import annotations

from pyllama.kernels.functions import ACTIVATIONS
from pyllama.kernels.kernel import Fields
from pyllama.kernels.language import Value

EPILOGUES = ("none", "bias", "residual", "bias+residual", *(f"bias+{name}" for name in ACTIVATIONS))
"""Parts, in order: add ``bias[n]``; apply a function; add ``residual[t, n]``. These are in use,
and functions without a bias."""


def finish(a: Fields, epilogue: str, token: Value, n: Value, total: Value) -> None:
    """Write one output, or as many neighbouring ones as ``total`` has lanes.

    ``a`` has the fields ``out``, ``stride``, ``bias`` and ``residual`` of a matmul.
    """
    place = token * a.stride + n
    lanes = total.type.lanes
    for part in epilogue.split("+"):
        if part == "bias":
            total = total + a.bias.load(n, lanes)
        elif part == "residual":
            total = total + a.residual.load(place, lanes)
        elif part != "none":
            total = ACTIVATIONS[part](total.k, total)
    a.out.store(place, total)
