"""The check that a model does before it relies on an instruction set."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from pyllama import model, quants
from pyllama.errors import TargetError
from pyllama.gguf.types import TensorType
from pyllama.kernels import self_check
from pyllama.kernels.formats import FORMATS
from pyllama.kernels.jit import Library
from pyllama.kernels.target import available


def test_every_format_passes(library: Library) -> None:
    assert self_check.wrong_types(library, FORMATS) == []


def test_what_is_wrong_is_found(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    right = quants.dequantize

    def slightly_off(*arguments: Any) -> Any:
        return right(*arguments) * 1.01

    monkeypatch.setattr(quants, "dequantize", slightly_off)
    some = [TensorType.F32, TensorType.Q4_0, TensorType.Q4_K]
    assert self_check.wrong_types(library, some) == some


def test_the_next_instruction_set_takes_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    best, *others = available()

    def wrong(library: Library, types: set[TensorType]) -> list[TensorType]:
        return sorted(types) if library.isa.name == best.name else []

    monkeypatch.setattr(model, "wrong_types", wrong)
    with caplog.at_level(logging.WARNING):
        if others:
            chosen = model._checked_library(None, {TensorType.Q4_K})
            assert chosen.isa.name == others[0].name
        with pytest.raises(TargetError, match="no instruction set"):
            model._checked_library(best.name, {TensorType.Q4_K})
    assert f"{best.name} computes q4_K wrongly on this machine: not used" in caplog.text
