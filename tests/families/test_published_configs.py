"""Configurations as they are published, whose files omit or rename what a family has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyllama.convert.config import Config
from pyllama.convert.families import BY_ARCHITECTURE
from pyllama.convert.families.baichuan import BAICHUAN
from pyllama.convert.plan import family_fields
from pyllama.convert.tensor import held
from pyllama.errors import ConversionError

SEEING_GEMMA3: dict[str, Any] = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "vision_config": {"hidden_size": 1152, "num_attention_heads": 16},
}

SMALL: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
}


def fields(folder: Path, config: dict[str, Any], architecture: str = "") -> dict[str, Any]:
    """The metadata that a configuration gives, without the family's prefix."""
    named = {"architectures": [architecture]} if architecture else {}
    (folder / "config.json").write_text(json.dumps({**config, **named}))
    read = Config.read(folder)
    family = BY_ARCHITECTURE[read.architecture]
    found = family_fields(family, read.completed(family.defaults))
    return {name.removeprefix(f"{family.gguf}."): value for name, value in found.items()}


def test_a_model_that_also_sees_says_little_about_its_text_part(tmp_path: Path) -> None:
    gemma = fields(tmp_path, SEEING_GEMMA3)
    expected = {
        "attention.head_count": 8,
        "attention.head_count_kv": 4,
        "attention.key_length": 256,
        "attention.sliding_window": 1024,
        "context_length": 131072,
        "rope.dimension_count": 256,
        "rope.freq_base": 1e6,
        "rope.freq_base_swa": 1e4,
        "rope.scaling.factor": 8.0,
        "vocab_size": 262208,
    }
    assert {name: gemma.get(name) for name in expected} == expected
    assert gemma["attention.sliding_window_pattern"][:7] == [True] * 5 + [False, True]
    assert "attention.scale" not in gemma


@pytest.mark.parametrize(
    ("pattern", "windows"),
    [("LLLG", [True, True, True, False]), (2, [True, False] * 2), (None, None)],
)
def test_windows_of_exaone4(tmp_path: Path, pattern: Any, windows: list[bool] | None) -> None:
    window = {"sliding_window": 8, "sliding_window_pattern": pattern}
    found = fields(tmp_path, SMALL | window, "Exaone4ForCausalLM")
    assert found.get("attention.sliding_window_pattern") == windows
    assert found.get("attention.sliding_window") == (8 if windows else None)


def test_yarn_with_a_factor_of_its_own(tmp_path: Path) -> None:
    """What the key says is relative to 0.1 ln(factor) + 1."""
    scaling = {"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.0}
    found = fields(tmp_path, SMALL | {"rope_scaling": scaling}, "Olmo3ForCausalLM")
    assert found["rope.scaling.attn_factor"] == pytest.approx(1 / 1.138629436)


@pytest.mark.parametrize(
    ("architecture", "values", "problem"),
    [
        ("SmolLM3ForCausalLM", {"no_rope_layers": [1, 0, 1, 0]}, "no_rope_layers"),
        ("ArceeForCausalLM", {"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ("FalconForCausalLM", {"alibi": True, "layer_norm_epsilon": 1e-5}, "alibi"),
        ("MptForCausalLM", {"attn_config": {"alibi": False}}, "attn_config.alibi"),
        ("Gemma2ForCausalLM", {"layer_types": 3}, "layer_types is no list of 4"),
        ("Cohere2ForCausalLM", {"sliding_window_pattern": 0}, "sliding_window_pattern is 0"),
    ],
)
def test_what_gguf_has_no_form_for(
    tmp_path: Path, architecture: str, values: dict[str, Any], problem: str
) -> None:
    config = {**SMALL, "d_model": 64, "max_seq_len": 64, **values}
    with pytest.raises(ConversionError, match=problem):
        fields(tmp_path, config, architecture)


@pytest.mark.parametrize(("vocabulary", "length"), [(125696, 1.0), (64000, 5.0)])
def test_baichuan2_divides_output_rows_by_their_length(
    tmp_path: Path, vocabulary: int, length: float
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": vocabulary}))
    rule = next(rule for rule in BAICHUAN.tensors if rule.target == "output.weight")
    stored = held("lm_head.weight", np.full((vocabulary, 2), (3.0, 4.0), np.float32))
    head = rule.transform(Config.read(tmp_path), stored).floats()
    np.testing.assert_allclose(np.linalg.norm(head, axis=1), length, rtol=1e-6)
