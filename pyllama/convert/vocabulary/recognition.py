"""The name of a pre-tokenizer, recognized from how ``tokenizer.json`` says that it cuts.

Its steps are respelled as ``pyllama.tokenizers.patterns`` spells them, and looked up in the table
that the tokenizer itself works with. Several names stand for the same rules: one is canonical.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pyllama.tokenizers import patterns as p
from pyllama.tokenizers.pretokenizers import PRE_TOKENIZERS

CANONICAL = (
    "gpt-2", "falcon", "starcoder", "chameleon", "llama-bpe", "dbrx", "jais-2", "minicpm5",
    "qwen2", "qwen35", "ufakzeka", "laguna", "seed-coder", "bailingmoe", "exaone-moe",
    "deepseek-llm", "deepseek-coder", "deepseek-v3", "spark2_5", "afmoe", "tekken", "gpt-4o",
    "granite-embed-multi-97m", "tiny_aya", "youtu", "kimi-k2", "bloom", "viking", "superbpe",
)  # fmt: skip
"""One name for each set of byte-level rules."""

BYTE_LEVEL = "ByteLevel"

_SPELLINGS: tuple[tuple[str, str], ...] = (
    ("(?i:'s|'t|'re|'ve|'m|'ll|'d)", p.CONTRACTION),
    ("(?i:'(?:[sdmt]|ll|ve|re))", p.CONTRACTION),
    ("'(?i:[sdmt]|ll|ve|re)", p.CONTRACTION),
    ("'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])", p.CONTRACTION),
    (r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", p.UPPER),
    (r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]", p.LOWER),
    (r"[^(\s|[.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C}])]+", p.BLOOM[2:]),
    (r"\x{3000}-\x{3002}]+", r"\x{3001}\x{3002}]+"),
    (r"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+", p.DEEPSEEK_ASIAN),
    (p.GPT2 + r"|\s+", p.GPT2),
    (r"\p{N}{1}", r"\p{N}"),
)
"""What tokenizers write, in ASCII, and what llama.cpp and ``patterns`` write for the same."""

_SEQUENCES: dict[str, tuple[str, ...]] = {
    "falcon": (p.FALCON_SYMBOLS, p.GPT2, BYTE_LEVEL, p.NUMBER, "[0-9][0-9][0-9]"),
    "deepseek-llm": (
        *PRE_TOKENIZERS["deepseek-llm"].patterns[:3],
        r"\s+$",
        p.DEEPSEEK_ASIAN,
        p.DIGIT,
    ),
    "youtu": (p.YOUTU_ASIAN, p.O200K.replace(r"\p{N}{1,3}", p.DIGIT)),
    "tiny_aya": (r"\d{1,3}(?=(?:\d{3})*\b)", p.O200K),
    "superbpe": (p.NUMBER, r"(?=(\d{3})+(?!\d))"),
}
"""Names whose tokenizers cut in other steps than llama.cpp does for them."""

_CODE_POINT = re.compile(r"\\x\{0*([0-9A-Fa-f]+)\}")
_UNPRINTABLE = re.compile(r"[^ -~]")
_ESCAPES = {"\r": r"\r", "\n": r"\n", "\t": r"\t"}
_POSSESSIVE = re.compile(r"(?<=[\]})])([?*+])\+")


def names_of(steps: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The canonical names that cut as ``steps`` do, the pre-tokenizers of ``tokenizer.json``.

    Those names differ in whether whole tokens go before merges (``ignore_merges``). None where the
    steps are not byte-level, or are steps that no name stands for.
    """
    cuts: list[str] = []
    for step in steps:
        cut = _cuts(step)
        if cut is None:
            return ()
        cuts += cut
    if cuts[-1:] == [BYTE_LEVEL]:
        cuts.pop()
    elif BYTE_LEVEL not in cuts:
        return ()
    return _NAMES.get(tuple(cuts), ())


def canonical(pattern: str) -> str:
    """``pattern`` as ``patterns`` would spell it, as far as that is known."""
    pattern = _UNPRINTABLE.sub(lambda m: _ESCAPES.get(m[0], f"\\x{{{ord(m[0]):X}}}"), pattern)
    pattern = _CODE_POINT.sub(lambda m: f"\\x{{{m[1].upper()}}}", pattern)
    pattern = _POSSESSIVE.sub(r"\1", pattern)  # what follows never matches what was given back
    for theirs, ours in _SPELLINGS:
        pattern = pattern.replace(theirs, ours)
    return _CODE_POINT.sub(lambda m: f"\\x{{{m[1].upper()}}}", pattern)


def _cuts(step: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The patterns of one step, in sequence."""
    match step:
        case {"type": "ByteLevel", "add_prefix_space": False}:
            return (p.GPT2, BYTE_LEVEL) if step.get("use_regex", True) else (BYTE_LEVEL,)
        case {"type": "Digits", "individual_digits": bool(each)}:
            return (p.DIGIT if each else p.NUMBER,)
        case {"type": "Punctuation", "behavior": "Contiguous"}:
            return (p.FALCON_SYMBOLS,)
        case {"type": "Punctuation", "behavior": "Isolated"}:
            return (p.CHAMELEON_SYMBOLS,)
        case {"type": "Split", "pattern": {"Regex": str(regex)}}:
            return _split(canonical(regex), step.get("behavior"), step.get("invert", False))
    return None


def _split(pattern: str, behavior: object, invert: object) -> tuple[str, ...] | None:
    """Cut out what matches; or keep only what matches, if that is everything."""
    keeps_all = (behavior, invert) == ("Isolated", False)
    leaves_nothing = (behavior, invert) == ("Removed", True) and pattern.endswith(r"|\s+")
    return (pattern,) if keeps_all or leaves_nothing else None


def _names() -> dict[tuple[str, ...], tuple[str, ...]]:
    names: dict[tuple[str, ...], tuple[str, ...]] = {}
    for name in CANONICAL:
        rules = PRE_TOKENIZERS[name].patterns
        for cuts in (rules, _SEQUENCES.get(name, rules)):
            key = tuple(map(canonical, cuts))
            names[key] = tuple(dict.fromkeys((*names.get(key, ()), name)))
    return names


_NAMES = _names()
