"""gpt-oss as it is published: experts in four-bit floats, which the file keeps bit by bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from families.golden import load
from families.weights import draw_all
from pyllama.convert import ConvertOptions, convert
from pyllama.errors import ConversionError
from pyllama.gguf import TensorType
from pyllama.gguf.file_types import FileType
from pyllama.model import Model

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
VALUES = np.concatenate([E2M1, -E2M1])
SHAPES = {"gate_up_proj": (4, 192, 64), "down_proj": (4, 64, 96)}
"""(experts, rows, columns) of the two matrices of the tiny model."""


def packed(name: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The two tensors of a matrix, and the numbers that they mean: neighbours share a byte."""
    rng = np.random.default_rng(len(name))
    experts, rows, columns = SHAPES[name]
    blocks = rng.integers(0, 256, (experts, rows, columns // 32, 16), np.uint8)
    scales = rng.integers(118, 124, blocks.shape[:-1], np.uint8)
    codes = np.stack([blocks & 15, blocks >> 4], axis=-1).reshape(*scales.shape, 32)
    values = VALUES[codes] * np.exp2(scales.astype(np.float32) - 127)[..., None]
    tensors = {f"{name}_blocks": blocks, f"{name}_scales": scales}
    return tensors, values.reshape(experts, rows, columns)


def checkpoint(folder: Path, **changed: np.ndarray) -> Path:
    """The golden case's checkpoint with packed experts in the first layer."""
    golden = load("gpt_oss")
    tensors: dict[str, np.ndarray] = dict(draw_all("gpt_oss", golden.parameters))
    experts = "model.layers.0.mlp.experts."
    for name in SHAPES:
        del tensors[experts + name]
        tensors |= {experts + key: value for key, value in packed(name)[0].items()}
    tensors |= {experts + name: value for name, value in changed.items()}
    config = golden.config | {"quantization_config": {"quant_method": "mxfp4"}}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return folder


OPTIONS = ConvertOptions(file_type=FileType.F16, vocabulary=False)


def test_blocks_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    convert(checkpoint(tmp_path), path, OPTIONS)
    model = Model.load(path)
    types = {weight.name: weight.type for weight in model.graph.weights()}
    both, down = (packed(name)[1] for name in SHAPES)
    for part, expected in (("gate", both[:, ::2]), ("up", both[:, 1::2]), ("down", down)):
        name = f"blk.0.ffn_{part}_exps.weight"
        assert types[name] is TensorType.MXFP4
        np.testing.assert_array_equal(model.dequantized(name), expected)


def test_scales_of_another_shape(tmp_path: Path) -> None:
    scales = packed("down_proj")[0]["down_proj_scales"][:, :-1].copy()
    with pytest.raises(ConversionError, match="down_proj_blocks"):
        convert(checkpoint(tmp_path, down_proj_scales=scales), tmp_path / "tiny.gguf", OPTIONS)
