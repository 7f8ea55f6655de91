"""Graphs that sum up squares: each input of wanted weights once, before it is used first."""

from __future__ import annotations

from pathlib import Path

import pytest
from families.tiny import convert_case
from models.cases import CASES
from models.tiny import write_tiny

from pyllama.graph import ops
from pyllama.graph.graph import Graph
from pyllama.graph.importance_graph import importance_graph, split_gates
from pyllama.graph.score_graph import score_graph
from pyllama.model import Model


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    path = tmp_path_factory.mktemp("importance") / "tiny.gguf"
    write_tiny(next(case for case in CASES if case.name == "llama_gqa"), path)
    return Model.load(path).graph


def met(graph: Graph) -> list[tuple[str, ...]]:
    return [node.op.weights_met for node in graph.nodes if isinstance(node.op, ops.SquareSums)]


def in_layer(layer: int, *names: str) -> tuple[str, ...]:
    return tuple(f"blk.{layer}.{name}.weight" for name in names)


def test_weights_of_one_input_share_its_sums(graph: Graph) -> None:
    changed = importance_graph(graph, lambda name: name.startswith("blk."))
    assert met(changed) == [
        in_layer(layer, *names)
        for layer in range(2)
        for names in (
            ("attn_q", "attn_k", "attn_v"),
            ("attn_output",),
            ("ffn_gate", "ffn_up"),
            ("ffn_down",),
        )
    ]
    assert changed.result is graph.result


def test_only_wanted_weights_are_named(graph: Graph) -> None:
    fused = score_graph(graph)
    assert fused is not None
    wanted = {"output.weight", *in_layer(1, "attn_k")}
    for whole in (graph, fused):
        assert met(importance_graph(whole, wanted.__contains__)) == [
            in_layer(1, "attn_k"),
            ("output.weight",),
        ]


def test_sums_stand_before_the_first_reader(graph: Graph) -> None:
    nodes = importance_graph(graph, lambda name: name.startswith("blk.")).nodes
    for at, node in enumerate(nodes):
        if isinstance(node.op, ops.SquareSums):
            assert not any(
                isinstance(before.op, ops.Linear) and before.inputs[0] is node.inputs[0]
                for before in nodes[:at]
            )


def test_gates_are_split(graph: Graph) -> None:
    assert any(isinstance(node.op, ops.GatedLinear) for node in graph.nodes)
    kinds = {type(node.op) for node in split_gates(graph).nodes}
    assert ops.Gate in kinds
    assert ops.GatedLinear not in kinds


def test_experts_have_sums_of_their_own(tmp_path: Path) -> None:
    model = Model.load(convert_case("mixtral", tmp_path)[1])
    changed = importance_graph(model.graph, lambda name: name.startswith("blk.0.ffn_"))
    found = [node for node in changed.nodes if isinstance(node.op, ops.SquareSums)]
    assert [node.op.weights_met for node in found] == [
        in_layer(0, "ffn_gate_inp"),
        in_layer(0, "ffn_gate_exps", "ffn_up_exps"),
        in_layer(0, "ffn_down_exps"),
    ]
    assert [len(node.inputs) for node in found] == [1, 2, 2]
    experts = {weight.name: weight.shape for weight in model.graph.weights()}
    for node in found[1:]:
        shape = experts[node.op.name]
        assert (node.op.experts, node.op.width) == (shape[0], shape[-1])
