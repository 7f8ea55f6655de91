"""Lowers short convolutions: their inputs are stored, then convolved."""

from __future__ import annotations

from pyllama.graph import ops
from pyllama.graph.graph import Node
from pyllama.graph.lowering import Lowering
from pyllama.graph.plan import Argument, External
from pyllama.kernels import short_conv


def lower_short_conv(low: Lowering, op: ops.ShortConv, node: Node) -> None:
    """A launch that stores what is convolved, and one that does it."""
    width, taps = op.weight.shape
    shape: dict[str, Argument] = {
        "x": low.buffers[node.inputs[0]],
        "cells": External("conv", str(op.layer)),
        "width": width,
        "capacity": low.cache.capacity,
    }
    type, label = low.cache.conv_type, node.output.name
    low.launch(
        short_conv.conv_store(type=type),
        shape,
        writes=("cells",),
        count=node.output.rows.value,
        label=f"{label}.store",
    )
    low.by_row(
        node, short_conv.short_conv(type=type, taps=taps), weight=low.vector(op.weight), **shape
    )
