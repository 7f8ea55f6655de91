"""``pyllama graph``: the graph, the plan and the profile of a model, in every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_runner import call, one_line_error, spawn
from tiny_model import write_model

PROFILE = ("--profile", "-r", "2", "-t", "2")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("graph") / "tiny.gguf")


def shown(model: Path, *options: str) -> str:
    result = call("graph", model, *options)
    assert (result.code, result.err) == (0, "")
    return result.out.decode()


def document(model: Path, *options: str) -> dict[str, Any]:
    text = shown(model, "--format", "json", *options)
    assert text.count("\n") == 1
    loaded: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    assert (loaded["model"], loaded["architecture"]) == (str(model), "llama")
    return loaded


def tables(text: str) -> list[list[list[str]]]:
    """Parts between empty lines, as lines of cells, which stand two blanks or more apart."""
    parts = text.split("\n\n")
    return [
        [[cell.strip() for cell in line.split("  ") if cell] for line in part.splitlines()]
        for part in parts
    ]


def facts(text: str) -> dict[str, str]:
    return dict(tables(text)[0])  # type: ignore[arg-type]


def test_nodes(model: Path) -> None:
    text = shown(model)
    _, nodes = tables(text)
    assert nodes[0] == ["output", "shape", "op", "weights", "attributes"]
    described = document(model)["nodes"]
    assert [node[0] for node in nodes[1:]] == [node["output"] for node in described]
    assert facts(text)["nodes"] == str(len(described))
    query = next(node for node in nodes if node[0] == "blk.0.attn_q")
    assert query[1:] == [
        "64 x n_tokens",
        "Linear(blk.0.attn_norm.out)",
        "blk.0.attn_q.weight 64 x 64 F32",
    ]
    norm = next(node for node in nodes if node[0] == "output_norm.out")
    assert norm[-1] == "eps=1e-05, groups=1"


def test_plan(model: Path) -> None:
    options = ("--plan", "-t", "3", "-c", "100", "-ctk", "bf16", "-ctv", "f32")
    text = shown(model, *options)
    _, launches, buffers = tables(text)
    described = document(model, *options)
    assert described["step"] | {"isa": ""} == {
        "tokens": 1, "depth": 0, "context": 100, "threads": 3, "isa": "",
        "cache_type_k": "bf16", "cache_type_v": "f32",
    }  # fmt: skip
    memory = described["memory"]
    assert len(launches) - 1 == len(described["launches"])
    assert len(buffers) - 1 == len(described["buffers"])
    layers, capacity, kv_heads, head_dim = 2, 128, 2, 8
    assert memory["cache"] == layers * capacity * kv_heads * head_dim * (2 + 4)
    known = facts(text)
    barriers = sum(launch["barrier"] for launch in described["launches"])
    assert known["launches"] == f"{len(described['launches'])}, {barriers} barriers"
    assert known["machine"].startswith("3 threads, ")
    assert known["cache"].endswith("bf16 keys, f32 values")
    assert sum(row[-1] == "barrier" for row in launches[1:]) == barriers
    assert "seconds" not in described["launches"][0]


def test_a_plan_for_a_prompt(model: Path) -> None:
    one, many = (document(model, "--plan", "--tokens", n) for n in ("1", "40"))
    kernels = [{launch["kernel"] for launch in plan["launches"]} for plan in (one, many)]
    assert "matmul" in kernels[1] - kernels[0]
    tasks = {launch["name"]: launch["tasks"] for launch in many["launches"]}
    assert tasks["blk.0.attn_norm.out"] == 40
    assert many["memory"]["arena"] > one["memory"]["arena"]


@pytest.mark.parametrize("by", ["kind", "op", "layer"])
def test_profile(model: Path, by: str) -> None:
    text = shown(model, *PROFILE, "--by", by, "--depth", "5")
    head, rows = tables(text)
    assert rows[0] == [by, "ops", "time us", "share", "GB/s", "GFLOP/s"]
    assert dict(head)["step"] == "1 token after 5, context 256"
    assert rows[-1][0] == "total"
    ops = [int(row[1]) for row in rows[1:]]
    assert sum(ops[:-1]) == ops[-1]
    measured = document(model, *PROFILE, "--by", by, "--depth", "5", "--tokens", "9")
    assert (measured["by"], measured["repetitions"]) == (by, 2)
    assert (measured["step"]["tokens"], measured["step"]["depth"]) == (9, 5)
    total, groups = measured["total"], measured["groups"]
    for key in ("ops", "seconds", "share", "bytes", "flops"):
        assert sum(group[key] for group in groups) == pytest.approx(total[key])
    assert total["share"] == pytest.approx(1)
    assert total["bytes_per_second"] == pytest.approx(total["bytes"] / total["seconds"])
    assert measured["step_seconds"] > 0


def test_a_profile_is_by_kind_unless_asked_otherwise(model: Path) -> None:
    assert document(model, *PROFILE)["by"] == "kind"


def test_a_plan_with_times(model: Path) -> None:
    text = shown(model, "--plan", *PROFILE)
    assert tables(text)[1][0][:4] == ["#", "launch", "kernel", "time us"]
    assert "step time" in facts(text)
    launches = document(model, "--plan", *PROFILE)["launches"]
    assert all(launch["seconds"] >= 0 for launch in launches)
    assert any(launch["seconds"] > 0 for launch in launches)


def test_graphviz(model: Path) -> None:
    graph, plan, timed = (
        shown(model, "--format", "dot", *options) for options in ((), ("--plan",), PROFILE)
    )
    for text in (graph, plan, timed):
        assert text.startswith("digraph {\n")
        assert text.endswith("}\n")
    assert r"Linear\nblk.0.attn_q" in graph
    assert r"matvec\nblk.0.attn_q" in plan
    assert ' us"' in timed
    assert ' us"' not in plan


def test_the_context_grows_with_what_is_asked_for(model: Path) -> None:
    assert document(model, "--plan")["step"]["context"] == 256
    assert document(model, "--plan", "--tokens", "300")["step"]["context"] == 300


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--tokens", "4"], "--tokens needs --plan or --profile"),
        (["-c", "4", "-t", "1"], "--ctx-size, --threads needs --plan or --profile"),
        (["-ctk", "f16"], "--cache-type-k needs --plan or --profile"),
        (["--by", "op"], "--by needs --profile"),
        (["--plan", "-d", "3"], "--depth needs --profile"),
        (["--plan", "--profile", "--by", "op"], "--by adds times up, but --plan shows every"),
        (["--profile", "--by", "op", "--format", "dot"], "but --format dot shows every launch"),
        (["--profile", "-c", "9", "--tokens", "8", "-d", "2"], "--tokens 8 and --depth 2 do not"),
        (["--plan", "-ctv", "q8_0"], "a q8_0 cache needs heads of a multiple of 32"),
        (["--plan", "-ctv", "q9"], "cache type 'q9' is not supported (-ctk, -ctv); give f32, f16"),
        (["--plan", "--format", "xml"], "'xml' is not one of 'text', 'json', 'dot'"),
        (["--profile", "-r", "0"], "--repetitions"),
    ],
)
def test_options_that_contradict(model: Path, options: list[str], error: str) -> None:
    result = call("graph", model, *options)
    assert (result.code, result.out) == (2, b"")
    assert error in result.err


def test_files_that_are_no_models(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf", {"general.architecture": "nonesuch"})
    assert "unknown architecture 'nonesuch'" in one_line_error(call("graph", path))
    assert "no such file" in one_line_error(call("graph", tmp_path / "absent.gguf", "--plan"))


def test_in_a_process_of_its_own(model: Path) -> None:
    result = spawn("graph", model, "--plan")
    assert (result.code, result.err) == (0, "")
    assert result.out.decode() == shown(model, "--plan")
