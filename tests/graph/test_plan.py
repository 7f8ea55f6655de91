"""Plans: memory that overlaps only where nothing is alive, barriers only where they are needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from models.cases import CASES
from models.tiny import write_tiny

from pyllama.cache import cache_layout
from pyllama.graph.cpu import plan_for_cpu
from pyllama.graph.describe import step_counts, tasks_of
from pyllama.graph.graph import Graph, make_node, verify
from pyllama.graph.mode import Mode
from pyllama.graph.ops import Add, Each, Gate, Linear, Rows, SelectRows, Tensor, Weight
from pyllama.graph.passes import drop_unused, fold_residuals, fuse_activations
from pyllama.graph.plan import Buffer, External, Launch, Plan, make_plan
from pyllama.kernels import target
from pyllama.kernels.elementwise import rms_norm
from pyllama.model import Model
from pyllama.session import Session

MODES = (Mode(1, 1), Mode(8, 1), Mode(64, 1), Mode(64, 64))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("plan") / "tiny.gguf"
    case = next(case for case in CASES if case.name == "llama_gqa")
    write_tiny(case, path)
    return Model.load(path)


@pytest.fixture(params=MODES, ids=lambda mode: f"{mode.tokens}-{mode.outputs}")
def mode(request: pytest.FixtureRequest) -> Mode:
    given: Mode = request.param
    return given


@pytest.fixture
def plan(mode: Mode, model: Model) -> Plan:
    layout = cache_layout(128, 1, "f16", "f16")
    return plan_for_cpu(model.graph, mode, layout, target.select(), threads=2)


def lives(plan: Plan) -> dict[Buffer, range]:
    """From which to which launch each buffer holds something."""
    spans: dict[Buffer, range] = {}
    for i, launch in enumerate(plan.launches):
        for memory in (*launch.reads, *launch.writes):
            if isinstance(memory, Buffer):
                spans[memory] = range(spans.get(memory, range(i, i)).start, i + 1)
    spans[plan.result] = range(spans[plan.result].start, len(plan.launches) + 1)
    return spans


def test_living_buffers_do_not_overlap(plan: Plan) -> None:
    spans = lives(plan)
    for a, life in spans.items():
        assert plan.offsets[a] + a.n_bytes <= plan.arena_bytes
        for b, other in spans.items():
            if a is not b and set(life) & set(other):
                ends_before = plan.offsets[a] + a.n_bytes <= plan.offsets[b]
                starts_after = plan.offsets[b] + b.n_bytes <= plan.offsets[a]
                assert ends_before or starts_after, f"{a.name} and {b.name}"


def test_memory_is_reused(plan: Plan) -> None:
    assert plan.arena_bytes < sum(buffer.n_bytes for buffer in lives(plan)) / 2


def test_a_barrier_stands_between_writer_and_reader(plan: Plan, mode: Mode) -> None:
    counts, last_write = step_counts(mode, plan), dict[object, int]()
    for i, launch in enumerate(plan.launches):
        for memory in launch.reads:
            writer = last_write.get(memory, i)
            tasks = [tasks_of(plan.launches[at], counts) for at in (writer, i)]
            assert writer == i or any(plan.barriers[writer:i]) or tasks == [1, 1], launch.label
        last_write.update(dict.fromkeys(launch.writes, i))


def launched(count: str, chunks: int, reads: str, writes: str) -> Launch:
    first, second = (External("vector", name) for name in (reads, writes))
    return Launch(rms_norm(), {}, (first,), (second,), writes, count, chunks)


@pytest.mark.parametrize(
    ("count", "chunks", "barriers"),
    [
        (("one", "n_tokens", "one"), (1, 1, 1), (False, False)),
        (("one", "n_tokens", "one"), (2, 1, 1), (True, False)),
        (("one", "n_tokens", "one"), (1, 1, 4), (False, True)),
        (("one", "n_outputs", "one"), (1, 1, 1), (True, True)),
    ],
)
def test_between_single_tasks_there_is_no_barrier(
    count: Sequence[str], chunks: Sequence[int], barriers: tuple[bool, ...]
) -> None:
    """The second reads what the first wrote, the third what the second did; outputs are two."""
    launches = [launched(*case) for case in zip(count, chunks, "abc", "bcd", strict=True)]
    rows = {"one": 1, "n_tokens": 1, "n_outputs": 2}
    plan = make_plan(launches, Buffer("nothing", 0), 0, 1, rows)
    assert plan.barriers[:-1] == barriers


def test_a_single_task_waits_for_all_before_the_last_barrier() -> None:
    """Also where only another single task came in between, and has nothing to do with it."""
    split = launched("one", 2, "x", "a")
    launches = [split, launched("one", 1, "x", "b"), launched("one", 1, "b", "c")]
    needy = launched("one", 1, "a", "d")
    plan = make_plan([*launches, needy], Buffer("nothing", 0), 0, 1)
    assert plan.barriers == (False, False, True, False)


def test_independent_matmuls_run_together(plan: Plan) -> None:
    labels = [launch.label for launch in plan.launches]
    first, last = labels.index("blk.0.attn_q"), labels.index("blk.0.attn_v")
    assert not any(plan.barriers[first:last])


def test_results_do_not_depend_on_threads(model: Model) -> None:
    tokens = np.arange(1, 41) % model.n_vocab
    results = []
    for threads in (1, 2, 3):
        session = Session(model, context=64, ubatch=32, threads=threads)
        prompt = session.evaluate(tokens)
        results.append(np.concatenate([prompt, session.evaluate([3]), session.evaluate([1, 2, 3])]))
    assert all((result == results[0]).all() for result in results)


def linear(name: str, x: Tensor, rows: int):
    weight = Weight(name, (rows, x.width), 0)  # type: ignore[arg-type]
    return make_node(Linear(weight), [x], name)


def test_a_residual_is_folded_into_the_only_matmul_that_feeds_it() -> None:
    x = Tensor("x", Rows.TOKENS, 8)
    source = make_node(Gate(), [x, x], "source")
    one = linear("one", source.output, 8)
    total = make_node(Add(), [one.output, source.output], "total")
    graph = Graph((source, one, total), total.output)
    folded = fold_residuals(graph)
    assert [node.output.name for node in folded.nodes] == ["source", "total"]
    assert folded.nodes[1].inputs == (source.output, source.output)


def test_a_matmul_that_others_read_too_is_not_folded() -> None:
    x = Tensor("x", Rows.TOKENS, 8)
    source = make_node(Gate(), [x, x], "source")
    one = linear("one", source.output, 8)
    total = make_node(Add(), [one.output, source.output], "total")
    again = make_node(Add(), [one.output, total.output], "again")
    graph = Graph((source, one, total, again), again.output)
    names = [node.output.name for node in fold_residuals(graph).nodes]
    assert names == ["source", "one", "total", "again"]


def test_an_activation_becomes_part_of_the_matmul_before_it() -> None:
    x = Tensor("x", Rows.TOKENS, 8)
    source = make_node(Gate(), [x, x], "source")
    one = linear("one", source.output, 8)
    active = make_node(Each("gelu"), [one.output], "active")
    scaled = make_node(Each("scale", 2.0), [active.output], "scaled")
    graph = fuse_activations(Graph((source, one, active, scaled), scaled.output))
    assert [node.output.name for node in graph.nodes] == ["source", "active", "scaled"]
    fused = graph.nodes[1].op
    assert isinstance(fused, Linear)
    assert fused.activation == "gelu"


def test_an_activation_of_what_others_read_stays() -> None:
    x = Tensor("x", Rows.TOKENS, 8)
    source = make_node(Gate(), [x, x], "source")
    one = linear("one", source.output, 8)
    active = make_node(Each("gelu"), [one.output], "active")
    total = make_node(Add(), [one.output, active.output], "total")
    graph = Graph((source, one, active, total), total.output)
    assert fuse_activations(graph).nodes == graph.nodes


def test_nodes_that_nobody_reads_go_away() -> None:
    x = Tensor("x", Rows.TOKENS, 8)
    used = make_node(Gate(), [x, x], "used")
    unused = make_node(Gate(), [x, x], "unused")
    graph = drop_unused(Graph((used, unused), used.output))
    assert graph.nodes == (used,)


def test_verify_names_what_is_wrong() -> None:
    x = Tensor("x", Rows.TOKENS, 8)
    node = make_node(Gate(), [x, x], "gated")
    with pytest.raises(ValueError, match="gated reads x before it is computed"):
        verify(Graph((node,), node.output))
    with pytest.raises(ValueError, match="different shapes"):
        make_node(Add(), [x, Tensor("y", Rows.TOKENS, 9)], "sum")
    with pytest.raises(ValueError, match="selected once"):
        make_node(SelectRows(), [Tensor("z", Rows.OUTPUTS, 8)], "again")
