"""Encoders and decoders as kernels: byte for byte what NumPy makes of the same values."""

from __future__ import annotations

from operator import attrgetter

import numpy as np
import pytest
from kernel_cases.catalogue import ENCODINGS
from kernel_cases.encoding import FLOATS, decode_case, encode_case, encode_floats_case
from kernel_cases.targets import MAIN
from quick import in_turn, some

from pyllama import quants
from pyllama.gguf.types import TensorType
from pyllama.kernels.encode import ENCODERS
from pyllama.kernels.encode.float4 import next_scale_limits
from pyllama.kernels.encode.grid_tables import CHUNK, COUNT_BITS, grid_tables
from pyllama.kernels.formats import FORMATS, QuantizedFormat
from pyllama.kernels.jit import Library
from pyllama.quants import Weighable
from pyllama.quants.float4 import exponents
from pyllama.quants.grid_search import grid_map

NAME = attrgetter("name")
WEIGHABLE = [type for type in ENCODERS if ENCODERS[type].takes_importance]
ON_GRIDS = [type for type in ENCODERS if ENCODERS[type].grid]


@pytest.mark.parametrize(
    ("type", "library"), in_turn(sorted(ENCODERS.keys() - ON_GRIDS), MAIN), indirect=["library"]
)
def test_encodes_as_numpy(type: TensorType, library: Library) -> None:
    encode_case(type, weighted=False).run(library)


@pytest.mark.parametrize("library", MAIN[:1], indirect=True)
@pytest.mark.parametrize("type", some(ON_GRIDS, ENCODINGS))
def test_encodes_to_grids_without_importance(type: TensorType, library: Library) -> None:
    """Only the weights are others than with importance."""
    encode_case(type, weighted=False).run(library)


@pytest.mark.parametrize(("type", "library"), in_turn(WEIGHABLE, MAIN), indirect=["library"])
def test_encodes_with_importance_as_numpy(type: TensorType, library: Library) -> None:
    encode_case(type, weighted=True).run(library)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 4000])
@pytest.mark.parametrize("type", FLOATS, ids=NAME)
def test_rounds_floats_as_numpy(type: TensorType, n: int, library: Library) -> None:
    encode_floats_case(type, n).run(library)


@pytest.mark.parametrize("type", FORMATS, ids=NAME)
def test_decodes_as_numpy(type: TensorType, library: Library) -> None:
    quantized = isinstance(FORMATS[type], QuantizedFormat)
    for n in (type.block_size * 3,) if quantized else (1, 16, 33):
        decode_case(type, n).run(library)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [1, 16, 33])
def test_a_number_that_is_not_finite_is_seen(n: int, poison: float, library: Library) -> None:
    decode_case(TensorType.F16, n, poison).run(library)


def test_there_is_an_encoder_for_every_format() -> None:
    scalars = {TensorType.F32, *FLOATS}
    assert ENCODERS.keys() == quants.encodable_types() - scalars
    weighable = {type for type, format in quants.FORMATS.items() if isinstance(format, Weighable)}
    assert set(WEIGHABLE) == weighable


def test_tables_of_grids_list_the_neighbours() -> None:
    tables, map = grid_tables("iq3_s", 3), grid_map("iq3_s", 3)
    places = 4 * np.arange(4)
    levels = ((map.values - 1) / 2).astype(np.int64)
    words = (levels << places[:, None]).sum(axis=0)
    for number, entry in enumerate(tables.entries.tolist()):
        if map.index[number] >= 0:
            assert entry == 0
            assert tables.indices[number] == map.index[number]
            continue
        start, chunks = entry >> COUNT_BITS, entry & (1 << COUNT_BITS) - 1
        row = map.row[number]
        expected = words[map.neighbours[row, : map.count[row]]]
        listed = tables.neighbours[start : start + chunks].ravel()
        assert listed[: len(expected)].tolist() == expected.tolist()
        assert (listed[len(expected) :] == expected[0]).all()
        assert len(listed) - len(expected) < CHUNK


def test_scales_of_mxfp4_change_where_the_logarithm_does() -> None:
    limits = next_scale_limits()[:-1]
    fields = np.arange(255)
    own = np.clip(fields - 2, 0, 254)
    changes = (fields >= 2) & (fields < 254)
    assert (exponents(limits.view(np.float32))[changes] == own[changes] + 1).all()
    assert (exponents((limits - 1).view(np.float32))[changes] == own[changes]).all()
