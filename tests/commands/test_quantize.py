"""``pyllama quantize``: its options, its output and its refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_runner import Result, call, one_line_error, spawn

from pyllama.commands.quantize import TYPES
from pyllama.gguf import GGUFFile, GGUFWriter, TensorType
from pyllama.quantize import BASE_TYPES, parse_recipe
from pyllama.quants import encodable_types

ARRAYS = {
    "token_embd.weight": (32, 256),
    "output.weight": (32, 256),
    "blk.0.attn_v.weight": (32, 256),
    "blk.0.ffn_down.weight": (32, 64),
    "blk.1.attn_v.weight": (32, 256),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    path = tmp_path / "model.gguf"
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", "llama")
        writer.add("llama.block_count", 2)
        writer.add("llama.attention.head_count", 4)
        for name, shape in ARRAYS.items():
            writer.add_tensor_info(name, shape, TensorType.F32)
        for name, shape in ARRAYS.items():
            writer.write_tensor(name, rng.standard_normal(shape).astype(np.float32))
    return path


def types_of(path: Path) -> dict[str, str]:
    with GGUFFile.open(path) as file:
        return {name: tensor.type.label for name, tensor in file.tensors.items()}


def wrong_usage(*arguments: str | Path) -> str:
    result = call("quantize", *arguments)
    assert result.code == 2, result
    assert result.out == b""
    return result.err


def test_a_model_is_quantized_in_a_process_of_its_own(source: Path) -> None:
    target = source.with_name("small.gguf")
    result = spawn("quantize", source, target, "q4_k_m", "2")
    assert result.code == 0, result.err
    assert types_of(target)["output.weight"] == "q6_K"
    assert result.out.decode().startswith(f"file            {target}\n")
    assert b"bits per weight" in result.out
    lines = result.err.splitlines()
    assert lines[0] == f"quantizing {source} to {target} as Q4_K_M using 2 threads"
    assert lines[1] == (
        "warning: blocks do not divide rows, q5_0 instead of q4_K: blk.0.ffn_down.weight"
    )
    assert len(lines) == 2 + len(ARRAYS)
    assert lines[-1].endswith("100%, 0:00 left")


def test_the_result_has_a_name_by_default(source: Path) -> None:
    assert call("quantize", source, "Q8_0").code == 0
    assert types_of(source.with_name("ggml-model-Q8_0.gguf"))["output.weight"] == "q8_0"


def test_a_recipe_may_be_given_by_its_number(source: Path) -> None:
    target = source.with_name("small.gguf")
    assert call("quantize", source, target, "18").code == 0
    assert set(types_of(target).values()) == {"q6_K", "q8_0"}


def test_options_decide_over_the_recipe(source: Path) -> None:
    target = source.with_name("small.gguf")
    rules = source.with_name("rules.txt")
    rules.write_text("ffn_down=q5_1\nblk=q8_0\n")
    result = call(
        "quantize",
        "--token-embedding-type=q4_0",
        "--leave-output-tensor",
        "--tensor-type=BLK.1=q5_0",
        f"--tensor-type-file={rules}",
        "--override-kv=general.name=str:tiny,llama.block_count=int:1",
        source,
        target,
        "Q4_K_M",
    )
    assert result.code == 0, result.err
    assert result.err.count("warning: --tensor-type") == 0
    assert types_of(target) == {
        "output.weight": "f32",
        "token_embd.weight": "q4_0",
        "blk.0.attn_v.weight": "q8_0",
        "blk.0.ffn_down.weight": "q5_1",
        "blk.1.attn_v.weight": "q5_0",
    }
    with GGUFFile.open(target) as file:
        assert file.metadata["general.name"] == "tiny"
        assert file.metadata["llama.block_count"] == 1


def test_a_dry_run_shows_the_plan_and_writes_nothing(source: Path) -> None:
    result = call("quantize", "--dry-run", source, "Q2_K_S")
    assert result.code == 0
    lines = result.out.decode().splitlines()
    assert lines[0].split() == ["tensor", "shape", "from", "to", "rule", "bytes"]
    assert lines[1].split() == ["output.weight", "256", "x", "32", "f32", "q6_K", "output", "6,720"]
    assert "q2_K needs rows of 256" in result.out.decode()
    assert "1 of 5 tensors" in lines[-1]
    assert "without --dry-run this would fail: 'blk.0.attn_v.weight' as q2_K" in result.err
    assert [path.name for path in source.parent.iterdir()] == ["model.gguf"]


def test_a_rule_without_effect_is_told(source: Path) -> None:
    rules = ("--tensor-type=attn_v=q5_0", "--tensor-type=blk.1.attn_v=q8_0")
    result = call("quantize", "--dry-run", *rules, source, "Q4_0")
    assert result.code == 0
    assert "warning: --tensor-type blk.1.attn_v has no effect: what it names" in result.err
    assert "--tensor-type attn_v has" not in result.err


def test_failures_are_one_line(source: Path) -> None:
    folder = source.parent
    text = one_line_error(call("quantize", source, source, "Q8_0"))
    assert text == f"{source}: is what the output is made from; name another output"
    text = one_line_error(call("quantize", "--no-fallback", source, folder / "x", "Q4_K_S", "1"))
    assert text.startswith(f"{source}: 'blk.0.ffn_down.weight' has rows of 64, which q4_K does not")
    text = one_line_error(call("quantize", folder / "none.gguf", "Q8_0"))
    assert text == f"{folder / 'none.gguf'}: no such file or directory; check the path"
    text = one_line_error(call("quantize", source, folder / "nowhere" / "x.gguf", "Q8_0"))
    assert "nowhere" in text
    text = one_line_error(call("quantize", f"--imatrix={source}", source, "Q8_0"))
    assert text == f"{source}: is no importance matrix; name a file that imatrix wrote"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no TYPE is given"),
        (("out.gguf",), "no TYPE is given"),
        (("out.gguf", "q9"), "'q9' is no TYPE"),
        (("Q8_0", "none"), "'none' is no number of threads"),
        (("Q8_0", "0"), "'0' is no number of threads"),
        (("Q8_0", "2", "3"), "'2 3' is no number of threads"),
        (("--output-tensor-type=q9", "Q8_0"), "'q9' is no tensor type"),
        (("--tensor-type=attn", "Q8_0"), "'attn' is not PATTERN=TYPE"),
        (("--tensor-type=(=q8_0", "Q4_0"), "is no regular expression"),
        (("--tensor-type=nothing=q8_0", "Q4_0"), "no tensor of"),
        (("--prune-layers=1,x", "Q8_0"), "is no list of layers"),
        (("--prune-layers=7", "Q8_0"), "has no layer 7"),
        (("--include-weights=attn", "Q8_0"), "need an --imatrix"),
        (("--override-kv=a=int:-1", "Q8_0"), "-1 is not from 0 to"),
        (("--pure", "COPY"), "--pure has no effect on COPY"),
    ],
)
def test_wrong_usage_is_explained(source: Path, arguments: tuple[str, ...], message: str) -> None:
    given = [a for a in arguments if a.startswith("--")]
    rest = [a for a in arguments if not a.startswith("--")]
    assert message in wrong_usage(*given, source, *rest)


def test_the_help_lists_every_recipe_that_can_be_made() -> None:
    listed = TYPES.split()
    assert {parse_recipe(name) for name in listed} == {
        recipe for recipe, type in BASE_TYPES.items() if type in encodable_types()
    }
    shown: Result = call("quantize", "--help")
    assert shown.code == 0
    assert b"MXFP4_MOE" in shown.out
