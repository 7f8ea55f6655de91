"""``--lora``, ``--lora-scaled`` and ``pyllama convert-lora``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_runner import call, one_line_error
from lora import peft_files as peft
from lora.adapters import EMBEDDING, draw, matrices, merge, shapes, write_adapter
from tiny_model import write_model

PROMPT = ("-p", "abc", "-n", "12", "--temp", "0", "-c", "64", "-t", "2")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model.gguf")


def run(model: Path, *arguments: str) -> str:
    result = call("run", "-m", model, *PROMPT, *arguments)
    assert result.code == 0, result.err
    return result.out.decode()


def test_run_with_adapters(model: Path, tmp_path: Path) -> None:
    names = [name for name in matrices(model) if name != EMBEDDING]
    paths = [tmp_path / name for name in ("one.gguf", "two, and more.gguf", "three.gguf")]
    drawn = [draw(shapes(model), names, seed=seed) for seed in range(3)]
    for path, pairs in zip(paths, drawn, strict=True):
        write_adapter(path, "llama", pairs)
    one, two, three = paths
    scales = zip(drawn, (1.0, 1.0, -2.5), strict=True)
    merged = run(merge(model, tmp_path / "merged.gguf", scales))
    assert run(model, "--lora", f'{one},"{two}"', "--lora-scaled", f"{three}:-2.5") == merged
    assert (
        run(model, "--lora", str(one), "--lora", f'"{two}"', "--lora-scaled", f"{three}:-2.5")
        == merged
    )
    assert run(model) != merged
    assert run(model, "--lora-scaled", f"{one}:0") == run(model)


@pytest.mark.parametrize("value", ["lora.gguf", "lora.gguf:", ":1", "lora.gguf:much", "l.gguf:nan"])
def test_scales_that_are_none(model: Path, value: str) -> None:
    result = call("run", "-m", model, *PROMPT, "--lora-scaled", value)
    assert result.code == 2
    assert f"--lora-scaled '{value}' is not FILE:SCALE" in result.err


def test_a_name_that_is_empty(model: Path) -> None:
    result = call("run", "-m", model, *PROMPT, "--lora", "a.gguf,,b.gguf")
    assert result.code == 2
    assert "has an empty name between its commas" in result.err


def test_an_adapter_of_another_model(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "lora.gguf"
    write_adapter(path, "qwen2", draw(shapes(model), ["blk.0.attn_q.weight"]))
    error = one_line_error(call("run", "-m", model, *PROMPT, "--lora", path))
    assert error.startswith(f"{path}: is an adapter for 'qwen2', the model is 'llama'")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """An adapter that names the folder of its base model."""
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text(json.dumps(peft.weights("llama")[0]))
    folder = tmp_path / "my-adapter"
    shapes = {"model.layers.0.mlp.up_proj": (96, 64)}
    peft.write_peft(folder, shapes, base_model_name_or_path=str(base))
    return folder


def test_convert_lora(adapter: Path) -> None:
    result = call("convert-lora", adapter, "--outtype", "f16")
    assert result.code == 0, result.err
    out = result.out.decode()
    path = adapter / "my-adapter-LoRA-F16.gguf"
    assert path.is_file()
    assert str(path) in out
    assert "llama (LlamaForCausalLM)" in out
    error = one_line_error(call("convert-lora", adapter, "--outtype", "f16"))
    assert "exists; name another output, or replace it with --force" in error
    assert call("convert-lora", adapter, "--outtype", "f16", "--force").code == 0


def test_where_it_goes_and_dry_run(adapter: Path, tmp_path: Path) -> None:
    named = tmp_path / "x-{OUTTYPE}.gguf"
    result = call("convert-lora", adapter, "-o", named, "--dry-run")
    assert "blk.0.ffn_up.weight.lora_a" in result.out.decode()
    assert not list(tmp_path.glob("x-*"))
    assert call("convert-lora", adapter, "-o", named).code == 0
    assert (tmp_path / "x-F32.gguf").is_file()


def test_base_models(adapter: Path, tmp_path: Path) -> None:
    both = ("--base", tmp_path / "base", "--base-model-id", "user/model")
    result = call("convert-lora", adapter, *both)
    assert result.code == 2
    assert "both name the base model" in result.err
    config = json.loads((adapter / "adapter_config.json").read_text())
    for name, problem in (
        ("/no/where", "names the base model '/no/where', which is not here"),
        (None, "does not name the base model"),
    ):
        config["base_model_name_or_path"] = name
        (adapter / "adapter_config.json").write_text(json.dumps(config))
        error = one_line_error(call("convert-lora", adapter))
        assert problem in error
        assert error.endswith("name it with --base")
    assert call("convert-lora", adapter, "--base", tmp_path / "base").code == 0


def test_wrong_usage(adapter: Path) -> None:
    assert call("convert-lora").code == 2
    result = call("convert-lora", adapter, "--outtype", "q4_0")
    assert result.code == 2
    assert "--outtype is 'q4_0'; give f32, f16, bf16, q8_0 or auto" in result.err
