"""Graphs, plans and profiles as text, JSON and input for Graphviz."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyllama.cache import KVCache
from pyllama.commands.report import facts, size_text, table, to_json
from pyllama.gguf.wording import counted
from pyllama.graph.cpu import plan_for_cpu
from pyllama.graph.describe import (
    Described,
    describe_graph,
    describe_plan,
    step_counts,
)
from pyllama.graph.dot import graph_dot, plan_dot
from pyllama.graph.mode import CacheLayout, Mode
from pyllama.model import Model
from pyllama.profile import Group, Profile


@dataclass(frozen=True)
class Step:
    """The step that a plan or a profile is about: ``tokens`` after ``depth`` others."""

    tokens: int
    depth: int
    context: int
    threads: int
    layout: CacheLayout

    @property
    def mode(self) -> Mode:
        """What the plan is made for: the logits of the last token are wanted."""
        return Mode(self.tokens, outputs=1)


def graph(model: Model, format: str) -> str:
    """The nodes of a model's graph in order."""
    if format == "dot":
        return graph_dot(model.graph)
    described = describe_graph(model.graph)
    if format == "json":
        return to_json(_model_json(model) | described)
    nodes = described["nodes"]
    head = [("model", _model_text(model)), ("nodes", str(len(nodes)))]
    rows = [_node_row(node) for node in nodes]
    return f"{facts(head)}\n{table(('output', 'shape', 'op', 'weights', 'attributes'), rows)}"


def plan(model: Model, step: Step, profile: Profile | None, format: str) -> str:
    """The launches of a step in order and the memory they use; with their times, when measured."""
    isa = model.library.isa
    planned = plan_for_cpu(model.graph, step.mode, step.layout, isa, step.threads)
    seconds = [op.seconds for op in profile.ops] if profile else None
    if format == "dot":
        return plan_dot(planned, seconds)
    described = describe_plan(planned, step_counts(step.mode, planned))
    described["memory"]["cache"] = KVCache(model.graph, step.layout).n_bytes
    described["memory"]["weights"] = model.n_bytes
    if seconds:
        for launch, time in zip(described["launches"], seconds, strict=True):
            launch["seconds"] = time
    if format == "json":
        return to_json(_model_json(model) | {"step": _step_json(model, step)} | described)
    head = [*_step_facts(model, step), *_plan_facts(described, step)]
    if profile:
        head += _time_facts(profile)
    launches = _launch_table(described["launches"], timed=profile is not None)
    return "\n".join((facts(head), launches, _buffer_table(described["buffers"])))


def profile(model: Model, step: Step, measured: Profile, format: str, by: str) -> str:
    """Where the time of a step goes, added up by ``kind``, ``op`` or ``layer``."""
    groups = measured.grouped(by)
    if format == "json":
        document = {
            "step": _step_json(model, step),
            "repetitions": measured.repetitions,
            "step_seconds": measured.step_seconds,
            "clock_seconds": measured.clock_seconds,
            "by": by,
            "total": _group_json(measured.total),
            "groups": [_group_json(group) for group in groups],
        }
        return to_json(_model_json(model) | document)
    titles = (by, "ops", "time us", "share", "GB/s", "GFLOP/s")
    rows = [_group_row(group) for group in (*groups, measured.total)]
    head = [*_step_facts(model, step), *_time_facts(measured)]
    return f"{facts(head)}\n{table(titles, rows, right=titles[1:])}"


def _model_json(model: Model) -> dict[str, Any]:
    return {"model": str(model.path), "architecture": model.config.architecture}


def _model_text(model: Model) -> str:
    config = model.config
    return f"{model.path} ({config.architecture}, {config.layers} layers)"


def _step_json(model: Model, step: Step) -> dict[str, Any]:
    return {
        "tokens": step.tokens,
        "depth": step.depth,
        "context": step.context,
        "cache_type_k": step.layout.key_type,
        "cache_type_v": step.layout.value_type,
        "threads": step.threads,
        "isa": model.library.isa.name,
    }


def _step_facts(model: Model, step: Step) -> list[tuple[str, str]]:
    return [
        ("model", _model_text(model)),
        ("step", f"{counted(step.tokens, 'token')} after {step.depth}, context {step.context}"),
        ("machine", f"{counted(step.threads, 'thread')}, {model.library.isa.name}"),
    ]


def _plan_facts(described: Described, step: Step) -> list[tuple[str, str]]:
    launches, memory = described["launches"], described["memory"]
    barriers = sum(launch["barrier"] for launch in launches)
    types = f"{step.layout.key_type} keys, {step.layout.value_type} values"
    return [
        ("launches", f"{len(launches)}, {counted(barriers, 'barrier')}"),
        ("arena", f"{size_text(memory['arena'])} for {size_text(memory['buffers'])} of buffers"),
        ("scratch", f"{size_text(memory['scratch'])} for each thread"),
        ("cache", f"{size_text(memory['cache'])}, {types}"),
        ("weights", size_text(memory["weights"])),
    ]


def _time_facts(profile: Profile) -> list[tuple[str, str]]:
    step, ops, clock = (
        f"{_microseconds(seconds)} us"
        for seconds in (profile.step_seconds, profile.total.seconds, profile.clock_seconds)
    )
    return [
        ("step time", f"{step}, the median of {profile.repetitions} without clocks"),
        ("op times", f"{ops}, one op at a time, without the {clock} that each clock takes"),
    ]


def _node_row(node: Described) -> tuple[str, ...]:
    weights = (
        f"{weight['name']} {_shape(weight['shape'])} {weight['type']}"
        for weight in node["weights"].values()
    )
    return (
        node["output"],
        _shape(node["shape"]),
        f"{node['op']}({', '.join(node['inputs'])})",
        ", ".join(weights),
        _pairs(node["attributes"]),
    )


_LAUNCH_COLUMNS: dict[str, Callable[[Described], str]] = {
    "launch": lambda launch: launch["name"],
    "kernel": lambda launch: f"{launch['kernel']}({_pairs(launch['parameters'])})",
    "time us": lambda launch: _microseconds(launch["seconds"]),
    "tasks": lambda launch: str(launch["tasks"]),
    "reads": lambda launch: ", ".join(launch["reads"]),
    "writes": lambda launch: ", ".join(launch["writes"]),
    "barrier": lambda launch: "barrier" if launch["barrier"] else "",
}


def _launch_table(launches: Sequence[Described], timed: bool) -> str:
    columns = {k: v for k, v in _LAUNCH_COLUMNS.items() if timed or k != "time us"}
    rows = [(str(i), *(c(launch) for c in columns.values())) for i, launch in enumerate(launches)]
    return table(("#", *columns), rows, right=("#", "time us", "tasks"))


def _buffer_table(buffers: Sequence[Described]) -> str:
    titles = ("buffer", "offset", "bytes", "launches")
    rows = [
        (b["name"], str(b["offset"]), str(b["bytes"]), f"{b['first']}-{b['last']}") for b in buffers
    ]
    return table(titles, rows, right=("offset", "bytes"))


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "ops": group.ops,
        "seconds": group.seconds,
        "share": group.share,
        "bytes": group.work.n_bytes,
        "flops": group.work.flops,
        "bytes_per_second": group.bytes_per_second,
        "flops_per_second": group.flops_per_second,
    }


def _group_row(group: Group) -> tuple[str, ...]:
    return (
        group.name,
        str(group.ops),
        _microseconds(group.seconds),
        f"{100 * group.share:.1f} %",
        _rate(group.bytes_per_second),
        _rate(group.flops_per_second),
    )


def _rate(per_second: float) -> str:
    return f"{per_second / 1e9:.2f}" if per_second else "-"


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.2f}"


def _shape(dims: Sequence[int | str]) -> str:
    return " x ".join(map(str, dims))


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={_plain(value)}" for key, value in values.items())


def _plain(value: Any) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value)
