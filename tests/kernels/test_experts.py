"""Kernels of a mixture of experts: the route, the groups, and the matmuls in every way."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_cases.case import Launch, run
from kernel_cases.experts import Mixture, batch_case, few_tokens_case
from kernel_cases.matmuls import is_quantized
from kernel_cases.meaning import VECTOR, Step
from kernel_cases.memory import Memory
from kernel_cases.targets import MAIN, TILES
from quick import in_turn

from pyllama.gguf.types import TensorType
from pyllama.graph.ops import Weight
from pyllama.graph.ops.experts import Route
from pyllama.kernels import int8_panels
from pyllama.kernels.jit import Library
from pyllama.kernels.routing import SCORES, group, groups_bytes, positions, route

INTEGER = (TensorType.Q4_K, TensorType.Q8_0, TensorType.Q4_1)
SOME = (TensorType.F32, TensorType.BF16, TensorType.Q8_0, TensorType.Q4_K, TensorType.MXFP4)


def routed(library: Library, op: Route, logits: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """What the kernel makes of logits."""
    memory = Memory()
    out = memory.empty((len(logits), 2 * op.used), np.float32)
    kernel = route(
        experts=op.experts, used=op.used, score=op.score, biased=op.bias is not None,
        normalized=op.normalized, groups=op.groups, groups_used=op.groups_used,
        group_best=op.group_best,
    )  # fmt: skip
    arguments = {
        "logits": memory.copy(logits), "bias": memory.copy(bias), "out": out, "scale": op.scale,
    }  # fmt: skip
    library.load([kernel])
    run(library, Launch(kernel, len(logits), arguments))
    memory.check()
    return out


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    ("experts", "used", "groups"), [(4, 2, 1), (7, 7, 1), (33, 5, 1), (16, 4, 4)]
)
def test_route_is_what_it_means(
    score: str, experts: int, used: int, groups: int, library: Library
) -> None:
    rng = np.random.default_rng(experts)
    bias = rng.normal(0, 0.3, experts).astype(np.float32)
    best = 2 if groups > 1 else 1
    op = Route(
        experts, used, score, normalized=groups == 1, scale=1.5,
        bias=Weight(VECTOR, (experts,), TensorType.F32) if groups > 1 else None,
        groups=groups, groups_used=max(1, groups // 2), group_best=best,
    )  # fmt: skip
    logits = rng.normal(0, 2, (20, experts)).astype(np.float32)
    logits[3] = 0.5  # all alike: the first ones are chosen
    expected = op.meaning(Step(weight=bias), logits)
    got = routed(library, op, logits, bias)
    assert (got[:, :used] == expected[:, :used]).all()
    np.testing.assert_allclose(got[:, used:], expected[:, used:], rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("groups", [1, 2])
def test_route_of_no_numbers_stays_among_the_experts(
    value: float, groups: int, library: Library
) -> None:
    op = Route(8, 4, "softmax", normalized=True, groups=groups, groups_used=1, group_best=groups)
    logits = np.zeros((3, 8), np.float32)
    logits[0, 2], logits[1, :7], logits[2] = value, value, value
    chosen = routed(library, op, logits, np.zeros(8, np.float32))[:, :4]
    for row in chosen:
        assert set(row) <= set(range(8))
        assert len(set(row)) == 4


@pytest.mark.parametrize(("experts", "used", "tokens", "block"), [(4, 2, 1, 1), (9, 3, 50, 32)])
def test_groups(experts: int, used: int, tokens: int, block: int, library: Library) -> None:
    rng = np.random.default_rng(tokens)
    chosen = np.stack([rng.permutation(experts)[:used] for _ in range(tokens)])
    memory = Memory()
    pairs = tokens * used
    out = memory.empty(groups_bytes(pairs, experts, block) // 4, np.int32)
    kernel = group(rows="n_tokens", experts=experts, used=used, block=block)
    routes = np.concatenate([chosen, np.ones(chosen.shape)], axis=1)
    library.load([kernel])
    arguments = {"route": memory.copy(routes, np.float32), "out": out}
    run(library, Launch(kernel, 1, arguments, {"n_tokens": tokens}))
    memory.check()
    starts, counts = out[: experts + 1], out[experts + 1 : 2 * experts + 1]
    assert starts[0] == 0
    assert starts[-1] <= positions(pairs, experts, block)
    for e in range(experts):
        mine = np.flatnonzero(chosen.reshape(-1) == e)
        place = out[2 * experts + 1 :][starts[e] : starts[e + 1]]
        assert counts[e] == len(mine)
        assert len(place) == -(-len(mine) // block) * block
        assert (place[: len(mine)] == mine).all()
        assert (place[len(mine) :] == mine[:1]).all()


def mixture(type: TensorType, tokens: int, **variant: object) -> Mixture:
    """Widths that every format has, one of them no multiple of a tile."""
    size = type.block_size if is_quantized(type) else 1
    width, hidden = (256, 512) if size == 256 else (96, 64) if size == 32 else (100, 70)
    return Mixture(5, 2, tokens, width, hidden, type, **variant)  # type: ignore[arg-type]


VARIANTS = [
    pytest.param({}, id="plain"),
    pytest.param({"activation": "clamped", "biased": True, "has_residual": True}, id="biased"),
]


@pytest.mark.parametrize(
    ("type", "variant", "columns", "library"),
    in_turn(SOME, VARIANTS, (1, 2), MAIN),
    indirect=["library"],
)
def test_few_tokens(
    type: TensorType, columns: int, variant: dict[str, object], library: Library
) -> None:
    few_tokens_case(library.isa, mixture(type, 1 if columns == 1 else 7, **variant), columns).run(
        library
    )


@pytest.mark.parametrize(
    ("type", "variant", "library"), in_turn(SOME, VARIANTS, MAIN), indirect=["library"]
)
def test_batches(type: TensorType, variant: dict[str, object], library: Library) -> None:
    batch_case(library.isa, mixture(type, 50, task_rows=64, **variant), "floats").run(library)


@pytest.mark.parametrize(
    ("type", "variant", "library"), in_turn(INTEGER, VARIANTS, MAIN), indirect=["library"]
)
def test_batches_of_integers(
    type: TensorType, variant: dict[str, object], library: Library
) -> None:
    if not int8_panels.fits(library.isa, type):
        type = TensorType.Q4_1  # every instruction set takes unsigned weights
    batch_case(library.isa, mixture(type, 50, task_rows=64, **variant), "int8").run(library)


@pytest.mark.parametrize("library", TILES, indirect=True)
@pytest.mark.parametrize(("type", "variant"), in_turn(SOME, VARIANTS))
def test_tiles(type: TensorType, variant: dict[str, object], library: Library) -> None:
    mix = mixture(type, 50, task_rows=64, **variant)
    batch_case(library.isa, mix, "tiles").run(library)
    if mix.hidden % 32 == 0:
        batch_case(library.isa, mix, "tiles", packed=True).run(library)
