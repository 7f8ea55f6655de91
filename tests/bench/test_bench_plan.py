"""Which tests a plan stands for, and in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyllama.bench import BenchmarkPlan
from pyllama.bench.plan import name_of_test
from pyllama.errors import UsageError
from pyllama.threads import default_threads

MODEL = (Path("a.gguf"),)


def test_defaults_are_those_of_llama_bench() -> None:
    prompt, generation = BenchmarkPlan(MODEL).trials()
    assert (prompt.name, generation.name) == ("pp512", "tg128")
    assert (prompt.n_batch, prompt.n_ubatch, prompt.type_k, prompt.type_v) == (
        2048,
        512,
        "f16",
        "f16",
    )
    assert prompt.n_threads == default_threads()[0]
    assert (prompt.context, generation.context) == (512, 128)


def test_order_within_a_combination() -> None:
    plan = BenchmarkPlan(MODEL, n_prompt=(8, 0, 4), n_gen=(2, 1), n_pg=((4, 2), (0, 0), (3, 0)))
    assert [t.name for t in plan.trials()] == ["pp8", "pp4", "tg2", "tg1", "pp4+tg2", "pp3"]


def test_nesting_of_parameters() -> None:
    lists: dict[str, tuple[Any, ...]] = {
        "models": (Path("a"), Path("b")),
        "isa": ("avx2", "avx512"),
        "n_batch": (64, 32),
        "n_ubatch": (16, 8),
        "type_k": ("f16", "q8_0"),
        "type_v": ("f16", "bf16"),
        "n_threads": (2, 1),
        "n_depth": (0, 5),
    }
    sizes: dict[str, Any] = {**lists, "n_prompt": (4,), "n_gen": ()}
    trials = BenchmarkPlan(**sizes).trials()
    assert len(trials) == 2 ** len(lists)
    names = ["model", *list(lists)[1:]]
    for place, (name, values) in enumerate(zip(names, lists.values(), strict=True)):
        period = 2 ** (len(lists) - 1 - place)  # the outermost changes last
        assert [getattr(t, name) for t in trials] == [
            values[i // period % 2] for i in range(len(trials))
        ], name


@pytest.mark.parametrize(
    ("test", "name"),
    [
        ((512, 0, 0), "pp512"),
        ((0, 128, 0), "tg128"),
        ((512, 128, 0), "pp512+tg128"),
        ((512, 0, 4096), "pp512 @ d4096"),
        ((8, 2, 1), "pp8+tg2 @ d1"),
    ],
)
def test_names(test: tuple[int, int, int], name: str) -> None:
    assert name_of_test(*test) == name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_prompt": (0,), "n_gen": (0,)}, "nothing to measure"),
        ({"n_threads": (0,)}, "-t 0: it must be between 1 and 512"),
        ({"n_threads": (513,)}, "-t 513"),
        ({"n_batch": (0,)}, "-b 0: it must be at least 1"),
        ({"n_ubatch": (0,)}, "-ub 0"),
        ({"n_depth": (-1,)}, "-d -1"),
        ({"n_pg": ((4, -2),)}, "-pg -2"),
        ({"repetitions": 0}, "-r 0"),
        ({"delay": -1}, "--delay -1"),
        ({"type_k": ("q4_k",)}, "-ctk q4_k: give one of f16, bf16, q8_0"),
        ({"type_v": ("f32",)}, "-ctv f32: give one of"),
        ({"n_prompt": tuple(range(1, 300)), "n_depth": tuple(range(100))}, "at most 10000"),
    ],
)
def test_what_makes_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BenchmarkPlan(MODEL, **changes).trials()
