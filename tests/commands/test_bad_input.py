"""Bad input from end to end: one line names the file, the thing and the remedy; exit code 1."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runner import call, one_line_error, spawn
from tiny_model import Metadata, Tensors, write_model

Change = Callable[[Metadata, Tensors], None]
Spoil = Callable[[bytes], bytes]


def run(path: Path, *options: str | Path) -> str:
    """The complaint of a run that fails."""
    prompt = () if "-f" in options or "-p" in options else ("-p", "Hi")
    return one_line_error(call("run", "-m", path, *prompt, *options))


def setting(key: str, value: Any) -> Change:
    def change(metadata: Metadata, _: Tensors) -> None:
        metadata[key] = value

    return change


def without(name: str) -> Change:
    def change(metadata: Metadata, tensors: Tensors) -> None:
        del (metadata if name in metadata else tensors)[name]

    return change


def cut(name: str) -> Change:
    """Leave out half of a tensor's rows."""

    def change(_: Metadata, tensors: Tensors) -> None:
        tensors[name] = tensors[name][: len(tensors[name]) // 2]

    return change


def add(name: str) -> Change:
    def change(_: Metadata, tensors: Tensors) -> None:
        tensors[name] = np.zeros(32, np.float32)

    return change


MODELS: dict[str, tuple[Change, list[str]]] = {
    "unknown architecture": (
        setting("general.architecture", "nonesuch"),
        ["nonesuch", "llama", "qwen2", "qwen3"],
    ),
    "no architecture": (without("general.architecture"), ["general.architecture"]),
    "missing tensor": (without("blk.1.ffn_up.weight"), ["blk.1.ffn_up.weight"]),
    "no embedding": (without("token_embd.weight"), ["token_embd.weight"]),
    "misshapen tensor": (
        cut("blk.0.attn_k.weight"),
        ["blk.0.attn_k.weight", "8 x 64, not 16 x 64"],
    ),
    "misshapen norm": (cut("output_norm.weight"), ["output_norm.weight", "32, not 64"]),
    "vocabulary and embedding": (cut("token_embd.weight"), ["vocabulary", "token_embd.weight"]),
    "no layers": (without("llama.block_count"), ["llama.block_count"]),
    "too many layers": (setting("llama.block_count", 2**31), ["block_count"]),
    "a layer more": (setting("llama.block_count", 3), ["blk.2."]),
    "no heads": (setting("llama.attention.head_count", 0), ["head_count"]),
    "heads that do not divide": (setting("llama.attention.head_count", 7), ["head"]),
    "key of a wrong type": (setting("llama.embedding_length", "64"), ["embedding_length"]),
    "epsilon": (
        setting("llama.attention.layer_norm_rms_epsilon", float("nan")),
        ["layer_norm_rms_epsilon"],
    ),
    "no tokenizer": (without("tokenizer.ggml.model"), ["tokenizer"]),
    "unknown tokenizer": (setting("tokenizer.ggml.model", "nonesuch"), ["nonesuch"]),
    "token out of range": (setting("tokenizer.ggml.bos_token_id", 10**6), ["bos_token_id"]),
    "sampling option": (setting("general.sampling.top_p", 7.0), ["general.sampling.top_p"]),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_that_cannot_run(tmp_path: Path, name: str) -> None:
    change, mentioned = MODELS[name]
    path = write_model(tmp_path / "model.gguf", change=change)
    error = run(path)
    assert error.startswith(f"{path}: ")
    for word in mentioned:
        assert word in error
    assert ";" in error, "a remedy follows the problem"


def of_type(number: int) -> Spoil:
    """Give the first norm's tensor another type."""

    def spoil(data: bytes) -> bytes:
        name = b"output_norm.weight"
        at = data.index(name) + len(name) + 4 + 8  # behind the number of dimensions and one
        return data[:at] + struct.pack("<i", number) + data[at + 4 :]

    return spoil


FILES: dict[str, tuple[Spoil, str]] = {
    "empty": (lambda _: b"", "empty"),
    "text": (lambda _: b"hello, world", "GGUF"),
    "cut in the head": (lambda data: data[:10], "truncated"),
    "cut in the metadata": (lambda data: data[:1000], "bytes follow; download"),
    "cut in the tensor table": (lambda data: data[: data.index(b"blk.1.")], "tensor 11 of 21"),
    "cut in the data": (lambda data: data[:-1], "incomplete"),
    "unknown type": (of_type(43), "unknown type 43"),
    "a type of ik_llama.cpp": (of_type(139), "ik_llama.cpp"),
    "future version": (lambda data: data[:4] + b"\x09" + data[5:], "version 9"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_models(tmp_path: Path, name: str) -> None:
    spoil, problem = FILES[name]
    path = write_model(tmp_path / "model.gguf")
    path.write_bytes(spoil(path.read_bytes()))
    error = run(path)
    assert error.startswith(f"{path}: ")
    assert problem in error


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    assert "directory; name a" in run(tmp_path)
    assert "no such file" in run(tmp_path / "absent.gguf")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)
def test_no_permission(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.gguf")
    path.chmod(0)
    assert "permission denied; check the file's permissions" in run(path)


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    def spoil(_: Metadata, tensors: Tensors) -> None:
        tensors["output_norm.weight"][0] = np.nan

    path = write_model(tmp_path / "model.gguf", change=spoil)
    result = call("run", "-m", path, "-p", "Hi", "--no-perf")
    assert (result.code, result.out) == (1, b"Hi\n")
    assert result.err.startswith("error: the largest logit is nan")
    assert result.err.count("\n") == 1


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("bad_input") / "tiny.gguf")


def test_a_prompt_longer_than_the_context(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text("word " * 100)
    error = run(tiny, "-f", file, "-c", "64")
    assert error.startswith(f"{file}: the prompt has 50")
    assert "the context has room for 64" in error
    assert "-c" in error


def test_an_empty_prompt_without_bos(tmp_path: Path, tiny: Path) -> None:
    path = write_model(tmp_path / "model.gguf", {"tokenizer.ggml.add_bos_token": False})
    assert "-p: the prompt is empty" in run(path, "-p", "")
    assert call("run", "-m", tiny, "-p", "", "-n", "1").code == 0, "with BOS it is fine"


def test_prompt_files(tiny: Path, tmp_path: Path) -> None:
    latin = tmp_path / "latin.txt"
    latin.write_bytes("Prüfung".encode("latin-1"))
    assert run(tiny, "-f", latin).startswith(f"{latin}: not UTF-8 at byte 2 (0xfc); convert")
    assert "directory" in run(tiny, "-f", tmp_path)
    assert "no such file" in run(tiny, "-f", tmp_path / "absent.txt")


def test_instruction_sets(tiny: Path) -> None:
    assert "unknown instruction set 'mmx'; known are: " in run(tiny, "--isa", "mmx")


def test_as_a_process(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    result = spawn("run", "-m", path, "-p", "Hi")
    assert one_line_error(result).startswith(f"{path}: ")
    verbose = spawn("run", "-m", path, "-p", "Hi", "-v")
    assert verbose.code == 1
    assert "Traceback" in verbose.err
    assert verbose.err.splitlines()[-1] == result.err.strip()
