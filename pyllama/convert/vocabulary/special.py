"""Which tokens have a role (beginning, end, padding, ...), and which of them are added to a text.

The text of the token in ``tokenizer_config.json`` or ``special_tokens_map.json`` comes first, then
the id in ``config.json`` or ``generation_config.json``, then what the tokenizer itself says, then
what the texts of the tokens reveal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyllama.convert.vocabulary.frame import Frame
from pyllama.convert.vocabulary.tokens import Tokens
from pyllama.gguf.wording import quoted
from pyllama.tokenizers.special import END_TEXTS, KEYS, revealed_roles

_ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_FIRST = dict(reversed(KEYS))
_KEYS = {role: _FIRST[role] for role, _ in KEYS} | {"cls": "cls_token_id"}


@dataclass(frozen=True, slots=True)
class Configuration:
    """The files beside the tokenizer; empty where there is no such file.

    ``tokenizer``: ``tokenizer_config.json``, ``special``: ``special_tokens_map.json``, ``model``:
    ``config.json``, ``generation``: ``generation_config.json``.
    """

    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    special: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Special:
    """Ids by role, the flags ``add_*_token``, and what could not be said, one line each."""

    roles: dict[str, int]
    flags: dict[str, bool] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def keys(self) -> dict[str, Any]:
        """The ``tokenizer.ggml.*`` keys, without the prefix."""
        ids = {_KEYS[role]: self.roles[role] for role in _KEYS if role in self.roles}
        return {**ids, **self.flags}


def read_special(
    tokens: Tokens, config: Configuration, own: Mapping[str, int], frame: Frame | None
) -> Special:
    """The roles and flags of a tokenizer.

    ``own``: ids by role that the tokenizer itself names; ``frame``: what it puts around a text,
    ``None`` where its format does not say, so that programs have defaults for it.
    """
    special = Special(_configured(tokens, config))
    roles = special.roles
    for role, id in own.items():
        if id < len(tokens.texts):
            roles.setdefault(role, id)
    for role, substitute in (("bos", "cls"), ("eos", "sep")):
        if role not in roles and substitute in roles:
            roles[role] = roles[substitute]
    if frame is None or frame == Frame():
        _configured_flags(special, config, None if frame is None else False)
    else:
        _framed(special, frame, tokens)
    for role, id in revealed_roles(tokens.ids).items():
        roles.setdefault(role, id)
    _more_ends(special, tokens, config)
    return special


def _configured(tokens: Tokens, config: Configuration) -> dict[str, int]:
    roles: dict[str, int] = {}
    for role in _ROLES:
        texts = (_text(file.get(f"{role}_token")) for file in (config.tokenizer, config.special))
        named = (tokens.ids[text] for text in texts if text in tokens.ids)
        listed = (id for ids in _listed(config, role) for id in ids if id < len(tokens.texts))
        id = next(named, next(listed, None))
        if id is not None:
            roles[role] = id
    return roles


def _text(value: object) -> str:
    """The text of a special token, which may be an object."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else ""


def _listed(config: Configuration, role: str) -> Iterator[list[int]]:
    """The ids that the model's own files give to a role."""
    inner = config.model.get("text_config")
    for file in (config.model, inner if isinstance(inner, dict) else {}, config.generation):
        value = file.get(f"{role}_token_id")
        values = value if isinstance(value, list) else [value]
        yield [id for id in values if type(id) is int and id >= 0]


def _more_ends(special: Special, tokens: Tokens, config: Configuration) -> None:
    """Further tokens that end an answer, if their texts do not reveal it.

    Programs take ``eot`` and ``eom`` for ends, too.
    """
    roles = special.roles
    for id in dict.fromkeys(id for ids in _listed(config, "eos") for id in ids):
        named = (roles.get("eos"), roles.get("eot"), roles.get("eom"))
        if id >= len(tokens.texts) or id in named or tokens.texts[id] in END_TEXTS:
            continue
        free = next((role for role in ("eot", "eom") if role not in roles), None)
        if free is None:
            text = quoted(tokens.texts[id])
            special.warnings.append(f"{text} ends an answer, too, which GGUF cannot say")
        else:
            roles[free] = id


def _configured_flags(special: Special, config: Configuration, default: bool | None) -> None:
    for role in ("bos", "eos"):
        flag = config.tokenizer.get(f"add_{role}_token", default)
        if isinstance(flag, bool):
            special.flags[f"add_{role}_token"] = flag and role in special.roles


def _framed(special: Special, frame: Frame, tokens: Tokens) -> None:
    """The flags for a frame. GGUF can say one token before a text and one after it."""
    roles, flags = special.roles, special.flags
    for role, all_ids, where in (("bos", frame.before, "before"), ("eos", frame.after, "after")):
        ids = [id for id in all_ids if id < len(tokens.texts)]
        flags[f"add_{role}_token"] = len(ids) == 1
        if len(ids) > 1:
            texts = "".join(tokens.texts[id] for id in ids)
            special.warnings.append(
                f"the original puts {quoted(texts)} {where} a text, which GGUF cannot say"
            )
        elif ids:
            if role == "eos" and roles.get("eos", ids[0]) != ids[0]:
                roles.setdefault("eot", roles["eos"])  # it still ends an answer
            roles[role] = ids[0]
    ends = {roles.get("sep"), roles.get("eos")}
    if frame.between and ends.issuperset(frame.between):
        flags["add_sep_token"] = len(frame.between) > flags["add_eos_token"]
        roles.setdefault("sep", frame.between[0])
