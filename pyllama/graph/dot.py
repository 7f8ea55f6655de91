"""Graphs and plans as input for Graphviz (``dot -Tsvg``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pyllama.graph.describe import kind_of, layer_of, memory_name, op_name, shape_of
from pyllama.graph.graph import Graph, Node
from pyllama.graph.ops import Tensor
from pyllama.graph.plan import Buffer, Launch, Memory, Plan

_HEAD = """\
digraph {
  node [shape=box, style=filled, fillcolor=white, fontname="Helvetica", fontsize=10];
  edge [fontname="Helvetica", fontsize=8];
"""


def graph_dot(graph: Graph) -> str:
    """Nodes are ops, edges the activations between them; a layer is a cluster."""
    numbers = {node.output: i for i, node in enumerate(graph.nodes)}
    lines = [_HEAD]
    for layer, nodes in _by_layer(graph.nodes).items():
        lines += _cluster(
            f"layer {layer}",
            (_box(numbers[n.output], *_node_label(n)) for n in nodes),
            drawn=layer is not None,
        )
    for node in graph.nodes:
        end = numbers[node.output]
        lines += (
            f"  n{numbers[tensor]} -> n{end}{_tag(_shape(tensor))};\n" for tensor in node.inputs
        )
    return "".join((*lines, "}\n"))


def plan_dot(plan: Plan, seconds: Sequence[float] | None = None) -> str:
    """Boxes are launches, edges what one writes and another reads; barriers part the clusters.

    seconds: of each launch, which its box then shows; the slower, the redder.
    """
    lines = [_HEAD]
    for phase, numbers in enumerate(_phases(plan.barriers)):
        boxes = (_launch_box(i, plan.launches[i], seconds) for i in numbers)
        lines += _cluster(f"phase {phase}", boxes, drawn=True)
    lines += (
        f"  n{start} -> n{end}{_tag(memory_name(memory))};\n"
        for start, end, memory in _dependencies(plan)
    )
    return "".join((*lines, "}\n"))


def _by_layer(nodes: Iterable[Node]) -> dict[int | None, list[Node]]:
    layers: dict[int | None, list[Node]] = {}
    for node in nodes:
        layers.setdefault(layer_of(node.output.name), []).append(node)
    return layers


def _phases(barriers: Sequence[bool]) -> Iterator[list[int]]:
    """Numbers of the launches between two barriers."""
    phase: list[int] = []
    for i, barrier in enumerate(barriers):
        phase.append(i)
        if barrier:
            yield phase
            phase = []
    if phase:
        yield phase


def _dependencies(plan: Plan) -> Iterator[tuple[int, int, Memory]]:
    """Who wrote last what a launch reads, within the step."""
    writers: dict[Memory, int] = {}
    for i, launch in enumerate(plan.launches):
        for memory in launch.reads:
            if memory in writers:
                yield writers[memory], i, memory
        writers.update(dict.fromkeys(launch.writes, i))


def _node_label(node: Node) -> tuple[str, ...]:
    weights = (f"{w.name} {w.type.name}" for w in node.op.weights)
    return (op_name(node.op), node.output.name, _shape(node.output), *weights)


def _launch_box(number: int, launch: Launch, seconds: Sequence[float] | None) -> str:
    sizes = (f"{b.n_bytes} bytes" for b in launch.writes if isinstance(b, Buffer))
    label = (kind_of(launch), launch.label, *sizes)
    if seconds is None:
        return _box(number, *label)
    saturation = seconds[number] / (max(seconds) or 1)
    colour = f"0.0 {saturation:.3f} 1.0"
    return _box(number, *label, f"{seconds[number] * 1e6:.1f} us", colour=colour)


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, shape_of(tensor)))


def _cluster(label: str, boxes: Iterable[str], *, drawn: bool) -> list[str]:
    if not drawn:
        return list(boxes)
    head = f"  subgraph {_quoted('cluster ' + label)} {{ label={_quoted(label)};\n"
    return [head, *(f"  {box}" for box in boxes), "  }\n"]


def _box(number: int, *label: str, colour: str = "") -> str:
    fill = f", fillcolor={_quoted(colour)}" if colour else ""
    return f"  n{number} [label={_quoted(chr(10).join(label))}{fill}];\n"


def _tag(text: str) -> str:
    return f" [label={_quoted(text)}]"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
