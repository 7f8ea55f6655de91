"""Builds a family's graph: looks weights up, checks their shapes, strings ops together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike

from pyllama.errors import ModelError
from pyllama.gguf.tensors import TensorInfo
from pyllama.graph import ops
from pyllama.graph.graph import Graph, Node, make_node
from pyllama.graph.ops import Op, Tensor, Weight
from pyllama.kernels.formats import FORMATS
from pyllama.models.config import ModelConfig

_AGAIN = "the file is damaged or incomplete: get it again"


class GraphBuilder:
    """Collects the nodes of one model's graph."""

    def __init__(
        self, path: str | PathLike[str], tensors: Mapping[str, TensorInfo], config: ModelConfig
    ) -> None:
        self.config = config
        self._path, self._tensors = path, tensors
        self._nodes: list[Node] = []

    def has(self, name: str) -> bool:
        """Whether the file has a tensor."""
        return name in self._tensors

    def weight(self, name: str, *shape: int) -> Weight:
        """A tensor of the file; ModelError when it is missing, misshapen or of a type not run.

        A row may be stored as a matrix of one row, and the other way round.
        """
        info = self._tensors.get(name)
        if info is None:
            raise ModelError(self._path, f"missing tensor {name!r}", _AGAIN)
        if _without_ones(info.shape) != _without_ones(shape):
            wanted, found = (" x ".join(map(str, s)) for s in (shape, info.shape))
            raise ModelError(self._path, f"tensor {name!r} is {found}, not {wanted}", _AGAIN)
        if info.type not in FORMATS:
            raise ModelError(
                self._path,
                f"tensor {name!r} has type {info.type.label}, which pyllama does not compute with",
                "quantize the model to another type",
            )
        return Weight(name, shape, info.type)

    def optional(self, name: str, *shape: int) -> Weight | None:
        """The same, or None when the file has no such tensor."""
        return self.weight(name, *shape) if self.has(name) else None

    def row(self, name: str, width: int) -> Weight:
        """A tensor of one dimension as a matrix of one row."""
        return replace(self.weight(name, width), shape=(1, width))

    def require_alike(self, one: Weight | None, other: Weight | None) -> None:
        """ModelError unless two tensors that are computed together have one type, or none is."""
        if (one and one.type) != (other and other.type):
            names = " and ".join(repr(weight.name) for weight in (one, other) if weight)
            problem = f"{names} must be of one type, or one of them is missing its like"
            raise ModelError(self._path, problem, _AGAIN)

    def add(self, op: Op, *inputs: Tensor, name: str) -> Tensor:
        """Append an op and return its output."""
        node = make_node(op, inputs, name)
        self._nodes.append(node)
        return node.output

    def linear(self, x: Tensor, name: str, width: int) -> Tensor:
        """``name.weight`` times x, plus ``name.bias`` where the file has it."""
        weight = self.weight(f"{name}.weight", width, x.width)
        return self.add(ops.Linear(weight, self.optional(f"{name}.bias", width)), x, name=name)

    def linear_parts(self, x: Tensor, name: str, widths: Mapping[str, int]) -> list[Tensor]:
        """The same, for a tensor whose rows belong to several outputs: label -> width of each."""
        total = sum(widths.values())
        weight = self.weight(f"{name}.weight", total, x.width)
        bias = self.optional(f"{name}.bias", total)
        outputs, first = [], 0
        for label, width in widths.items():
            part = ops.Linear(weight.part(first, width), bias and bias.part(first, width))
            outputs.append(self.add(part, x, name=label))
            first += width
        return outputs

    def norm(self, x: Tensor, name: str) -> Tensor:
        """x normed with ``name.weight``, and ``name.bias`` where the file has it."""
        return self._norm(x, self.weight(f"{name}.weight", x.width), name, f"{name}.out")

    def head_norm(self, x: Tensor, name: str, heads: int) -> Tensor:
        """Each head of x normed, with weights for all heads or for each; or all heads at once."""
        full, head_dim = f"{name}.weight", x.width // heads
        shape = self._tensors[full].shape if self.has(full) else ()
        if shape not in ((x.width,), (heads, head_dim)):
            shape = (head_dim,)
        groups = 1 if shape == (x.width,) else heads
        return self._norm(x, self.weight(full, *shape), name, f"{name}.heads", groups)

    def _norm(self, x: Tensor, weight: Weight, name: str, label: str, groups: int = 1) -> Tensor:
        epsilon = self.config.norm_epsilon
        if self.config.norm == "rms":
            return self.add(ops.RMSNorm(weight, epsilon, groups), x, name=label)
        bias = self.optional(f"{name}.bias", *weight.shape)
        return self.add(ops.LayerNorm(weight, bias, epsilon, groups), x, name=label)

    def graph(self, result: Tensor) -> Graph:
        """The finished graph."""
        return Graph(tuple(self._nodes), result)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the dimensions before it that have one element."""
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
