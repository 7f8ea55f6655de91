"""The work of ops: bytes that must be read, operations that must be done."""

from __future__ import annotations

import pytest

from pyllama.cache import cache_layout
from pyllama.gguf import TensorType
from pyllama.graph.graph import Node, make_node
from pyllama.graph.mode import Mode
from pyllama.graph.ops import (
    Add,
    Attention,
    Embedding,
    GatedExperts,
    HeadLinear,
    Linear,
    Rows,
    SelectRows,
    SumExperts,
    Tensor,
    Weight,
)
from pyllama.graph.work import StepSize, Work, work_of

X = Tensor("x", Rows.TOKENS, 512)
WEIGHT = Weight("w", (100, 512), TensorType.Q4_K)
WEIGHT_BYTES = 100 * 2 * 144


def step(tokens: int, depth: int = 0, cache: str = "f16", outputs: int = 1) -> StepSize:
    return StepSize(Mode(tokens, outputs), depth, cache_layout(256, 1, cache, cache))


def attention(window: int = 0) -> Node:
    keys = Tensor("k", Rows.TOKENS, 128)
    return make_node(Attention(0, 8, 2, 64, 1.0, window), [X, keys, keys], "attention")


def test_a_matmul_reads_its_weights_once_and_multiplies_them_with_every_row() -> None:
    node = make_node(Linear(WEIGHT), [X], "y")
    assert work_of(node, step(1)) == Work(WEIGHT_BYTES, 2 * 100 * 512)
    assert work_of(node, step(20)) == Work(WEIGHT_BYTES, 20 * 2 * 100 * 512)


def test_a_matmul_of_selected_rows_has_only_those() -> None:
    selected = make_node(SelectRows(), [X], "selected")
    node = make_node(Linear(WEIGHT), [selected.output], "y")
    assert work_of(node, step(20, outputs=3)).flops == 3 * 2 * 100 * 512


def test_an_embedding_reads_a_row_a_token() -> None:
    assert work_of(make_node(Embedding(WEIGHT), [], "e"), step(7)) == Work(7 * 288, 0)


@pytest.mark.parametrize(("cache", "head"), [("f16", 128), ("f32", 256), ("q8_0", 68)])
def test_attention_of_one_token_reads_what_is_cached(cache: str, head: int) -> None:
    work = work_of(attention(), step(1, depth=99, cache=cache))
    assert work == Work(100 * 2 * 2 * head, 100 * 4 * 8 * 64)


def test_attention_of_a_batch_sees_more_with_every_token() -> None:
    work = work_of(attention(), step(4, depth=10))
    assert work == Work(14 * 2 * 2 * 128, (11 + 12 + 13 + 14) * 4 * 8 * 64)


def test_a_window_bounds_what_is_seen() -> None:
    assert work_of(attention(window=8), step(1, depth=99)).n_bytes == 8 * 2 * 2 * 128
    work = work_of(attention(window=8), step(4, depth=5))
    assert work == Work(9 * 2 * 2 * 128, (6 + 7 + 8 + 8) * 4 * 8 * 64)


def test_experts_that_are_not_chosen_do_not_count() -> None:
    weight = Weight("e", (8, 100, 512), TensorType.Q4_K)
    route = Tensor("route", Rows.TOKENS, 2 * 2)
    one = make_node(GatedExperts(weight, weight), [X, route], "gated")
    assert work_of(one, step(1)) == Work(2 * 2 * WEIGHT_BYTES, 2 * 2 * 2 * 100 * 512)
    assert work_of(one, step(3)).flops == 3 * work_of(one, step(1)).flops
    chosen = 8 * (1 - 0.75**3)  # of which three tokens choose two each
    assert work_of(one, step(3)).n_bytes == round(chosen * 2 * WEIGHT_BYTES)
    inner = Tensor("inner", Rows.TOKENS, 2 * 512)
    assert work_of(make_node(SumExperts(weight), [inner, route], "sum"), step(1)) == Work(
        2 * WEIGHT_BYTES, 2 * 2 * 100 * 512
    )


def test_every_head_has_its_matrix() -> None:
    weight = Weight("h", (4, 100, 256), TensorType.Q4_K)
    x = Tensor("heads", Rows.TOKENS, 4 * 256)
    work = work_of(make_node(HeadLinear(weight), [x], "y"), step(3))
    assert work == Work(4 * 100 * 144, 3 * 2 * 4 * 100 * 256)


def test_other_ops_have_none() -> None:
    assert work_of(make_node(Add(), [X, X], "sum"), step(5)) == Work()
