"""The names of mixtures of experts in transformers, and what they are called in GGUF."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from pyllama.convert.config import Config
from pyllama.convert.family import Rule, every_layer
from pyllama.convert.keys import Key, whole

EXPERT_KEYS = (
    Key("expert_count", lambda config: config.experts or None),
    whole("expert_used_count", "num_experts_per_tok"),
)
"""How many experts there are, and how many of them compute a token."""

PARTS = ("gate", "up", "down")


def expert_rules(
    block: str = "mlp",
    router: str = "gate",
    names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj"),
    layers: Callable[[Config], Iterable[int]] = every_layer,
) -> tuple[Rule, ...]:
    """A router, and experts that a checkpoint has one by one.

    ``names``: of an expert's gate, up and down matrices; ``layers``: those that have experts.
    """
    source = f"model.layers.{{i}}.{block}"
    return (
        Rule(f"{source}.{router}.weight", "blk.{i}.ffn_gate_inp.weight", layers=layers),
        *(
            Rule(
                f"{source}.experts.{{e}}.{name}.weight",
                f"blk.{{i}}.ffn_{part}_exps.weight",
                layers=layers,
            )
            for part, name in zip(PARTS, names, strict=True)
        ),
    )


def shared_rules(
    expert: str, layers: Callable[[Config], Iterable[int]] = every_layer
) -> tuple[Rule, ...]:
    """The experts that compute all tokens; ``expert``: what checkpoints call them."""
    return tuple(
        Rule(
            f"model.layers.{{i}}.mlp.{expert}.{part}_proj.weight",
            f"blk.{{i}}.ffn_{part}_shexp.weight",
            layers=layers,
        )
        for part in PARTS
    )


def without(rules: tuple[Rule, ...], *parts: str) -> tuple[Rule, ...]:
    """Rules but for those whose target contains one of these."""
    return tuple(rule for rule in rules if not any(part in rule.target for part in parts))


SHARED_KEYS = (
    whole("expert_feed_forward_length", "moe_intermediate_size"),
    whole("expert_shared_count", "n_shared_experts", default=0),
)
"""Experts of a size of their own, and how many more compute all tokens."""

GROUP_KEYS = (
    whole("expert_group_count", "n_group", default=1),
    whole("expert_group_used_count", "topk_group", default=1),
)
"""Groups of experts, and those that are chosen from."""


def sparse_layers(config: Config) -> range:
    """Layers with experts: all but the first ones."""
    return range(config.whole("first_k_dense_replace", default=0), config.layers)


def _first_layers(config: Config) -> range:
    return range(sparse_layers(config).start)


LEADING_DENSE = Key("leading_dense_block_count", lambda config: sparse_layers(config).start)


def dense_first(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Rules whose feed-forward is that of the first layers alone."""
    return dense_in(rules, _first_layers)


def dense_in(
    rules: tuple[Rule, ...], layers: Callable[[Config], Iterable[int]]
) -> tuple[Rule, ...]:
    """Rules whose feed-forward is that of some layers alone."""
    return tuple(
        replace(rule, layers=layers)
        if any(part in rule.target for part in DENSE_FEED_FORWARD)
        else rule
        for rule in rules
    )


def choice_biases(layers: Callable[[Config], Iterable[int]]) -> Rule:
    """What is added to the scores of experts where they are chosen."""
    return Rule(
        "model.layers.{i}.mlp.gate.e_score_correction_bias",
        "blk.{i}.exp_probs_b.bias",
        optional=True,
        layers=layers,
    )


DENSE_FEED_FORWARD = (".ffn_gate.", ".ffn_up.", ".ffn_down.")
"""In the targets of a feed-forward that no layer of a model of experts has."""
