"""Options of ``pyllama run`` that change what is computed, and those that do not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from cli_runner import Result, call, one_line_error
from tiny_model import Metadata, Tensors, write_model

from pyllama import builtin
from pyllama.commands.foreign import RUN, Foreign

QUIET = ("--no-perf", "-s", "1")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("options") / "tiny.gguf")


def run(model: Path, *options: str | Path) -> Result:
    prompt = () if {"-p", "-f", "-bf"} & set(options) else ("-p", "Hello")
    length = () if "-n" in options else ("-n", "9")
    return call("run", "-m", model, *QUIET, *prompt, *length, *options)


def text(model: Path, *options: str | Path) -> bytes:
    """What a run writes that has nothing else to say."""
    result = run(model, *options)
    assert (result.code, result.err) == (0, ""), result
    return result.out


def refusal(model: Path, *options: str | Path) -> str:
    """The one line of a run that is used wrongly."""
    result = run(model, *options)
    assert (result.code, result.out) == (2, b""), result
    assert result.err.count("\n") == 1, result.err
    return result.err.removeprefix("error: ")


def test_options_that_mean_nothing_on_a_cpu(tiny: Path) -> None:
    expected = text(tiny)
    result = run(tiny, "-ngl", "99", "--no-mmap", "-sm", "none", "--mlock", "-nkvo", "--jinja")
    assert (result.code, result.out) == (0, expected)
    lines = result.err.splitlines()
    assert len(lines) == 6
    assert lines[0] == "note: --n-gpu-layers has no effect: pyllama computes on the CPU"
    assert run(tiny, "-ngl", "99", "--log-disable").err == ""


@pytest.mark.parametrize("option", RUN, ids=lambda option: option.key)
def test_each_of_them_has_an_answer(option: Foreign) -> None:
    name = option.names[0].partition("/")[0]
    given = (name,) if option.metavar is None else (name, (*option.words, "1")[0])
    result = call("run", "--cache-list", *given)
    verdict = "is not supported" if option.is_refused else "has no effect"
    assert f"{option.names[-1]} {verdict}: {option.why}" in result.err
    assert result.code == (2 if option.is_refused else 0)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("-hf", "u/m"), "-m and -hf both name the model"),
        (("-mu", "http://x/y.gguf"), "-m and -mu"),
        (("-hff", "y.gguf"), "-hff names a file of a repository, but -hf gives none"),
        (("-p", "a", "-bf", "b"), "-p and -bf both give the prompt"),
        (("--samplers", "top_k", "--sampler-seq", "k"), "--samplers and --sampler-seq both"),
        (("--samplers", "top_q"), "'top_q'"),
        (("-l", "5"), "--logit-bias '5'"),
        (("-l", "128+1"), "128"),
        (("--grammar", "a", "-j", "{}"), "--grammar and --json-schema both constrain"),
        (("--mirostat", "2", "--adaptive-target", "0.5"), "--adaptive-target 0.5"),
        (("--temp", "nan"), "--temp nan"),
        (("--rope-scale", "2", "--rope-freq-scale", "0.5"), "--rope-scale and --rope-freq-scale"),
        (("--rope-scaling", "none", "--rope-scale", "2"), "none and --rope-scale contradict"),
        (("--repeat-last-n", "-1"), "--repeat-last-n -1 is out of range; give 0 to 2147483647"),
        (("--rope-scale", "0"), "--rope-scale is 0.0; give a number above 0"),
        (("--rope-scaling", "ntk"), "give none, linear or yarn"),
        (("--override-kv", "a=b"), "--override-kv 'a=b' is not KEY=TYPE:VALUE"),
        (("--override-kv", "a=int:b"), "'b' is no int"),
        (("--override-kv", "a=str:" + "b" * 128), "at most 127 bytes"),
        (("-ctk", "q3"), "'q3'"),
        (("-ctv", "q4_k"), "f32, f16, bf16"),
        (("-fa", "off", "-ctv", "q8_0"), "-fa off and -ctv q8_0 contradict"),
        (("-fa", "off", "-ctv", "iq4_nl"), "-fa off and -ctv iq4_nl contradict"),
        (("-ctk", "q4_1"), "a q4_1 cache needs heads of a multiple of 32 elements"),
        (("-fa", "maybe"), "--flash-attn is 'maybe'; give on, off or auto"),
        (("--split-mode", "half"), "--split-mode is 'half'; give none, layer, row or tensor"),
        (("--reasoning", "much", "-st"), "--reasoning is 'much'"),
        (("-i",), "pyllama chat is a conversation"),
        (("--nonsense",), "no such option: --nonsense"),
        (("-n", "many"), "'-n'"),
        (("--log-colors", "blue"), "--log-colors is 'blue'"),
        (("-r", ""), "a stop string is empty"),
    ],
)
def test_contradictions_and_values_out_of_range(
    tiny: Path, options: tuple[str, ...], complaint: str
) -> None:
    assert complaint in refusal(tiny, *options)


def test_what_the_samplers_order_leaves_out_is_told(tiny: Path) -> None:
    result = call("run", "-m", tiny, "-p", "a", "-n", "1", "--samplers", "top_k", "--min-p", "0.3")
    assert result.code == 0
    assert "the samplers' order leaves out the one of --min-p: no effect" in result.err


def test_a_binary_file_is_the_prompt_as_it_is(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "prompt.bin"
    file.write_bytes(b"Hel\\x6co\n")
    assert text(tiny, "-bf", file, "-n", "0") == b"Hel\\x6co\n\n"


def test_stop_strings_end_the_text_before_them(tiny: Path) -> None:
    whole = text(tiny, "--no-display-prompt").decode().removesuffix("\n")
    stopped = text(tiny, "--no-display-prompt", "-r", "never", "-r", whole[4:6]).decode()
    assert stopped == whole[: whole.index(whole[4:6])] + "\n"


def test_a_context_that_is_shifted_goes_on(tiny: Path) -> None:
    endless = ("-c", "32", "-n", "60", "--ignore-eos")
    assert "context of 32 tokens is full" in run(tiny, *endless).err
    shift = (*endless, "--context-shift", "--keep", "3")
    shifted = json.loads(text(tiny, *shift, "--output-format", "json"))
    assert (len(shifted["tokens"]), shifted["finish_reason"]) == (60, "length")
    assert text(tiny, *shift, "--no-display-prompt").decode() == shifted["text"] + "\n"
    full = run(tiny, "-c", "32", "-n", "-2", "--ignore-eos", "--context-shift")
    assert "context of 32 tokens is full" in full.err


def test_what_is_kept_only_matters_when_the_context_is_shifted(tiny: Path) -> None:
    assert run(tiny, "--keep", "4").err == (
        "warning: --keep has no effect without --context-shift\n"
    )
    assert run(tiny, "--keep", "-1", "--context-shift").err == ""


def test_control_tokens_are_shown_when_asked_for(tiny: Path) -> None:
    biased = ("-l", "1+99", "-n", "2", "--no-display-prompt")
    assert text(tiny, *biased) == b"\n"
    assert text(tiny, *biased, "--special") == b"<s><s>\n"


def test_biases_and_samplers(tiny: Path) -> None:
    only = ("-n", "3", "--no-display-prompt")
    assert text(tiny, *only, "-l", "70+99") == b"ccc\n"
    assert text(tiny, *only, "-l", "70-inf,71+99", "-l", "72-1") == b"ddd\n"
    log = run(tiny, "-lv", "3", "--samplers", "temperature;top_k", "--dry-multiplier", "1").err
    assert "sampler chain: logits -> temp -> top-k -> dist" in log
    log = run(tiny, "-lv", "3", "--sampler-seq", "kt").err
    assert "sampler chain: logits -> top-k -> temp -> dist" in log
    log = run(tiny, "-lv", "3", "--dry-multiplier", "1", "--dry-sequence-breaker", "none").err
    assert re.search(r"sampler chain: logits -> dry ", log)
    assert text(tiny, "--mirostat", "2") == text(tiny, "--mirostat", "2")


def test_grammars(tiny: Path, tmp_path: Path) -> None:
    grammar = 'root ::= "yes" | "no"'
    answers = {b"yes\n", b"no\n"}
    file = tmp_path / "grammar.gbnf"
    file.write_text(grammar)
    assert text(tiny, "--no-display-prompt", "--grammar", grammar) in answers
    assert text(tiny, "--no-display-prompt", "--grammar-file", file, "--ignore-eos") in answers
    schema = tmp_path / "schema.json"
    schema.write_text('{"enum": ["a", "b"]}')
    assert text(tiny, "--no-display-prompt", "-jf", schema) in {b'"a"\n', b'"b"\n'}
    assert text(tiny, "--no-display-prompt", "-j", '{"const": 7}') == b"7\n"


def test_grammars_that_do_not_parse(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "grammar.gbnf"
    file.write_text('root ::= "a"\nb ::= (\n')
    assert one_line_error(run(tiny, "--grammar-file", file)).startswith(f"{file}, line ")
    assert "--grammar, line 1, column " in one_line_error(run(tiny, "--grammar", "root ::= ("))
    assert "--json-schema, line 1, column 2" in one_line_error(run(tiny, "-j", "{"))


def test_flash_attention_is_all_there_is(tiny: Path) -> None:
    expected = text(tiny)
    assert text(tiny, "-fa", "on") == text(tiny, "-fa", "1") == text(tiny, "-fa", "-1") == expected
    off = run(tiny, "-fa", "disabled")
    assert off.out == expected
    assert off.err == "note: --flash-attn off has no effect: there is no other attention\n"


def test_of_an_option_given_twice_the_last_value_counts(tiny: Path) -> None:
    twice = run(tiny, "--predict", "3", "-n", "0", "-r", "x", "-r", "y", "--jinja", "--jinja")
    assert twice.out == b"Hello\n"
    assert twice.err.splitlines()[0] == (
        "warning: --n-predict is given several times: only the last value is used"
    )
    assert twice.err.count("several times") == 1, "-r is meant to be repeated"


def test_threads_and_cache_types(tiny: Path) -> None:
    assert text(tiny, "-t", "1", "-tb", "2") == text(tiny, "-t", "2", "-tb", "1")
    assert text(tiny, "--no-warmup") == text(tiny)
    assert text(tiny, "-ctk", "f32", "-ctv", "bf16").startswith(b"Hello")


def test_a_quantized_cache_that_is_shifted() -> None:
    types = ("-ctk", "q5_0", "-ctv", "iq4_nl")
    shift = ("-c", "32", "-n", "60", "--ignore-eos", "--context-shift", "-p", "def f(")
    assert len(text(builtin.path(), *types, *shift)) > 60


def test_metadata_can_be_overridden(tiny: Path) -> None:
    plain = text(tiny)
    epsilon = "llama.attention.layer_norm_rms_epsilon"
    assert text(tiny, "--override-kv", f"{epsilon}=float:0.9") != plain
    assert "override" in run(tiny, "--override-kv", f"{epsilon}=float:0.9", "-v").err
    assert text(tiny, "--rope-freq-base", "3") != plain
    assert text(tiny, "--rope-scale", "4") == text(tiny, "--rope-freq-scale", "0.25") != plain
    yarn = ("--rope-scaling", "yarn", "--rope-scale", "4", "--yarn-orig-ctx", "64")
    assert text(tiny, *yarn) != text(tiny, "--rope-scale", "4")
    log = run(tiny, *yarn, "--yarn-beta-slow", "2", "-lv", "3").err
    assert "no effect" not in log
    assert "override: .rope.scaling.yarn_beta_slow = 2.0" in log
    names = run(tiny, "--override-kv", '"general.name=str:a,b",x.y=int:3', "-lv", "3").err
    assert "override: general.name = 'a,b'\noverride: x.y = 3\n" in names
    no_bos = ("tokenizer.ggml.add_bos_token=bool:false", "general.name=str:other")
    shown = run(tiny, "--override-kv", ",".join(no_bos), "--verbose-prompt").err
    assert "number of tokens in prompt = 6" in shown


def test_yarn_options_without_yarn_are_told(tiny: Path) -> None:
    result = run(tiny, "--yarn-beta-fast", "8", "--yarn-ext-factor", "0")
    assert result.code == 0
    told = "--yarn-ext-factor, --yarn-beta-fast: no effect without --rope-scaling yarn"
    assert told in result.err


def test_tensors_are_checked_when_asked_for(tiny: Path, tmp_path: Path) -> None:
    def spoil(_: Metadata, tensors: Tensors) -> None:
        tensors["blk.1.ffn_down.weight"][3, 3] = np.inf

    path = write_model(tmp_path / "model.gguf", change=spoil)
    error = one_line_error(run(path, "--check-tensors"))
    assert error.startswith(f"{path}: tensor 'blk.1.ffn_down.weight' has values")
    assert text(tiny, "--check-tensors") == text(tiny)


def test_devices() -> None:
    result = call("run", "--list-devices")
    assert (result.code, result.out, result.err) == (0, b"Available devices:\n  (none)\n", "")
