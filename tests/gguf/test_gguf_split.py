"""Models split over several files."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import raw_gguf as raw

from pyllama.errors import FileError
from pyllama.gguf import GGUFFile, split_path


def u16(key: str, value: int) -> bytes:
    return raw.field(key, 2, struct.pack("<H", value))


def i32(key: str, value: int) -> bytes:
    return raw.field(key, 5, struct.pack("<i", value))


def part(number: int, tensors: list[str], *, count: int = 3, total: int = 3) -> bytes:
    """One part; each tensor holds its own name."""
    fields = [
        u16("split.no", number),
        u16("split.count", count),
        i32("split.tensors.count", total),
    ]
    if number == 0:
        fields.insert(0, raw.text("general.architecture", "llama"))
    infos = [raw.tensor(name, (len(name),), 24, 32 * i) for i, name in enumerate(tensors)]
    data = b"".join(name.encode().ljust(32, b"\0") for name in tensors)
    return raw.gguf(fields, infos, data)


def paths(folder: Path, count: int = 3) -> list[Path]:
    return [split_path(folder / "m", i, count) for i in range(count)]


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """Three sound parts, the first of which has no tensors."""
    files = paths(tmp_path)
    for i, (path, tensors) in enumerate(zip(files, [[], ["one", "two"], ["three"]], strict=True)):
        path.write_bytes(part(i, tensors))
    return files


def message_of(path: Path, culprit: Path | None = None) -> str:
    with pytest.raises(FileError) as caught:
        GGUFFile.open(path)
    assert str(caught.value).startswith(f"{culprit or path}: ")
    assert caught.value.remedy
    return str(caught.value)


def test_names() -> None:
    assert split_path(Path("a/m.q8"), 0, 3) == Path("a/m.q8-00001-of-00003.gguf")
    assert split_path(Path("m"), 99_999, 100_000).name == "m-100000-of-100000.gguf"


def test_all_parts_are_opened(parts: list[Path]) -> None:
    with GGUFFile.open(parts[0]) as file:
        assert file.path == parts[0]
        assert file.paths == tuple(parts)
        assert file.metadata["general.architecture"] == "llama"
        assert list(file.tensors) == ["one", "two", "three"]
        assert [t.part for t in file.tensors.values()] == [1, 1, 2]
        for name in file.tensors:
            assert bytes(file.data(name)) == name.encode()


@pytest.mark.parametrize("count", [0, 1])
def test_merged_or_single_file(tmp_path: Path, count: int) -> None:
    """A merged model keeps the split keys, with a count of 0, and may have any name."""
    path = tmp_path / "merged.gguf"
    path.write_bytes(part(0, ["one", "two", "three"], count=count))
    with GGUFFile.open(path) as file:
        assert len(file.tensors) == 3


def test_later_part(parts: list[Path]) -> None:
    assert f"is part 2 of 3; name the first, {parts[0].name}" in message_of(parts[1])


def test_missing_part(parts: list[Path]) -> None:
    parts[2].unlink()
    message = message_of(parts[0], parts[2])
    assert "part 3 of 3 is missing; put all parts into one folder" in message


def test_renamed_first_part(parts: list[Path]) -> None:
    renamed = parts[0].rename(parts[0].with_name("model.gguf"))
    assert "first of 3 parts but not named so; name it like NAME-00001-of" in message_of(renamed)


def test_count_in_the_name_differs(parts: list[Path]) -> None:
    renamed = parts[0].rename(split_path(parts[0].parent / "m", 0, 4))
    assert "not named so; name it like m-00001-of-00003.gguf" in message_of(renamed)


def test_swapped_parts(parts: list[Path]) -> None:
    parts[1].write_bytes(parts[2].read_bytes())
    message = message_of(parts[0], parts[1])
    assert "says it is part 3 of 3, but is named part 2 of 3" in message


def test_part_of_another_split(parts: list[Path]) -> None:
    parts[1].write_bytes(part(1, ["one", "two"], count=7))
    assert "says it is part 2 of 7" in message_of(parts[0], parts[1])


def test_total_of_tensors(parts: list[Path]) -> None:
    parts[1].write_bytes(part(1, ["one"]))
    assert "announces 3 tensors, the parts have 2" in message_of(parts[0])


def test_tensor_in_two_parts(parts: list[Path]) -> None:
    parts[2].write_bytes(part(2, ["one"]))
    message = message_of(parts[0], parts[2])
    assert f"tensor 'one' is also in {parts[1].name}" in message


def test_truncated_part(parts: list[Path]) -> None:
    parts[1].write_bytes(parts[1].read_bytes()[:-40])
    assert "incomplete" in message_of(parts[0], parts[1])


def test_part_that_is_a_directory(parts: list[Path]) -> None:
    parts[1].unlink()
    parts[1].mkdir()
    assert "is a directory" in message_of(parts[0], parts[1])


def test_missing_key(tmp_path: Path) -> None:
    first = paths(tmp_path)[0]
    first.write_bytes(raw.gguf([u16("split.count", 3)]))
    assert "lacks the key split.no" in message_of(first)


@pytest.mark.parametrize(
    "field", [raw.text("split.count", "3"), raw.field("split.count", 7, b"\1")]
)
def test_key_of_a_wrong_type(tmp_path: Path, field: bytes) -> None:
    first = paths(tmp_path)[0]
    first.write_bytes(raw.gguf([field]))
    assert "split.count has the type" in message_of(first)


def test_absurd_count(tmp_path: Path) -> None:
    first = paths(tmp_path)[0]
    first.write_bytes(raw.gguf([raw.field("split.count", 10, struct.pack("<Q", 2**60))]))
    assert f"claims to be split into {2**60} parts" in message_of(first)
