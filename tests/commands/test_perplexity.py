"""``pyllama perplexity`` from end to end: texts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runner import Result, call, one_line_error, spawn
from tiny_model import write_model

from pyllama import builtin

TEXT = "\n".join(f"value_{n} = {n * n}" for n in range(200)) + "\n"
QUICK = ("-c", "64", "-t", "1", "--chunks", "6")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("perplexity") / "text.txt"
    path.write_text(TEXT)
    return path


def perplexity(text: Path, *options: str | Path) -> Result:
    return call("perplexity", "-m", builtin.path(), "-f", text, *QUICK, *options)


def document(text: Path, *options: str | Path) -> dict[str, Any]:
    result = perplexity(text, "--output-format", "json", *options)
    assert result.code == 0, result.err
    loaded: dict[str, Any] = json.loads(result.out)
    return loaded


def test_as_a_user_runs_it(text: Path) -> None:
    result = spawn("perplexity", "-f", text, *QUICK)
    assert result.code == 0
    chunks, final = result.out.decode().splitlines()
    assert re.fullmatch(r"(\[\d\]\d+\.\d{4},){6}", chunks)
    last = re.findall(r"\](\d+\.\d{4}),", chunks)[-1]
    assert re.fullmatch(rf"Final estimate: PPL = {last} \+/- \d+\.\d{{5}}", final)
    built_in, header, timing = result.err.splitlines()
    assert built_in.startswith("no model given")
    assert re.match(r"perplexity: perplexity over 6 items, n_ctx = 64, stride = 0, tokens", header)
    assert re.match(r"perplexity: 384 tokens in .* tokens per second, peak memory \d+ MiB", timing)


def test_one_json_object(text: Path) -> None:
    (run,) = document(text)["runs"]
    header, chunks, result = run["header"], run["chunks"], run["result"]
    assert (header["measure"], header["context"], header["items"]) == ("perplexity", 64, 6)
    assert (header["model"], header["text"]) == (builtin.NAME, str(text))
    assert header["bos"] is True
    assert all(len(header[f"{name}_hash"]) == 64 for name in ("model", "tokenizer", "text"))
    assert [chunk["tokens"] for chunk in chunks] == [31] * 6
    assert result["tokens"] == 186
    assert result["nll"] == pytest.approx(np.mean([chunk["nll"] for chunk in chunks]))
    assert result["perplexity"] == chunks[-1]["perplexity"] == pytest.approx(np.exp(result["nll"]))
    assert run["tokens_per_second"] > 0


def test_a_line_for_each_chunk(text: Path) -> None:
    lines = perplexity(text, "--ppl-output-type", "1").out.decode().splitlines()
    assert re.fullmatch(r" {7}0  \d+\.\d{4}  \d+\.\d{6}  \d+\.\d{6}", lines[0])
    assert [line[:8] for line in lines[:6]] == [f"{64 * i:8d}" for i in range(6)]


def test_windows_that_overlap(text: Path) -> None:
    options = ("--ppl-stride", "32", "--chunks", "3")
    (run,) = document(text, *options)["runs"]
    assert (run["header"]["context"], run["header"]["stride"]) == (256, 32)
    assert run["header"]["bos"] is False
    assert [chunk["tokens"] for chunk in run["chunks"]] == [32, 32, 32]
    lines = perplexity(text, *options, "--ppl-output-type", "1").out.decode().splitlines()
    assert re.fullmatch(r" {6}32  \d+\.\d{4}", lines[1])


def test_several_texts(text: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(TEXT.upper())
    both = document(text, "-f", other)
    values = [run["result"]["perplexity"] for run in both["runs"]]
    assert both["macro_average"]["perplexity"] == pytest.approx(np.mean(values))
    lines = perplexity(text, "-f", other).out.decode().splitlines()
    assert lines[-1].startswith(f"Macro average of 2 texts: PPL = {np.mean(values):.4f} +/- ")


def test_a_text_on_the_command_line(text: Path) -> None:
    given = call("perplexity", "-m", builtin.path(), "-p", TEXT.rstrip("\n"), *QUICK)
    assert given.out == perplexity(text).out
    verbatim = call("perplexity", "-m", builtin.path(), "-bf", text, *QUICK)
    assert verbatim.out == given.out  # the newline is behind the last chunk


def test_a_run_goes_on_where_it_was_interrupted(text: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    whole = perplexity(text, "--resume", state)
    lines = state.read_bytes().splitlines(keepends=True)
    assert len(lines) == 7
    state.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    again = perplexity(text, "--resume", state)
    assert again.out == whole.out == perplexity(text).out
    assert f"3 items are known from {state}" in again.err
    assert state.read_bytes() == b"".join(lines)
    other = perplexity(text, "--resume", state, "-c", "32")
    assert "is the state of another run: context, ubatch differ" in one_line_error_after_notes(
        other
    )


def one_line_error_after_notes(result: Result) -> str:
    assert (result.code, result.out) == (1, b"")
    return result.err.splitlines()[-1].removeprefix("error: ")


def test_two_runs_side_by_side(text: Path, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.json", "b.json", "c.json")]
    for path, options in zip(paths, ((), ("-ctk", "q8_0"), ("--chunks", "5")), strict=True):
        path.write_bytes(perplexity(text, "--output-format", "json", *options).out)
    result = call("perplexity", "--compare", *paths[:2])
    assert result.code == 0
    lines = result.out.decode().splitlines()
    assert "cache_types  A: f16 f16, B: q8_0 f16" in lines
    assert re.search(r"\d\.\d{4} +\d+\.\d{4} +[+-]\d\.\d{4} +\d\.\d{6} ± \d\.\d{6}$", lines[-1])
    problem = one_line_error(call("perplexity", "--compare", paths[0], paths[2]))
    assert "cover different numbers of chunks (6 and 5)" in problem


def test_a_picture(text: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra 'plot'")
    assert perplexity(text, "--plot", tmp_path / "run.png").code == 0
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_progress_where_it_is_asked_for(text: Path) -> None:
    lines = perplexity(text, "--progress").err.splitlines()
    pattern = r"perplexity: 2/6, PPL = [\d.]+ \+/- [\d.]+, [\d.]+ tokens per second, \d+ s left"
    assert re.fullmatch(pattern, lines[2])


def test_options_of_llama_perplexity_that_do_nothing(text: Path) -> None:
    result = perplexity(text, "-ngl", "99", "-np", "4")
    assert result.code == 0
    assert "note: --parallel has no effect: chunks that fit into -ub are" in result.err
    assert call("perplexity", "--list-devices").out == b"Available devices:\n  (none)\n"


def test_texts_that_are_too_short(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("too short")
    problem = one_line_error(perplexity(tmp_path / "short.txt"))
    assert problem.startswith("the text has ")
    assert "at least 128 are needed for a context of 64" in problem


@pytest.mark.parametrize("ubatch", ["1", "8", "100"])
def test_any_size_of_a_step(text: Path, ubatch: str) -> None:
    values = [perplexity(text, *o).out.split()[-3] for o in ((), ("-ub", ubatch))]
    assert float(values[0]) == pytest.approx(float(values[1]), rel=2e-3)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ((), "no text; give -f FILE or -p TEXT"),
        (("-f", __file__, "--chunks", "0"), "no chunks leave nothing to measure"),
        (("-p", "x", "-c", "2"), "chunks of 2 tokens leave nothing to score"),
        (("-p", "x", "--kl-divergence"), "--kl-divergence needs --kl-divergence-base FILE"),
        (("-p", "x", "--hellaswag", "--winogrande"), "--hellaswag and --winogrande are different"),
        (("-p", "x", "--winogrande", "--kl-reference", "y"), "measure different things"),
        (("-p", "x", "--kl-reference", "y", "--kl-divergence"), "--kl-reference runs the base"),
        (("-p", "x", "--kl-reference", "y", "--plot", "z.png"), "--plot draws perplexities"),
        (("-p", "x", "--kl-divergence-base", "y", "--resume", "z"), "--resume cannot go on with"),
        (("-p", "x", "-f", __file__, "--kl-divergence-base", "y"), "has room for one text"),
        (("-p", "x", "--plot", "z.pdf"), "must end with .png or .svg"),
    ],
)
def test_options_that_make_no_sense(options: tuple[str, ...], problem: str) -> None:
    result = call("perplexity", "-m", builtin.path(), *options)
    assert result.code == 2
    assert result.out == b""
    assert problem in result.err


def test_a_model_whose_logits_are_no_numbers(tmp_path: Path) -> None:
    def spoil(_metadata: object, tensors: dict[str, Any]) -> None:
        tensors["output.weight"] = tensors["output.weight"].copy()
        tensors["output.weight"][7] = np.inf

    model = write_model(tmp_path / "spoiled.gguf", change=spoil)
    ids = Path(__file__).read_text()
    result = call("perplexity", "-m", model, "-p", ids, "-c", "16", "-t", "1")
    assert result.code == 1
    assert "chunk 1, position 8: a logit is not a finite number" in result.err
