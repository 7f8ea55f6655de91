"""Rules for modules whose weight and bias go the same way."""

from __future__ import annotations

from pyllama.convert.family import Rule
from pyllama.convert.transforms import Transform, as_it_is


def both(
    source: str,
    target: str,
    transform: Transform = as_it_is,
    *,
    optional_bias: bool = False,
) -> tuple[Rule, ...]:
    """Rules for ``.weight`` and ``.bias``, which checkpoints may lack where it is optional."""
    return (
        Rule(f"{source}.weight", f"{target}.weight", transform),
        Rule(f"{source}.bias", f"{target}.bias", transform, optional=optional_bias),
    )
