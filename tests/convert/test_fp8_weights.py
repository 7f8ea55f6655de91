"""Weights of eight bits with scales."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from raw_checkpoint import Array, safetensors_bytes

from pyllama.convert.sources import fp8
from pyllama.convert.sources.checkpoint import open_checkpoint
from pyllama.convert.sources.fp8 import VALUES
from pyllama.errors import ConversionError
from pyllama.gguf import TensorType


def test_values_of_e4m3() -> None:
    values = VALUES["F8_E4M3"]
    assert values[0x00] == 0
    assert values[0x01] == 2.0**-9
    assert values[0x08] == 2.0**-6
    assert values[0x38] == 1
    assert values[0xB8] == -1
    assert values[0x7E] == 448
    assert np.isnan(values[[0x7F, 0xFF]]).all()
    assert np.isfinite(values).sum() == 254
    assert (np.diff(values[:0x7F]) > 0).all()


def test_values_of_e5m2() -> None:
    values = VALUES["F8_E5M2"]
    assert values[0x3C] == 1
    assert values[0x7B] == 57344
    assert np.isinf(values[0x7C])
    assert values[0x01] == 2.0**-16


def checkpoint(
    folder: Path, codes: Array, scales: Array, block: tuple[int, int] = (128, 128)
) -> Array:
    """The weights that a checkpoint with these codes and scales has."""
    tensors = {"a": ("F8_E4M3", codes), "a_scale_inv": ("F32", scales)}
    (folder / "model.safetensors").write_bytes(safetensors_bytes(tensors))
    found = open_checkpoint(folder, block).tensors
    assert found.keys() == {"a"}
    assert found["a"].type is TensorType.F32
    assert found["a"].shape == codes.shape
    return found["a"].read()


def codes_of(*shape: int) -> Array:
    return np.random.default_rng(0).integers(0, 0x7F, shape, dtype=np.uint8)


def scales_of(*shape: int) -> Array:
    return np.random.default_rng(1).uniform(0.5, 2, shape).astype(np.float32)


@pytest.mark.parametrize("piece", [1, 1 << 12, 1 << 20])
@pytest.mark.parametrize("shape", [(256, 384), (300, 130), (5, 7), (129, 128)])
def test_each_block_has_its_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], piece: int
) -> None:
    monkeypatch.setattr(fp8, "_PIECE_BYTES", piece)
    codes, scales = codes_of(*shape), scales_of(*(-(-n // 128) for n in shape))
    expected = [
        [VALUES["F8_E4M3"][codes[i, j]] * scales[i // 128, j // 128] for j in range(shape[1])]
        for i in range(shape[0])
    ]
    np.testing.assert_array_equal(checkpoint(tmp_path, codes, scales), expected)


def test_blocks_of_another_size(tmp_path: Path) -> None:
    codes, scales = codes_of(6, 8), scales_of(3, 2)
    expected = VALUES["F8_E4M3"][codes] * np.kron(scales, np.ones((2, 4), np.float32))
    np.testing.assert_array_equal(checkpoint(tmp_path, codes, scales, (2, 4)), expected)


def test_experts_in_one_tensor(tmp_path: Path) -> None:
    codes, scales = codes_of(3, 4, 6), scales_of(3, 2, 2)
    blocks = scales.repeat(2, axis=1).repeat(3, axis=2)
    np.testing.assert_array_equal(
        checkpoint(tmp_path, codes, scales, (2, 3)), VALUES["F8_E4M3"][codes] * blocks
    )


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_scale_for_all(tmp_path: Path, shape: tuple[int, ...]) -> None:
    codes, scales = codes_of(4, 6), scales_of(*shape)
    expected = VALUES["F8_E4M3"][codes] * scales.reshape(())
    np.testing.assert_array_equal(checkpoint(tmp_path, codes, scales), expected)


def test_scales_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"'a_scale_inv' has the shape \(2, 2\), where"):
        checkpoint(tmp_path, codes_of(128, 256), scales_of(2, 2))


def test_no_scales(tmp_path: Path) -> None:
    content = safetensors_bytes({"a": ("F8_E4M3", codes_of(4, 6))})
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ConversionError, match="'a' is F8_E4M3 without a tensor a_scale_inv"):
        open_checkpoint(tmp_path)
