"""Adapters that do not fit the model, or are none."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from families.tiny import convert_case

from lora.adapters import Drawn, draw, shapes, write_adapter
from pyllama.errors import FileError, ModelError, UsageError
from pyllama.gguf import TensorType, write_gguf
from pyllama.lora import Lora
from pyllama.model import Model

Q = "blk.0.attn_q.weight"
KEYS = {
    "general.architecture": "llama",
    "general.type": "adapter",
    "adapter.type": "lora",
    "adapter.lora.alpha": 8.0,
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert_case("llama", tmp_path_factory.mktemp("llama"))[1]


def load(model: Path, path: Path, scale: float = 1.0) -> Model:
    return Model.load(model, loras=[Lora(path, scale)])


def test_no_such_file(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"absent\.gguf: no such file"):
        load(llama, tmp_path / "absent.gguf")


def test_a_model_is_no_adapter_and_an_adapter_no_model(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is no LoRA adapter: general\.type is 'model'"):
        load(llama, llama)
    write_adapter(tmp_path / "lora.gguf", "llama", draw(shapes(llama), [Q]))
    with pytest.raises(ModelError, match="is an adapter; give it with --lora"):
        Model.load(tmp_path / "lora.gguf")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"general.architecture": "qwen2"}, "is an adapter for 'qwen2', the model is 'llama'"),
        ({"adapter.type": "ia3"}, "adapter.type is 'ia3'"),
        ({"adapter.lora.alpha": "much"}, "adapter.lora.alpha is 'much'"),
        ({"adapter.lora.alpha": float("nan")}, "adapter.lora.alpha is nan"),
        ({"adapter.alora.invocation_tokens": [1, 2]}, "certain tokens switch on"),
    ],
)
def test_metadata(llama: Path, tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    path = tmp_path / "lora.gguf"
    write_adapter(path, "llama", draw(shapes(llama), [Q]), changes=changes)
    with pytest.raises(ModelError, match=re.escape(problem)):
        load(llama, path)


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({}, "holds no pairs"),
        ({f"{Q}.lora_a": (4, 64)}, f"only half of a pair: '{Q}.lora_b' is missing"),
        ({f"{Q}.lora_a": (4, 64), f"{Q}.lora_b": (64, 3)}, "lora_a' is 4 x 64, not 3 x 64"),
        ({f"{Q}.lora_a": (4, 64), f"{Q}.lora_b": (32, 4)}, "lora_b' is 32 x 4, not 64 x 4"),
        ({f"{Q}.lora_a": (4, 64), f"{Q}.lora_b": (4,)}, "lora_b' is 4, not 64 x 4"),
        (
            {"blk.7.attn_q.weight.lora_a": (4, 64), "blk.7.attn_q.weight.lora_b": (64, 4)},
            "adapts 'blk.7.attn_q.weight', which the model does not have",
        ),
        (
            {"output_norm.weight.lora_a": (1, 64), "output_norm.weight.lora_b": (1, 1)},
            "adapts 'output_norm.weight'; only plain matrices",
        ),
        ({f"{Q}.magnitude": (64,)}, f"has the tensor '{Q}.magnitude', which is half of no pair"),
    ],
)
def test_tensors(
    llama: Path, tmp_path: Path, tensors: dict[str, tuple[int, ...]], problem: str
) -> None:
    path = tmp_path / "lora.gguf"
    table = {n: (s, TensorType.F32, np.ones(s, np.float32)) for n, s in tensors.items()}
    write_gguf(path, KEYS, table)
    with pytest.raises(ModelError, match=re.escape(problem)):
        load(llama, path)


def test_a_type_without_kernels(llama: Path, tmp_path: Path) -> None:
    path = tmp_path / "lora.gguf"
    table = {
        f"{Q}.lora_a": ((4, 64), TensorType.I8, np.ones((4, 64), np.int8)),
        f"{Q}.lora_b": ((64, 4), TensorType.F32, np.ones((64, 4), np.float32)),
    }
    write_gguf(path, KEYS, table)
    with pytest.raises(ModelError, match="has type i8, which pyllama does not compute with"):
        load(llama, path)


def test_experts(tmp_path: Path) -> None:
    model = convert_case("mixtral", tmp_path)[1]
    name = "blk.0.ffn_up_exps.weight"
    pair = np.ones((4, 2, 64), np.float32), np.ones((4, 96, 2), np.float32)
    write_adapter(tmp_path / "lora.gguf", "llama", Drawn({name: pair}))
    with pytest.raises(ModelError, match=f"adapts '{name}'; only plain matrices"):
        load(model, tmp_path / "lora.gguf")


def test_norms_are_left_out(llama: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "lora.gguf"
    shapes_ = {f"{Q}.lora_a": (4, 64), f"{Q}.lora_b": (64, 4), "output_norm.weight": (64,)}
    table = {n: (s, TensorType.F32, np.ones(s, np.float32)) for n, s in shapes_.items()}
    write_gguf(path, KEYS, table)
    with caplog.at_level(logging.WARNING):
        load(llama, path)
    assert "output_norm.weight is left out" in caplog.text


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_scales(llama: Path, tmp_path: Path, scale: float) -> None:
    with pytest.raises(UsageError, match="scale is"):
        load(llama, tmp_path / "lora.gguf", scale)
