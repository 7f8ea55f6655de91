"""Graphs and plans as plain dictionaries and lists, for JSON and for tables.

Shapes are in the order of the file, innermost dimension first; that of an activation ends with what
its rows stand for: ``[2048, "n_tokens"]``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from pyllama.graph import ops
from pyllama.graph.graph import Graph, Node
from pyllama.graph.mode import Mode
from pyllama.graph.ops import Op, Tensor, Weight
from pyllama.graph.plan import Buffer, External, Launch, Memory, Plan

Described = dict[str, Any]

_LAYER = re.compile(r"blk\.(\d+)\.")


def layer_of(name: str) -> int | None:
    """The layer that an activation or a launch belongs to, by its name; None outside the layers."""
    match = _LAYER.match(name)
    return int(match[1]) if match else None


def kind_of(launch: Launch) -> str:
    """The name of the kernel, whatever its static parameters."""
    return launch.kernel.emit.__name__


def describe_graph(graph: Graph) -> Described:
    """``nodes`` in order and the name of the ``result``."""
    return {"result": graph.result.name, "nodes": [describe_node(n) for n in graph.nodes]}


def describe_node(node: Node) -> Described:
    """Output, op, inputs by name, weights by their part in the op, and the op's attributes."""
    weights = {k: v for k, v in vars(node.op).items() if isinstance(v, Weight)}
    attributes = {k: v for k, v in ops.describe(node.op).items() if k not in weights}
    return {
        "output": node.output.name,
        "layer": layer_of(node.output.name),
        "op": op_name(node.op),
        "inputs": [tensor.name for tensor in node.inputs],
        "shape": shape_of(node.output),
        "weights": {part: _weight(weight) for part, weight in weights.items()},
        "attributes": {key: _plain(value) for key, value in attributes.items()},
    }


def op_name(op: Op) -> str:
    """``Linear``, ``RMSNorm``, ..."""
    return type(op).__name__


def shape_of(tensor: Tensor) -> list[int | str]:
    """Width and what the rows are."""
    return [tensor.width, tensor.rows.value]


def describe_plan(plan: Plan, counts: Mapping[str, int]) -> Described:
    """``launches`` in order, ``buffers`` with their places in the arena, ``memory`` in bytes.

    counts: rows of each name that launches count in the step at hand, see ``step_counts``.
    """
    lives = _lives(plan)
    return {
        "launches": [
            _launch(launch, barrier, counts)
            for launch, barrier in zip(plan.launches, plan.barriers, strict=True)
        ],
        "buffers": [
            {
                "name": buffer.name,
                "offset": plan.offsets[buffer],
                "bytes": buffer.n_bytes,
                "first": life.start,
                "last": life.stop - 1,
            }
            for buffer, life in lives.items()
        ],
        "memory": {
            "arena": plan.arena_bytes,
            "buffers": sum(buffer.n_bytes for buffer in lives),
            "scratch": plan.scratch_bytes,
        },
    }


def step_counts(mode: Mode, plan: Plan) -> dict[str, int]:
    """The row counts of a step of as many neighbouring tokens as a mode allows."""
    tiles = -(-mode.tokens // plan.tile_tokens)
    return {"one": 1, "n_tokens": mode.tokens, "n_outputs": mode.outputs, "n_tiles": tiles}


def tasks_of(launch: Launch, counts: Mapping[str, int]) -> int:
    """Tasks of a launch, which threads take one by one."""
    return launch.chunks * -(-counts[launch.count] // launch.group)


def _launch(launch: Launch, barrier: bool, counts: Mapping[str, int]) -> Described:
    return {
        "name": launch.label,
        "layer": layer_of(launch.label),
        "kernel": kind_of(launch),
        "parameters": {key: _plain(value) for key, value in launch.kernel.parameters},
        "arguments": {
            key: value for key, value in launch.arguments.items() if isinstance(value, int | float)
        },
        "reads": [memory_name(memory) for memory in launch.reads],
        "writes": [memory_name(memory) for memory in launch.writes],
        "tasks": tasks_of(launch, counts),
        "barrier": barrier,
    }


def memory_name(memory: Memory) -> str:
    """A buffer's own name; outside memory with its kind: ``keys:3``."""
    return f"{memory.kind}:{memory.name}" if isinstance(memory, External) else memory.name


def _lives(plan: Plan) -> dict[Buffer, range]:
    """From which launch to which each buffer is used, in the order of first use."""
    lives: dict[Buffer, range] = {}
    for i, launch in enumerate(plan.launches):
        for memory in (*launch.reads, *launch.writes):
            if isinstance(memory, Buffer):
                start = lives[memory].start if memory in lives else i
                lives[memory] = range(start, i + 1)
    return lives


def _weight(weight: Weight) -> Described:
    return {"name": weight.name, "shape": list(weight.shape[::-1]), "type": weight.type.name}


def _plain(value: Any) -> Any:
    return value.name if isinstance(value, Enum) else value
