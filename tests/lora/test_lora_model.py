"""A model with adapters computes what it computes with the adapters merged into its weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from families.tiny import convert_case
from families.weights import draw_tokens
from models.golden import relative_error
from numpy.typing import NDArray

from lora.adapters import draw, matrices, merge, shapes, write_adapter
from pyllama.graph import ops
from pyllama.lora import Lora
from pyllama.model import Model
from pyllama.session import Session

Logits = NDArray[np.float32]
TOLERANCE = 1e-4
N_TOKENS = 30
TOKENS = draw_tokens("lora", N_TOKENS, 90)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a family's tiny model, by the family's name."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = convert_case(name, tmp_path_factory.mktemp(name))[1]
        return made[name]

    return make


def session(model: Model, ubatch: int = 64) -> Session:
    return Session(model, context=64, ubatch=ubatch, threads=2, cache_type="f32")


def computed(model: Model, ubatch: int) -> Logits:
    """Logits of a prompt, computed in batches of a size, and of tokens after it, one by one."""
    runner = session(model, ubatch)
    rows = list(runner.evaluate(TOKENS[:25], all_logits=True))
    rows += [runner.evaluate(TOKENS[i : i + 1]) for i in range(25, N_TOKENS)]
    return np.stack(rows)


FAMILIES = (
    "llama",  # a matrix each
    "phi3",  # queries, keys and values in one matrix
    "gpt2",  # biases, learned positions, an activation
    "granite",  # scales of embedding and residual
    "gemma2",  # tied: the embedding is adapted, the output matrix is not
    "qwen2moe",  # router, shared expert and its gate
    "deepseek2_lite",  # latents
)


@pytest.mark.parametrize("name", FAMILIES)
def test_as_if_merged(base: Callable[[str], Path], name: str, tmp_path: Path) -> None:
    path = base(name)
    names = [n for n in matrices(path) if n in adaptable_names(path)]
    drawn = draw(shapes(path), names, rank=4)
    architecture = Model.load(path).metadata["general.architecture"]
    write_adapter(tmp_path / "lora.gguf", architecture, drawn)
    adapted = Model.load(path, loras=[Lora(tmp_path / "lora.gguf", 0.7)])
    merged = Model.load(merge(path, tmp_path / "merged.gguf", [(drawn, 0.7)]))
    plain = computed(Model.load(path), 64)
    for ubatch in (64, 7):
        wanted = computed(merged, ubatch)
        assert relative_error(computed(adapted, ubatch), wanted) < TOLERANCE
        assert relative_error(plain, wanted) > 0.05


def adaptable_names(path: Path) -> set[str]:
    """Matrices that ops of the family's graph multiply with."""
    model = Model.load(path)
    found = {
        node.op.weights[0].name
        for node in model.graph.nodes
        if isinstance(node.op, ops.Linear | ops.Embedding)
    }
    gated = [node.op for node in model.graph.nodes if isinstance(node.op, ops.GatedLinear)]
    found |= {weight.name for op in gated for weight in op.weights}
    return {name for name in found if name != "position_embd.weight"}


@pytest.mark.parametrize(("types", "rank"), [("F32", 1), ("F16", 3), ("BF16", 16), ("Q8_0", 32)])
def test_types_and_ranks(
    base: Callable[[str], Path], types: str, rank: int, tmp_path: Path
) -> None:
    path = base("llama")
    drawn = draw(shapes(path), matrices(path), rank)
    held = write_adapter(tmp_path / "lora.gguf", "llama", drawn, types)
    adapted = Model.load(path, loras=[Lora(tmp_path / "lora.gguf")])
    assert {w.type.name for w in adapted.graph.weights()} == {"F32", types}
    merged = Model.load(merge(path, tmp_path / "merged.gguf", [(held, 1.0)]))
    error = relative_error(computed(adapted, 64), computed(merged, 64))
    assert error < (TOLERANCE if types == "F32" else 0.01)
