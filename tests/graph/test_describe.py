"""Graphs and plans as dictionaries and for Graphviz: complete, consistent, JSON."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from models.cases import CASES
from models.tiny import write_tiny

from pyllama.cache import cache_layout
from pyllama.graph.cpu import plan_for_cpu
from pyllama.graph.describe import (
    describe_graph,
    describe_plan,
    layer_of,
    step_counts,
)
from pyllama.graph.dot import graph_dot, plan_dot
from pyllama.graph.mode import Mode
from pyllama.graph.plan import Plan
from pyllama.model import Model
from pyllama.session import Session
from pyllama.step import Batch

LAYOUT = cache_layout(128, 1, "f16", "q8_0")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("describe") / "tiny.gguf"
    write_tiny(next(case for case in CASES if case.name == "llama_gqa"), path)
    return Model.load(path)


def plan_of(model: Model, tokens: int) -> Plan:
    return plan_for_cpu(model.graph, Mode(tokens, 1), LAYOUT, model.library.isa, threads=2)


def test_layers_by_name() -> None:
    assert layer_of("blk.12.attn_q") == 12
    assert layer_of("token_embd") is None


def test_graph(model: Model) -> None:
    described = json.loads(json.dumps(describe_graph(model.graph)))
    nodes = {node["output"]: node for node in described["nodes"]}
    assert len(nodes) == len(model.graph.nodes)
    assert described["result"] == list(nodes)[-1]
    for node, known in zip(nodes.values(), range(len(nodes)), strict=True):
        assert set(node["inputs"]) <= set(list(nodes)[:known])
    assert nodes["blk.1.attn_k"] == {
        "output": "blk.1.attn_k",
        "layer": 1,
        "op": "Linear",
        "inputs": ["blk.1.attn_norm.out"],
        "shape": [16, "n_tokens"],
        "weights": {
            "weight": {"name": "blk.1.attn_k.weight", "shape": [64, 16], "type": "F32"},
        },
        "attributes": {},
    }
    assert nodes["blk.0.attention"]["attributes"]["kv_heads"] == model.config.kv_heads
    assert nodes[described["result"]]["shape"] == [model.n_vocab, "n_outputs"]


@pytest.mark.parametrize("tokens", [1, 5, 64])
def test_plan(model: Model, tokens: int) -> None:
    plan = plan_of(model, tokens)
    counts = step_counts(Mode(tokens, 1), plan)
    described = json.loads(json.dumps(describe_plan(plan, counts)))
    launches, memory = described["launches"], described["memory"]
    assert [launch["barrier"] for launch in launches] == list(plan.barriers)
    assert all(launch["tasks"] >= 1 for launch in launches)
    buffers = {buffer["name"]: buffer for buffer in described["buffers"]}
    assert len(buffers) == len(plan.offsets)
    assert memory["buffers"] == sum(buffer["bytes"] for buffer in buffers.values())
    assert memory["arena"] >= max(b["offset"] + b["bytes"] for b in buffers.values())
    for i, launch in enumerate(launches):
        for name in (*launch["reads"], *launch["writes"]):
            if ":" not in name:
                assert buffers[name]["first"] <= i <= buffers[name]["last"]
    norm = next(launch for launch in launches if launch["name"] == "blk.0.attn_norm.out")
    assert (norm["kernel"], norm["layer"], norm["tasks"]) == ("rms_norm", 0, tokens)


def test_every_node_has_one_launch_of_its_name(model: Model) -> None:
    for tokens in (1, 5, 64):
        labels = [launch.label for launch in plan_of(model, tokens).launches]
        assert len(labels) == len(set(labels))
        assert {node.output.name for node in model.graph.nodes} <= set(labels)


def test_counts_are_those_of_a_session(model: Model) -> None:
    session = Session(model, context=128, ubatch=64, threads=1)
    for tokens in (1, 5, 64):
        mode = Mode(tokens, 1)
        program = session.bind(session.plan(mode), mode)
        batch = Batch.of_neighbours(np.zeros(tokens, np.int64), 0, 0, n_logits=1)
        step = program.prepare(batch)
        counts = step_counts(mode, session.plan(mode))
        assert [1, *step[:3]] == list(counts.values())


EDGE = re.compile(r'  n(\d+) -> n(\d+) \[label="([^"]+)"\];')
BOX = re.compile(r' +n(\d+) \[label="((?:[^"\\]|\\.)+)"(?:, fillcolor="([^"]+)")?\];')


def parsed(dot: str) -> tuple[dict[int, tuple[str, str]], set[tuple[int, int, str]], int]:
    """Labels and colours of the boxes, the edges, and how many clusters; nothing else is there."""
    boxes: dict[int, tuple[str, str]] = {}
    edges: set[tuple[int, int, str]] = set()
    first, *lines = dot.splitlines()
    assert (first, lines[-1]) == ("digraph {", "}")
    clusters = 0
    for line in lines[:-1]:
        if match := BOX.fullmatch(line):
            boxes[int(match[1])] = (match[2], match[3] or "")
        elif match := EDGE.fullmatch(line):
            edges.add((int(match[1]), int(match[2]), match[3]))
        elif line.startswith('  subgraph "cluster '):
            clusters += 1
        else:
            assert line == "  }" or line.startswith(("  node [", "  edge ["))
    return boxes, edges, clusters


def test_graph_dot(model: Model) -> None:
    boxes, edges, clusters = parsed(graph_dot(model.graph))
    nodes = model.graph.nodes
    assert sorted(boxes) == list(range(len(nodes)))
    assert clusters == model.config.layers
    names = [node.output.name for node in nodes]
    expected = {
        (names.index(tensor.name), i) for i, node in enumerate(nodes) for tensor in node.inputs
    }
    assert {(start, end) for start, end, _ in edges} == expected
    at = names.index("blk.0.attn_q")
    assert boxes[at][0] == r"Linear\nblk.0.attn_q\n64 x n_tokens\nblk.0.attn_q.weight F32"


def test_plan_dot(model: Model) -> None:
    plan = plan_of(model, 1)
    boxes, edges, clusters = parsed(plan_dot(plan))
    assert sorted(boxes) == list(range(len(plan.launches)))
    assert clusters == sum(plan.barriers[:-1]) + 1
    labels = [launch.label for launch in plan.launches]
    store, attend = labels.index("blk.0.attention.store"), labels.index("blk.0.attention")
    assert (store, attend, "keys:0") in edges
    assert (labels.index("blk.0.q_rope"), attend, "blk.0.q_rope") in edges
    assert all(start < end for start, end, _ in edges)
    readers = {i for i, launch in enumerate(plan.launches) if i}
    assert {end for _, end, _ in edges} == readers


def test_plan_dot_with_times(model: Model) -> None:
    plan = plan_of(model, 1)
    seconds = [i * 1e-6 for i in range(len(plan.launches))]
    boxes, _, _ = parsed(plan_dot(plan, seconds))
    last = len(seconds) - 1
    assert boxes[0][0].endswith(r"\n0.0 us")
    assert boxes[0][1] == "0.0 0.000 1.0"
    assert boxes[last][0].endswith(rf"\n{last}.0 us")
    assert boxes[last][1] == "0.0 1.000 1.0"
