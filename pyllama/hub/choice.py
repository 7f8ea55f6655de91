"""Which of a repository's files is the model: the rules of llama.cpp.

A quantization matches a file whose path has it as a word of its own, in upper or lower case: Q4_K
is in ``x-Q4_K.gguf`` and in ``Q4_K/x-00001-of-00002.gguf``, but not in ``x-Q4_K_M.gguf``. Where
none is given, Q4_K_M is best, then Q8_0, then whatever comes first. Files are looked through by
name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pyllama.errors import HubError, UsageError

PREFERRED = ("Q4_K_M", "Q8_0")
"""Quantizations to look for when none is asked for, best first."""

COMPANIONS = ("mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-")
"""What names of GGUF files contain that go with a model, but are none that could run alone."""

_SPLIT = re.compile(
    r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.gguf)", re.IGNORECASE
)
_QUANTIZATION = re.compile(r"(?:^|[-._])((?:I?Q|TQ|BF|F|FP|MXFP|NVFP)\d[0-9A-Z_]*)$", re.IGNORECASE)
_SHOWN = 16


def choose(
    names: Iterable[str], *, repo: str, quant: str | None = None, file: str | None = None
) -> tuple[str, ...]:
    """The file to take, or of a split model all its parts, the first one first.

    ``names`` are paths in the repository, with slashes. Raises HubError, which lists what there
    is, where nothing fits; UsageError where ``quant`` and ``file`` contradict each other.
    """
    ggufs = sorted(name for name in names if name.lower().endswith(".gguf"))
    if not ggufs:
        raise HubError(repo, "has no GGUF file", "take a repository that has some")
    if file is not None:
        return parts(_named(file, quant, ggufs, repo), ggufs, repo)
    candidates = [name for name in ggufs if is_model(name)]
    for wanted in (quant,) if quant else PREFERRED:
        for name in candidates:
            if _has_word(name, wanted):
                return parts(name, ggufs, repo)
    if quant:
        known = dict.fromkeys(quantization(name) or name for name in candidates)
        raise HubError(repo, f"has no quantization {quant}", f"there is {listing(list(known))}")
    if not candidates:
        raise HubError(repo, "has no GGUF file of a model", f"there is only {listing(ggufs)}")
    return parts(candidates[0], ggufs, repo)


def is_model(name: str) -> bool:
    """Whether a GGUF file is a model by its name: no companion, no later part of a split one."""
    base = name.rpartition("/")[2]
    split = _SPLIT.fullmatch(base)
    later_part = split is not None and int(split["number"]) != 1
    return not later_part and not any(word in base for word in COMPANIONS)


def quantization(name: str) -> str | None:
    """The quantization that a file's name ends in, in upper case: ``x-q4_k_m.gguf`` is Q4_K_M."""
    split = _SPLIT.fullmatch(name)
    stem = split["stem"] if split else name.rpartition(".")[0]
    match = _QUANTIZATION.search(stem.rpartition("/")[2])
    return match[1].upper() if match else None


def part_names(name: str) -> Sequence[str]:
    """The names of all parts of the split model that ``name`` belongs to; else only ``name``."""
    match = _SPLIT.fullmatch(name)
    if match is None:
        return [name]
    stem, count, suffix = match["stem"], match["count"], match["suffix"]
    return [f"{stem}-{number:05}-of-{count}{suffix}" for number in range(1, int(count) + 1)]


def parts(name: str, names: Iterable[str], repo: str) -> tuple[str, ...]:
    """The same, checked: HubError where not all of them are among ``names``."""
    wanted = part_names(name)
    found = set(wanted) & set(names)
    if not wanted or len(found) < len(wanted):
        raise HubError(repo, f"has {len(found)} of the {len(wanted)} parts of {name}")
    return tuple(wanted)


def listing(names: Sequence[str]) -> str:
    """Names for an error message, not too many of them."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _named(file: str, quant: str | None, ggufs: Sequence[str], repo: str) -> str:
    """The file of that name; where there is none, one that differs in upper and lower case."""
    if quant and not _has_word(file, quant):
        problem = f"the file {file} (-hff) is not of quantization {quant} (-hf {repo}:{quant})"
        raise UsageError(f"{problem}; leave one of them out")
    found = [name for name in ggufs if name == file]
    found += [name for name in ggufs if name.lower() == file.lower()]
    if not found:
        raise HubError(repo, f"has no GGUF file {file}", f"there is {listing(ggufs)}")
    return found[0]


def _has_word(name: str, word: str) -> bool:
    return bool(re.search(rf"(?<![0-9A-Z]){re.escape(word)}(?=[-./])", name, re.IGNORECASE))
