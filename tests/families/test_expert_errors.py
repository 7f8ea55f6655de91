"""Files whose keys and tensors say other things of the experts."""

from __future__ import annotations

from pathlib import Path

import pytest

from families.tiny import convert_case
from pyllama.errors import ModelError
from pyllama.gguf import GGUFFile, GGUFWriter, TensorType
from pyllama.model import Model

OVERRIDES = [
    ("mixtral", {".expert_used_count": 0}, "expert_used_count is 0 of 4 experts"),
    ("mixtral", {".expert_used_count": 5}, "expert_used_count is 5 of 4 experts"),
    ("mixtral", {".expert_count": 5}, "ffn_gate_inp.weight' is 4 x 64, not 5 x 64"),
    ("mixtral", {".expert_count": 1 << 20}, "expert_count is 1048576, not between"),
    ("mixtral", {".expert_count": 0}, "ffn_gate_inp.weight' is 4 x 64, not 0 x 64"),
    ("mixtral", {".expert_gating_func": 9}, "expert_gating_func is 9"),
    ("mixtral", {".expert_feed_forward_length": 33}, "ffn_gate_exps.weight' is 4 x 96 x 64"),
    ("qwen2moe", {".expert_shared_feed_forward_length": 57}, "ffn_gate_shexp.weight' is 56"),
    ("deepseek3", {".expert_group_count": 3}, "does not divide 8 experts"),
    ("deepseek3", {".expert_group_used_count": 0}, "0 of 4 groups"),
    ("deepseek3", {".expert_group_used_count": 5}, "5 of 4 groups"),
    ("deepseek3", {".attention.kv_lora_rank": 33}, "attention.key_length is 40, not 41"),
    ("deepseek3", {".attention.key_length_mla": 8}, "all of it rotated"),
    ("deepseek3", {".attention.head_count_kv": 4}, "head_count_kv"),
    ("lfm2", {".shortconv.l_cache": 4}, "shortconv.conv.weight' is 64 x 3, not 64 x 4"),
    ("lfm2", {".shortconv.l_cache": 17}, "shortconv.l_cache is 17"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    names = {name for name, _, _ in OVERRIDES}
    return {name: convert_case(name, tmp_path_factory.mktemp(name))[1] for name in names}


@pytest.mark.parametrize(("name", "overrides", "problem"), OVERRIDES)
def test_keys_that_contradict_the_tensors(
    files: dict[str, Path], name: str, overrides: dict[str, int], problem: str
) -> None:
    with pytest.raises(ModelError, match=problem) as caught:
        Model.load(files[name], overrides=overrides)
    assert str(files[name]) in str(caught.value)


def test_gates_and_ups_of_different_types(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "mixed.gguf"
    source = GGUFFile.open(files["mixtral"])
    with GGUFWriter(path) as writer:
        for key, value in source.metadata.items():
            if not key.startswith(("tokenizer.", "general.quant", "GGUF.")):
                writer.add(key, value)
        odd = "blk.1.ffn_up_exps.weight"
        for name, info in source.tensors.items():
            writer.add_tensor_info(name, info.shape, TensorType.F16 if name == odd else info.type)
        for name in source.tensors:
            data = source.data(name)
            writer.write_tensor(name, data.view("<f4").astype("<f2") if name == odd else data)
    with pytest.raises(ModelError, match=r"ffn_gate_exps.weight' and 'blk.1.ffn_up_exps.weight'"):
        Model.load(path)
