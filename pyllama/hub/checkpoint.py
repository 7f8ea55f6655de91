"""Which files of a repository make up its checkpoint: what a conversion reads, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pyllama.errors import HubError

CONFIG = "config.json"
_TEXTS = re.compile(r"[^/]+\.json|[^/]+\.jinja|additional_chat_templates/[^/]+\.jinja|README\.md")
_VOCABULARIES = ("tokenizer.model", "spiece.model", "vocab.txt", "merges.txt", "tokenizer.model.v3")
_WEIGHTS = (r"model(-[^/]+)?\.safetensors", r"pytorch_model(-[^/]+)?\.bin")
"""In order of preference: a repository may have both."""
_INDEX = re.compile(r".+\.(safetensors|bin)\.index\.json")


def checkpoint_files(names: Iterable[str], repo: str) -> tuple[str, ...]:
    """The files to have, paths in the repository. Raises HubError where there is no checkpoint."""
    found = sorted(names)
    weights = next((w for pattern in _WEIGHTS if (w := _matching(pattern, found))), [])
    if CONFIG not in found or not weights:
        lacks = CONFIG if CONFIG not in found else "weights (safetensors or pytorch_model.bin)"
        raise HubError(repo, f"has no {lacks}", "take the repository of the original model")
    suffix = weights[0].rpartition(".")[2]
    texts = [
        name
        for name in found
        if (_TEXTS.fullmatch(name) and not _is_foreign_index(name, suffix)) or name in _VOCABULARIES
    ]
    return (*texts, *weights)


def _matching(pattern: str, names: list[str]) -> list[str]:
    return [name for name in names if re.fullmatch(pattern, name)]


def _is_foreign_index(name: str, suffix: str) -> bool:
    """Whether it is the index of weights that are not taken."""
    index = _INDEX.fullmatch(name)
    return index is not None and index[1] != suffix
