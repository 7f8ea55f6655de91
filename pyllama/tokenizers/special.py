"""The tokens with a role: beginning and end of a text, of a turn, of a file; the unknown token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

from pyllama.tokenizers.keys import Keys
from pyllama.tokenizers.vocabulary import TokenType, Vocabulary


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Ids by role; ``None`` where the model has no such token.

    Beginning of sequence, end of sequence, of turn and of message; unknown, separator, padding,
    mask; and fill-in-the-middle: prefix, suffix, middle, padding, repository, file separator.
    """

    bos: int | None = None
    eos: int | None = None
    eot: int | None = None
    eom: int | None = None
    unk: int | None = None
    sep: int | None = None
    pad: int | None = None
    mask: int | None = None
    fim_pre: int | None = None
    fim_suf: int | None = None
    fim_mid: int | None = None
    fim_pad: int | None = None
    fim_rep: int | None = None
    fim_sep: int | None = None


KEYS: tuple[tuple[str, str], ...] = (
    ("bos", "bos_token_id"),
    ("eos", "eos_token_id"),
    ("eot", "eot_token_id"),
    ("eom", "eom_token_id"),
    ("unk", "unknown_token_id"),
    ("sep", "seperator_token_id"),
    ("pad", "padding_token_id"),
    ("mask", "mask_token_id"),
    ("fim_pre", "fim_pre_token_id"),
    ("fim_suf", "fim_suf_token_id"),
    ("fim_mid", "fim_mid_token_id"),
    ("fim_pad", "fim_pad_token_id"),
    ("fim_rep", "fim_rep_token_id"),
    ("fim_sep", "fim_sep_token_id"),
    ("fim_pre", "prefix_token_id"),
    ("fim_suf", "suffix_token_id"),
    ("fim_mid", "middle_token_id"),
)
"""Roles and the names of their keys; "seperator" is how the format spells it. Later names win."""

# Texts that reveal a role which the file does not name, the likeliest first.
_TEXTS: dict[str, tuple[str, ...]] = {
    "eot": (
        "<|eot_id|>",
        "<|im_end|>",
        "<|end|>",
        "<end_of_turn>",
        "<|endoftext|>",
        "<|end_of_text|>",
        "<EOT>",
        "_<EOT>",
        "[EOT]",
        "<｜end▁of▁sentence｜>",
        "<end_of_utterance>",
    ),
    "eom": ("<|eom_id|>",),
    "fim_pre": (
        "<|fim_prefix|>",
        "<fim-prefix>",
        "<fim_prefix>",
        "<｜fim▁begin｜>",
        "<PRE>",
        "▁<PRE>",
        "<|code_prefix|>",
        "<|prefix|>",
    ),
    "fim_suf": (
        "<|fim_suffix|>",
        "<fim-suffix>",
        "<fim_suffix>",
        "<｜fim▁hole｜>",
        "<SUF>",
        "▁<SUF>",
        "<|code_suffix|>",
        "<|suffix|>",
    ),
    "fim_mid": (
        "<|fim_middle|>",
        "<fim-middle>",
        "<fim_middle>",
        "<｜fim▁end｜>",
        "<MID>",
        "▁<MID>",
        "<|code_middle|>",
        "<|middle|>",
    ),
    "fim_pad": ("<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"),
    "fim_rep": ("<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"),
    "fim_sep": ("<|file_sep|>",),
}

END_TEXTS = frozenset(
    {
        "<|eot_id|>",
        "<|im_end|>",
        "<|end|>",
        "<|return|>",
        "<|call|>",
        "<|flush|>",
        "<|calls|>",
        "<end_of_turn>",
        "<|endoftext|>",
        "</s>",
        "<|eom_id|>",
        "<EOT>",
        "_<EOT>",
        "[EOT]",
        "[EOS]",
        "<|end_of_text|>",
        "<end_of_utterance>",
        "<eos>",
        "<turn|>",
        "<|tool_response>",
        "<｜end▁of▁sentence｜>",
        "[e~[",
    }
)
# Harmony (gpt-oss) structures its answers with these; they are always shown.
_SHOWN_TEXTS = ("<|channel|>", "<|message|>", "<|start|>", "<|constrain|>")


def read_special_tokens(
    keys: Keys, vocabulary: Vocabulary, defaults: SpecialTokens
) -> SpecialTokens:
    """The roles that the file names, else the defaults, else those that the texts reveal.

    A default outside the vocabulary counts for nothing; an id in the file that is outside raises
    ``ModelError``.
    """
    n_vocab = len(vocabulary)
    default_ids = {field.name: getattr(defaults, field.name) for field in fields(defaults)}
    roles: dict[str, int] = {
        role: token for role, token in default_ids.items() if token is not None and token < n_vocab
    }
    for role, name in KEYS:
        token = keys.token_id(name, n_vocab)
        if token is not None:
            roles[role] = token
    return SpecialTokens(**{**revealed_roles(vocabulary.ids), **roles})


def revealed_roles(ids: Mapping[str, int]) -> dict[str, int]:
    """The roles that texts of tokens reveal; ``ids``: of all tokens by text."""
    found = {
        role: next((ids[text] for text in texts if text in ids), None)
        for role, texts in _TEXTS.items()
    }
    return {role: token for role, token in found.items() if token is not None}


def classify(vocabulary: Vocabulary, special: SpecialTokens) -> tuple[Vocabulary, frozenset[int]]:
    """The vocabulary with the types that the tokens' texts call for; the ids that end an answer.

    A token that ends a turn by its text is a control token, whatever the file says. In Harmony's
    vocabularies ``<|end|>`` only ends a part of the answer, and in Gemma's ``</s>`` ends nothing.
    """
    types = bytearray(vocabulary.types)
    ids = vocabulary.ids
    ends = {ids[text] for text in END_TEXTS if text in ids}
    for token in ends | _revealed(vocabulary, special):
        types[token] = TokenType.CONTROL
    for text in _SHOWN_TEXTS:
        if text in ids:
            types[ids[text]] = TokenType.USER_DEFINED
    roles = (
        special.eos,
        special.eot,
        special.eom,
        special.fim_pad,
        special.fim_rep,
        special.fim_sep,
    )
    ends.update(token for token in roles if token is not None)
    for text, kind in _not_ends({vocabulary.texts[token] for token in ends}).items():
        ends.discard(ids[text])
        types[ids[text]] = kind
    return replace(vocabulary, types=bytes(types)), frozenset(ends)


def _revealed(vocabulary: Vocabulary, special: SpecialTokens) -> set[int]:
    """The tokens whose role follows from their text."""
    return {
        token
        for role, texts in _TEXTS.items()
        if (token := getattr(special, role)) is not None and vocabulary.texts[token] in texts
    }


def _not_ends(texts: Iterable[str]) -> Mapping[str, TokenType]:
    """Among the texts that end a generation those that do not, given the others."""
    found = set(texts)
    calls = found & {"<|call|>", "<|calls|>"}
    harmony = calls and found & {"<|return|>", "<|flush|>"}
    exceptions = {
        "<|end|>": TokenType.USER_DEFINED if harmony else None,
        "</s>": TokenType.NORMAL if "<|tool_response>" in found else None,
    }
    return {text: kind for text, kind in exceptions.items() if kind is not None and text in found}
