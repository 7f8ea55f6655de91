"""``tekken.json``, Mistral's tokenizer, written as a document in the style of ``tokenizer.json``.

    {"config": {"pattern": regex, "default_vocab_size": n, "default_num_special_tokens": s, ...},
     "vocab": [{"rank": 0, "token_bytes": Base64, ...}, ...],
     "special_tokens": [{"rank": 0, "token_str": "<unk>", ...}, ...]}

Ids 0 to s - 1 are special tokens, the n - s best tokens of the vocabulary follow. It is byte-level
BPE in which the rank of the result decides, so that the merges follow from the ranks.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pyllama.convert.documents import parse_object, read_bytes
from pyllama.convert.vocabulary.document import (
    AGAIN,
    MAX_BYTES,
    MAX_ID,
    AddedToken,
    Document,
    added_entry,
)
from pyllama.errors import ConversionError
from pyllama.tokenizers.bytelevel import spell
from pyllama.tokenizers.merging import merge

_FIRST_SPECIAL = (
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]",
    "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
)  # fmt: skip
"""The special tokens of files that list none."""
_ROLES = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "pad": "<pad>"}


def roles_of_tekken(tokens: Iterable[AddedToken]) -> dict[str, int]:
    """The special tokens by role, which the file only names; ``tokens``: those of the document."""
    ids = {token.text: token.id for token in tokens}
    return {role: ids[text] for role, text in _ROLES.items() if text in ids}


def document_of_tekken(path: Path) -> Document:
    """The document for a ``tekken.json``. Raises ``FileError``, ``ConversionError``."""
    content = parse_object(path, read_bytes(path, MAX_BYTES))
    try:
        return Document(path, _converted(content))
    except (LookupError, TypeError, ValueError) as error:
        raise ConversionError(path, f"is no tekken tokenizer: {error!r}", AGAIN) from error


def _converted(content: Mapping[str, Any]) -> dict[str, Any]:
    config = content["config"]
    n_special, n_vocab = (
        int(config["default_num_special_tokens"]),
        int(config["default_vocab_size"]),
    )
    if not 2 < n_special <= n_vocab <= MAX_ID:
        raise ValueError(f"{n_special} special tokens of {n_vocab}")
    entries = sorted(content["vocab"], key=lambda entry: int(entry["rank"]))[: n_vocab - n_special]
    tokens = [spell(base64.b64decode(entry["token_bytes"], validate=True)) for entry in entries]
    if len(set(tokens)) < len(tokens):
        raise ValueError("two tokens are the same bytes")
    split = {
        "type": "Split",
        "pattern": {"Regex": str(config["pattern"])},
        "behavior": "Isolated",
        "invert": False,
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    special = _special_texts(content.get("special_tokens"), n_special)
    return {
        "version": "1.0",
        "added_tokens": [added_entry(id, text) for id, text in enumerate(special)],
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [split, {**byte_level, "use_regex": False}],
        },
        "post_processor": _beginning(special[1]),
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": {text: id for id, text in enumerate(chain(special, tokens))},
            "merges": _merges(tokens),
            "ignore_merges": True,
        },
    }


def _special_texts(listed: Any, n_special: int) -> list[str]:
    texts = [f"<SPECIAL_{id}>" for id in range(n_special)]
    if listed is None:
        texts[: len(_FIRST_SPECIAL)] = _FIRST_SPECIAL[:n_special]
    for entry in listed or ():
        texts[int(entry["rank"])] = str(entry["token_str"])
    return texts


def _beginning(text: str) -> dict[str, Any]:
    """The step that puts the beginning of a sequence, token 1, before a text."""
    first = {"SpecialToken": {"id": text, "type_id": 0}}
    a, b = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    return {
        "type": "TemplateProcessing",
        "single": [first, a],
        "pair": [first, a, b],
        "special_tokens": {text: {"id": text, "ids": [1], "tokens": [text]}},
    }


def _merges(tokens: Sequence[str]) -> list[list[str]]:
    """The pair that each token is made of, once all better tokens are made."""
    ranks: dict[str, float] = {}
    pairs = []
    for rank, token in enumerate(tokens):
        parts = merge(list(token), ranks, "")
        pairs += [parts] if len(parts) == 2 else []
        ranks[token] = rank
    return pairs
