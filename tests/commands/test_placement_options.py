"""Binding threads to CPUs from the command line."""

from __future__ import annotations

import os

import pytest
from cli_runner import call, spawn

LINE = ("run", "-p", "def ", "-n", "2", "--temp", "0", "-c", "64")


def test_the_text_is_the_same_on_chosen_cpus() -> None:
    cpu = min(os.sched_getaffinity(0))
    plain = spawn(*LINE)
    bound = spawn(*LINE, "-C", hex(1 << cpu), "--cpu-strict", "1", "-Crb", f"{cpu}-{cpu}")
    assert (plain.code, bound.code) == (0, 0)
    assert bound.out == plain.out != b""


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("-C", "zz"), "CPU mask 'zz'"),
        (("-Cr", "3-1"), "CPU range '3-1'"),
        (("-Cr", "60000-60000"), "CPU 60000: not there"),
        (("--cpu-strict", "2", "-C", "1"), "--cpu-strict"),
        (("--numa", "elsewhere"), "--numa"),
        (("--numa", "isolate", "-C", "1"), "--numa and -C contradict"),
    ],
)
def test_wrong_places(options: tuple[str, ...], problem: str) -> None:
    result = call(*LINE, *options)
    assert (result.code, result.out) == (2, b"")
    assert problem in result.err
