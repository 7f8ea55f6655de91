"""What the encoders of the formats on grids share."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pyllama.quants.block_format import Blocks, Floats, Weighable
from pyllama.quants.grid_search import GridForm, coded_scales, encode_on_grid
from pyllama.quants.search import Codes, as_groups
from pyllama.quants.weighting import weights_by_block


class OnGrid(Weighable):
    """Magnitudes on a grid: ``form`` says how they are found, ``_pack`` how the codes lie.

    Without importance the columns count alike, unless ``_plain_weights`` says otherwise.
    """

    form: ClassVar[GridForm]
    sigma_factor: ClassVar[int]

    def _encode(self, values: Floats) -> Blocks:
        return self._encode_by(values, self._plain_weights(values))

    def _encode_rows(self, rows: Floats, importance: Floats) -> Blocks:
        weights = weights_by_block(rows, importance, 256, self.sigma_factor)
        return self._encode_by(rows.reshape(-1, 256), weights.reshape(-1, 256))

    def _plain_weights(self, values: Floats) -> Floats:
        ones = np.ones(values.shape[1], np.float32)
        return weights_by_block(values, ones, 256, self.sigma_factor)

    def _encode_by(self, values: Floats, weights: Floats) -> Blocks:
        n, size = len(values), self.form.group
        coded = encode_on_grid(as_groups(values, size), as_groups(weights, size), self.form)
        d, scale, alive = coded_scales(coded.scale.reshape(n, -1), self.form.fudge)
        index = coded.index.T.reshape(n, -1).astype(np.uint16) * alive
        return self._pack(d, scale, index, coded.signs.T.reshape(n, -1) * alive)

    @abstractmethod
    def _pack(
        self, d: NDArray[np.float16], scale: Codes, index: NDArray[np.uint16], masks: Codes
    ) -> Blocks:
        """The blocks: scale codes (n, groups), indices (n, points), masks of signs (n, 32)."""
