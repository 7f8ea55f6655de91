"""Converting by kernels says what NumPy says, and is not used where it does not."""

from __future__ import annotations

from operator import attrgetter

import numpy as np
import pytest

from pyllama.errors import TargetError
from pyllama.gguf.types import TensorType
from pyllama.kernels.target import select
from pyllama.quantize import coding
from pyllama.quantize.coding import Coding, Packed, ReferenceCoding, native_coding
from pyllama.quants import Floats, quantize

NAME = attrgetter("name")
REFERENCE = ReferenceCoding()
TYPES = [TensorType[name] for name in ("F32", "F16", "BF16", "Q4_0", "Q8_0", "Q6_K", "IQ4_XS")]


@pytest.fixture(scope="module")
def native() -> Coding:
    return native_coding(TYPES, [TensorType.F16])


def rows() -> Floats:
    return np.random.default_rng(6).standard_normal((21, 512)).astype(np.float32)


@pytest.mark.parametrize("type", TYPES, ids=NAME)
def test_encodes_as_the_reference(type: TensorType, native: Coding) -> None:
    for importance in (None, np.abs(rows()[0])):
        ours, meant = (c.encode(rows(), type, importance) for c in (native, REFERENCE))
        assert ours.tobytes() == meant.tobytes()


@pytest.mark.parametrize("type", [TensorType.F64, TensorType.F16, TensorType.Q6_K], ids=NAME)
def test_decodes_as_the_reference(type: TensorType, native: Coding) -> None:
    values = rows()
    is_double = type is TensorType.F64
    data = values.astype("<f8").view(np.uint8).ravel() if is_double else quantize(values, type)
    for c in (native, REFERENCE):
        decoded, finite = c.decode(data, type, values.shape)
        assert finite
        assert (decoded == REFERENCE.decode(data, type, values.shape)[0]).all()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_says_whether_weights_are_finite(value: float, native: Coding) -> None:
    values = rows()
    values[20, 511] = value
    data = quantize(values, TensorType.F16)
    assert not native.decode(data, TensorType.F16, values.shape)[1]
    assert not REFERENCE.decode(data, TensorType.F16, values.shape)[1]


def test_wrong_kernels_are_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(coding, "_is_right", lambda *_: False)
    best = select().name
    with pytest.raises(TargetError, match="no instruction set of this machine encodes rightly"):
        native_coding([TensorType.Q8_0])
    assert f"{best} encodes q8_0 wrongly on this machine: not used" in caplog.text


def test_a_wrong_byte_is_found() -> None:
    class Wrong(ReferenceCoding):
        def encode(self, values: Floats, type: TensorType, importance: Floats | None) -> Packed:
            packed = super().encode(values, type, importance)
            packed[-1] ^= 1
            return packed

    assert coding._is_right(REFERENCE, TensorType.Q4_0)
    assert not coding._is_right(Wrong(), TensorType.Q4_0)
