"""What a plan says: names, types and metadata of the file to be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_checkpoint import (
    HEAD,
    LAYERS,
    LLAMA,
    VOCABULARY,
    WIDTH,
    llama_tensors,
    safetensors_bytes,
    stored,
    write_llama,
)

from pyllama.convert import ConvertOptions, Plan, make_plan, supported
from pyllama.convert.types import automatic, tensor_type
from pyllama.errors import ConversionError
from pyllama.gguf import Field, TensorType, ValueType
from pyllama.gguf.file_types import FileType
from pyllama.gguf.parts import Limits

BARE = ConvertOptions(vocabulary=False)


def plan_of(folder: Path, options: ConvertOptions = BARE, **changes: Any) -> Plan:
    return make_plan(write_llama(folder, **changes), options)


def value(plan: Plan, key: str) -> Any:
    found = plan.fields.get(key)
    return found.value if isinstance(found, Field) else found


def test_metadata_in_order(tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "Tiny-1B-Chat", config={**LLAMA, "head_dim": HEAD})
    assert plan.fields == {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": "Tiny 1B Chat",
        "general.finetune": "Chat",
        "general.basename": "Tiny",
        "general.size_label": "1B",
        "llama.block_count": LAYERS,
        "llama.context_length": 128,
        "llama.embedding_length": WIDTH,
        "llama.feed_forward_length": 48,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.key_length": HEAD,
        "llama.attention.value_length": HEAD,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 10000.0,
        "llama.vocab_size": VOCABULARY,
        "llama.rope.dimension_count": HEAD,
        "general.file_type": 32,
        "general.quantization_version": 2,
        "tokenizer.ggml.model": "no_vocab",
    }
    keys = list(plan.fields)
    assert keys[0] == "general.architecture"
    assert keys.index("general.file_type") > keys.index("llama.rope.freq_base")
    assert isinstance(plan.fields["llama.rope.freq_base"], float)  # config.json has a whole number


def test_tensors(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    shapes = {tensor.name: tensor.source.shape for tensor in plan.tensors}
    weights = llama_tensors()
    assert len(shapes) == len(weights)
    assert list(shapes)[:3] == ["token_embd.weight", "output_norm.weight", "output.weight"]
    assert shapes["blk.1.ffn_down.weight"] == weights["model.layers.1.mlp.down_proj.weight"].shape
    norms = {t.type for t in plan.tensors if t.name.endswith("_norm.weight")}
    others = {t.type for t in plan.tensors if not t.name.endswith("_norm.weight")}
    assert (norms, others) == ({TensorType.F32}, {TensorType.BF16})


@pytest.mark.parametrize(
    ("rope", "expected"),
    [
        ({"rope_type": "linear", "factor": 4}, {"type": "linear", "factor": 4.0}),
        ({"type": "linear", "factor": 4.0}, {"type": "linear", "factor": 4.0}),
        ({"rope_type": "default"}, {}),
        (
            {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 32,
                "beta_fast": 16,
            },
            {
                "type": "yarn",
                "factor": 4.0,
                "original_context_length": 32,
                "yarn_beta_fast": 16.0,
            },
        ),
    ],
)
def test_scaling_of_positions(
    tmp_path: Path, rope: dict[str, Any], expected: dict[str, Any]
) -> None:
    plan = plan_of(tmp_path, rope_scaling=rope)
    prefix = "llama.rope.scaling."
    assert {k.removeprefix(prefix): v for k, v in plan.fields.items() if prefix in k} == expected


def test_positions_as_newer_versions_write_them(tmp_path: Path) -> None:
    values = {key: value for key, value in LLAMA.items() if key != "rope_theta"}
    rope = {"rope_type": "linear", "rope_theta": 5000, "factor": 2.0}
    plan = plan_of(tmp_path, config=values, rope_parameters=rope)
    assert plan.fields["llama.rope.freq_base"] == 5000.0
    assert plan.fields["llama.rope.scaling.factor"] == 2.0


def test_frequency_factors_of_llama_3(tmp_path: Path) -> None:
    rope = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    plan = plan_of(tmp_path, rope_scaling=rope)
    factors = next(t for t in plan.tensors if t.name == "rope_freqs.weight").source.read()
    for i, factor in enumerate(factors):
        waves = 64 / (2 * np.pi * 10000 ** (2 * i / HEAD))
        smooth = (waves - 1) / (4 - 1)
        kept = 1.0 if waves > 4 else 0.0 if waves < 1 else smooth
        assert factor == pytest.approx(1 / ((1 - kept) / 8 + kept), rel=1e-6)
    assert len(factors) == HEAD // 2
    assert factors[0] == 1
    assert factors[-1] == 8
    assert "llama.rope.scaling.type" not in plan.fields


@pytest.mark.parametrize(
    ("dtype", "file_type", "embedding"),
    [
        ("BF16", None, TensorType.BF16),
        ("F16", None, TensorType.F16),
        ("F32", None, TensorType.F16),
        ("BF16", FileType.F32, TensorType.F32),
        ("F16", FileType.BF16, TensorType.BF16),
        ("BF16", FileType.Q8_0, TensorType.Q8_0),
    ],
)
def test_type_of_the_weights(
    tmp_path: Path, dtype: str, file_type: FileType | None, embedding: TensorType
) -> None:
    plan = plan_of(tmp_path, replace(BARE, file_type=file_type), dtype=dtype)
    assert plan.tensors[0].type is embedding
    assert plan.fields["general.file_type"] == plan.file_type
    assert plan.file_type.name == embedding.name


def lazy(shape: tuple[int, ...], type: TensorType = TensorType.F32) -> Any:
    from pyllama.convert.tensor import LazyTensor

    return LazyTensor("x", shape, type, lambda: iter(()))


@pytest.mark.parametrize(
    ("name", "shape", "file_type", "expected"),
    [
        ("blk.0.attn_q.weight", (8, 256), FileType.TQ2_0, TensorType.TQ2_0),
        ("blk.0.attn_q.weight", (8, 64), FileType.TQ2_0, TensorType.F16),
        ("blk.0.attn_q.weight", (8, 33), FileType.Q8_0, TensorType.F16),
        ("blk.0.attn_q.weight", (8, 33), FileType.BF16, TensorType.BF16),
        ("token_embd.weight", (8, 256), FileType.TQ1_0, TensorType.F16),
        ("output.weight", (8, 256), FileType.TQ1_0, TensorType.F16),
        ("token_embd.weight", (8, 256), FileType.Q8_0, TensorType.Q8_0),
        ("blk.0.ffn_gate_inp.weight", (8, 256), FileType.Q8_0, TensorType.F32),
        ("blk.0.attn_q_norm.weight", (4, 256), FileType.BF16, TensorType.F32),
        ("blk.0.attn_norm.weight", (256,), FileType.F16, TensorType.F32),
        ("blk.0.attn_q.bias", (2, 256), FileType.F16, TensorType.F32),
        ("position_embd.weight", (8, 256), FileType.F16, TensorType.F32),
        ("blk.0.ffn_up_exps.weight", (2, 8, 256), FileType.F16, TensorType.F16),
    ],
)
def test_type_rules(
    name: str, shape: tuple[int, ...], file_type: FileType, expected: TensorType
) -> None:
    assert tensor_type(name, lazy(shape), file_type) is expected


def test_what_is_quantized_stays_so() -> None:
    experts = lazy((2, 8, 64), TensorType.MXFP4)
    assert tensor_type("blk.0.ffn_up_exps.weight", experts, FileType.BF16) is TensorType.MXFP4


def test_automatic_type_is_that_of_the_first_matrix() -> None:
    vector, matrix = lazy((8,), TensorType.F32), lazy((8, 8), TensorType.BF16)
    assert automatic([vector, matrix, lazy((8, 8))]) is FileType.BF16
    assert automatic([vector]) is FileType.F16
    assert automatic([lazy((8, 8), TensorType.F64)]) is FileType.F16


def test_names_metadata_and_card(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "m")
    (folder / "README.md").write_text("---\nlicense: mit\nmodel_name: Card\n---\n# M\n")
    (folder / "generation_config.json").write_text(json.dumps({"temperature": 1, "top_k": 20}))
    plan = make_plan(folder, BARE)
    assert value(plan, "general.name") == "Card"
    assert value(plan, "general.license") == "mit"
    assert value(plan, "general.sampling.temp") == 1
    assert plan.fields["general.sampling.temp"].type is ValueType.FLOAT32
    assert value(plan, "general.sampling.top_k") == 20
    given = replace(BARE, name="Mine", metadata={"general.license": "apache-2.0"})
    plan = make_plan(folder, given)
    assert value(plan, "general.name") == "Mine"
    assert value(plan, "general.license") == "apache-2.0"


def test_rows_that_blocks_do_not_divide_are_a_warning(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, replace(BARE, file_type=FileType.Q8_0))
    (warning,) = plan.warnings
    assert "2 tensors become f16 instead of q8_0" in warning
    assert "blk.0.ffn_down.weight" in warning


def test_a_card_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    folder = write_llama(tmp_path)
    (folder / "README.md").write_text("---\n: [\n---\n")
    (warning,) = make_plan(folder, BARE).warnings
    assert "README.md: the front matter is no YAML" in warning


def test_the_vocabulary_alone(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    plan = make_plan(folder, ConvertOptions(weights=False))
    assert plan.tensors == ()
    assert len(plan.fields["tokenizer.ggml.tokens"]) == VOCABULARY
    assert plan.file_name == "m-vocab.gguf"


def test_parts(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, replace(BARE, limits=Limits(tensors=8)))
    assert plan.parts == 3
    assert [sum(t.part == i for t in plan.tensors) for i in range(3)] == [8, 8, 5]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"architectures": ["OtherForCausalLM"]}, "'OtherForCausalLM' cannot be converted"),
        ({"architectures": []}, "architectures is missing"),
        ({"num_hidden_layers": 3}, r"'model\.layers\.2\.input_layernorm\.weight' is missing"),
        ({"num_hidden_layers": 1}, "with 1 layer"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, not a whole number"),
        ({"num_hidden_layers": "2"}, "num_hidden_layers is '2', not a whole number"),
        ({"hidden_size": 64}, "tensor 'token_embd.weight' is 272 x 32, not 272 x 64"),
        ({"intermediate_size": 64}, "is 48 x 32, not 64 x 32"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"num_attention_heads": 5, "num_key_value_heads": 5}, "has no rows for a pair"),
        ({"num_key_value_heads": 4}, "is 16 x 32, not 32 x 32"),
        ({"rms_norm_eps": None}, "rms_norm_eps is missing"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps is nan"),
        ({"rope_scaling": "yarn"}, "rope_parameters is 'yarn', not an object"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings is 'no', not true or false"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantized already, by 'AWQ'"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantized already, by 'GPTQ'"),
        ({"quantization_config": {"bits": 4}}, "quantized already, by 'UNNAMED'"),
        (
            {"quantization_config": {"quant_method": "fp8", "weight_block_size": [0, 1]}},
            r"weight_block_size is \[0, 1\]",
        ),
    ],
)
def test_wrong_configurations(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConversionError, match=problem):
        plan_of(tmp_path, **changes)


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 10**5, '"config"'])
def test_a_configuration_that_is_none(tmp_path: Path, content: str) -> None:
    folder = write_llama(tmp_path)
    (folder / "config.json").write_text(content)
    with pytest.raises(ConversionError, match=r"config\.json"):
        make_plan(folder, BARE)


def test_a_tensor_too_many(tmp_path: Path) -> None:
    folder = write_llama(tmp_path)
    tensors = {name: ("BF16", stored(array, "BF16")) for name, array in llama_tensors().items()}
    tensors["model.layers.0.self_attn.q_norm.weight"] = ("F32", np.zeros(8, np.float32))
    (folder / "model.safetensors").write_bytes(safetensors_bytes(tensors))
    with pytest.raises(ConversionError, match=r"no place in a LlamaForCausalLM .*q_norm\.weight'"):
        make_plan(folder, BARE)


def test_an_embedding_that_the_configuration_contradicts(tmp_path: Path) -> None:
    folder = write_llama(tmp_path, vocab_size=VOCABULARY + 1)
    with pytest.raises(ConversionError, match=rf"vocab_size is .* has {VOCABULARY} rows"):
        make_plan(folder, BARE)


def test_biases_of_attention_are_optional_for_llama_and_needed_for_qwen(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"q_proj\.bias' is missing, which qwen2 needs"):
        plan_of(tmp_path, architectures=["Qwen2ForCausalLM"])


def test_supported_families_are_listed_once() -> None:
    names = [name for _, classes in supported() for name in classes]
    assert len(names) == len(set(names))
    assert "MistralForCausalLM" in dict(supported())["llama"]
