"""A result as fields: llama-bench's, in its order, and then our own.

What has no meaning on a CPU holds llama-bench's default, so that scripts which match rows of both
programs by their settings find them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pyllama import __version__
from pyllama.bench import Result

SCHEMA_VERSION = 1
"""Of our own fields; it changes when one of them does."""

BUILD_COMMIT = f"pyllama-{__version__}"
BUILD_NUMBER = 0
BACKEND = "CPU"

Value = str | bool | int | float | None


class Kind(Enum):
    """The kind of a field."""

    TEXT = "text"
    BOOL = "bool"
    INTEGER = "integer"
    REAL = "real"


@dataclass(frozen=True)
class Field:
    """One field: its name, its kind, and its value in a result."""

    name: str
    kind: Kind
    value: Callable[[Result], Any]

    def text(self, result: Result) -> str | None:
        """The value as csv and sql have it: truth as 0 or 1, six decimals; None for no value."""
        value = self.value(result)
        return None if value is None else _WRITE[self.kind](value)


_WRITE: dict[Kind, Callable[[Any], str]] = {
    Kind.TEXT: str,
    Kind.BOOL: lambda value: str(int(value)),
    Kind.INTEGER: str,
    Kind.REAL: lambda value: f"{value:.6f}",
}


def _text(name: str, value: Callable[[Result], Any]) -> Field:
    return Field(name, Kind.TEXT, value)


def _integer(name: str, value: Callable[[Result], Any]) -> Field:
    return Field(name, Kind.INTEGER, value)


def _real(name: str, value: Callable[[Result], Any]) -> Field:
    return Field(name, Kind.REAL, value)


def _fixed(name: str, kind: Kind, value: Value) -> Field:
    return Field(name, kind, lambda _: value)


LLAMA_BENCH: tuple[Field, ...] = (
    _fixed("build_commit", Kind.TEXT, BUILD_COMMIT),
    _fixed("build_number", Kind.INTEGER, BUILD_NUMBER),
    _text("cpu_info", lambda r: r.cpu),
    _fixed("gpu_info", Kind.TEXT, ""),
    _fixed("backends", Kind.TEXT, BACKEND),
    _text("model_filename", lambda r: str(r.trial.model)),
    _text("model_type", lambda r: r.model.type),
    _integer("model_size", lambda r: r.model.n_bytes),
    _integer("model_n_params", lambda r: r.model.n_params),
    _integer("n_batch", lambda r: r.trial.n_batch),
    _integer("n_ubatch", lambda r: r.trial.n_ubatch),
    _integer("n_threads", lambda r: r.trial.n_threads),
    _text("cpu_mask", lambda r: r.trial.cpu_mask),
    Field("cpu_strict", Kind.BOOL, lambda r: r.trial.cpu_strict),
    _fixed("poll", Kind.INTEGER, 50),
    _text("type_k", lambda r: r.trial.type_k),
    _text("type_v", lambda r: r.trial.type_v),
    _fixed("n_gpu_layers", Kind.INTEGER, -1),
    _fixed("n_cpu_moe", Kind.INTEGER, 0),
    _fixed("split_mode", Kind.TEXT, "layer"),
    _fixed("main_gpu", Kind.INTEGER, 0),
    _fixed("no_kv_offload", Kind.BOOL, False),
    _fixed("flash_attn", Kind.INTEGER, -1),
    _fixed("devices", Kind.TEXT, "auto"),
    _fixed("tensor_split", Kind.TEXT, "0.00"),
    _fixed("tensor_buft_overrides", Kind.TEXT, "none"),
    _fixed("load_mode", Kind.TEXT, "auto"),
    _fixed("lazy_mode", Kind.TEXT, "auto"),
    _fixed("embeddings", Kind.BOOL, False),
    _fixed("no_op_offload", Kind.INTEGER, 0),
    _fixed("no_host", Kind.BOOL, False),
    _fixed("repack", Kind.BOOL, True),
    _fixed("fit_target", Kind.INTEGER, 0),
    _fixed("fit_min_ctx", Kind.INTEGER, 0),
    _integer("n_prompt", lambda r: r.trial.n_prompt),
    _integer("n_gen", lambda r: r.trial.n_gen),
    _integer("n_depth", lambda r: r.trial.n_depth),
    _text("test_time", lambda r: r.time),
    _integer("avg_ns", lambda r: r.avg_ns),
    _integer("stddev_ns", lambda r: r.stddev_ns),
    _real("avg_ts", lambda r: r.avg_ts),
    _real("stddev_ts", lambda r: r.stddev_ts),
)

OWN: tuple[Field, ...] = (
    _fixed("schema_version", Kind.INTEGER, SCHEMA_VERSION),
    _text("isa", lambda r: r.isa),
    _integer("first_token_ns", lambda r: r.avg_first_token_ns),
    _integer("peak_memory", lambda r: r.peak_bytes),
    _real("bytes_per_second", lambda r: r.bytes_per_second),
    _real("flops_per_second", lambda r: r.flops_per_second),
    _real("max_bytes_per_second", lambda r: r.ceilings and r.ceilings.bytes_per_second),
    _real("max_flops_per_second", lambda r: r.ceilings and r.ceilings.flops_per_second),
)
"""Bytes, operations and nanoseconds; None is not known, or was not measured."""

FIELDS = LLAMA_BENCH + OWN

SAMPLES: tuple[tuple[str, Callable[[Result], list[str]]], ...] = (
    ("samples_ns", lambda r: [str(ns) for ns in r.samples_ns]),
    ("samples_ts", lambda r: [f"{ts:g}" for ts in r.samples_ts]),
    ("samples_first_token_ns", lambda r: [str(ns) for ns in r.first_token_ns]),
)
"""Lists in JSON, every sample of them."""
