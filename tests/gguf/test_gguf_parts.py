"""Which tensors go to which part, and files that appear together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pyllama.errors import FileError, UsageError
from pyllama.gguf import GGUFFile, TensorType
from pyllama.gguf.parts import (
    Limits,
    PartTensor,
    assign_parts,
    check_absent,
    check_sources,
    open_parts,
    part_files,
)


@pytest.mark.parametrize(
    ("sizes", "limits", "parts"),
    [
        ([64] * 4, Limits(), [0, 0, 0, 0]),
        ([64] * 5, Limits(tensors=2), [0, 0, 1, 1, 2]),
        ([64] * 4, Limits(n_bytes=128), [0, 0, 1, 1]),
        ([64] * 4, Limits(n_bytes=127), [0, 1, 2, 3]),
        ([200, 8, 200], Limits(n_bytes=100), [0, 1, 2]),
        ([33, 33], Limits(n_bytes=127), [0, 1]),  # padded to 64 each
        ([64] * 3, Limits(n_bytes=1000, tensors=1), [0, 1, 2]),
        ([64] * 3, Limits(tensors=2, metadata_alone=True), [1, 1, 2]),
        ([], Limits(tensors=2), []),
    ],
)
def test_parts(sizes: list[int], limits: Limits, parts: list[int]) -> None:
    assert assign_parts(sizes, limits, 32) == parts


def test_names() -> None:
    assert part_files(Path("d/x.gguf"), 1) == [Path("d/x.gguf")]
    two = [Path("d/x-00001-of-00002.gguf"), Path("d/x-00002-of-00002.gguf")]
    assert part_files(Path("d/x.gguf"), 2) == two
    assert part_files(Path("d/x"), 2) == two


TENSORS = [PartTensor(name, (3,), TensorType.F32, i) for i, name in enumerate("abc")]


def test_files_appear_together(tmp_path: Path) -> None:
    paths = part_files(tmp_path / "x", 3)
    with open_parts(paths, {"general.architecture": "llama"}, TENSORS) as write:
        for number, tensor in enumerate(TENSORS):
            assert not any(path.exists() for path in paths)
            write(tensor.name, np.full(3, number, np.float32))
    with GGUFFile.open(paths[0]) as file:
        assert [file.data(name).view("<f4")[0] for name in "abc"] == [0, 1, 2]
        assert file.metadata["split.tensors.count"] == 3


def test_no_file_appears_after_a_failure(tmp_path: Path) -> None:
    def write_some() -> None:
        with open_parts(part_files(tmp_path / "x", 3), {}, TENSORS) as write:
            write("a", np.zeros(3, np.float32))
            write("b", np.zeros(2, np.float32))

    with pytest.raises(UsageError, match="got 8 bytes"):
        write_some()
    assert list(tmp_path.iterdir()) == []


def test_checks(tmp_path: Path) -> None:
    there, link = tmp_path / "there", tmp_path / "link"
    there.write_bytes(b"")
    link.symlink_to(there)
    check_absent([tmp_path / "new"], force=False)
    check_absent([there], force=True)
    with pytest.raises(FileError, match="exists; name another output, or replace it with --force"):
        check_absent([there], force=False)
    with pytest.raises(FileError, match="is what the output is made from"):
        check_sources([link], [there])
    check_sources([tmp_path / "new"], [there, tmp_path / "missing"])
