"""``pyllama bench`` from end to end, with tests as small as they can be."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cli_runner import Result, call, one_line_error, spawn
from tiny_model import write_model

from pyllama import builtin, hub

ONCE = ("-r", "1")
QUICK = ("-p", "8", "-n", "2", "-t", "1", *ONCE)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("bench") / "tiny.gguf")


def bench(model: Path, *options: str | Path) -> Result:
    quick = QUICK[: -len(ONCE)] if "-r" in options else QUICK
    return call("bench", "-m", model, *quick, *options)


def document(model: Path, *options: str) -> list[dict[str, Any]]:
    result = bench(model, "-o", "json", *options)
    assert (result.code, result.err) == (0, "")
    loaded: list[dict[str, Any]] = json.loads(result.out)
    return loaded


def test_as_a_user_runs_it(model: Path) -> None:
    result = spawn("bench", "-m", model, *QUICK)
    assert (result.code, result.err) == (0, "")
    header, rule, prompt, generation, empty, build = result.out.decode().splitlines()
    assert header.startswith("| model                          |       size |     params | back")
    assert rule.startswith("| ------------------------------ | ---------: | ---------: | ------")
    assert [line.split("|")[6].strip() for line in (prompt, generation)] == ["pp8", "tg2"]
    assert (empty, build[:7]) == ("", "build: ")


def test_options_reach_the_tests(model: Path) -> None:
    options = ("-b", "16", "-ub", "4", "-ctk", "bf16", "-ctv", "f16,bf16", "-d", "0-3")
    entries = document(model, *options, "-pg", "4,1", "-r", "2", "--no-warmup")
    assert len(entries) == 2 * 4 * 3
    assert [e["type_v"] for e in entries] == ["f16"] * 12 + ["bf16"] * 12
    assert [e["n_depth"] for e in entries[::3]] == [0, 1, 2, 3] * 2
    sizes = [(e["n_prompt"], e["n_gen"]) for e in entries[:3]]
    assert sizes == [(8, 0), (0, 2), (4, 1)]
    first = entries[0]
    assert (first["n_batch"], first["n_ubatch"], first["type_k"]) == (16, 4, "bf16")
    assert (first["n_threads"], len(first["samples_ns"])) == (1, 2)
    assert first["model_filename"] == str(model)
    assert first["avg_ts"] > 0


def test_models_and_threads_by_commas_and_again(model: Path) -> None:
    result = call(
        *("bench", "-m", f"{model},{model}", "-m", model, "-p", "4", "-n", "0", "-r", "1"),
        *("-t", "1", "-t", "2", "-o", "jsonl"),
    )
    assert result.code == 0
    entries = [json.loads(line) for line in result.out.splitlines()]
    assert [e["n_threads"] for e in entries] == [1, 2] * 3


def test_the_built_in_model() -> None:
    result = call("bench", *QUICK, "-o", "jsonl")
    assert result.code == 0
    assert result.err.startswith("no model given (-m FILE): using the built-in one, ")
    names = {Path(json.loads(line)["model_filename"]).name for line in result.out.splitlines()}
    assert names == {builtin.NAME}


def test_models_of_hubs_come_last(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def resolve(repo: str, **how: Any) -> Path:
        asked.append((repo, how["file"], how["token"], how["offline"]))
        return model

    monkeypatch.setattr(hub, "resolve", resolve)
    source = ("-hf", "a/b:Q8_0,c/d", "-hff", "x.gguf", "-hft", "secret", "--offline")
    entries = document(model, *source)
    assert asked == [("a/b:Q8_0", "x.gguf", "secret", True), ("c/d", None, "secret", True)]
    assert len(entries) == 3 * 2


def test_second_output(model: Path) -> None:
    result = bench(model, "-oe", "jsonl")
    assert result.out.startswith(b"| model")
    assert [json.loads(line)["n_prompt"] for line in result.err.splitlines()] == [8, 0]


def test_progress_only_where_it_is_asked_for(model: Path) -> None:
    result = bench(model, "--progress", "-d", "4")
    lines = result.err.splitlines()
    assert lines[0] == "benchmark 1/2, pp8 @ d4: depth"
    assert lines[2].startswith("benchmark 1/2, pp8 @ d4: repetition, ")
    assert all(line.endswith(" left") for line in lines[1:])
    assert "\r" not in result.err
    assert bench(model, "--no-progress").err == ""


def test_ceilings(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyllama.bench import measure
    from pyllama.bench.ceilings import Ceilings

    monkeypatch.setattr(measure, "measure_ceilings", lambda *_: Ceilings(1e9, 2e9))
    table = bench(model, "--ceilings").out.decode()
    assert "GFLOP/s (of ceiling) |" in table.splitlines()[0]
    (entry, _) = document(model, "--ceilings")
    assert (entry["max_bytes_per_second"], entry["max_flops_per_second"]) == (1e9, 2e9)


def test_threads_are_bound_to_cpus(model: Path) -> None:
    cpu = hex(1 << min(os.sched_getaffinity(0)))
    result = bench(model, "-C", f"0x0,{cpu}", "--cpu-strict", "0,1", "-o", "jsonl")
    assert (result.code, result.err) == (0, "")
    rows = [json.loads(line) for line in result.out.splitlines()]
    places = list(dict.fromkeys((row["cpu_mask"], row["cpu_strict"]) for row in rows))
    assert places == [("0x0", False), ("0x0", True), (cpu, False), (cpu, True)]


def test_options_without_effect_are_noted(model: Path) -> None:
    result = bench(model, "-ngl", "99", "-fa", "1")
    assert result.code == 0
    assert result.err.splitlines() == [
        "note: --n-gpu-layers has no effect: pyllama computes on the CPU",
        "note: --flash-attn has no effect: attention has one implementation, which is the fast one",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-C", "zz"), "CPU mask 'zz'"),
        (("-C", "1", "--cpu-strict", "2"), "--cpu-strict is '2'"),
        (("-C", "1", "--numa", "isolate"), "--numa and -C contradict"),
        (("-embd", "1"), "--embeddings is not supported"),
        (("-p", "8x"), "invalid parameter for argument: -p 8x; give numbers"),
        (("-ctk", "f32"), "-ctk f32: give one of f16, bf16, q8_0"),
        (("-hff", "x.gguf"), "-hff names a file of a repository, but -hf gives none"),
        (("--plot", "x.pdf"), "--plot x.pdf: the name must end with .png or .svg"),
    ],
)
def test_wrong_usage(model: Path, options: tuple[str, ...], message: str) -> None:
    result = bench(model, *options)
    assert (result.code, result.out) == (2, b"")
    assert result.err.startswith(f"error: {message}")
    assert result.err.count("\n") == 1


def test_nothing_to_measure(model: Path) -> None:
    result = call("bench", "-m", model, "-p", "0", "-n", "0")
    assert (result.code, result.out) == (2, b"")
    assert result.err.startswith("error: nothing to measure: give -p, -n or -pg")


def test_files_that_cannot_be_measured(tmp_path: Path) -> None:
    assert "none.gguf: no such file" in one_line_error(bench(tmp_path / "none.gguf"))
    odd = tmp_path / "odd.gguf"
    odd.write_bytes(b"odd")
    assert "odd.gguf" in one_line_error(bench(odd, "-o", "json"))


def test_what_was_measured_before_a_failure_is_whole(model: Path, tmp_path: Path) -> None:
    result = bench(model, "-m", tmp_path / "none.gguf", "-o", "json")
    assert result.code == 1
    assert len(json.loads(result.out)) == 2


def test_an_instruction_set_that_is_none(model: Path) -> None:
    assert "unknown instruction set 'z80'" in one_line_error(bench(model, "--isa", "z80"))


def test_comparison(model: Path, tmp_path: Path) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file, threads in zip(files, ("1", "2"), strict=True):
        measured = call(*("bench", "-m", model, "-p", "8", "-n", "2", "-t", threads, "-o", "json"))
        file.write_bytes(measured.out)
    result = call("bench", "--compare", *files)
    assert (result.code, result.err) == (0, "")
    lines = result.out.decode().splitlines()
    assert lines[:3] == [
        f"A          {files[0]}",
        f"B          {files[1]}",
        "n_threads  A: 1, B: 2",
    ]
    assert lines[4].split() == ["test", "A", "t/s", "B", "t/s", "B/A"]
    assert [line.split()[0] for line in lines[5:]] == ["pp8", "tg2"]


def test_comparison_with_what_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{}")
    message = one_line_error(call("bench", "--compare", path, path))
    assert message.startswith(f"{path}: a result has no n_prompt")


def test_plot(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra 'plot'")
    path = tmp_path / "sweep.svg"
    result = bench(model, "-d", "0,4", "--plot", path)
    assert (result.code, result.err) == (0, "")
    assert b"</svg>" in path.read_bytes()


def test_plot_without_matplotlib_fails_before_anything_runs(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyllama.picture.find_spec", lambda _: None)
    message = one_line_error(bench(model, "--plot", tmp_path / "x.svg"))
    assert message == "--plot needs matplotlib; install it with: pip install 'pyllama[plot]'"


def test_devices() -> None:
    result = call("bench", "--list-devices")
    assert (result.code, result.out) == (0, b"Available devices:\n  (none)\n")
