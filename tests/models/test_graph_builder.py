"""How families look tensors up."""

from __future__ import annotations

import pytest

from models.sizes import SIZES
from pyllama.errors import ModelError
from pyllama.gguf import TensorType
from pyllama.gguf.tensors import TensorInfo
from pyllama.models import ARCHITECTURES
from pyllama.models.build import GraphBuilder
from pyllama.models.config import read_config


def builder(**shapes: tuple[int, ...]) -> GraphBuilder:
    """For a file with float32 tensors of these names and shapes."""
    metadata = {f"llama.{name}": value for name, value in SIZES.items()}
    config = read_config("tiny.gguf", metadata, "llama", ARCHITECTURES["llama"].traits)
    tensors = {
        name: TensorInfo(name, shape, TensorType.F32, 0, 0, 0) for name, shape in shapes.items()
    }
    return GraphBuilder("tiny.gguf", tensors, config)


def test_a_row_may_be_stored_as_a_matrix() -> None:
    b = builder(row=(8,), matrix=(1, 8))
    assert b.weight("matrix", 8).shape == b.weight("row", 8).shape == (8,)
    assert b.weight("row", 1, 8).shape == (1, 8)


@pytest.mark.parametrize("shape", [(7,), (2, 4), (8, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"tensor 'x' is [0-9 x]+, not 8;"):
        builder(x=shape).weight("x", 8)


def test_parts_of_a_tensor_follow_each_other() -> None:
    whole = builder(x=(10, 8)).weight("x", 10, 8)
    part = whole.part(4, 6)
    assert (part.shape, part.first_row) == ((6, 8), 4)
    assert part.part(1, 2).first_row == 5
