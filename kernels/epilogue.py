"""What a matmul does with a finished sum before it writes it."""

from __future__ import annotations

from pyllama.kernels.kernel import Fields
from pyllama.kernels.language import Value

EPILOGUES = ("none", "bias", "residual")
"""Write the sum; add ``extra[n]``; add ``extra[t, n]``."""


def finish(a: Fields, epilogue: str, token: Value, n: Value, total: Value) -> None:
    """Write one output, or as many neighbouring ones as ``total`` has lanes.

    ``a`` has the fields ``out``, ``stride`` and ``extra`` of a matmul.
    """
    place = token * a.stride + n
    lanes = total.type.lanes
    if epilogue == "bias":
        total = total + a.extra.load(n, lanes)
    elif epilogue == "residual":
        total = total + a.extra.load(place, lanes)
    a.out.store(place, total)
