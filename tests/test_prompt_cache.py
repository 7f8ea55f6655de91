"""Prompt caches: what a session is after one is read, in whatever way it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models.cases import CASES
from models.tiny import write_tiny
from quick import some

from pyllama import builtin
from pyllama.errors import FileError, UsageError
from pyllama.kernels.cache_types import BLOCKS
from pyllama.model import Model
from pyllama.prompt_cache import PromptCache
from pyllama.session import Session

TOKENS = [1, *range(5, 65)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("prompt_cache") / "tiny.gguf"
    write_tiny(next(case for case in CASES if case.name == "llama_gqa"), path)
    return Model.load(path)


def evaluated(model: Model, tokens: list[int], **options: Any) -> Session:
    session = Session(model, context=128, **options)
    session.evaluate(tokens)
    return session


@pytest.mark.parametrize("count", [1, 15, 16, 17, 47, 60])
@pytest.mark.parametrize("sizes", [{"context": 64}, {"context": 200, "sequences": 3}])
def test_a_session_goes_on_as_if_it_had_read_the_text(
    model: Model, tmp_path: Path, count: int, sizes: dict[str, int]
) -> None:
    cache = PromptCache(tmp_path / "cache")
    cache.save(evaluated(model, TOKENS), TOKENS)
    session = Session(model, **sizes)
    assert cache.restore(session, [*TOKENS[:count], 2]) == count
    assert session.n_past == count
    expected = evaluated(model, TOKENS[:count]).evaluate([2])
    np.testing.assert_allclose(session.evaluate([2]), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cache_type", some(BLOCKS, ("q8_0", "q5_1")))
def test_quantized_keys_and_values(tmp_path: Path, cache_type: str) -> None:
    model = Model.load(builtin.path())
    cache, types = PromptCache(tmp_path / "cache"), {"cache_type": cache_type}
    cache.save(evaluated(model, TOKENS, **types), TOKENS)
    session = Session(model, context=64, **types)
    assert cache.restore(session, [*TOKENS[:40], 2]) == 40
    expected = evaluated(model, TOKENS, **types)
    expected.truncate(40)
    assert (session.evaluate([2]) == expected.evaluate([2])).all()
    other = Session(model, context=64, cache_type=cache_type, cache_type_v="f16")
    with pytest.raises(FileError, match="of other cache types"):
        cache.restore(other, TOKENS)


def test_a_file_that_holds_more_than_the_context(model: Model, tmp_path: Path) -> None:
    cache = PromptCache(tmp_path / "cache")
    cache.save(evaluated(model, TOKENS), TOKENS)
    session = Session(model, context=40)
    assert cache.restore(session, TOKENS) == 40


def test_nothing_in_common(model: Model, tmp_path: Path) -> None:
    cache = PromptCache(tmp_path / "cache")
    session = Session(model, context=64)
    assert cache.restore(session, TOKENS) == 0, "there is no file"
    cache.save(evaluated(model, TOKENS), TOKENS)
    assert cache.restore(session, [9, 9]) == 0
    assert cache.restore(session, []) == 0
    assert session.n_past == 0


def test_what_does_not_fit_or_cannot_be_written(model: Model, tmp_path: Path) -> None:
    session = Session(model, context=64)
    with pytest.raises(UsageError, match="65 tokens"):
        session.state(65)
    with pytest.raises(FileError, match="directory"):
        PromptCache(tmp_path).save(session, [])
    with pytest.raises(FileError, match="no such file"):
        PromptCache(tmp_path / "absent" / "cache").save(session, [])


def test_fingerprints(model: Model) -> None:
    assert Model.load(model.path).fingerprint == model.fingerprint
    scaled = Model.load(model.path, overrides={".rope.scaling.factor": 2.0})
    assert scaled.fingerprint != model.fingerprint
