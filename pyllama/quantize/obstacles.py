"""Why a planned file cannot be made."""

from __future__ import annotations

from pyllama.gguf import TensorType
from pyllama.gguf.file_types import FileType
from pyllama.gguf.wording import quoted
from pyllama.quantize.plan import Plan
from pyllama.quantize.recipes import FLOAT_TYPES
from pyllama.quantize.rules import NEEDS_IMPORTANCE
from pyllama.quantize.tensors import Role, role_of
from pyllama.quants import encodable_types

_PLAIN = FLOAT_TYPES | {TensorType.F64}


def obstacles(plan: Plan) -> list[str]:
    """A line for each reason, with the remedy; empty if the file can be made."""
    checks = (_requantized, _not_encodable, _garbage, _misfits)
    return [text for check in checks for text in check(plan)]


def _requantized(plan: Plan) -> list[str]:
    if plan.options.allow_requantize:
        return []
    done = [t for t in plan.tensors if t.converted and t.source.type not in _PLAIN]
    if not done:
        return []
    first = done[0].source
    return [
        f"{quoted(first.name)} is {first.type.label} already; "
        "quantize the original model, or accept the loss with --allow-requantize"
    ]


def _not_encodable(plan: Plan) -> list[str]:
    possible = encodable_types()
    for tensor in plan.tensors:
        if tensor.converted and tensor.type not in possible:
            known = ", ".join(type.label for type in sorted(possible))
            return [f"{quoted(tensor.name)} cannot be made {tensor.type.label}; possible: {known}"]
    return []


def _garbage(plan: Plan) -> list[str]:
    for tensor in plan.tensors:
        if not tensor.converted or tensor.importance is not None:
            continue
        if role_of(tensor.name) in (Role.EMBEDDING, Role.OUTPUT):
            continue
        small = tensor.type is TensorType.Q2_K and plan.recipe is FileType.Q2_K_S
        if small or tensor.type in NEEDS_IMPORTANCE:
            return [
                f"{quoted(tensor.name)} as {tensor.type.label} would be garbage without an "
                "importance matrix; give one that covers it with --imatrix"
            ]
    return []


def _misfits(plan: Plan) -> list[str]:
    if plan.options.allow_fallback:
        return []
    return [
        f"{quoted(tensor.name)} has rows of {tensor.source.shape[-1]}, which "
        f"{tensor.choice.wanted.label} does not divide; leave out --no-fallback to make it "
        f"{tensor.type.label}"
        for tensor in plan.fallbacks[:1]
        if tensor.choice.wanted is not None
    ]
