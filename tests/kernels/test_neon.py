"""AArch64 code: it compiles everywhere, and its numbers are right where it can be emulated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
from kernel_cases import heads as by_head
from kernel_cases import rows
from kernel_cases.attention import Heads, Tokens, attention_case, store_case
from kernel_cases.case import Case
from kernel_cases.catalogue import ENCODINGS, UNPACKINGS
from kernel_cases.draw import draw_case
from kernel_cases.emulation import emulate, missing_tools
from kernel_cases.encoding import FLOATS, decode_case, encode_case, encode_floats_case
from kernel_cases.experts import Mixture, batch_case
from kernel_cases.matmuls import (
    Size,
    Variant,
    embedding_case,
    is_quantized,
    matmul_case,
    matvec_case,
)
from kernel_cases.words import word_cases
from quick import some

from pyllama.gguf.types import TensorType
from pyllama.graph.ops.elements import FUNCTIONS
from pyllama.kernels import int8_panels
from pyllama.kernels.cache import ObjectCache
from pyllama.kernels.cache_types import CACHE_TYPES
from pyllama.kernels.encode import ENCODERS
from pyllama.kernels.executor import RUN, STOP, WORK, ExecutorFunction
from pyllama.kernels.formats import FORMATS
from pyllama.kernels.isa.arm import NEON
from pyllama.kernels.jit import Library
from pyllama.kernels.rope import STYLES

Factory = Callable[[], Case]
Made = Callable[[str], dict[str, Case]]

EM_AARCH64 = 183
"""The machine's number in ELF."""

LEAST, ALL = NEON(frozenset(NEON.needs)), NEON(frozenset((*NEON.needs, *NEON.uses)))
WITHOUT_PAIRS = NEON(frozenset(ALL.features) - {"i8mm"})

HEADS = [
    Heads(64, 4, 2, 4, "f16", "f16"),
    Heads(80, 3, 1, 2, "f32", "bf16"),
    Heads(96, 2, 2, 8, "q8_0", "f16"),
    Heads(32, 1, 1, 1, "bf16", "q8_0"),
    Heads(64, 2, 1, 2, "q4_0", "q5_1"),
    Heads(32, 4, 1, 1, "q5_0", "iq4_nl"),
    Heads(64, 1, 2, 3, "iq4_nl", "q4_1"),
    Heads(96, 5, 1, 2, "q5_1", "q5_1", latent=64),
    Heads(72, 2, 1, 1, "f16", "f16", latent=64),
]


def sizes(type: TensorType) -> list[Size]:
    """Around the edges of blocks and of vectors of four."""
    if is_quantized(type):
        return [Size(9, 5 * type.block_size, 3, 4), Size(4, type.block_size, 1)]
    return [Size(9, 77, 3, 4), Size(4, 3, 1)]


def dots(types: Iterable[TensorType]) -> dict[str, Factory]:
    """Everything that multiplies int8."""
    return {
        f"matvec-{type.label}-{size.width}": partial(matvec_case, ALL, type, size, 1)
        for type in types
        if is_quantized(type)
        for size in sizes(type)
    }


def integer_matmuls(types: Iterable[TensorType]) -> dict[str, Factory]:
    """Batches that are multiplied in int8."""
    return {
        f"matmul8-{type.label}-{size.width}": partial(matmul_case, ALL, type, size, "int8")
        for type in types
        if int8_panels.fits(ALL, type)
        for size in sizes(type)
    }


def integer_parts() -> dict[str, Factory]:
    """The same for each expert and each head."""
    type = TensorType.Q8_0
    mixture, size = Mixture(4, 2, 20, 320, 96, type, task_rows=64), by_head.Size(2, 70, 96, 9)
    return {
        "experts8": partial(batch_case, ALL, mixture, "int8"),
        "heads8": partial(by_head.matmul_case, ALL, type, size, "int8"),
    }


def matmuls(types: Sequence[TensorType]) -> dict[str, Factory]:
    """The other ways weights are read."""
    cases = integer_matmuls(types)
    for type in types:
        for size in sizes(type):
            name = f"{type.label}-{size.width}"
            cases[f"matmul-{name}"] = partial(matmul_case, ALL, type, size, "floats")
            cases[f"embedding-{name}"] = partial(embedding_case, type, size.width)
            if not is_quantized(type):
                cases[f"matvec-{name}"] = partial(matvec_case, ALL, type, size, 1)
    return cases


def epilogues() -> dict[str, Factory]:
    """What is added to products, and which rows there are."""
    cases: dict[str, Factory] = {}
    for epilogue in ("bias", "residual"):
        variant, size = Variant(epilogue, "n_outputs"), Size(67, 96, 6)
        for type in (TensorType.Q5_0, TensorType.BF16):
            cases[f"matvec4-{type.label}-{epilogue}"] = partial(
                matvec_case, ALL, type, size, 4, variant
            )
        cases[f"matmul-{epilogue}"] = partial(
            matmul_case, ALL, TensorType.Q5_1, size, "floats", variant
        )
    return cases


def others() -> dict[str, Factory]:
    """Everything but weights."""
    cases: dict[str, Factory] = {}
    for width in (7, 8, 33):
        cases[f"rms_norm-{width}"] = partial(rows.rms_norm_case, width, groups=2)
        cases[f"gate-{width}"] = partial(rows.gate_case, width)
        cases[f"layer_norm-{width}"] = partial(rows.layer_norm_case, width, groups=2)
        for function in FUNCTIONS:
            cases[f"{function}-{width}"] = partial(rows.each_case, width, function)
        cases[f"add-{width}"] = partial(rows.add_case, width)
        cases[f"select_rows-{width}"] = partial(rows.select_rows_case, width)
    for style in STYLES:
        cases[f"rope-{style}"] = partial(rows.rope_case, style, 10, 24)
    cases["hadamard"] = partial(rows.hadamard_case, 64)
    for size in (1, 7, 300):
        cases[f"draw-{size}"] = partial(draw_case, size, 40, 3)
    tokens = [Tokens(1, 62, 5), Tokens(0, 0, 3)]
    for heads in HEADS:
        name = f"{heads.head_dim}-{heads.key_type}-{heads.value_type}"
        cases[f"attend-{name}"] = partial(attention_case, heads, tokens)
        cases[f"attend-window-{name}"] = partial(attention_case, heads, tokens, 9)
    for type in CACHE_TYPES:
        cells = [(0, 0), (1, 17), (1, 63)]
        heads = Heads(32, 1, 2, 1, type, type)
        cases[f"kv_store-{type}"] = partial(store_case, heads, cells)
        cases[f"latent_store-{type}"] = partial(store_case, replace(heads, latent=32), cells)
    return cases


def encoders(types: Iterable[TensorType]) -> dict[str, Factory]:
    """Everything that makes blocks of floats."""
    return {
        f"encode-{type.label}": partial(encode_case, type, ENCODERS[type].takes_importance)
        for type in types
    }


def conversions() -> dict[str, Factory]:
    """What else makes numbers of one format of numbers of another."""
    cases: dict[str, Factory] = {}
    for type in FLOATS:
        cases[f"encode-{type.label}"] = partial(encode_floats_case, type, 33)
    for type in (TensorType.F16, TensorType.Q8_0):
        cases[f"decode-{type.label}"] = partial(decode_case, type, 96)
    return cases


def words() -> dict[str, Factory]:
    """The lane vocabulary."""
    return {
        f"{word}-{i}": partial(_word, word, i)
        for word, cases in word_cases(NEON.dot_lanes).items()
        for i in range(len(cases))
    }


def _word(word: str, i: int) -> Case:
    return word_cases(NEON.dot_lanes)[word][i]


UNPAIRED = integer_matmuls((TensorType.Q8_0, TensorType.Q4_K, TensorType.Q6_K))
MORE = sorted(FORMATS.keys() - UNPACKINGS)

CASES: dict[str, tuple[NEON, dict[str, Factory]]] = {
    "neon": (
        ALL,
        words() | dots(FORMATS) | matmuls(UNPACKINGS) | UNPAIRED | integer_parts() | epilogues()
        | encoders(ENCODINGS) | conversions() | others(),
    ),
    "neon-without-pairs": (WITHOUT_PAIRS, UNPAIRED),
    "neon-least": (LEAST, words() | dots(UNPACKINGS)),
    "neon-more": (ALL, matmuls(MORE) | encoders(sorted(ENCODERS.keys() - ENCODINGS))),
    "neon-least-more": (LEAST, dots(MORE)),
}  # fmt: skip
"""What is run on which target: only dot products depend on features."""

TARGETS = some(CASES, ("neon", "neon-without-pairs", "neon-least"))


@pytest.fixture(scope="module")
def made() -> Made:
    """All cases of a target with their memory."""

    @cache
    def make(target: str) -> dict[str, Case]:
        return {name: factory() for name, factory in CASES[target][1].items()}

    return make


@pytest.fixture(scope="module")
def code(made: Made, objects: ObjectCache) -> Callable[[str], dict[str, bytes]]:
    """Object code of every kernel of a target by symbol."""

    @cache
    def compiled(target: str) -> dict[str, bytes]:
        library = Library(CASES[target][0], objects)
        kernels = {launch.kernel for case in made(target).values() for launch in case.launches}
        return {kernel.symbol: library.object_code(kernel) for kernel in kernels}

    return compiled


@pytest.mark.parametrize("target", TARGETS)
def test_every_kernel_compiles(target: str, code: Callable[[str], dict[str, bytes]]) -> None:
    for symbol, data in code(target).items():
        assert data[:4] == b"\x7fELF"
        assert int.from_bytes(data[18:20], "little") == EM_AARCH64
        assert symbol.encode() in data


@pytest.mark.parametrize("function", [RUN, WORK, STOP], ids=lambda f: f.symbol)
def test_the_executor_compiles(function: ExecutorFunction, objects: ObjectCache) -> None:
    assert Library(LEAST, objects).object_code(function)[:4] == b"\x7fELF"


@pytest.fixture(scope="module")
def emulated(
    made: Made,
    code: Callable[[str], dict[str, bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Made:
    """The cases of a target after they ran."""
    if missing := missing_tools():
        packages = "Debian packages gcc-aarch64-linux-gnu and qemu-user"
        pytest.skip(f"needs {' and '.join(missing)}: {packages}")

    @cache
    def run(target: str) -> dict[str, Case]:
        cases = made(target)
        emulate(cases.values(), code(target), tmp_path_factory.mktemp(target))
        return cases

    return run


@pytest.mark.parametrize(
    ("target", "name"),
    [
        pytest.param(*target.values, name, marks=target.marks)
        for target in TARGETS
        for name in CASES[target.id][1]
    ],
)
def test_numbers(target: str, name: str, emulated: Made) -> None:
    emulated(target)[name].judge()


@pytest.mark.parametrize("name", UNPAIRED)
def test_products_of_pairs_change_no_bit(name: str, emulated: Made) -> None:
    one, other = (
        emulated(target)[name].launches[-1].arguments["out"]
        for target in ("neon", "neon-without-pairs")
    )
    np.testing.assert_array_equal(one, other)
