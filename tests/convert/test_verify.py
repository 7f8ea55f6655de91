"""Looking at a converted file again."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from raw_checkpoint import write_llama

from pyllama.convert import ConvertOptions, Plan, convert, reference, verify
from pyllama.errors import FileError
from pyllama.gguf import GGUFFile, write_gguf
from pyllama.gguf.file_types import FileType
from pyllama.model import Model
from pyllama.quants import Floats
from pyllama.session import Session


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan, Path]:
    """A file, its plan and its checkpoint."""
    folder = write_llama(tmp_path_factory.mktemp("m"))
    path = folder / "x.gguf"
    return path, convert(folder, path, ConvertOptions(file_type=FileType.F32)), folder


def logits_of(path: Path, tokens: list[int]) -> Floats:
    session = Session(Model.load(path), context=64, threads=1, cache_type="f32")
    return session.evaluate(tokens, all_logits=True)


def with_reference(path: Path, shift: float = 0.0) -> object:
    """In place of transformers: the same model, its logits of one token shifted."""

    def logits(_: Path, tokens: list[int], **__: object) -> tuple[Floats, str]:
        values = logits_of(path, tokens)
        values[:, 5] += shift
        return values, ""

    return patch.object(verify, "reference_logits", logits)


def test_a_file_that_is_right(made: tuple[Path, Plan, Path]) -> None:
    path, plan, folder = made
    with with_reference(path):  # type: ignore[attr-defined]
        found = verify.verify(path, plan, folder)
    assert found.tensors == len(plan.tensors)
    assert found.divergence == pytest.approx(0, abs=1e-4)


def test_other_logits(made: tuple[Path, Plan, Path]) -> None:
    path, plan, folder = made
    with (
        with_reference(path, 3.0),  # type: ignore[attr-defined]
        pytest.raises(FileError, match="computes other logits than transformers"),
    ):
        verify.verify(path, plan, folder)


def test_without_transformers(made: tuple[Path, Plan, Path]) -> None:
    path, plan, folder = made
    with patch.object(reference, "find_spec", lambda _: None):
        found = verify.verify(path, plan, folder)
    assert found.divergence is None
    assert found.note == "torch and transformers not installed"


def test_a_checkpoint_that_does_not_fit_into_memory(made: tuple[Path, Plan, Path]) -> None:
    folder = made[2]
    with (
        patch.object(reference, "find_spec", lambda _: True),
        patch.object(reference, "_memory", lambda: 1000),
    ):
        found, note = reference.reference_logits(folder, [1])
    assert found is None
    assert "in float32" in note


def damaged(made: tuple[Path, Plan, Path], name: str, values: Floats | None) -> Path:
    """The file with other values of a tensor, or without it."""
    path = made[0].with_name("damaged.gguf")
    with GGUFFile.open(made[0]) as file:
        tensors = {
            key: (info.shape, info.type, file.data(key).copy())
            for key, info in file.tensors.items()
        }
        if values is None:
            del tensors[name]
        else:
            tensors[name] = (values.shape, tensors[name][1], values.view(np.uint8))
        write_gguf(path, file.fields, tensors)
    return path


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (None, "lacks the tensor 'output_norm.weight' as planned"),
        (np.ones(16, np.float32), "lacks the tensor 'output_norm.weight' as planned"),
        (np.full(32, np.inf, np.float32), "tensor 'output_norm.weight' is not finite"),
    ],
)
def test_damaged_files(made: tuple[Path, Plan, Path], values: Floats | None, problem: str) -> None:
    with pytest.raises(FileError, match=problem):
        verify.verify(damaged(made, "output_norm.weight", values), made[1], made[2])


def test_a_vocabulary_alone(tmp_path: Path) -> None:
    folder = write_llama(tmp_path)
    plan = convert(folder, folder / "v.gguf", ConvertOptions(weights=False))
    assert verify.verify(folder / "v.gguf", plan, folder).tensors == 0


def test_the_tokenizer_is_compared(made: tuple[Path, Plan, Path]) -> None:
    path, plan, _ = made
    assert plan.vocabulary is not None
    assert verify.tokenizer_differences(path, plan.vocabulary) == []
    with GGUFFile.open(path) as file:
        tokens = [*file.metadata["tokenizer.ggml.tokens"]]
        tokens[10], tokens[11] = tokens[11], tokens[10]
        fields = {**file.fields, "tokenizer.ggml.tokens": tokens}
        write_gguf(path.with_name("swapped.gguf"), fields, {})
    differences = verify.tokenizer_differences(path.with_name("swapped.gguf"), plan.vocabulary)
    assert differences


def test_divergence() -> None:
    reference_logits = np.array([[0.0, np.log(3.0)]], np.float32)
    own = np.zeros((1, 3), np.float32)
    expected = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)
    assert verify.divergence(reference_logits, own) == pytest.approx(expected)
