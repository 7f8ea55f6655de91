"""An adapter that was converted does to the model what PEFT's does to the checkpoint."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convert.raw_checkpoint import torch_file
from families.weights import draw_tokens
from models.golden import relative_error
from numpy.typing import NDArray

from lora import peft_files as peft
from pyllama.convert.lora import make_lora_plan
from pyllama.convert.peft import read_adapter
from pyllama.convert.writing import write_plan
from pyllama.errors import ConversionError, FileError
from pyllama.gguf import GGUFFile, ValueType
from pyllama.gguf.file_types import FileType
from pyllama.lora import Lora
from pyllama.model import Model
from pyllama.quants import dequantize
from pyllama.session import Session

TOKENS = draw_tokens("lora", 20, 90)


def convert(adapter: Path, base: Path, type: FileType | None = FileType.F32) -> Path:
    plan = make_lora_plan(read_adapter(adapter), base, type)
    path = adapter / "adapter.gguf"
    for _ in write_plan(plan, path, threads=1, force=True):
        pass
    return path


def logits(path: Path, *loras: Lora) -> NDArray[np.float32]:
    session = Session(Model.load(path, loras=loras), context=64, threads=2, cache_type="f32")
    return session.evaluate(TOKENS, all_logits=True)


CASES = (
    "llama",  # rows of queries and keys in another order
    "phi3",  # matrices that the file has as the checkpoint has them: fused
    "gptneox",  # fused by heads, which the file has otherwise
    "falcon_40b",  # groups of heads
    "internlm2",  # a matrix that the file has as three
    "gpt2",  # stored as (n_in, n_out)
    "qwen2moe",  # router and shared experts
)


@pytest.mark.parametrize("case", CASES)
def test_as_if_merged(case: str, tmp_path: Path) -> None:
    config, tensors = peft.weights(case)
    modules = peft.adapted_modules(tensors)
    if "lm_head.weight" not in tensors:  # merged, it would change with the embedding
        modules = [module for module in modules if not peft.is_embedding(module)]
    turned = [m for m in modules if case == "gpt2" and m.startswith("transformer.h.")]
    shapes = {m: tensors[f"{m}.weight"].shape for m in modules}
    shapes |= {m: shapes[m][::-1] for m in turned}
    base = peft.write_base(tmp_path / "base", config, tensors)
    pairs = peft.write_peft(tmp_path / "adapter", shapes)
    scales = dict.fromkeys(pairs, 6 / 4)
    merged = peft.merged(tensors, pairs, scales, turned)
    wanted = logits(peft.write_base(tmp_path / "merged", config, merged))
    path = convert(tmp_path / "adapter", tmp_path / "base")
    assert relative_error(logits(base, Lora(path)), wanted) < 1e-4
    assert relative_error(logits(base), wanted) > 0.1


LAYER = "model.layers.0"
Q, UP = f"{LAYER}.self_attn.q_proj", f"{LAYER}.mlp.up_proj"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The folder of a tiny Llama: config.json alone."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(peft.weights("llama")[0]))
    return folder


def read(path: Path) -> dict[str, NDArray[np.float32]]:
    with GGUFFile.open(path) as file:
        return {
            name: dequantize(file.data(name), info.type, info.shape)
            for name, info in file.tensors.items()
        }


def test_file(base: Path, tmp_path: Path) -> None:
    pairs = peft.write_peft(tmp_path / "my-adapter", {UP: (96, 64)})
    (tmp_path / "my-adapter" / "README.md").write_text("---\nlicense: mit\n---\n")
    path = convert(tmp_path / "my-adapter", base)
    with GGUFFile.open(path) as file:
        assert file.metadata["general.architecture"] == "llama"
        assert file.metadata["general.type"] == "adapter"
        assert file.metadata["general.name"] == "my adapter"
        assert file.metadata["general.license"] == "mit"
        assert file.metadata["adapter.type"] == "lora"
        assert file.fields["adapter.lora.alpha"].type is ValueType.FLOAT32
        assert file.metadata["adapter.lora.alpha"] == 6
    name = "blk.0.ffn_up.weight"
    tensors = read(path)
    assert list(tensors) == [f"{name}.lora_a", f"{name}.lora_b"]
    for half, expected in zip(tensors.values(), pairs[UP], strict=True):
        np.testing.assert_array_equal(half, expected)


def test_embedding_is_stored_as_llama_cpp_looks_it_up(base: Path, tmp_path: Path) -> None:
    module = "model.embed_tokens"
    copy = {f"{peft.PREFIX}{module}.base_layer.weight": np.ones((96, 64), np.float32)}
    pairs = peft.write_peft(tmp_path / "adapter", {module: (96, 64)}, extra=copy)
    tensors = read(convert(tmp_path / "adapter", base))
    np.testing.assert_array_equal(tensors["token_embd.weight.lora_a"], pairs[module][0].T)
    np.testing.assert_array_equal(tensors["token_embd.weight.lora_b"], pairs[module][1])


@pytest.mark.parametrize(
    ("type", "a", "b"),
    [(FileType.F16, "F16", "F16"), (FileType.Q8_0, "Q8_0", "F16"), (None, "F16", "F16")],
)
def test_types(base: Path, tmp_path: Path, type: FileType | None, a: str, b: str) -> None:
    peft.write_peft(tmp_path / "adapter", {UP: (96, 64)})
    with GGUFFile.open(convert(tmp_path / "adapter", base, type)) as file:
        assert [info.type.name for info in file.tensors.values()] == [a, b]


def test_scales_of_modules_are_put_into_b(base: Path, tmp_path: Path) -> None:
    config = {
        "use_rslora": True,
        "rank_pattern": {"up_proj": 9},
        "alpha_pattern": {"mlp.up_proj": 12, "j_proj": 100},
    }
    pairs = peft.write_peft(
        tmp_path / "adapter",
        {UP: (96, 64), f"{LAYER}.mlp.gate_proj": (96, 64)},
        4,
        {UP: 9},
        **config,
    )
    tensors = read(convert(tmp_path / "adapter", base))
    for part, alpha, rank in (("up", 12, 9), ("gate", 6, 4)):
        b = pairs[f"{LAYER}.mlp.{part}_proj"][1]
        stored = tensors[f"blk.0.ffn_{part}.weight.lora_b"] * 6 / rank
        np.testing.assert_allclose(stored, b * alpha / math.sqrt(rank), rtol=1e-6)


def test_torch_files(base: Path, tmp_path: Path) -> None:
    pairs = peft.write_peft(tmp_path / "adapter", {UP: (96, 64)})
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    names = ("lora_A.weight", "lora_B.weight")
    halves = {f"{peft.PREFIX}{UP}.{n}": ("F32", x) for n, x in zip(names, pairs[UP], strict=True)}
    torch_file(tmp_path / "adapter" / "adapter_model.bin", halves)
    tensors = read(convert(tmp_path / "adapter", base))
    np.testing.assert_array_equal(tensors["blk.0.ffn_up.weight.lora_b"], pairs[UP][1])


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
        ({"use_dora": True}, "use_dora is True: the adapter scales rows of the sum (DoRA)"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is ['lm_head']: the adapter holds"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"init_lora_weights": "pissa_niter_4"}, "the base model was changed before the training"),
        ({"lora_alpha": 0}, "lora_alpha is 0: it must be above 0"),
        ({"alpha_pattern": {".*q_proj": 2}}, "has '.*q_proj', which is no name of modules"),
    ],
)
def test_what_pairs_cannot_express(
    base: Path, tmp_path: Path, config: dict[str, Any], problem: str
) -> None:
    peft.write_peft(tmp_path / "adapter", {UP: (96, 64)}, **config)
    with pytest.raises(ConversionError, match=re.escape(problem)):
        convert(tmp_path / "adapter", base)


@pytest.mark.parametrize(
    ("shapes", "problem"),
    [
        (
            {"model.layers.9.mlp.up_proj": (96, 64)},
            "has no place in a LlamaForCausalLM of 2 layers",
        ),
        ({f"{LAYER}.mlp.fc1": (96, 64)}, f"adapts '{LAYER}.mlp.fc1', which has no place"),
        ({Q: (63, 64)}, "has no rows for a pair for each of 4 heads"),
        ({Q: (1 << 17, 1 << 13)}, "as 131072 x 8192, larger than a model's"),
    ],
)
def test_other_base(
    base: Path, tmp_path: Path, shapes: dict[str, tuple[int, int]], problem: str
) -> None:
    peft.write_peft(tmp_path / "adapter", shapes)
    with pytest.raises(ConversionError, match=re.escape(problem)):
        convert(tmp_path / "adapter", base)


def test_shapes_are_those_of_the_base(tmp_path: Path) -> None:
    peft.write_base(tmp_path / "base", *peft.weights("llama"))
    peft.write_peft(tmp_path / "adapter", {UP: (96, 32)})
    with pytest.raises(ConversionError, match="as 96 x 32, but the base model has 96 x 64"):
        convert(tmp_path / "adapter", tmp_path / "base")


@pytest.mark.parametrize(
    ("case", "module", "shape", "problem"),
    [
        ("deepseek2_lite", f"{LAYER}.self_attn.kv_b_proj", (128, 32), "in a way that no pair"),
        ("mixtral", f"{LAYER}.block_sparse_moe.experts.0.w1", (96, 64), "in a way that no pair"),
        ("qwen2", "lm_head", (96, 64), "is the embedding in the base model"),
    ],
)
def test_modules_that_no_pair_can_adapt(
    case: str, module: str, shape: tuple[int, int], problem: str, tmp_path: Path
) -> None:
    config, tensors = peft.weights(case)
    shape = tensors[f"{module}.weight"].shape if f"{module}.weight" in tensors else shape
    (tmp_path / "config.json").write_text(json.dumps(config))
    peft.write_peft(tmp_path / "adapter", {module: shape})
    with pytest.raises(ConversionError, match=problem):
        convert(tmp_path / "adapter", tmp_path)


def test_damaged_adapters(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    with pytest.raises(FileError, match="no such directory"):
        convert(folder, base)
    folder.mkdir()
    with pytest.raises(ConversionError, match=r"has no adapter_config\.json"):
        convert(folder, base)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ConversionError, match="holds no weights of an adapter"):
        convert(folder, base)
    peft.write_peft(folder, {})
    with pytest.raises(ConversionError, match="holds no tensors"):
        convert(folder, base)
    a, b = np.ones((4, 64), np.float32), np.ones((96, 3), np.float32)
    name = f"{peft.PREFIX}{UP}"
    for extra, problem in (
        ({f"{name}.lora_A.weight": a}, f"only half of the pair of '{UP}'"),
        ({f"{name}.lora_A.weight": a, f"{name}.lora_B.weight": b}, "4 x 64 and 96 x 3"),
        ({f"{name}.weight": b}, "which is no part of a low-rank pair"),
        ({f"{name}.lora_A.weight": a[0]}, "which is no part of a low-rank pair"),
    ):
        peft.write_peft(folder, {}, extra=extra)
        with pytest.raises(ConversionError, match=problem):
            convert(folder, base)
