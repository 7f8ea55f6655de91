"""Pictures of runs."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from pyllama.errors import UsageError
from pyllama.perplexity import Estimate
from pyllama.perplexity.plot import draw

pytest.importorskip("matplotlib", reason="needs the extra 'plot'")


def estimates(count: int) -> list[Estimate]:
    found = [Estimate()]
    for seed in range(count):
        found.append(found[-1].plus(np.random.default_rng(seed).gamma(2, 1, 20)))
    return found[1:]


def test_a_line_for_each_text(tmp_path: Path) -> None:
    path = tmp_path / "run.svg"
    draw([("one.txt", estimates(60)), ("two.txt", estimates(3))], path)
    text = path.read_text()
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert "one.txt" in text
    assert "two.txt" in text
    draw([("one.txt", estimates(1))], tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_names_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must end with \.png or \.svg"):
        draw([("one.txt", estimates(2))], tmp_path / "run.gif")
