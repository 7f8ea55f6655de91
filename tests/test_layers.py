"""Each row of the design imports only from rows below it, and some packages stay in one room."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = (
    ("pyllama.errors", "pyllama.gguf", "pyllama.quants", "pyllama.builtin"),
    ("pyllama.kernels",),
    ("pyllama.graph",),
    ("pyllama.models",),
    (
        "pyllama.cache",
        "pyllama.cpus",
        "pyllama.grammar",
        "pyllama.interrupt",
        "pyllama.lora",
        "pyllama.model",
        "pyllama.placement",
        "pyllama.ordered",
        "pyllama.sampling",
        "pyllama.scoring",
        "pyllama.session",
        "pyllama.step",
        "pyllama.templates",
        "pyllama.threads",
        "pyllama.tokenizers",
        "pyllama.weights",
    ),
    (
        "pyllama.bench",
        "pyllama.conversation",
        "pyllama.convert",
        "pyllama.generation",
        "pyllama.hub",
        "pyllama.imatrix",
        "pyllama.perplexity",
        "pyllama.picture",
        "pyllama.profile",
        "pyllama.prompt_cache",
        "pyllama.quantize",
        "pyllama.shards",
        "pyllama.stop_strings",
        "pyllama.tensor_check",
    ),
    ("pyllama", "pyllama.__init__"),
    ("pyllama.commands", "pyllama.__main__"),
)
"""Lowest first. A module belongs to the longest prefix of its name."""

ROOMS = {
    "llvmlite.binding": {"pyllama.kernels.llvm"},
    "llvmlite.ir": {"pyllama.kernels.language"},
    "rich": {"pyllama.commands.output", "pyllama.commands.markdown"},
    "prompt_toolkit": {"pyllama.commands.chat_editor"},
    "huggingface_hub": {"pyllama.hub.client"},
    "transformers": {"pyllama.convert.reference"},
    "torch": {"pyllama.convert.reference"},
    "yaml": {"pyllama.convert.card"},
    "matplotlib": {"pyllama.bench.plot", "pyllama.perplexity.plot"},
}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package by its installed name."""
    for folder, prefix in (("pyllama", ""), ("commands", "pyllama."), ("kernels", "pyllama.")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = prefix + ".".join(parts).removesuffix(".__init__")
            yield "pyllama.__init__" if name == "pyllama" else name, path


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, wherever in the file, but for the type checker's eyes only."""
    tree = ast.parse(path.read_text())
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(name: str) -> int:
    """The row that a module, or a name in one, belongs to."""
    matches = [
        (len(prefix), number)
        for number, row in enumerate(LAYERS)
        for prefix in row
        if name == prefix or name.startswith(prefix + ".")
    ]
    assert matches, f"{name} belongs to no layer: add it to LAYERS"
    return max(matches)[1]


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """What each module of the package imports."""
    return {name: list(imports(path)) for name, path in modules()}


def test_imports_go_down(imported: dict[str, list[str]]) -> None:
    assert len(imported) > 100
    from_above = [
        f"{name} imports {other}"
        for name, others in imported.items()
        for other in others
        if other.startswith("pyllama") and layer(other) > layer(name)
    ]
    assert from_above == []


def test_packages_stay_in_their_rooms(imported: dict[str, list[str]]) -> None:
    outside = [
        f"{name} imports {other}"
        for name, others in imported.items()
        for other in others
        for package, rooms in ROOMS.items()
        if (other == package or other.startswith(package + ".")) and name not in rooms
    ]
    assert outside == []


def test_every_layer_exists(imported: dict[str, list[str]]) -> None:
    names = list(imported)
    for prefix in (prefix for row in LAYERS for prefix in row if prefix != "pyllama"):
        assert any(n == prefix or n.startswith(prefix + ".") for n in names), prefix
