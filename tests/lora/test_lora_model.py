"""A model with adapters computes what it computes with the adapters merged into its weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from families.test_families import tables
from families.tiny import convert_case
from families.weights import draw_tokens
from models.golden import relative_error
from numpy.typing import NDArray

from lora.adapters import EMBEDDING, Drawn, draw, matrices, merge, shapes, write_adapter
from pyllama.cache import cache_layout
from pyllama.errors import FileError, ModelError
from pyllama.gguf.file_types import FileType
from pyllama.graph import ops
from pyllama.graph.cpu import plan_for_cpu
from pyllama.graph.describe import kind_of
from pyllama.graph.interpreter import Interpreter
from pyllama.graph.mode import Mode
from pyllama.graph.plan import Plan
from pyllama.kernels.isa.x86 import AMX
from pyllama.kernels.panels import FLOATS, TILES, Panels
from pyllama.lora import Lora
from pyllama.model import Model
from pyllama.prompt_cache import PromptCache
from pyllama.session import Session
from pyllama.tensor_check import check_tensors

Logits = NDArray[np.float32]
TOLERANCE = 1e-4
N_TOKENS = 30
TOKENS = draw_tokens("lora", N_TOKENS, 90)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a family's tiny model, by the family's name."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = convert_case(name, tmp_path_factory.mktemp(name))[1]
        return made[name]

    return make


def session(model: Model, ubatch: int = 64) -> Session:
    return Session(model, context=64, ubatch=ubatch, threads=2, cache_type="f32")


def computed(model: Model, ubatch: int) -> Logits:
    """Logits of a prompt, computed in batches of a size, and of tokens after it, one by one."""
    runner = session(model, ubatch)
    rows = list(runner.evaluate(TOKENS[:25], all_logits=True))
    rows += [runner.evaluate(TOKENS[i : i + 1]) for i in range(25, N_TOKENS)]
    return np.stack(rows)


FAMILIES = (
    "llama",  # a matrix each
    "phi3",  # queries, keys and values in one matrix
    "gpt2",  # biases, learned positions, an activation
    "granite",  # scales of embedding and residual
    "gemma2",  # tied: the embedding is adapted, the output matrix is not
    "qwen2moe",  # router, shared expert and its gate
    "deepseek2_lite",  # latents
)


@pytest.mark.parametrize("name", FAMILIES)
def test_as_if_merged(base: Callable[[str], Path], name: str, tmp_path: Path) -> None:
    path = base(name)
    names = [n for n in matrices(path) if n in adaptable_names(path)]
    drawn = draw(shapes(path), names, rank=4)
    architecture = Model.load(path).metadata["general.architecture"]
    write_adapter(tmp_path / "lora.gguf", architecture, drawn)
    adapted = Model.load(path, loras=[Lora(tmp_path / "lora.gguf", 0.7)])
    merged = Model.load(merge(path, tmp_path / "merged.gguf", [(drawn, 0.7)]))
    plain = computed(Model.load(path), 64)
    for ubatch in (64, 7):
        wanted = computed(merged, ubatch)
        assert relative_error(computed(adapted, ubatch), wanted) < TOLERANCE
        assert relative_error(plain, wanted) > 0.05


def adaptable_names(path: Path) -> set[str]:
    """Matrices that ops of the family's graph multiply with."""
    model = Model.load(path)
    found = {
        node.op.weights[0].name
        for node in model.graph.nodes
        if isinstance(node.op, ops.Linear | ops.Embedding)
    }
    gated = [node.op for node in model.graph.nodes if isinstance(node.op, ops.GatedLinear)]
    found |= {weight.name for op in gated for weight in op.weights}
    return {name for name in found if name != "position_embd.weight"}


@pytest.mark.parametrize(("types", "rank"), [("F32", 1), ("F16", 3), ("BF16", 16), ("Q8_0", 32)])
def test_types_and_ranks(
    base: Callable[[str], Path], types: str, rank: int, tmp_path: Path
) -> None:
    path = base("llama")
    drawn = draw(shapes(path), matrices(path), rank)
    held = write_adapter(tmp_path / "lora.gguf", "llama", drawn, types)
    adapted = Model.load(path, loras=[Lora(tmp_path / "lora.gguf")])
    assert {w.type.name for w in adapted.graph.weights()} == {"F32", types}
    merged = Model.load(merge(path, tmp_path / "merged.gguf", [(held, 1.0)]))
    error = relative_error(computed(adapted, 64), computed(merged, 64))
    assert error < (TOLERANCE if types == "F32" else 0.01)


@pytest.fixture
def llama(base: Callable[[str], Path]) -> Path:
    return base("llama")


def adapter(path: Path, model: Path, names: list[str] | None = None, **drawing: Any) -> Drawn:
    """Write an adapter for matrices of a Llama, by default for all of them."""
    drawn = draw(shapes(model), names or matrices(model), **drawing)
    return write_adapter(path, "llama", drawn)


def test_several_adapters_add_up(llama: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.gguf", tmp_path / "other.gguf"
    added = [
        (adapter(one, llama, rank=3, seed=1), 0.5),
        (adapter(other, llama, ["blk.0.ffn_down.weight", EMBEDDING], rank=5, seed=2), -1.5),
    ]
    loras = [Lora(one, 0.5), Lora(other, -1.5)]
    merged = Model.load(merge(llama, tmp_path / "merged.gguf", added))
    adapted = Model.load(llama, loras=loras)
    assert relative_error(computed(adapted, 64), computed(merged, 64)) < TOLERANCE


def test_alpha_of_zero_stands_for_the_rank(llama: Path, tmp_path: Path) -> None:
    drawn = adapter(tmp_path / "lora.gguf", llama, rank=4, alpha=0.0)
    merged = Model.load(merge(llama, tmp_path / "merged.gguf", [(drawn, 1.0)]))
    adapted = Model.load(llama, loras=[Lora(tmp_path / "lora.gguf")])
    assert relative_error(computed(adapted, 64), computed(merged, 64)) < TOLERANCE


def test_scale_of_zero_changes_no_bit(llama: Path, tmp_path: Path) -> None:
    adapter(tmp_path / "lora.gguf", llama)
    adapted = Model.load(llama, loras=[Lora(tmp_path / "lora.gguf", 0.0)])
    np.testing.assert_array_equal(computed(adapted, 64), computed(Model.load(llama), 64))


def test_only_what_is_adapted_loses_its_fusion(llama: Path, tmp_path: Path) -> None:
    adapter(tmp_path / "lora.gguf", llama, ["blk.0.ffn_up.weight"])
    adapted = Model.load(llama, loras=[Lora(tmp_path / "lora.gguf")])
    fused = [n.op.up.name for n in adapted.graph.nodes if isinstance(n.op, ops.GatedLinear)]
    assert fused == ["blk.1.ffn_up.weight"]


def test_meaning(llama: Path, tmp_path: Path) -> None:
    adapter(tmp_path / "lora.gguf", llama)
    model = Model.load(llama, loras=[Lora(tmp_path / "lora.gguf", 0.5)])
    interpreter = Interpreter(model.graph, model.dequantized, tables(model, 64))
    wanted = interpreter.evaluate(TOKENS.tolist())
    assert relative_error(computed(model, 64), wanted) < TOLERANCE


def test_adapters_belong_to_the_identity(llama: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.gguf", tmp_path / "other.gguf"
    adapter(one, llama, seed=1)
    adapter(other, llama, seed=2)
    wanted = ([], [Lora(one)], [Lora(one, 0.5)], [Lora(other)], [Lora(one), Lora(other)])
    models = [Model.load(llama, loras=loras) for loras in wanted]
    assert len({model.fingerprint for model in models}) == len(models)
    assert Model.load(llama, loras=[Lora(one)]).fingerprint == models[1].fingerprint
    cache = PromptCache(tmp_path / "cache")
    first = session(models[1])
    first.evaluate(TOKENS)
    cache.save(first, TOKENS.tolist())
    with pytest.raises(FileError, match="of another model"):
        cache.restore(session(models[0]), TOKENS.tolist())


def test_weights_of_adapters_are_checked(llama: Path, tmp_path: Path) -> None:
    drawn = draw(shapes(llama), ["blk.0.attn_q.weight"])
    drawn.pairs["blk.0.attn_q.weight"][1][5, 1] = np.nan
    write_adapter(tmp_path / "lora.gguf", "llama", drawn)
    with pytest.raises(ModelError, match=r"lora1:blk\.0\.attn_q\.weight\.lora_b.*finite"):
        check_tensors(Model.load(llama, loras=[Lora(tmp_path / "lora.gguf")]))


def adapted_plan(model: Path, lora: Path, mode: Mode) -> Plan:
    """The plan of a Llama all of whose matrices are adapted, for a processor with tiles."""
    adapter(lora, model)
    graph = Model.load(model, loras=[Lora(lora)]).graph
    return plan_for_cpu(graph, mode, cache_layout(64, 1, "f16", "f16"), AMX(), threads=2)


@pytest.mark.parametrize(("file_type", "panels"), [("F16", TILES), ("F32", FLOATS)])
def test_batches_are_as_precise_as_the_matrix(
    file_type: str, panels: Panels, tmp_path: Path
) -> None:
    path = convert_case("llama", tmp_path, FileType[file_type])[1]
    plan = adapted_plan(path, tmp_path / "lora.gguf", Mode(64, 1))
    low = [launch for launch in plan.launches if launch.label.endswith(".lora1.a")]
    ways = {dict(n.kernel.parameters)["panels"] for n in low if kind_of(n) == "matmul"}
    assert ways == {panels.name}


def test_products_that_do_not_wait_for_each_other_run_together(llama: Path, tmp_path: Path) -> None:
    plan = adapted_plan(llama, tmp_path / "lora.gguf", Mode(1, 1))
    places = {launch.label: i for i, launch in enumerate(plan.launches)}
    for end in ("base", "lora1.a", "lora1.scaled"):
        same = sorted(places[f"blk.0.attn_{part}.{end}"] for part in "qkv")
        assert not any(plan.barriers[same[0] : same[-1]])
