"""``pyllama convert``: its options, its output and its refusals."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from cli_runner import COMMAND, FOLDER, Result, call, environment, one_line_error, spawn
from convert.raw_checkpoint import HIDDEN, VOCABULARY, framed, llama_tensors, write_llama
from hub.hub_server import Repository, serving

from pyllama.gguf import GGUFFile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "Tiny-1B-Chat")


def wrong_usage(*arguments: str | Path) -> str:
    result = call("convert", *arguments)
    assert result.code == 2, result
    assert result.out == b""
    return result.err


def facts(result: Result) -> dict[str, str]:
    assert result.code == 0, result
    pairs = (line.split("  ", 1) for line in result.out.decode().splitlines())
    return {name.strip(): value.strip() for name, value in pairs}


def test_a_checkpoint_is_converted_in_a_process_of_its_own(folder: Path) -> None:
    result = spawn("convert", folder)
    found = facts(result)
    path = folder / "Tiny-1B-Chat-BF16.gguf"
    assert found["file"] == str(path)
    assert found["model"] == "Tiny 1B Chat"
    assert found["architecture"] == "llama (LlamaForCausalLM)"
    assert found["weights"].endswith("in 21 tensors, BF16")
    assert result.err == ""
    with GGUFFile.open(path) as file:
        assert len(file.metadata["tokenizer.ggml.tokens"]) == VOCABULARY
    run = spawn("run", "-m", path, "-p", "A", "-n", "3", "--temp", "0", "--no-perf", "-no-cnv")
    assert (run.code, run.err) == (0, "")


@pytest.mark.parametrize(
    ("outfile", "name"),
    [
        ("x.gguf", "x.gguf"),
        ("x-{outtype}.gguf", "x-q8_0.gguf"),
        ("x-{FTYPE}.gguf", "x-Q8_0.gguf"),
        ("", "Tiny-1B-Chat-Q8_0.gguf"),
    ],
)
def test_names_of_the_result(folder: Path, tmp_path: Path, outfile: str, name: str) -> None:
    result = call("convert", folder, "--outtype", "Q8_0", "-o", tmp_path / outfile)
    assert facts(result)["file"] == str(tmp_path / name)
    assert (tmp_path / name).exists()
    assert "2 tensors become f16 instead of q8_0" in result.err


def test_a_dry_run_writes_nothing(folder: Path) -> None:
    before = sorted(folder.iterdir())
    result = call("convert", folder, "--dry-run", "--split-max-tensors", "10")
    assert result.code == 0
    text = result.out.decode()
    assert "blk.1.ffn_down.weight" in text
    assert "Tiny-1B-Chat-BF16-00003-of-00003.gguf" in text
    assert sorted(folder.iterdir()) == before


def test_parts(folder: Path, tmp_path: Path) -> None:
    result = call("convert", folder, "-o", tmp_path / "x", "--split-max-size", "40K")
    assert result.code == 0
    files = sorted(path.name for path in tmp_path.glob("x-*"))
    assert files[0].startswith("x-00001-of-")
    with GGUFFile.open(tmp_path / files[0]) as file:
        assert len(file.paths) == len(files) > 1


def test_vocabulary_alone(folder: Path) -> None:
    found = facts(call("convert", folder, "--vocab-only", "--model-name", "V"))
    assert found["model"] == "V"
    with GGUFFile.open(folder / "Tiny-1B-Chat-vocab.gguf") as file:
        assert not file.tensors
        assert len(file.metadata["tokenizer.ggml.tokens"]) == VOCABULARY


def test_metadata(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps({"general.author": "me"}))
    call("convert", folder, "--metadata", tmp_path / "m.json", "-o", tmp_path / "x.gguf")
    with GGUFFile.open(tmp_path / "x.gguf") as file:
        assert file.metadata["general.author"] == "me"


def test_weights_read_first(folder: Path, tmp_path: Path) -> None:
    assert call("convert", folder, "-o", tmp_path / "a.gguf").code == 0
    assert call("convert", folder, "-o", tmp_path / "b.gguf", "--no-lazy", "-t", "1").code == 0
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_verification(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyllama.convert import reference

    monkeypatch.setattr(reference, "find_spec", lambda _: None)
    found = facts(call("convert", folder, "--verify"))
    assert found["verified"] == "21 tensors, one pass"
    assert found["transformers"] == "not compared: torch and transformers not installed"


def test_verbose_names_every_tensor(folder: Path) -> None:
    result = call("convert", folder, "-v")
    lines = [line for line in result.err.splitlines() if " -> " in line]
    assert len(lines) == 21
    assert lines[0] == (
        "[1/21] model.embed_tokens.weight -> token_embd.weight, bf16 -> bf16, 32 x 272"
    )


def test_what_can_be_converted_is_listed() -> None:
    result = call("convert", "--print-supported-models")
    assert result.code == 0
    assert b"LlamaForCausalLM" in result.out
    assert b"Qwen3ForCausalLM" in result.out


def test_an_existing_file_is_kept(folder: Path) -> None:
    target = folder / "x.gguf"
    target.write_bytes(b"precious")
    error = one_line_error(call("convert", folder, "-o", target))
    assert error == f"{target}: exists; name another output, or replace it with --force"
    assert target.read_bytes() == b"precious"
    assert call("convert", folder, "-o", target, "--force").code == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "no MODEL is given"),
        (("x", "--outtype", "q4_k"), "--outtype 'q4_k' is not one of auto, f32"),
        (("x", "--split-max-size", "1T"), "--split-max-size '1T' is no size"),
        (("x", "--vocab-only", "--split-max-size", "1G"), "leave one of them out"),
        (("x", "--dry-run", "--verify"), "leave one of them out"),
        (("x", "--trust-remote-code"), "has no effect without --verify"),
        (("x", "--vocab-only", "--no-lazy"), "leave --no-lazy out"),
        (("x", "--mmproj"), "--mmproj is not supported: only models of text"),
        (("u/m:Q8_0",), "a checkpoint has no quantizations"),
    ],
)
def test_wrong_usage(options: tuple[str, ...], complaint: str) -> None:
    assert complaint in wrong_usage(*options)


def test_folders_that_are_no_checkpoint(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert str(missing) in one_line_error(call("convert", missing))
    assert "config.json: no such file" in one_line_error(call("convert", tmp_path))


def test_code_of_the_checkpoint_is_not_run(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text("import pathlib; pathlib.Path('touched').touch()")
    (folder / "tokenization_evil.py").write_text("raise SystemExit(7)")
    assert call("convert", folder).code == 0
    assert not Path("touched").exists()


def test_a_repository_of_the_hub(folder: Path, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with serving() as hub:
        hub.repositories["u/Model-1B"] = Repository({**files, "x.py": b"x"})
        variables = {
            "HF_ENDPOINT": hub.url,
            "HF_HUB_CACHE": str(tmp_path / "hub"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "*",
            "LLAMA_CACHE": "",
            "HF_TOKEN": "",
            "HF_HUB_OFFLINE": "",
        }
        target = tmp_path / "x.gguf"
        result = spawn("convert", "u/Model-1B", "-o", target, env=variables)
        assert facts(result)["model"] == "Model 1B"
        assert result.err.startswith("downloading ")
        again = spawn("convert", "u/Model-1B", "-o", target, "--offline", "--force", env=variables)
        assert (again.code, again.err) == (0, "")
    with GGUFFile.open(target) as file:
        assert file.metadata["general.organization"] == "u"


HUGE = 1 << 22


def write_huge(folder: Path) -> Path:
    """A checkpoint whose feed-forward is worth seconds of work, most of it a hole in the file."""
    write_llama(folder, intermediate_size=HUGE)
    places: dict[str, object] = {}
    end = 0
    for name, array in llama_tensors().items():
        shape = [HUGE if size == HIDDEN else size for size in array.shape]
        start, end = end, end + 2 * math.prod(shape)
        places[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    path = folder / "model.safetensors"
    path.write_bytes(framed(places))
    os.truncate(path, path.stat().st_size + end)
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    folder = write_huge(tmp_path / "m")
    target = tmp_path / "out"
    target.mkdir()
    command = [*COMMAND, "convert", str(folder), "-o", str(target), "--outtype", "q8_0", "-v"]
    with Popen(command, stderr=PIPE, env=environment(), cwd=FOLDER, text=True) as process:
        assert process.stderr is not None
        while "[2/21]" not in process.stderr.readline():
            assert process.poll() is None
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(timeout=30) == 130
        seconds = time.monotonic() - start
    assert rest.splitlines()[-1] == "error: interrupted"
    assert list(target.iterdir()) == []
    assert seconds < 2
