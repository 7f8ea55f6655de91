"""The text: Python's standard library as found on this machine, split by a hash of the path.

Three kinds of document are made from the files that are not held out:

    whole     every file as it is
    pieces    library files once more, cut at some top-level definitions, so that a document may
              begin with ``def``: prompts do
    chats     functions with a docstring, as conversations: the docstring's first paragraph asks,
              the function answers

The tests of the standard library are the larger half of its text, and more monotonous than the
rest: they appear once, the library proper appears as all three kinds.
"""

from __future__ import annotations

import ast
import hashlib
import random
import sysconfig
import textwrap
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

HELD_OUT_ONE_IN = 32
MIN_BYTES, MAX_BYTES = 200, 200_000
# Tables of codecs and of documentation, and files that a build writes with this machine's paths.
EXCLUDED_FOLDERS = frozenset({"site-packages", "__pycache__", "encodings", "pydoc_data"})
EXCLUDED_PREFIXES = ("_sysconfigdata", "config-")
MIN_LETTERS = 0.5  # share of letters in the non-blank characters; below it a file is a table
MAX_MEAN_LINE = 80.0  # characters
SHARED_HEADER_FILES = 3  # an opening comment that this many files share is a licence: dropped
CUT_PROBABILITY = 0.4
CHAT_MAX_LINES = 40
CHAT_MAX_TURNS = 3

IM_START, IM_END = "<|im_start|>", "<|im_end|>"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class SourceFile:
    """One file of the standard library; ``path`` is relative to it, with forward slashes."""

    path: str
    text: str
    tree: ast.Module

    @property
    def is_test(self) -> bool:
        """Whether it belongs to a test suite."""
        return any(
            part in {"test", "tests", "idle_test"} for part in PurePosixPath(self.path).parts
        )

    @property
    def held_out(self) -> bool:
        """Whether it is kept for the measurement; depends on the path alone."""
        digest = hashlib.sha256(self.path.encode()).digest()
        return int.from_bytes(digest[:8], "big") % HELD_OUT_ONE_IN == 0


@dataclass(frozen=True)
class Corpus:
    """Documents to train on and whole files held out, all without end-of-text tokens."""

    whole: list[str]
    pieces: list[str]
    chats: list[str]
    held_out: list[SourceFile]
    files: int

    @property
    def documents(self) -> list[str]:
        """Everything to train on."""
        return self.whole + self.pieces + self.chats


def standard_library() -> Path:
    """The folder of the running Python's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def build_corpus(root: Path, seed: int) -> Corpus:
    """Read ``root`` and make the documents; the same files and seed give the same corpus."""
    files = list(source_files(root))
    kept_out = [file for file in files if file.held_out]
    held_out_texts = {file.text for file in kept_out}
    train = [file for file in files if not file.held_out and file.text not in held_out_texts]
    library = [file for file in train if not file.is_test]
    rng = random.Random(seed)
    return Corpus(
        whole=list(dict.fromkeys(file.text for file in train)),
        pieces=[piece for file in library for piece in pieces(file, rng)],
        chats=[chat for file in library for chat in conversations(file, rng)],
        held_out=kept_out,
        files=len(train),
    )


def source_files(root: Path) -> Iterator[SourceFile]:
    """The usable files under ``root`` in the order of their paths, without shared headers."""
    texts: dict[str, str] = {}
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if not _excluded(relative) and (text := _read(path)) and not _is_table(text):
            texts[relative.as_posix()] = text
    headers = Counter(_header(text) for text in texts.values())
    for name, text in texts.items():
        header = _header(text)
        if header and headers[header] >= SHARED_HEADER_FILES:
            text = text[len(header) :].lstrip("\n")
        if (tree := _parse(text)) is not None:
            yield SourceFile(name, text, tree)


def pieces(file: SourceFile, rng: random.Random) -> list[str]:
    """The file's text, cut before some of its top-level functions and classes."""
    lines = file.text.splitlines(keepends=True)
    cuts = [
        _first_line(node)
        for node in file.tree.body
        if isinstance(node, Function | ast.ClassDef) and rng.random() < CUT_PROBABILITY
    ]
    edges = [0, *cuts, len(lines)]
    texts = ["".join(lines[start:end]).strip("\n") for start, end in pairwise(edges)]
    return [f"{text}\n" for text in texts if text]


def conversations(file: SourceFile, rng: random.Random) -> list[str]:
    """Chats of one to three turns made of the file's documented functions."""
    turns = [turn for node in ast.walk(file.tree) if (turn := _turn(file, node))]
    chats = []
    while turns:
        count = rng.randint(1, CHAT_MAX_TURNS)
        chats.append("".join(turns[:count]))
        turns = turns[count:]
    return chats


def chat_turn(role: str, content: str) -> str:
    """One message in the form of the model's chat template."""
    return f"{IM_START}{role}\n{content}{IM_END}\n"


def _turn(file: SourceFile, node: ast.AST) -> str | None:
    if not isinstance(node, Function) or node.end_lineno is None:
        return None
    if node.end_lineno - node.lineno >= CHAT_MAX_LINES or not (doc := ast.get_docstring(node)):
        return None
    request = " ".join(doc.split("\n\n")[0].split())
    lines = file.text.splitlines()[_first_line(node) : node.end_lineno]
    code = textwrap.dedent("\n".join(lines))
    return chat_turn("user", request) + chat_turn("assistant", code)


def _first_line(node: Function | ast.ClassDef) -> int:
    """Index of the definition's first line, decorators included."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1


def _excluded(relative: Path) -> bool:
    return any(
        part in EXCLUDED_FOLDERS or part.startswith(EXCLUDED_PREFIXES) for part in relative.parts
    )


def _read(path: Path) -> str | None:
    """The text in Unix lines, or None where it is no text or its size is out of bounds."""
    if not MIN_BYTES <= path.stat().st_size <= MAX_BYTES:
        return None
    try:
        with tokenize.open(path) as stream:
            text = stream.read()
    except (SyntaxError, UnicodeDecodeError):
        return None
    lines = (line.rstrip().expandtabs() for line in text.splitlines())
    return "\n".join(lines).strip("\n") + "\n"


def _is_table(text: str) -> bool:
    visible = "".join(text.split())
    letters = sum(map(str.isalpha, visible))
    return letters < MIN_LETTERS * len(visible) or len(text) > MAX_MEAN_LINE * text.count("\n")


def _header(text: str) -> str:
    """The comment that the file opens with."""
    size = 0
    for line in text.splitlines(keepends=True):
        if not line.startswith("#"):
            break
        size += len(line)
    return text[:size]


def _parse(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError):
        return None
