"""What a tokenizer adds to a text: defaults by kind of tokenizer, and what the file says."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyllama.tokenizers.keys import PREFIX, Keys
from pyllama.tokenizers.pretokenizers import PreTokenizer
from pyllama.tokenizers.special import SpecialTokens


@dataclass(frozen=True, slots=True)
class Policy:
    """What is added to a text, and taken away from it again.

    Attributes:
        roles: special tokens (before the file is read: the defaults).
        add_bos: a text begins with ``bos``.
        add_eos: a text ends with ``eos``.
        add_sep: ``sep`` stands between the parts of a text pair.
        ends_with_sep: a text ends with ``sep``.
        space_prefix: a space is put before a text, and removed when it is decoded.
        merge_spaces: runs of spaces count as one.
        clean_spaces: decoding for display removes the space before punctuation.
    """

    roles: SpecialTokens
    add_bos: bool = False
    add_eos: bool = False
    add_sep: bool = False
    ends_with_sep: bool = False
    space_prefix: bool = False
    merge_spaces: bool = False
    clean_spaces: bool = False

    @property
    def prefix(self) -> tuple[int, ...]:
        """The ids that a text begins with."""
        return _only(self.roles.bos if self.add_bos else None)

    @property
    def suffix(self) -> tuple[int, ...]:
        """The ids that a text ends with; where that is ``sep``, it is the end of sequence, too."""
        if self.ends_with_sep:
            return _only(self.roles.sep)
        return _only(self.roles.eos if self.add_eos else None)


def _only(token: int | None) -> tuple[int, ...]:
    return () if token is None else (token,)


DEFAULTS: dict[str, Policy] = {
    "llama": Policy(SpecialTokens(bos=1, eos=2, unk=0), add_bos=True, space_prefix=True),
    "gpt2": Policy(SpecialTokens(bos=11, eos=11), clean_spaces=True),
    "gemma4": Policy(SpecialTokens(), clean_spaces=True),
    "bert": Policy(
        SpecialTokens(bos=101, unk=100, sep=102, pad=0, mask=103),
        add_bos=True,
        add_sep=True,
        ends_with_sep=True,
        clean_spaces=True,
    ),
    "t5": Policy(SpecialTokens(eos=1, unk=2, pad=0), add_eos=True),
}


def default_policy(model: str, rules: PreTokenizer | None) -> Policy:
    """The policy of a model (a key of ``DEFAULTS``) before its own keys are read."""
    policy = DEFAULTS[model]
    if rules is None:
        return policy
    return replace(
        policy,
        roles=policy.roles if rules.has_bos else replace(policy.roles, bos=None),
        add_bos=rules.add_bos,
        add_sep=rules.add_sep,
        clean_spaces=rules.clean_spaces,
    )


def read_policy(
    keys: Keys, default: Policy, roles: SpecialTokens, rules: PreTokenizer | None
) -> Policy:
    """``default`` with the file's own settings; raises ``ModelError`` where they contradict."""

    def flag(name: str, otherwise: bool) -> bool:
        value = keys.flag(name)
        return otherwise if value is None else value

    policy = replace(
        default,
        roles=roles,
        add_bos=flag("add_bos_token", default.add_bos) or (rules is not None and rules.always_bos),
        add_eos=flag("add_eos_token", default.add_eos),
        add_sep=flag("add_sep_token", default.add_sep),
        space_prefix=flag("add_space_prefix", default.space_prefix),
        merge_spaces=flag("remove_extra_whitespaces", default.merge_spaces),
    )
    for wanted, token, key, role in (
        (policy.add_bos, roles.bos, "add_bos_token", "bos_token_id"),
        (policy.add_eos, roles.eos, "add_eos_token", "eos_token_id"),
        (policy.add_sep, roles.sep, "add_sep_token", "seperator_token_id"),
    ):
        if wanted and token is None:
            raise keys.error(f"{PREFIX}{key} asks for a token that {PREFIX}{role} does not name")
    return policy
