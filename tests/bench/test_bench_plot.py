"""Pictures of sweeps."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from bench_sample import sample

from pyllama import picture
from pyllama.bench import plot
from pyllama.errors import FileError, PyllamaError, UsageError

pytest.importorskip("matplotlib", reason="needs the extra 'plot'")

SWEEP = [
    sample({"n_depth": depth, "n_threads": threads, **test}, isa=isa)
    for isa in ("avx2", "amx")
    for threads in (1, 2)
    for depth in (0, 512, 4096)
    for test in ({}, {"n_prompt": 0, "n_gen": 32}, {"n_gen": 8})
]


def texts(path: Path) -> list[str]:
    """What is written in a drawing: matplotlib leaves it in comments beside the outlines."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    tree = ElementTree.parse(path, parser)
    return [str(e.text).strip() for e in tree.iter() if callable(e.tag)]


def test_a_sweep(tmp_path: Path) -> None:
    path = tmp_path / "sweep.svg"
    plot.draw(SWEEP, path)
    found = texts(path)
    assert found.count("tokens before the test") == 3
    assert {"prompt", "generation", "prompt and generation"} <= set(found)
    assert {"avx2, threads 1", "avx2, threads 2", "amx, threads 1", "amx, threads 2"} <= set(found)
    assert [p.name for p in tmp_path.iterdir()] == ["sweep.svg"]


def test_one_result(tmp_path: Path) -> None:
    path = tmp_path / "one.PNG"
    plot.draw([sample()], path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_names_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must end with \.png or \.svg"):
        picture.check(tmp_path / "x.pdf")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="check the path"):
        plot.draw([sample()], tmp_path / "none" / "x.svg")


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "find_spec", lambda _: None)
    with pytest.raises(PyllamaError, match=r"pip install 'pyllama\[plot\]'"):
        plot.draw([sample()], tmp_path / "x.svg")
