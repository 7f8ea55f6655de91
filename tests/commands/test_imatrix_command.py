"""``pyllama imatrix`` from end to end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_runner import COMMAND, FOLDER, Result, call, environment, spawn
from tiny_model import write_model

from pyllama import builtin
from pyllama.imatrix import Imatrix, read_imatrix

TEXT = "\n".join(f"value_{n} = {n * n}" for n in range(300)) + "\n"
QUICK = ("-c", "64", "-t", "1", "--chunks", "5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With ``text.txt``, and what was collected over it in ``known.gguf``."""
    folder = tmp_path_factory.mktemp("imatrix")
    (folder / "text.txt").write_text(TEXT)
    assert imatrix(folder, "-o", folder / "known.gguf").code == 0
    return folder


def imatrix(folder: Path, *options: str | Path) -> Result:
    text = folder / "text.txt"
    return call("imatrix", "-m", builtin.path(), "-f", text, *QUICK, *options)


def complaint(result: Result, code: int = 1) -> str:
    """The last line of a failed run."""
    assert (result.code, result.out) == (code, b""), result
    return result.err.splitlines()[-1].removeprefix("error: ")


def same(one: Imatrix, other: Imatrix, times: int = 1) -> bool:
    """Whether one has so many times the sums and counts of the other."""
    return one.entries.keys() == other.entries.keys() and all(
        np.allclose(e.sums, times * other.entries[name].sums, rtol=1e-6)
        and (e.counts == times * other.entries[name].counts).all()
        for name, e in one.entries.items()
    )


def test_as_a_user_runs_it(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "own.gguf"
    result = spawn("imatrix", "-f", folder / "text.txt", "-o", target, *QUICK)
    assert result.code == 0, result.err
    chunks, final = result.out.decode().splitlines()
    assert re.fullmatch(r"(\[\d\]\d+\.\d{4},){5}", chunks)
    assert re.fullmatch(r"Final estimate: PPL = \d+\.\d{4} \+/- \d+\.\d{5}", final)
    built_in, head, stored, timing = result.err.splitlines()
    assert built_in.startswith("no model given")
    assert head.startswith("imatrix: computing over 5 chunks, n_ctx = 64, isa = ")
    assert stored == f"imatrix: stored the data of 5 chunks for 42 tensors in {target}"
    assert re.match(r"imatrix: 320 tokens in .* tokens per second, peak memory \d+ MiB", timing)
    found = read_imatrix(target)
    assert (found.chunks, found.chunk_size) == (5, 64)
    assert found.datasets == (str(folder / "text.txt"),)
    assert all(entry.counts.tolist() == [320] for entry in found.entries.values())


def test_quantize_takes_it(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "small.gguf"
    known = ("--imatrix", folder / "known.gguf")
    assert call("quantize", *known, builtin.path(), target, "IQ2_XS").code == 0


def test_the_same_perplexity_as_perplexity_measures(folder: Path, tmp_path: Path) -> None:
    plain = call("perplexity", "-m", builtin.path(), "-f", folder / "text.txt", *QUICK)
    assert imatrix(folder, "-o", tmp_path / "i.gguf").out == plain.out


def test_without_perplexity(folder: Path, tmp_path: Path) -> None:
    result = imatrix(folder, "--no-ppl", "-o", tmp_path / "i.gguf")
    assert (result.code, result.out) == (0, b"")
    assert (tmp_path / "i.gguf").read_bytes() == (folder / "known.gguf").read_bytes()


def test_what_is_kept_on_the_way(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "i.gguf"
    often = ("-ub", "64", "--save-frequency", "2", "-ofreq", "1")
    assert imatrix(folder, "-o", target, *often).code == 0
    kept = {path.name: read_imatrix(path).chunks for path in tmp_path.iterdir()}
    assert kept == {"i.gguf": 5, "i.gguf.at_2": 2, "i.gguf.at_4": 4}


def test_chunks_left_out(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "i.gguf"
    assert imatrix(folder, "-o", target, "--chunks", "2").code == 0
    known = ("--in-file", target)
    assert imatrix(folder, "-o", tmp_path / "all.gguf", "--chunk", "2", "--chunks", "3", *known)
    assert same(read_imatrix(tmp_path / "all.gguf"), read_imatrix(folder / "known.gguf"))
    error = complaint(imatrix(folder, "--chunk", "1000", "-o", target))
    assert "less than two chunks of 64 behind the first 1000" in error


def test_several_texts(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "i.gguf"
    more = ("-f", folder / "text.txt", "-p", TEXT.rstrip("\n"))
    assert imatrix(folder, "-o", target, *more).code == 0
    found = read_imatrix(target)
    assert same(found, read_imatrix(folder / "known.gguf"), times=3)
    assert found.datasets == (str(folder / "text.txt"),) * 2


def test_merging_needs_no_model(folder: Path, tmp_path: Path) -> None:
    known, target = folder / "known.gguf", tmp_path / "sum.gguf"
    result = call("imatrix", "--in-file", known, "--in-file", f"{known},{known}", "-o", target)
    assert (result.code, result.out) == (0, b"")
    found = read_imatrix(target)
    assert not result.err.startswith("warning")
    assert same(found, read_imatrix(known), times=3)
    assert (found.chunks, found.chunk_size) == (15, 64)


def test_what_has_no_effect_without_a_text(folder: Path, tmp_path: Path) -> None:
    known = ("--in-file", folder / "known.gguf", "-o", tmp_path / "i.gguf")
    options = ("--chunks", "3", "--chunk", "1", "--parse-special", "--no-ppl", "--process-output")
    for more, when in (((), "without a text"), (("--show-statistics",), "with --show-statistics")):
        err = call("imatrix", *known, *options, *more).err
        for name in (option for option in options if option.startswith("--")):
            assert f"{name} has no effect {when}" in err


def test_the_old_format(folder: Path, tmp_path: Path) -> None:
    known, old = folder / "known.gguf", tmp_path / "old.dat"
    options = ("-o", old, "--output-format", "dat")
    assert call("imatrix", "--in-file", known, *options).code == 0
    assert read_imatrix(old).counts_chunks
    back = tmp_path / "back.gguf"
    assert call("imatrix", "--in-file", old, "-c", "64", "-o", back).code == 0
    assert same(read_imatrix(back), read_imatrix(known))
    odd = call("imatrix", "--in-file", known, "-o", tmp_path / "odd.dat")
    assert "odd.dat gets the format GGUF" in odd.err


def test_statistics(folder: Path) -> None:
    result = call("imatrix", "--in-file", folder / "known.gguf", "--show-statistics")
    tensors, layers = result.out.decode().split("\n\n")
    titles = ["Layer", "Tensor", "Σ(Act²)", "Min", "Max", "μ", "σ", "%", "Active", "N", "Entropy"]
    head, *rows = tensors.splitlines()
    assert head.split() == [*titles, "E", "(norm)", "ZD", "CosSim"]
    assert len(rows) == 42
    assert all(re.search(r"  \d+\.\d\d%  +\d+  +\d\.\d{4}  +\d+\.\d\d%  ", row) for row in rows)
    head, *rows = layers.splitlines()
    assert head.split() == ["Layer", "μΣ(Act²)", "μZD", "μCosSim"]
    assert [row.split()[0] for row in rows] == list("012345")
    without = call("imatrix", "--show-statistics")
    assert "name it with a single --in-file" in complaint(without, code=2)


def test_the_output_matrix(folder: Path, tmp_path: Path) -> None:
    target, options = tmp_path / "i.gguf", ("--process-output", "-o", tmp_path / "i.gguf")
    tied = imatrix(folder, *options)
    assert "--process-output has no effect: the embeddings serve as output matrix" in tied.err
    assert "output.weight" not in read_imatrix(target).entries
    own = write_model(tmp_path / "own.gguf")
    result = call("imatrix", "-m", own, "-f", folder / "text.txt", *QUICK, *options)
    assert result.code == 0, result.err
    assert read_imatrix(target).entries["output.weight"].counts == 320


def test_what_is_of_another_model(folder: Path, tmp_path: Path) -> None:
    tiny, text = write_model(tmp_path / "tiny.gguf"), folder / "text.txt"
    known = ("--in-file", folder / "known.gguf", "-o", tmp_path / "i.gguf")
    for options in (("-m", tiny, "-f", text, *known), ("-m", tiny, *known)):
        error = complaint(call("imatrix", *options))
        assert re.search(r"known\.gguf: 'blk\..*' has \d+ columns, in .*tiny\.gguf it has", error)
        assert error.endswith("name an importance matrix of this model")
    other = tmp_path / "other.gguf"
    assert call("imatrix", "-m", tiny, "-f", text, *QUICK, "-o", other).code == 0
    error = complaint(call("imatrix", *known, "--in-file", other))
    assert "other.gguf: has not the layers of" in error
    assert not (tmp_path / "i.gguf").exists()


def test_what_cannot_be(folder: Path, tmp_path: Path) -> None:
    assert "no text; give -f FILE" in complaint(call("imatrix"), code=2)
    error = complaint(imatrix(folder, "-c", "4096", "-o", tmp_path / "i.gguf"))
    assert "at least 8192 are needed for a context of 4096" in error
    error = complaint(imatrix(folder, "-o", tmp_path / "none" / "i.gguf"))
    assert error.endswith("the directory does not exist; make it, or name another file")
    for name in ("text.txt", "known.gguf"):
        known = ("--in-file", folder / "known.gguf", "-o", folder / name)
        assert "is what the output is made from" in complaint(imatrix(folder, *known))
    error = complaint(call("imatrix", "--in-file", folder / "text.txt"))
    assert "text.txt: is no importance matrix, or incomplete" in error


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_ctrl_c_leaves_a_whole_file(tmp_path: Path) -> None:
    text = tmp_path / "long.txt"
    text.write_text(TEXT * 200)
    target = tmp_path / "results" / "i.gguf"
    target.parent.mkdir()
    options = ("-f", text, "-o", target, "-c", "64", "-ofreq", "1", "-t", "1")
    process = subprocess.Popen(
        [*COMMAND, "imatrix", "-m", builtin.path(), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=environment(),
        cwd=FOLDER,
    )
    assert process.stdout is not None
    written = b""
    while b"[20]" not in written:
        written += process.stdout.read(64)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.decode().splitlines()[-1] == "error: interrupted"
    assert [path.name for path in target.parent.iterdir()] == ["i.gguf"]
    assert read_imatrix(target).chunks >= 8
