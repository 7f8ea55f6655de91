"""Every format of results, to the letter."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from bench_sample import CEILINGS, sample

from pyllama import __version__
from pyllama.bench import BenchmarkPlan, Result
from pyllama.commands.bench_fields import FIELDS, LLAMA_BENCH
from pyllama.commands.bench_formats import Csv, Formatter, Json, JsonLines, Sql
from pyllama.commands.bench_table import Markdown

PLAN = BenchmarkPlan((Path("models/tiny.gguf"),))

_IN_ORDER = """
build_commit build_number cpu_info gpu_info backends model_filename model_type model_size
model_n_params n_batch n_ubatch n_threads cpu_mask cpu_strict poll type_k type_v n_gpu_layers
n_cpu_moe split_mode main_gpu no_kv_offload flash_attn devices tensor_split tensor_buft_overrides
load_mode lazy_mode embeddings no_op_offload no_host repack fit_target fit_min_ctx n_prompt n_gen
n_depth test_time avg_ns stddev_ns avg_ts stddev_ts
"""
NAMES = _IN_ORDER.split()


def text(formatter: Formatter, *results: Result) -> str:
    return formatter.header() + "".join(map(formatter.row, results)) + formatter.footer()


def test_fields_of_llama_bench_come_first() -> None:
    assert [field.name for field in LLAMA_BENCH] == NAMES
    assert [field.name for field in FIELDS[: len(NAMES)]] == NAMES


def test_table() -> None:
    assert text(Markdown(PLAN), sample(), sample({"n_prompt": 0, "n_gen": 128})) == (
        "| model                          |       size |     params | backend    | threads "
        "|            test |                  t/s |\n"
        "| ------------------------------ | ---------: | ---------: | ---------- | ------: "
        "| --------------: | -------------------: |\n"
        "| llama 8B Q4_K - Medium         |   4.58 GiB |     8.03 B | CPU        |       8 "
        "|           pp512 |       192.00 ± 90.51 |\n"
        "| llama 8B Q4_K - Medium         |   4.58 GiB |     8.03 B | CPU        |       8 "
        "|           tg128 |        48.00 ± 22.63 |\n"
        f"\nbuild: pyllama-{__version__} (0)\n"
    )


@pytest.mark.parametrize(
    ("changes", "titles", "cells"),
    [
        ({"n_batch": (2048, 64)}, "| n_batch |", "|    2048 |"),
        ({"n_ubatch": (64,)}, "| n_ubatch |", "|      512 |"),
        ({"type_k": ("q8_0",)}, "| type_k |", "|    f16 |"),
        ({"type_v": ("q8_0",)}, "| type_v |", "|    f16 |"),
        ({"isa": ("avx2",)}, "| isa        |", "| avx2       |"),
    ],
)
def test_columns_of_what_is_not_default(changes: dict[str, Any], titles: str, cells: str) -> None:
    lines = text(Markdown(BenchmarkPlan(PLAN.models, **changes)), sample()).splitlines()
    assert titles in lines[0]
    assert titles not in Markdown(PLAN).header()
    assert cells in lines[2]
    assert len({len(line) for line in lines[:3]}) == 1


def test_columns_of_ceilings() -> None:
    table = Markdown(BenchmarkPlan(PLAN.models, ceilings=True))
    row = table.row(sample(ceilings=CEILINGS))
    assert row.endswith(
        "|   2500.00 ms |     5.00 GiB |          2.00 (25 %) |           10.00 (10 %) |\n"
    )
    assert len(table.header().splitlines()[0]) == len(row) - 1
    assert "|            ? |" in table.row(sample(ceilings=CEILINGS, peak_bytes=None))


def test_small_sizes() -> None:
    small = sample().model
    row = Markdown(PLAN).row(sample(model=type(small)("a\x1b[1m", 3 * 2**20, 15_000_000)))
    assert "|   3.00 MiB |    15.00 M |" in row
    assert "\x1b" not in row


def test_csv() -> None:
    written = text(Csv(), sample(cpu='A "fast", one'))
    header, row = written.splitlines()
    assert header.startswith(",".join(NAMES) + ",schema_version,isa,")
    assert '"A ""fast"", one"' in row
    (found,) = csv.DictReader(io.StringIO(written))
    assert (found["avg_ts"], found["stddev_ts"]) == ("192.000000", "90.509668")
    assert (found["avg_ns"], found["stddev_ns"]) == ("3000000000", "1414213562")
    assert (found["cpu_strict"], found["no_op_offload"]) == ("0", "0")
    assert found["max_bytes_per_second"] == ""


def test_json() -> None:
    written = text(Json(), sample(), sample(ceilings=CEILINGS))
    assert written.startswith(
        f'[\n  {{\n    "build_commit": "pyllama-{__version__}",\n    "build_number": 0,\n'
    )
    assert '    "samples_ns": [ 4000000000, 2000000000 ],\n' in written
    assert '    "samples_ts": [ 128, 256 ],\n' in written
    assert "  },\n  {\n" in written
    assert written.endswith("\n  }\n]\n")
    first, second = json.loads(written)
    assert list(first)[: len(NAMES)] == NAMES
    assert (first["cpu_strict"], first["embeddings"], first["avg_ts"]) == (False, False, 192.0)
    assert first["max_flops_per_second"] is None
    assert second["max_flops_per_second"] == 100e9
    assert (first["schema_version"], first["isa"], first["peak_memory"]) == (1, "avx2", 5 * 2**30)
    assert first["samples_first_token_ns"] == [3000000000, 2000000000]


def test_json_lines() -> None:
    written = text(JsonLines(), sample(), sample())
    lines = written.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f'{{"build_commit": "pyllama-{__version__}", "build_number": 0, ')
    assert '"samples_ns": [ 4000000000, 2000000000 ],"samples_ts": [ 128, 256 ]' in lines[0]
    (whole,) = json.loads(text(Json(), sample()))
    assert json.loads(lines[0]) == whole


def test_sql() -> None:
    written = text(Sql(), sample(cpu="Owner's"), sample())
    assert written.startswith(
        "CREATE TABLE IF NOT EXISTS llama_bench (\n  build_commit TEXT,\n  build_number INTEGER,\n"
    )
    assert "max_flops_per_second REAL\n);\n\nINSERT INTO llama_bench (build_commit, " in written
    with sqlite3.connect(":memory:") as database:
        database.executescript(written)
        columns = "cpu_info, avg_ns, avg_ts, max_flops_per_second"
        rows = database.execute(f"SELECT {columns} FROM llama_bench").fetchall()
    database.close()
    assert rows == [
        ("Owner's", 3_000_000_000, 192.0, None),
        ("A Processor", 3_000_000_000, 192.0, None),
    ]
