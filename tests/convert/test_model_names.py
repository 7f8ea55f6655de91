"""Names of models and of their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyllama.convert.model_name import ModelName, size_label


@pytest.mark.parametrize(
    ("text", "parts", "file"),
    [
        (
            "meta-llama/Llama-3.2-1B-Instruct",
            ("meta-llama", "Llama-3.2", "1B", "Instruct", None),
            "Llama-3.2-1B-Instruct-F16.gguf",
        ),
        (
            "mistralai/Mixtral-8x7B-Instruct-v0.1",
            ("mistralai", "Mixtral", "8x7B", "Instruct", "v0.1"),
            "Mixtral-8x7B-Instruct-v0.1-F16.gguf",
        ),
        (
            "Qwen3-30B-A3B-Thinking-2507",
            (None, "Qwen3", "30B-A3B", "Thinking-2507", None),
            "Qwen3-30B-A3B-Thinking-2507-F16.gguf",
        ),
        ("gpt2", (None, "gpt2", None, None, None), "gpt2-F16.gguf"),
        ("SmolLM2-135M", (None, "SmolLM2", "135M", None, None), "SmolLM2-135M-F16.gguf"),
        ("7B", (None, "7B", None, None, None), "7B-F16.gguf"),
        ("a b:c", (None, "a b:c", None, None, None), "a-b-c-F16.gguf"),
    ],
)
def test_parts(text: str, parts: tuple[str | None, ...], file: str) -> None:
    name = ModelName.parse(text)
    assert (name.organization, name.basename, name.size, name.finetune, name.version) == parts
    assert name.file_name("F16") == file


def test_a_size_is_added_where_there_is_none() -> None:
    assert ModelName.parse("phi-2").with_size("2.7B").file_name("BF16") == "phi-2-2.7B-BF16.gguf"
    assert ModelName.parse("Llama-7B").with_size("6.7B").size == "7B"


def test_names_of_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = tmp_path / "models--some-one--Model-1B" / "snapshots" / "abc"
    assert ModelName.of_folder(cached) == ModelName.parse("some-one/Model-1B")
    folder = tmp_path / "Model-2B"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert ModelName.of_folder(Path()).name == "Model 2B"


@pytest.mark.parametrize(
    ("count", "label"),
    [
        (1_235_814_400, "1.2B"),
        (8_030_261_248, "8.0B"),
        (29_770_000_000, "30B"),
        (134_515_008, "135M"),
        (1_500_000_000_000, "1.5T"),
        (292_800, "293K"),
        (640, "0.6K"),
    ],
)
def test_size_labels(count: int, label: str) -> None:
    assert size_label([("a", count)], 0) == label


def test_size_label_of_experts() -> None:
    tensors = [("token_embd.weight", 1_600_000_000), ("blk.0.ffn_up_exps.weight", 45_000_000_000)]
    assert size_label(tensors, 8) == "8x7.2B"
