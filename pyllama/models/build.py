"""Builds a family's graph: looks weights up, checks their shapes, strings ops together."""

from __future__ import annotations

from collections.abc import Mapping
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
        """A tensor of the file; ModelError when it is missing, misshapen or of a type not run."""
        info = self._tensors.get(name)
        if info is None:
            raise ModelError(self._path, f"missing tensor {name!r}", _AGAIN)
        if info.shape != shape:
            wanted, found = (" x ".join(map(str, s)) for s in (shape, info.shape))
            raise ModelError(self._path, f"tensor {name!r} is {found}, not {wanted}", _AGAIN)
        if info.type not in FORMATS:
            raise ModelError(
                self._path,
                f"tensor {name!r} has type {info.type.label}, which pyllama does not compute with",
                "quantize the model to another type",
            )
        return Weight(name, info.shape, info.type)

    def optional(self, name: str, *shape: int) -> Weight | None:
        """The same, or None when the file has no such tensor."""
        return self.weight(name, *shape) if self.has(name) else None

    def add(self, op: Op, *inputs: Tensor, name: str) -> Tensor:
        """Append an op and return its output."""
        node = make_node(op, inputs, name)
        self._nodes.append(node)
        return node.output

    def linear(self, x: Tensor, name: str, width: int) -> Tensor:
        """``name.weight`` times x, plus ``name.bias`` where the file has it."""
        weight = self.weight(f"{name}.weight", width, x.width)
        return self.add(ops.Linear(weight, self.optional(f"{name}.bias", width)), x, name=name)

    def rms_norm(self, x: Tensor, name: str, groups: int = 1) -> Tensor:
        """x normed with ``name.weight``, in ``groups`` equal parts."""
        weight = self.weight(f"{name}.weight", x.width // groups)
        op = ops.RMSNorm(weight, self.config.norm_epsilon, groups)
        return self.add(op, x, name=f"{name}.out" if groups == 1 else f"{name}.heads")

    def graph(self, result: Tensor) -> Graph:
        """The finished graph."""
        return Graph(tuple(self._nodes), result)
