"""``--output-format json``: one object, and what is in it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from cli_runner import call
from tiny_model import write_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("json") / "tiny.gguf")


def run(model: Path, *options: str) -> dict[str, Any]:
    arguments = ("-p", "Hi", "-n", "5", "-s", "1", "--output-format", "json")
    result = call("run", "-m", model, *arguments, *options)
    assert result.code == 0, result
    assert result.out.count(b"\n") == 1
    document: dict[str, Any] = json.loads(result.out)
    return document


def test_what_is_said(tiny: Path) -> None:
    document = run(tiny)
    text = call("run", "-m", tiny, "-p", "Hi", "-n", "5", "-s", "1", "--no-display-prompt").out
    assert document["text"] == text.decode().removesuffix("\n")
    assert document["prompt"] == "Hi"
    assert document["model"] == str(tiny)
    assert document["finish_reason"] == "length"
    assert len(document["tokens"]) == 5
    timings = document["timings"]
    assert timings["prompt"]["tokens"] == len(document["prompt_tokens"])
    assert timings["eval"]["tokens"] == 4
    parts = [timings[part]["seconds"] for part in ("prompt", "eval", "sampling")]
    assert 0 < sum(parts) < timings["total_seconds"]
    assert timings["load_seconds"] > 0
    assert "logprobs" not in document


def test_log_probabilities(tiny: Path) -> None:
    document = run(tiny, "--logprobs", "3")
    assert [entry["token"] for entry in document["logprobs"]] == document["tokens"]
    for entry in document["logprobs"]:
        values = [other["logprob"] for other in entry["top"]]
        assert len(values) == 3
        assert values == sorted(values, reverse=True)
        assert sum(map(math.exp, values)) <= 1
        assert entry["logprob"] <= values[0]
    everything = run(tiny, "--logprobs", "1000", "-n", "1")["logprobs"][0]["top"]
    assert sum(math.exp(other["logprob"]) for other in everything) == pytest.approx(1)
    assert run(tiny, "--logprobs", "0")["logprobs"][0]["top"] == []


def test_a_stop_string_is_not_in_the_text(tiny: Path) -> None:
    text = run(tiny)["text"]
    document = run(tiny, "-r", text[2:4], "-r", "never")
    assert document["finish_reason"] == "stop_string"
    assert document["text"] == text[:2]


def test_nothing_where_the_run_fails(tiny: Path) -> None:
    arguments = ("-p", "a" * 70, "-c", "64", "--output-format", "json")
    result = call("run", "-m", tiny, *arguments)
    assert (result.code, result.out) == (1, b"")


def test_log_probabilities_need_json(tiny: Path) -> None:
    result = call("run", "-m", tiny, "-p", "Hi", "--logprobs", "1")
    assert result.code == 2
    assert "--logprobs needs --output-format json" in result.err
