"""The figures that follow from samples, the names of models, and the forecast."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from bench_sample import SECOND, sample
from models.cases import CASES
from models.tiny import write_tiny

from pyllama.bench import Benchmark, BenchmarkPlan, Finished, Stage, Started, machine, naming
from pyllama.bench.forecast import Forecast
from pyllama.bench.results import integer_deviation, integer_mean
from pyllama.errors import FileError
from pyllama.model import Model


def test_speeds() -> None:
    result = sample()
    assert result.samples_ts == [128.0, 256.0]
    assert (result.avg_ts, result.avg_ns) == (192.0, 3 * SECOND)
    assert result.stddev_ts == pytest.approx(statistics.stdev([128, 256]))
    assert result.avg_first_token_ns == 2_500_000_000
    assert (result.bytes_per_second, result.flops_per_second) == (2e9, 10e9)


def test_tokens_of_both_kinds_count_and_those_before_do_not() -> None:
    result = sample({"n_gen": 128, "n_depth": 4096})
    assert result.samples_ts == [160.0, 320.0]


def test_one_sample_does_not_deviate() -> None:
    result = sample(samples_ns=(5,), first_token_ns=(5,))
    assert (result.stddev_ns, result.stddev_ts) == (0, 0.0)


def test_integer_arithmetic() -> None:
    values = [10, 11, 13]
    assert integer_mean(values) == 11
    assert integer_deviation(values) == 3  # 390 // 2 - 363 // 2 = 14; the exact one is 1.53
    large = [5 * SECOND, 5 * SECOND + 1000]
    assert integer_deviation(large) == pytest.approx(statistics.stdev(large), abs=1e6)


def test_memory() -> None:
    machine.reset_peak()
    before = machine.peak_bytes()
    assert before is not None
    block = bytearray(64 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    after = machine.peak_bytes()
    assert after is not None
    assert after - before > 32 * 2**20
    assert machine.cpu_name()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("naming") / "tiny.gguf"
    write_tiny(next(case for case in CASES if case.name == "llama_gqa"), path)
    return Model.load(path)


def test_a_model_of_no_known_size(model: Model) -> None:
    facts = naming.describe(model)
    assert facts.type == "llama ?B (guessed) all F32"
    assert facts.n_bytes == model.n_bytes == 4 * facts.n_params


def test_a_lost_file(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "gone.gguf"
    path.write_bytes(model.path.read_bytes())
    other = Model.load(path)
    path.unlink()
    with pytest.raises(FileError, match=r"gone\.gguf"):
        naming.describe(other)


@pytest.mark.parametrize(
    ("architecture", "layers", "n_vocab", "name"),
    [
        ("llama", 16, 128256, "1B"),
        ("llama", 32, 128256, "8B"),
        ("llama", 32, 32000, "7B"),
        ("llama", 32, 49152, "3B"),
        ("llama", 80, 128256, "70B"),
        ("llama", 81, 128256, "?B"),
        ("qwen2", 24, 151936, "1B"),
        ("qwen3", 28, 151936, "1.7B"),
        ("new", 32, 1000, "?B"),
    ],
)
def test_sizes(model: Model, architecture: str, layers: int, n_vocab: int, name: str) -> None:
    config = replace(model.config, architecture=architecture, layers=layers)
    assert naming.size_name(config, n_vocab) == name


def test_sizes_that_a_width_tells_apart(model: Model) -> None:
    config = replace(model.config, architecture="qwen3", layers=28, width=1024)
    assert naming.size_name(config, 151936) == "0.6B"
    heads = replace(model.config, layers=80, heads=64, kv_heads=64)
    assert naming.size_name(heads, 32000) == "65B"


def test_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 104.0, 110.0, 120.0])
    monkeypatch.setattr("pyllama.bench.forecast.perf_counter", lambda: next(clock))
    plan = BenchmarkPlan((Path("a"),), n_prompt=(100,), n_gen=(10,), repetitions=3)
    benchmark = Benchmark(plan)
    prompt, generation = benchmark.trials
    forecast = Forecast(benchmark)  # 800 units: twice one warm-up and three repetitions of 100
    forecast.observe(Started(1, 2, prompt))
    assert forecast.seconds_left is None
    forecast.observe(Stage(1, 2, prompt, "repetition", 2, 3))
    assert forecast.seconds_left == pytest.approx(4 / 200 * 600)
    forecast.observe(Finished(1, 2, sample({"n_prompt": 100, "n_gen": 0})))
    assert forecast.seconds_left == pytest.approx(10)
    forecast.observe(Stage(2, 2, generation, "warm-up"))
    assert forecast.seconds_left == pytest.approx(20)
