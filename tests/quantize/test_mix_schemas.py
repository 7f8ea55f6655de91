"""The recipes against llama.cpp's own choices for the shapes of well-known models.

A schema lists, for each recipe, its base type and every tensor that gets another one. Of the
recipe MXFP4_MOE these are all tensors but the stacked ones, so that the names of a model can be
read from its schema; its header has the figures that shapes and rules depend on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyllama.gguf.file_types import FileType
from pyllama.gguf.types import TensorType
from pyllama.quantize.mix import Mix
from pyllama.quantize.recipes import BASE_TYPES, parse_tensor_type
from pyllama.quantize.tensors import ModelFacts, Role, Tensor, role_of, sort_key

MODELS = {
    "deepseek-v3.1": ("deepseek2", 2048),
    "gemma-3-4b-it": ("gemma3", 0),
    "glm-4.6v": ("glm4moe", 1408),
    "meta-llama-3.1-70b-instruct": ("llama", 0),
    "qwen3-0.6b": ("qwen3", 0),
    "qwen3-coder-next": ("qwen3next", 512),
}
"""The architecture, and the width of an expert, which the header of a schema does not tell."""

_LATENT_HEAD = 128  # columns of the stacked key matrices of latent attention


@dataclass(frozen=True)
class Schema:
    figures: dict[str, int]
    base: dict[FileType, TensorType]
    others: dict[FileType, dict[str, TensorType]]


def read_schema(path: Path) -> Schema:
    lines = path.read_text().splitlines()
    schema = Schema({k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", lines[1])}, {}, {})
    recipe = FileType.F32
    for line in filter(None, lines[2:]):
        name, type = line.rsplit(" ", 1)
        if name.startswith("["):
            recipe = FileType[name.strip("[]")]
            schema.base[recipe] = parse_tensor_type(type)
            schema.others[recipe] = {}
        else:
            schema.others[recipe][name] = parse_tensor_type(type)
    return schema


def shape_of(name: str, figures: dict[str, int], expert_width: int) -> tuple[int, ...]:
    """Shapes that are right in what counts: the columns, and whether matrices are stacked."""
    columns = figures["n_embd"]
    if role_of(name) is Role.FFN_DOWN:
        columns = expert_width if "_exps" in name or "_shexp" in name else figures["n_ff"]
    if "attn_k_b" in name:
        return figures["n_head"], 512, _LATENT_HEAD
    return (figures["n_expert"], 64, columns) if "_exps" in name else (64, columns)


def tensors_of(schema: Schema, expert_width: int) -> list[Tensor]:
    names = {name for others in schema.others.values() for name in others}
    return [
        Tensor(name, shape_of(name, schema.figures, expert_width))
        for name in sorted(names, key=sort_key)
    ]


@pytest.mark.parametrize("model", MODELS)
def test_every_tensor_gets_the_type_that_llama_cpp_gives_it(model: str, shared: Path) -> None:
    architecture, expert_width = MODELS[model]
    schema = read_schema(shared / "quant-mix" / f"{model}.schema")
    tensors = tensors_of(schema, expert_width)
    figures = schema.figures
    facts = ModelFacts(
        architecture=architecture,
        n_layer=figures["n_layer"],
        n_expert=figures.get("n_expert", 0),
        n_gqa=figures["n_head"] // figures["n_head_kv"],
        n_values=sum(tensor.role is Role.ATTENTION_V for tensor in tensors),
        tied=not any(tensor.role is Role.OUTPUT for tensor in tensors),
    )
    assert schema.base == BASE_TYPES
    for recipe, others in schema.others.items():
        mix = Mix(recipe, facts)
        chosen = {tensor.name: mix.choose(tensor).type for tensor in tensors}
        expected = {tensor.name: others.get(tensor.name, schema.base[recipe]) for tensor in tensors}
        assert chosen == expected, recipe.name


def test_the_schemas_are_all_known(shared: Path) -> None:
    assert sorted(path.stem for path in (shared / "quant-mix").glob("*.schema")) == sorted(MODELS)
