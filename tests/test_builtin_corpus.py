"""How the built-in model's training text is made: split, cuts, conversations."""

from __future__ import annotations

import importlib
import random
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
HEADER = "# Copyright somebody\n# All rights reserved\n"
MODULE = '''"""A module."""

import os


def first(path):
    """Return the path.

    Whatever it is.
    """
    return os.fspath(path)


class Thing:
    """A thing."""

    @property
    def name(self):
        """The name."""
        return self._name
'''


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("builtin_model.corpus")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for index in range(100):
        path = tmp_path / f"module{index}.py"
        path.write_text(f"{HEADER}{MODULE}\n\nNUMBER = {index}\n", encoding="utf-8")
    return tmp_path


def test_same_files_and_seed_give_the_same_corpus(corpus: ModuleType, library: Path) -> None:
    first, second = (corpus.build_corpus(library, 7) for _ in range(2))
    assert first.documents == second.documents
    assert corpus.build_corpus(library, 8).pieces != first.pieces


def test_held_out_files_are_not_trained_on(corpus: ModuleType, library: Path) -> None:
    built = corpus.build_corpus(library, 7)
    kept_out = {file.text for file in built.held_out}
    assert kept_out
    assert built.files + len(built.held_out) == 100
    assert not kept_out & set(built.whole)


def test_a_copy_of_a_held_out_file_is_dropped(corpus: ModuleType, library: Path) -> None:
    held_out = corpus.build_corpus(library, 7).held_out[0]
    (library / "copies").mkdir()
    for index in range(40):
        (library / "copies" / f"{index}.py").write_text(held_out.text, encoding="utf-8")
    assert held_out.text not in corpus.build_corpus(library, 7).documents


def test_headers_that_files_share_are_cut(corpus: ModuleType, library: Path) -> None:
    assert all(text.startswith('"""A module."""') for text in corpus.build_corpus(library, 7).whole)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("site-packages/x.py", MODULE),
        ("encodings/x.py", MODULE),
        ("_sysconfigdata_x.py", MODULE),
        ("broken.py", MODULE + "def broken(:\n"),
        ("table.py", "TABLE = [\n" + "    0x00, 0x01, 0x02,\n" * 40 + "]\n"),
        ("long.py", "WORDS = '" + "word " * 100 + "'\n"),
        ("tiny.py", "pass\n"),
        ("latin.py", MODULE + "# \N{POUND SIGN}\n"),
    ],
)
def test_files_that_are_left_out(corpus: ModuleType, tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="latin-1")
    assert list(corpus.source_files(tmp_path)) == []


def test_pieces_are_the_text_cut_before_definitions(corpus: ModuleType, library: Path) -> None:
    file = next(iter(corpus.source_files(library)))
    cut = [corpus.pieces(file, random.Random(seed)) for seed in range(20)]
    assert {len(texts) for texts in cut} == {1, 2, 3}
    for texts in cut:
        assert "".join(texts).replace("\n", "") == file.text.replace("\n", "")
        assert all(text.startswith(("def ", "class ")) for text in texts[1:])


def test_conversations(corpus: ModuleType, library: Path) -> None:
    file = next(iter(corpus.source_files(library)))
    talk = "".join(corpus.conversations(file, random.Random(0)))
    assert talk == (
        "<|im_start|>user\nReturn the path.<|im_end|>\n<|im_start|>assistant\n"
        'def first(path):\n    """Return the path.\n\n    Whatever it is.\n    """\n'
        "    return os.fspath(path)<|im_end|>\n"
        "<|im_start|>user\nThe name.<|im_end|>\n<|im_start|>assistant\n"
        '@property\ndef name(self):\n    """The name."""\n    return self._name<|im_end|>\n'
    )
