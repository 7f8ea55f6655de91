"""``pyllama chat`` without a terminal: a line of stdin is a message, stdout the answers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runner import COMMAND, FOLDER, Result, call, environment, one_line_error
from tiny_model import write_model

from pyllama.conversation import Transcripts

SHORT = ("-s", "1", "-n", "12", "--no-show-timings")
PLAIN = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}(answer)"


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing is saved among the user's own conversations."""
    monkeypatch.setenv("PYLLAMA_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chat_pipe") / "tiny.gguf"
    return write_model(path, {"tokenizer.chat_template": PLAIN})


def chat(*lines: str, options: tuple[str | Path, ...] = ()) -> Result:
    """A chat with the built-in model."""
    text = "".join(f"{line}\n" for line in lines)
    return call("chat", *SHORT, *options, stdin=text.encode())


def prompts(result: Result) -> list[str]:
    """What --show-prompt has shown of each."""
    assert result.code == 0, result
    return re.split(r"number of tokens in prompt = \d+\n(?: *\d+ -> '[^']*'\n)*", result.err)[:-1]


def test_each_line_is_a_message_and_stdout_has_the_answers() -> None:
    both = chat("Return the sum.", "Close the file.")
    assert (both.code, b"\x1b" in both.out, "\x1b" in both.err) == (0, False, False)
    first = chat("Return the sum.")
    assert both.out.startswith(first.out)
    assert len(both.out) > len(first.out) > 20
    assert first.out.endswith(b"\n")
    assert call("chat", stdin=b"").out == b""


def test_one_turn_is_what_run_answers() -> None:
    options = ("-s", "7", "-n", "20", "-sys", "Write code.")
    run = call("run", "-st", "-p", "Return 1.", "--no-perf", *options).out
    assert call("chat", "-st", "-p", "Return 1.", *options).out == run
    assert call("chat", *options, stdin=b"Return 1.").out == run
    assert call("chat", "-st", *options, stdin=b"Return 1.\n").out == run


def test_all_of_stdin_is_the_single_turn(tiny: Path) -> None:
    options = ("-m", tiny, "-st", "-n", "1", "--show-prompt")
    shown = prompts(call("chat", *options, stdin=b"a\nb\n"))
    assert shown == ["[user]a\nb(answer)\n"]


def test_lines_joined_and_blank_lines_left_out(tiny: Path) -> None:
    options = ("-m", tiny, "-n", "1", "--show-prompt", "--no-show-timings")
    result = call("chat", *options, stdin=b"a\\\nb\r\n\n  \n//c\n/usr/lib is d\n")
    said = [prompt.split("[user]")[-1].removesuffix("(answer)\n") for prompt in prompts(result)]
    assert said == ["a\nb", "/c", "/usr/lib is d"]


def test_the_speed_is_on_stderr() -> None:
    result = call("chat", "-s", "1", "-n", "5", stdin=b"Hi\n")
    assert re.search(r"^\[ Prompt: [\d.]+ t/s \| Generation: [\d.]+ t/s \]$", result.err, re.M)
    assert b"t/s" not in result.out


def test_the_template_and_its_failures(tiny: Path, tmp_path: Path) -> None:
    without = write_model(tmp_path / "plain.gguf")
    options = ("-n", "1", "--show-prompt", "--no-show-timings")
    result = call("chat", "-m", without, *options, stdin=b"Hi\n")
    assert result.err.startswith(f"warning: {without} has no chat template: using ChatML")
    assert "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n" in result.err
    refusing = "{{ 1 }}\n{{ raise_exception('no ' + messages[0].content) }}"
    failed = call("chat", "-m", tiny, "--chat-template", refusing, stdin=b"Hi\nHo\n")
    error = one_line_error(failed)
    assert "--chat-template, line 2" in error
    assert "no Hi" in error
    named = call("chat", "-m", tiny, "--chat-template", "vicuna", *options, "-st", "-p", "Hi")
    assert "USER: Hi" in named.err
    kwargs = (
        "--chat-template-kwargs",
        '{"x": 3}',
        "--chat-template",
        "{{ x }}{{ enable_thinking }}",
    )
    assert "3False" in call("chat", "-m", tiny, *kwargs, *options, "-rea", "off", stdin=b"a\n").err


def test_thoughts_are_not_the_answer() -> None:
    """A template that opens the thoughts, and a model that never ends them."""
    template = "{{ messages[0].content }}{% if add_generation_prompt %}<think>\n{% endif %}"
    shown = chat("Return 1.", options=("--chat-template", template))
    assert (shown.code, shown.out) == (0, b"\n")
    _, conversation = Transcripts().open()
    said = conversation.messages[-1]
    assert said.content == ""
    assert len(said.reasoning) > 10
    assert said.reasoning in shown.err
    hidden = chat("Return 1.", "/reasoning", options=("--chat-template", template, "-rea", "hide"))
    assert hidden.err.count(said.reasoning) == 1, "shown where it is asked for"
    answered = chat("Return 1.", options=("--chat-template", template, "-j", '{"const": 1}'))
    assert answered.out == b"1\n", "what must follow a schema is the answer"


def test_each_answer_satisfies_the_schema() -> None:
    schema = '{"type": "object", "properties": {"n": {"const": 12}}, "required": ["n"]}'
    result = call("chat", "-j", schema, "--no-show-timings", stdin=b"a\nb\n/regen\n")
    decoder, text, found = json.JSONDecoder(), result.out.decode(), []
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        found.append(value["n"])
        text = text[end:]
    assert found == [12, 12, 12]


def test_stats_show_what_was_reused() -> None:
    result = chat("Return the sum.", "Close the file.", "/stats", "/regen", "/stats")
    found = re.findall(r"last prompt +(\d+) new \+ (\d+) reused tokens", result.err)
    (new, reused), (again, held) = [(int(a), int(b)) for a, b in found]
    assert (again, held) == (1, new + reused - 1)
    assert 5 < new < 20 < reused


def test_answers_can_be_had_again_and_otherwise(tiny: Path) -> None:
    options = ("-m", tiny, "-n", "4", "-s", "1", "--show-prompt", "--no-show-timings")
    lines = b'a\n/regen\n/edit b\n/edit\nc\n/undo\n/system S\nd\n/clear\ne\n/system ""\n/clear\nf\n'
    result = call("chat", *options, stdin=lines)
    asked = [prompt.split("\n")[-2] for prompt in prompts(result)]
    assert asked == [
        "[user]a(answer)",
        "[user]a(answer)",
        "[user]b(answer)",
        "[user]c(answer)",
        "[system]S[user]d(answer)",
        "[system]S[user]e(answer)",
        "[user]f(answer)",
    ]
    first, again = result.out.split(b"\n")[:2]
    assert first != again, "another answer, though the seed is set"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("/nonsense", "there is no command /nonsense"),
        ("/read", "/read needs FILE"),
        ("/clear all", "/clear stands alone"),
        ("/regen", "no question to answer again"),
        ("/undo", "no turn to take back"),
        ("/edit x", "no message to edit"),
        ("/set nonsense 1", "no setting 'nonsense'"),
        ("/set top-p 1.5", "--top-p 1.5 is out of range; give 0 to 1"),
        ("/set top-k many", "top-k"),
        ("/set markdown maybe", "markdown is 'maybe'; give on or off"),
        ("/set reasoning maybe", "--reasoning is 'maybe'"),
        ("/set samplers x", "x"),
        ("/set n -3", "n"),
        ("/read a\0b", "no path has a NUL"),
        ("/set chat-template-kwargs [", "no JSON"),
        ("/glob *.nonsense", "no file matches '*.nonsense'"),
    ],
)
def test_a_wrong_command_ends_a_script(line: str, complaint: str) -> None:
    result = chat(line, "never asked")
    assert (result.code, result.out) == (2, b"")
    assert result.err.startswith("no model given")
    assert complaint in result.err.splitlines()[-1]


def test_a_script_ends_where_a_line_is_no_text() -> None:
    result = call("chat", *SHORT, stdin=b"a\n\xff\n")
    assert result.code == 1
    assert "line 2 of standard input: not UTF-8 at byte 0" in result.err


def test_settings_count_from_the_next_answer_on() -> None:
    result = chat(
        "/set temp 0",
        "Return 1.",
        "/set n 3",
        "Close it.",
        "/set n",
        "/set ignore-eos on",
        "/set markdown off",
        "/set",
        "/tokens a b",
    )
    greedy = chat("Return 1.", options=("--temp", "0"))
    assert result.out.startswith(greedy.out)
    assert re.search(r"^predict +3$", result.err, re.M)
    assert re.search(r"^temp +0$", result.err, re.M)
    assert re.search(r"^ignore-eos +on$", result.err, re.M)
    assert re.search(r"^markdown +off$", result.err, re.M)
    assert re.search(r"^top-k +the model's$", result.err, re.M)
    assert "number of tokens in prompt = 2" in result.err


def test_files_become_part_of_a_message(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # names are part of the message, which must fit the context
    for name, text in (("b.txt", b"B"), ("a.txt", "Ä".encode()), (".hidden.txt", b"x")):
        (tmp_path / name).write_bytes(text)
    (tmp_path / "c.bin.txt").write_bytes(b"\0\1")
    (tmp_path / "d.txt").mkdir()
    options = ("-m", tiny, "-n", "1", "--show-prompt", "--no-show-timings", "-c", "300")
    lines = "/glob *.txt\n/read b.txt\nWhat?\nMore?\n"
    result = call("chat", *options, stdin=lines.encode())
    first, second = prompts(result)
    files = [f"--- File: {name} ---\n" for name in ("a.txt", "b.txt", "b.txt")]
    said = f"{files[0]}Ä\n{files[1]}B\n{files[2]}B\nWhat?"
    assert f"[user]{said}(answer)" in first
    assert "left out: c.bin.txt: is not text" in result.err
    assert "the next message begins with 3 files, " in result.err
    assert second.endswith("[user]More?(answer)\n")


def test_files_that_do_not_fit_are_refused_whole(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_text("word " * 100)
    (tmp_path / "huge.txt").write_text("word " * 10_000)
    options = ("-m", tiny, "-c", "300")
    large = call("chat", *options, stdin=f"/read {tmp_path}/large.txt\n".encode())
    assert large.code == 1
    assert re.search(r"that is \d+ tokens, and the context has room for 300; nothing", large.err)
    huge = call("chat", *options, stdin=f"/read {tmp_path}/huge.txt\n".encode())
    assert "huge.txt: more than 9,600 bytes do not fit into a context of 300" in huge.err
    missing = call("chat", *options, stdin=b"/read /absent\n")
    assert "/absent: no such file or directory; check the path" in missing.err
    for n in range(101):
        (tmp_path / f"{n}.py").touch()
    many = call("chat", *options, stdin=f"/glob {tmp_path}/*.py\n".encode())
    assert "more than 100 files match" in many.err


def test_a_full_context_explains_itself() -> None:
    stopped = call("chat", "-c", "40", "-s", "1", "--ignore-eos", stdin=b"Return 1.\n")
    assert "[the context of 40 tokens is full: make room with /undo or /clear" in stopped.err
    options = ("-c", "60", "-s", "1", "-n", "25", "--ignore-eos")
    lines = b"Return 1.\nReturn 2.\nReturn 3.\n/stats\n"
    refused = call("chat", *options, stdin=lines)
    assert refused.code == 1
    assert "fill the context of 60" in refused.err
    shifted = call("chat", *options, "--context-shift", "-sys", "Brief.", stdin=lines)
    assert shifted.code == 0
    assert re.search(r"forgotten turns +[12] \(--context-shift\)", shifted.err)


def test_everything_is_saved_and_goes_on(tmp_path: Path) -> None:
    text = tmp_path / "said.txt"
    first = chat("Return the sum.", options=("-sys", "S", "-o", text))
    answer = first.out.decode().removesuffix("\n")
    assert text.read_text() == f"User:\nReturn the sum.\n\nAssistant:\n{answer}\n\n"
    listed = call("chat", "--list")
    assert (listed.code, listed.err) == (0, "")
    titles, row = listed.out.decode().splitlines()
    assert titles.split() == ["id", "turns", "model", "first", "message"]
    id = row.split()[0]
    assert " ".join(row.split()[1:]) == "1 pyllama stdlib 4.6M Return the sum."
    resumed = call("chat", *SHORT, "--resume", "--show-prompt", stdin=b"Close it.\n")
    said = (("system", "S"), ("user", "Return the sum."), ("assistant", answer))
    past = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in said)
    assert past in resumed.err
    assert len(list(Transcripts().summaries())) == 1
    named = call("chat", "--resume", id[:12], *SHORT, "--no-save", stdin=b"/stats\n")
    assert "turns " in named.err
    assert re.search(r"^turns +2$", named.err, re.M)


def test_conversations_in_files(tmp_path: Path) -> None:
    saved = tmp_path / "saved.jsonl"
    result = chat("Return the sum.", f"/save {saved}", "/clear", f"/load {saved}", "/stats")
    assert "saved 1 turns to" in result.err
    assert re.search(r"^turns +1$", result.err, re.M)
    lines = [json.loads(line) for line in saved.read_text().splitlines()]
    assert [line.get("role") for line in lines] == [None, "user", "assistant"]
    assert lines[-1]["finish"] == "length"
    assert len(list(Transcripts().summaries())) == 2, "what is loaded is a conversation of its own"
    saved.write_text("nonsense\n")
    assert "line 1 is no record" in chat(f"/load {saved}").err


def test_nothing_is_saved_where_that_is_not_wanted(state: Path) -> None:
    assert chat("Return the sum.", options=("--no-save",)).code == 0
    assert not state.exists()


@pytest.mark.parametrize(
    ("options", "code", "complaint"),
    [
        (("hello",), 2, "--resume hello goes on with that conversation, -p TEXT sends"),
        (("--resume",), 2, "nothing is saved yet"),
        (("-p", "a", "-f", "b"), 2, "-p and -f"),
        (("-sys", "a", "-sysf", "b"), 2, "-sys and -sysf"),
        (("-rea", "maybe"), 2, "--reasoning is 'maybe'; give on, off"),
        (("--chat-template-kwargs", "[]"), 2, "JSON object"),
        (("--color", "red"), 2, "--color is 'red'"),
        (("-no-cnv",), 2, "pyllama run continues a text"),
        (("--image", "x"), 2, "models get text alone"),
        (("-j", "{}", "--grammar", "x"), 2, "--grammar and --json-schema"),
        (("-o", "/absent/file"), 1, "/absent/file: no such file"),
    ],
)
def test_wrong_options(options: tuple[str, ...], code: int, complaint: str) -> None:
    result = call("chat", *options, stdin=b"Hi\n")
    assert (result.code, result.out) == (code, b"")
    assert complaint in result.err


def test_options_without_effect_say_so() -> None:
    result = chat(options=("-cnv", "-mli", "--perf"))
    assert result.err.count("has no effect") == 3


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_a_kill_loses_the_turn_in_flight_at_most(tiny: Path, state: Path) -> None:
    options = ("-m", tiny, "-n", "20", "--ignore-eos", "-c", "100000")
    with subprocess.Popen(
        [*COMMAND, "chat", *map(str, options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(PYLLAMA_STATE=str(state)),
        cwd=FOLDER,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"First\n/set n -1\nSecond\n")
        process.stdin.flush()
        first = process.stdout.readline()
        process.stdout.read(10)
        process.send_signal(signal.SIGKILL)
        process.stdin.close()
    _, conversation = Transcripts().open()
    said = [message.content for message in conversation.messages]
    assert said == ["First", first.decode().removesuffix("\n"), "Second"]


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_ctrl_c_ends_a_script_and_keeps_the_text(tiny: Path, state: Path) -> None:
    options = ("-m", tiny, "--ignore-eos", "-c", "100000", "-p", "Hi")
    with subprocess.Popen(
        [*COMMAND, "chat", *map(str, options)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=environment(PYLLAMA_STATE=str(state)),
        cwd=FOLDER,
    ) as process:
        assert process.stdout
        begun = process.stdout.read(20)
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert err.decode().splitlines()[-1] == "error: interrupted"
    _, conversation = Transcripts().open()
    assert conversation.messages[-1].finish == "interrupted"
    shown = (begun + rest).removesuffix(b"\n")
    assert conversation.messages[-1].content.encode().startswith(shown)
    assert shown
