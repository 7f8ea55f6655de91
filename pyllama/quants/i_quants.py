"""IQ formats on grids: 256 elements, eight (or four) of them coded by one point of a grid.

A grid (see ``grids``) lists the vectors that may occur: eight magnitudes for iq2, four for iq3 (for
IQ1 see ``iq1``). A block has an index into the grid for each, signs for each eight magnitudes, and
scales s of groups of elements:

    IQ2_XXS   d f16 | qs 32 u16                                    8 groups of 32
    IQ2_XS    d f16 | qs 32 u16 | scales 8 bytes                   16 groups of 16
    IQ2_S     d f16 | qs 32 bytes | signs 32 | qh 8 | scales 8     16 groups of 16
    IQ3_XXS   d f16 | qs 64 bytes | scales_and_signs 8 u32         8 groups of 32
    IQ3_S     d f16 | qs 64 bytes | qh 8 | signs 32 | scales 4     8 groups of 32

    IQ2_*     w = d * (s + 0.5) / 4 * sign * magnitude
    IQ3_XXS   w = d * (s + 0.5) / 2 * sign * magnitude
    IQ3_S     w = d * (2 s + 1) * sign * magnitude

Where the indices are (all fields least significant bits first, words little-endian):

    IQ2_XXS   of each eight bytes of qs, the first four
    IQ2_XS    bits 0..8 of each word of qs
    others    bits 0..7: a byte of qs; more bits, in the same order: 2-bit fields of qh in IQ2_S,
              1-bit in IQ3_S

Signs are masks of eight bits, bit i set where element i is negative; seven bits index ``KSIGNS``:

    IQ2_XXS, IQ3_XXS    bits 0..27 of a u32 (of each eight bytes of qs, the last four): 4 indices
    IQ2_XS              bits 9..15 of each word of qs: an index
    IQ2_S, IQ3_S        signs: masks

Scales s:

    IQ2_XXS, IQ3_XXS       bits 28..31 of the u32 that holds the signs
    IQ2_XS, IQ2_S, IQ3_S   nibbles of scales

ggml's structs count the signs of IQ2_S and the words of IQ3_XXS to ``qs``; they have names here.

Encoding: see ``grid_search``. ggml's encoder of IQ3_S misplaces the codes that follow a group of
zeros; this one does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf.types import TensorType
from pyllama.quants.bits import bitfields, column, pack_planes, planes, scaled, signs
from pyllama.quants.block_format import Blocks, Floats, assemble, register
from pyllama.quants.grid_search import GridForm
from pyllama.quants.grids import GridName, grid
from pyllama.quants.on_grid import OnGrid
from pyllama.quants.search import Codes
from pyllama.quants.tables import KSIGNS

_SEVEN = np.uint8(127)


@register
class IQ2_XXS(OnGrid):
    """2.06 bits: 256 grid points, 7-bit sign indices."""

    type = TensorType.IQ2_XXS
    dtype = np.dtype([("d", "<f2"), ("qs", "<u2", 32)])
    form = GridForm(
        grid="iq2_xxs",
        group=32,
        even=True,
        distances=2,
        steps=6,
        step=0.1,
        refit="always",
        tiny=1e-15,
        fudge=1.0,
    )
    sigma_factor = 1

    def _decode(self, blocks: Blocks) -> Floats:
        words = np.ascontiguousarray(blocks["qs"]).view("<u4").reshape(len(blocks), 8, 2)
        index = bitfields(words[:, :, 0], bits=8, count=4).reshape(len(blocks), 32)
        masks, scale = _signs_and_scale(words[:, :, 1])
        return scaled(_halves(blocks, scale) * np.float32(0.25), _points("iq2_xxs", index, masks))

    def _pack(
        self, d: NDArray[np.float16], scale: Codes, index: NDArray[np.uint16], masks: Codes
    ) -> Blocks:
        first = index.astype(np.uint8).view("<u4")
        words = np.stack([first, _signs_and_scale_words(masks, scale)], axis=2)
        return assemble(self.dtype, d=d, qs=words.reshape(len(d), 16).view("<u2"))


@register
class IQ2_XS(OnGrid):
    """2.31 bits: 512 grid points, 7-bit sign indices."""

    type = TensorType.IQ2_XS
    dtype = np.dtype([("d", "<f2"), ("qs", "<u2", 32), ("scales", "u1", 8)])
    form = GridForm(
        grid="iq2_xs",
        group=16,
        even=True,
        distances=2,
        steps=9,
        step=0.1,
        refit="point",
        tiny=1e-15,
        fudge=1.0,
    )
    sigma_factor = 1

    def _decode(self, blocks: Blocks) -> Floats:
        index = blocks["qs"] & np.uint16(0x1FF)
        masks = KSIGNS[blocks["qs"] >> np.uint16(9)]
        scale = planes(blocks["scales"], bits=4, run=1)
        return scaled(_halves(blocks, scale) * np.float32(0.25), _points("iq2_xs", index, masks))

    def _pack(
        self, d: NDArray[np.float16], scale: Codes, index: NDArray[np.uint16], masks: Codes
    ) -> Blocks:
        qs = index | (masks & _SEVEN).astype(np.uint16) << np.uint16(9)
        return assemble(self.dtype, d=d, qs=qs, scales=pack_planes(scale, bits=4, run=1))


@register
class IQ2_S(OnGrid):
    """2.56 bits: 1024 grid points, sign masks."""

    type = TensorType.IQ2_S
    dtype = np.dtype(
        [("d", "<f2"), ("qs", "u1", 32), ("signs", "u1", 32), ("qh", "u1", 8), ("scales", "u1", 8)]
    )
    form = GridForm(
        grid="iq2_s",
        group=16,
        even=False,
        distances=1,
        steps=9,
        step=0.1,
        refit="point",
        tiny=1e-8,
        fudge=0.9875,
    )
    sigma_factor = 2

    def _decode(self, blocks: Blocks) -> Floats:
        index = extended(blocks["qs"], planes(blocks["qh"], bits=2, run=1))
        scale = planes(blocks["scales"], bits=4, run=1)
        points = _points("iq2_s", index, blocks["signs"])
        return scaled(_halves(blocks, scale) * np.float32(0.25), points)

    def _plain_weights(self, values: Floats) -> Floats:
        squares = values * values
        sigma2 = np.add.accumulate(squares, axis=1)[:, -1:] * np.float32(2 / 256)
        return np.float32(0.25) * sigma2 + squares

    def _pack(
        self, d: NDArray[np.float16], scale: Codes, index: NDArray[np.uint16], masks: Codes
    ) -> Blocks:
        return assemble(
            self.dtype,
            d=d,
            qs=index.astype(np.uint8),
            signs=masks,
            qh=pack_planes((index >> np.uint16(8)).astype(np.uint8), bits=2, run=1),
            scales=pack_planes(scale, bits=4, run=1),
        )


@register
class IQ3_XXS(OnGrid):
    """3.06 bits: 256 grid points, 7-bit sign indices."""

    type = TensorType.IQ3_XXS
    dtype = np.dtype([("d", "<f2"), ("qs", "u1", 64), ("scales_and_signs", "<u4", 8)])
    form = GridForm(
        grid="iq3_xxs",
        group=32,
        even=True,
        distances=2,
        steps=15,
        step=0.2,
        refit="point",
        tiny=1e-8,
        fudge=1.0125,
    )
    sigma_factor = 2

    def _decode(self, blocks: Blocks) -> Floats:
        masks, scale = _signs_and_scale(blocks["scales_and_signs"])
        points = _points("iq3_xxs", blocks["qs"], masks)
        return scaled(_halves(blocks, scale) * np.float32(0.5), points)

    def _plain_weights(self, values: Floats) -> Floats:
        return values * values

    def _pack(
        self, d: NDArray[np.float16], scale: Codes, index: NDArray[np.uint16], masks: Codes
    ) -> Blocks:
        words = _signs_and_scale_words(masks, scale)
        return assemble(self.dtype, d=d, qs=index.astype(np.uint8), scales_and_signs=words)


@register
class IQ3_S(OnGrid):
    """3.44 bits: 512 grid points, sign masks."""

    type = TensorType.IQ3_S
    dtype = np.dtype(
        [("d", "<f2"), ("qs", "u1", 64), ("qh", "u1", 8), ("signs", "u1", 32), ("scales", "u1", 4)]
    )
    form = GridForm(
        grid="iq3_s",
        group=32,
        even=False,
        distances=3,
        steps=9,
        step=0.2,
        refit="group",
        tiny=1e-45,
        fudge=1.033,
    )
    sigma_factor = 2

    def _decode(self, blocks: Blocks) -> Floats:
        index = extended(blocks["qs"], planes(blocks["qh"], bits=1, run=1))
        scale = planes(blocks["scales"], bits=4, run=1)
        return scaled(odd_scales(blocks["d"], scale), _points("iq3_s", index, blocks["signs"]))

    def _plain_weights(self, values: Floats) -> Floats:
        return values * values

    def _pack(
        self, d: NDArray[np.float16], scale: Codes, index: NDArray[np.uint16], masks: Codes
    ) -> Blocks:
        return assemble(
            self.dtype,
            d=d,
            qs=index.astype(np.uint8),
            qh=pack_planes((index >> np.uint16(8)).astype(np.uint8), bits=1, run=1),
            signs=masks,
            scales=pack_planes(scale, bits=4, run=1),
        )


def _signs_and_scale(words: NDArray[np.uint32]) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Sign masks (n, 32) and scales (n, 8) of words (n, 8): four 7-bit indices, then 4 bits."""
    masks = KSIGNS[bitfields(words, bits=7, count=4)]
    return masks.reshape(len(words), 32), words >> np.uint32(28)


def _signs_and_scale_words(masks: Codes, scale: Codes) -> NDArray[np.uint32]:
    """The inverse: words (n, 8) of masks (n, 32), of an even number of bits each, and scales."""
    places = np.array([0, 7, 14, 21], np.uint32)
    parts = (masks & _SEVEN).reshape(len(masks), 8, 4).astype(np.uint32) << places
    words: NDArray[np.uint32] = np.bitwise_or.reduce(parts, axis=2)
    return words | scale.astype(np.uint32) << np.uint32(28)


def extended(low: NDArray[np.uint8], high: NDArray[Any]) -> NDArray[np.uint16]:
    """Indices of more than eight bits."""
    return low | high.astype(np.uint16) << np.uint16(8)


def _halves(blocks: Blocks, scale: NDArray[Any]) -> Floats:
    """d * (s + 0.5), (n, groups)."""
    return column(blocks["d"]) * (scale.astype(np.float32) + np.float32(0.5))


def odd_scales(d: NDArray[np.float16], scale: NDArray[Any]) -> Floats:
    """d * (2 s + 1), (n, groups)."""
    return column(d) * (2 * scale.astype(np.float32) + 1)


def _points(name: GridName, index: NDArray[Any], masks: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Grid points with their signs: int8 (n, 256) of indices (n, points) and masks (n, 32)."""
    points: NDArray[np.int8] = grid(name)[index].reshape(len(index), 256) * signs(masks)
    return points
