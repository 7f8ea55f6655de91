"""Are all weights of a model numbers? A damaged file may say otherwise long before it crashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyllama import quants
from pyllama.errors import ModelError

if TYPE_CHECKING:
    from pyllama.graph.ops import Weight
    from pyllama.model import Model

_ELEMENTS = 1 << 22
"""Elements that are decoded at a time."""


def check_tensors(model: Model) -> None:
    """Decode every weight that the model computes with, some rows at a time.

    Raises ModelError, naming the tensor, where one has infinities or what is no number.
    """
    for weight in model.graph.weights():
        if not _is_finite(model, weight):
            raise ModelError(
                model.path,
                f"tensor {weight.name!r} has values that are no finite numbers",
                "the file is damaged, or was converted badly: get it again",
            )


def _is_finite(model: Model, weight: Weight) -> bool:
    data = model.weight(weight.name)
    columns = weight.shape[-1]
    rows = int(np.prod(weight.shape[:-1], dtype=np.int64))
    step = max(1, _ELEMENTS // columns)
    row_bytes = len(data) // rows
    for start in range(0, rows, step):
        count = min(step, rows - start)
        part = data[start * row_bytes : (start + count) * row_bytes]
        if not np.isfinite(quants.dequantize(part, weight.type, (count, columns))).all():
            return False
    return True
