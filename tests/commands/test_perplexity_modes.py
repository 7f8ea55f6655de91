"""``pyllama perplexity`` from end to end: divergence from another model, and tasks."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from cli_runner import Result, call, one_line_error
from tiny_model import write_model

from pyllama import builtin

TEXT = "\n".join(f"value_{n} = {n * n}" for n in range(200))
QUICK = ("-c", "64", "-t", "1", "--chunks", "4")
AS_JSON = ("--output-format", "json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The text, a quantized model, and the base file of the built-in one."""
    folder = tmp_path_factory.mktemp("modes")
    (folder / "text.txt").write_text(TEXT)
    types = ("--allow-requantize", builtin.path(), folder / "q4_0.gguf", "Q4_0", "1")
    assert call("quantize", *types).code == 0
    result = perplexity(
        builtin.path(), "-f", folder / "text.txt", "--save-all-logits", folder / "b"
    )
    assert result.code == 0, result.err
    assert result.out.splitlines()[-1].startswith(b"Final estimate: PPL = ")
    return folder


def perplexity(model: Path, *options: str | Path) -> Result:
    return call("perplexity", "-m", model, *QUICK, *options)


def result_of(model: Path, *options: str | Path) -> dict[str, Any]:
    return parsed(perplexity(model, *AS_JSON, *options))


def solve(*options: str | Path) -> Result:
    return call("perplexity", "-m", builtin.path(), "-t", "1", *options)


def parsed(done: Result) -> dict[str, Any]:
    assert done.code == 0, done.err
    (run,) = json.loads(done.out)["runs"]
    found: dict[str, Any] = run["result"]
    return found


def test_statistics_are_written_as_llama_perplexity_does(folder: Path) -> None:
    options = ("--kl-divergence", "--kl-divergence-base", folder / "b")
    result = perplexity(folder / "q4_0.gguf", *options)
    assert result.code == 0, result.err
    empty, head, *rows = result.out.decode().splitlines()
    assert (empty, head[:39]) == ("", "chunk             PPL               ln(")
    number = r" +-?\d+\.\d+ ± +\d+\.\d+"
    for chunk, row in enumerate(rows[:4], start=1):
        assert re.fullmatch(rf"   {chunk}({number}){{3}}({number} %){{2}}", row)
    titles = [line for line in rows if line.startswith("=")]
    assert titles == [
        "====== Perplexity statistics ======",
        "====== KL divergence statistics ======",
        "====== Token probability statistics ======",
    ]
    names = [line.partition(":")[0] for line in rows if ":" in line]
    assert names[:3] == [
        "Mean PPL(Q)                   ",
        "Mean PPL(base)                ",
        "Cor(ln(PPL(Q)), ln(PPL(base)))",
    ]
    assert names[6:10] == ["Mean    KLD", "Maximum KLD", "99.9%   KLD", "99.0%   KLD"]
    assert names[-4:] == [" 0.1%   Δp", "Minimum Δp", "RMS Δp    ", "Same top p"]
    assert len(names) == 6 + 12 + 16


def test_two_models_need_no_file(folder: Path) -> None:
    model, text = folder / "q4_0.gguf", folder / "text.txt"
    saved = result_of(model, "--kl-divergence", "--kl-divergence-base", folder / "b")
    live = result_of(model, "--kl-reference", builtin.path(), "-f", text)
    assert live["tokens"] == saved["tokens"] == 124
    for name in ("ppl", "ppl_base", "kld", "p_diff_rms", "same_top_p"):
        assert live[name] == pytest.approx(saved[name], rel=0.02), name
    assert 0.001 < live["kld"] < 1
    assert live["kld_quantiles"]["0.0"] <= live["kld_quantiles"]["0.5"]
    assert live["ppl"] == pytest.approx(result_of(model, "-f", text)["perplexity"], rel=1e-4)


def test_a_divergence_goes_on_where_it_was_interrupted(folder: Path, tmp_path: Path) -> None:
    options = ("--kl-divergence", "--kl-divergence-base", folder / "b", "--resume", tmp_path / "s")
    whole = perplexity(folder / "q4_0.gguf", *options)
    lines = (tmp_path / "s").read_bytes().splitlines(keepends=True)
    (tmp_path / "s").write_bytes(b"".join(lines[:3]))
    assert perplexity(folder / "q4_0.gguf", *options).out == whole.out


def test_bases_that_do_not_fit(folder: Path, tmp_path: Path) -> None:
    tiny = write_model(tmp_path / "tiny.gguf")
    options = ("--kl-divergence", "--kl-divergence-base")
    problem = one_line_error(perplexity(tiny, *options, folder / "b"))
    assert "is of a vocabulary of 4096 tokens" in problem
    problem = one_line_error(perplexity(tiny, *options, folder / "text.txt"))
    assert "is no file of log-probabilities" in problem
    reference = ("--kl-reference", folder / "q4_0.gguf", "-p", TEXT)
    assert "have different tokenizers" in one_line_error(perplexity(tiny, *reference))
    assert sorted(path.name for path in folder.iterdir()) == ["b", "q4_0.gguf", "text.txt"]


def test_hellaswag(tmp_path: Path) -> None:
    path = tmp_path / "tasks.txt"
    path.write_text("def add(a, b):\n1\nlambda\nreturn a + b\nimport os\nNone of\n" * 3)
    result = solve("--hellaswag", "-f", path)
    lines = result.out.decode().splitlines()
    assert lines[1] == "task\tacc_norm\t95% confidence interval"
    assert lines[4] == "3\t100.00000000%\t[43.8503%, 100.0000%]"
    found = parsed(solve("--hellaswag", "--hellaswag-tasks", "2", "-f", path, *AS_JSON))
    assert (found["tasks"], found["right"], found["accuracy"]) == (2, 2, 1.0)


def test_winogrande(tmp_path: Path) -> None:
    path = tmp_path / "tasks.csv"
    path.write_text("".join(f"{i},for i in _(10): print(i),range,banana,1\n" for i in range(100)))
    result = solve("--winogrande", "-f", path)
    lines = result.out.decode().splitlines()
    assert re.fullmatch(r"100\t\d+\.\d{4}\t *-\d+\.\d{6}  *-\d+\.\d{6}  [12]  1", lines[99])
    assert lines[-1].startswith("Final Winogrande score(100 tasks): ")
    some = solve("--winogrande", "--winogrande-tasks", "3", "-f", path)
    assert len(some.out.decode().split()) == 3 * 6


def test_multiple_choice(tmp_path: Path) -> None:
    def packed(text: str) -> bytes:
        return struct.pack("<I", len(text)) + text.encode()

    task = packed("import") + struct.pack("<I", 2) + packed("sys") + packed("(((") + bytes(8)
    labelled = task[:-8] + struct.pack("<ii", 1, 0) + bytes(4)
    path = tmp_path / "tasks.bin"
    path.write_bytes(struct.pack("<III", 2, 12, 12 + len(labelled)) + labelled * 2)
    result = solve("--multiple-choice", "-bf", path)
    assert result.out.decode().splitlines() == [
        *("", "task\tacc_norm", "1\t100.00000000", "2\t100.00000000", ""),
        *("Final result: 100.0000 +/- 0.0000", "Random chance: 50.0000 +/- 50.0000"),
    ]


@pytest.mark.parametrize("kind", ["hellaswag", "winogrande", "multiple-choice"])
def test_files_that_hold_no_tasks(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "tasks"
    path.write_bytes(b"three\nlines\nonly\n")
    assert str(path) in one_line_error(solve(f"--{kind}", "-f", path))


def test_what_has_no_effect_is_said(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "tasks.txt"
    path.write_text("def add(a, b):\n1\nlambda\nreturn a + b\nimport os\nNone of\n")
    result = solve("--hellaswag", "-f", path, "--winogrande-tasks", "3", "--ppl-stride", "9")
    assert result.code == 0
    assert result.err.splitlines()[:2] == [
        "warning: --winogrande-tasks has no effect without --winogrande",
        "warning: --ppl-stride has no effect on tasks",
    ]
    options = ("--kl-divergence", "--kl-divergence-base", folder / "b", "--chunks", "1")
    result = solve(*options, "-f", path, "--ppl-output-type", "1")
    assert result.code == 0
    assert result.err.splitlines()[:2] == [
        "warning: --ppl-output-type has no effect on divergences",
        "warning: the text, and how it is cut, are those of the base file",
    ]
