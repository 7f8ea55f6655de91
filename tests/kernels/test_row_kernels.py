"""Norm, gate, sum, row selection and rotary embedding against the meanings of their ops."""

from __future__ import annotations

import pytest
from kernel_cases import rows

from pyllama.graph.ops.elements import FUNCTIONS, GATES
from pyllama.kernels import gates
from pyllama.kernels.hadamard import turned_size
from pyllama.kernels.jit import Library
from pyllama.kernels.rope import STYLES


@pytest.mark.parametrize("width", rows.WIDTHS)
def test_rms_norm(width: int, library: Library) -> None:
    rows.rms_norm_case(width).run(library)


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e-3, 1e15])
def test_rms_norm_of_groups(scale: float, library: Library) -> None:
    rows.rms_norm_case(36, groups=3, scale=scale).run(library)


@pytest.mark.parametrize("width", rows.WIDTHS)
def test_norms_of_groups_with_weights_of_their_own(width: int, library: Library) -> None:
    rows.rms_norm_case(width, groups=3, own_weights=True).run(library)
    rows.layer_norm_case(width, groups=3, own_weights=True).run(library)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("width", rows.WIDTHS)
def test_layer_norm(width: int, biased: bool, library: Library) -> None:
    rows.layer_norm_case(width, biased=biased).run(library)


@pytest.mark.parametrize("activation", GATES)
@pytest.mark.parametrize("width", rows.WIDTHS)
def test_gate(width: int, activation: str, library: Library) -> None:
    rows.gate_case(width, activation).run(library)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("width", rows.WIDTHS)
def test_functions_of_elements(width: int, function: str, library: Library) -> None:
    rows.each_case(width, function).run(library)


def test_every_gate_has_a_meaning() -> None:
    assert set(GATES) == set(gates.GATES)


@pytest.mark.parametrize("size", [2, 32, 64])
def test_hadamard(size: int, library: Library) -> None:
    rows.hadamard_case(size).run(library)


def test_sizes_that_are_turned_together() -> None:
    assert [turned_size(*dims) for dims in ((64,), (96,), (256,), (576, 512))] == [64, 32, 64, 64]


@pytest.mark.parametrize("width", rows.WIDTHS)
def test_add(width: int, library: Library) -> None:
    rows.add_case(width).run(library)
    rows.add_case(width, scale=0.25).run(library)


@pytest.mark.parametrize("width", rows.WIDTHS)
def test_select_rows(width: int, library: Library) -> None:
    rows.select_rows_case(width).run(library)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("pairs", "head_dim"), [(1, 2), (4, 8), (10, 20), (12, 32), (16, 33), (64, 128)]
)
def test_rope(pairs: int, head_dim: int, style: str, library: Library) -> None:
    rows.rope_case(style, pairs, head_dim).run(library)
    rows.rope_case(style, pairs, head_dim, in_place=True).run(library)
