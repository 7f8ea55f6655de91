"""``pyllama chat`` as a person uses it: keys are pressed at a terminal, and screens looked at."""

from __future__ import annotations

import functools
import re
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_model import write_model

pytest.importorskip("pexpect")
pytest.importorskip("pyte")
if sys.platform == "win32":
    pytest.skip("needs pseudo-terminals", allow_module_level=True)

from chat_terminal import Terminal

from pyllama.conversation import Transcripts

PLAIN = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}(answer)"
CTRL_C, CTRL_D, UP, ALT_ENTER = "\x03", "\x04", "\x1b[A", "\x1b\r"
PASTE = "\x1b[200~{}\x1b[201~"
ALLOWED, TRIES = 0.2, 4
"""Seconds from Ctrl-C to the prompt, and how often a busy machine may fail that."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chat") / "tiny.gguf"
    return write_model(path, {"tokenizer.chat_template": PLAIN})


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_conversation_and_what_is_left_of_it(state: Path) -> None:
    with Terminal("-s", "1", "-n", "30", state=state) as terminal:
        terminal.ready()
        assert "pyllama stdlib 4.6M, 1,024 tokens of context; /help shows" in terminal.text
        first = terminal.say("Return the sum.")
        assert re.search(r"\[ Prompt: .* t/s \| Generation: .* t/s \]", first)
        assert "/regen" in terminal.say("/help")
        assert "there is no command /nonsense" in terminal.say("/nonsense")
        assert re.search(r"last prompt +\d+ new \+ 0 reused tokens", terminal.say("/stats"))
        terminal.say("Close the file.")
        assert re.search(r"last prompt +\d+ new \+ [1-9]\d* reused", terminal.say("/stats"))
        terminal.type(CTRL_D)
        assert terminal.ended() == 0
        assert "saved; `pyllama chat --resume " in terminal.text
    history = state / "history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    with Terminal("--resume", "-n", "5", state=state) as terminal:
        terminal.ready()
        past = terminal.text
        assert "> Close the file." in past, "the last turn is shown"
        assert "> Return the sum." not in past
        terminal.type(UP + UP)
        terminal.wait(lambda: terminal.current == "> Close the file.")
        terminal.type(CTRL_C)
        terminal.ready()
        assert re.search(r"turns +2", terminal.say("/stats"))
        assert "the context" not in terminal.say("Go on.")
        terminal.type("/exit\r")
        assert terminal.ended() == 0
    (conversation,) = Transcripts(state / "conversations").summaries()
    assert conversation.turns == 3


def squeezed(text: str) -> str:
    """Without white space, so that it does not matter where a terminal wraps lines."""
    return "".join(text.split())


def stopped(terminal: Terminal, keys: str, begun: Callable[[int], bool]) -> None:
    """Press keys, and, once it has ``begun``, Ctrl-C; the next prompt must come in time.

    begun: takes how much was on the screen before.
    """
    took = []
    while not took or (min(took) >= ALLOWED and len(took) < TRIES):
        before = len(terminal.text)
        terminal.type(keys)
        terminal.wait(functools.partial(begun, before))
        start = time.monotonic()
        terminal.press(CTRL_C)
        took.append(time.monotonic() - start)
    assert min(took) < ALLOWED, took


def test_ctrl_c_stops_an_answer_and_the_chat_goes_on(tiny: Path, state: Path) -> None:
    options = ("-m", tiny, "--ignore-eos", "-c", "100000", "--no-markdown", "--no-show-timings")
    with Terminal(*options, state=state, NO_COLOR="1") as terminal:
        terminal.ready()
        stopped(terminal, "Hello\r", lambda before: len(terminal.text) > before + 700)
        assert "\n[interrupted]\n" in terminal.text
        _, conversation = Transcripts(state / "conversations").open()
        said = conversation.messages[-1]
        assert said.finish == "interrupted"
        assert len(said.content) > 600
        # a terminal drops what it has not shown yet when Ctrl-C is pressed, so not all of it
        assert squeezed(said.content)[:500] in squeezed(terminal.text), "what was seen is kept"
        assert "show-prompt  on" in terminal.say("/set show-prompt on")
        terminal.say("/set n 1")
        shown = squeezed(terminal.say("More"))
        assert squeezed(f"[assistant]{said.content}[user]More(answer)") in shown
        terminal.type("typed in vain")
        terminal.expect("> typed in vain")
        terminal.type(CTRL_C)
        terminal.ready()
        terminal.type(CTRL_C)
        assert terminal.ended() == 130
        assert "saved; `pyllama chat --resume" in terminal.text
        assert "Traceback" not in terminal.text
        assert not re.search(rb"\x1b\[(?:\d+;)*[349]\d[;m]", terminal.raw), "NO_COLOR"


def test_ctrl_c_stops_the_reading_of_a_prompt(tiny: Path, state: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.txt"
    long.write_text("many words " * 8000)
    with Terminal("-m", tiny, "-c", "100000", "-n", "3", state=state) as terminal:
        terminal.ready()
        assert "the next message begins with 1 file" in terminal.say(f"/read {long}")
        terminal.type("Now\r")
        stopped(terminal, "/regen\r", lambda _: "reading 88," in terminal.current)
        assert "another message takes its place" in terminal.text
        assert "reading 88," not in terminal.text, "that was only for as long as it took"
        assert "[ Prompt: " in terminal.say("Short")
    said = Transcripts(state / "conversations").open()[1].messages
    assert said[0].content == "Short"


def test_editing(tiny: Path, state: Path, tmp_path: Path) -> None:
    (tmp_path / "notes one.txt").write_text("x")
    options = ("-m", tiny, "-n", "3", "--show-prompt", "--no-show-timings")
    with Terminal(*options, state=state) as terminal:
        terminal.ready()
        terminal.press("one\\\rtwo" + ALT_ENTER + "three" + PASTE.format("\nfour\r\nfive") + "\r")
        assert "[user]one\ntwo\nthree\nfour\nfive(answer)" in terminal.text
        terminal.type("/ed\t\r")
        terminal.wait(lambda: terminal.current == "  five")
        terminal.press(" and six\r")
        assert "[user]one\ntwo\nthree\nfour\nfive and six(answer)" in terminal.text
        terminal.press(f"/read {tmp_path}/no\t\r")
        assert "the next message begins with 1 file" in terminal.text
        terminal.press("/set reasoning-e\t low\r")
        assert "reasoning-effort  low" in terminal.text
        terminal.type("/edit\r")
        terminal.wait(lambda: terminal.current == "  five and six")
        terminal.type(CTRL_C)
        terminal.wait(lambda: terminal.is_ready)
        terminal.press("\r")
        terminal.press("/stats\r")
        assert re.search(r"turns +1\n", terminal.text), "an edit that is given up changes nothing"


WORDS = " ".join(["words"] * 12)
MARKDOWN = rf'root ::= "# Title\n\nSome **bold** `code` {WORDS}.\n\n```python\nx = 1\n```\n"'


def test_markdown_in_a_window_that_is_dragged(state: Path) -> None:
    options = ("--grammar", MARKDOWN, "--no-show-timings", "-p", "Hi", "--markdown")
    with Terminal(*options, state=state, columns=60) as terminal:
        terminal.ready()
        prose = f"Some bold code {WORDS[:41]}\n{WORDS[42:]}."
        assert f"> Hi\nTitle\n\n{prose}\n\n```python\nx = 1\n```\n" in terminal.text
        assert b"\x1b[1m" in terminal.raw
        terminal.resize(40, 20)
        terminal.say("Again")
        prose = f"\nSome bold code {WORDS[:23]}\n{WORDS[24:59]}\nwords words.\n"
        assert prose in terminal.text
        terminal.say("/set markdown off")
        assert "\n# Title\n" in terminal.say("And again")


def test_keys_pressed_during_an_answer_are_not_lost(tiny: Path, state: Path) -> None:
    options = ("-m", tiny, "--ignore-eos", "-n", "1500", "-c", "4096", "-p", "Hi", "--no-markdown")
    with Terminal(*options, state=state) as terminal:
        terminal.wait(lambda: len(terminal.text) > 400)
        terminal.type("/stats")
        terminal.expect("> /stats")
        assert terminal.text.count("/stats") == 1, "nothing was echoed into the answer"
        terminal.press("\r")
        assert "last answer  " in terminal.text
        terminal.type(CTRL_D)
        assert terminal.ended() == 0


@pytest.mark.parametrize(("options", "term"), [(("--simple-io",), "xterm"), ((), "dumb")])
def test_simple_terminals(tiny: Path, state: Path, options: tuple[str, ...], term: str) -> None:
    with Terminal(
        *("-m", tiny, "-n", "3", "--log-colors", "off"), *options, state=state, TERM=term
    ) as terminal:
        terminal.ready()
        terminal.type("Hello\n")
        terminal.expect("t/s ]\n>")
        terminal.type(CTRL_D)
        assert terminal.ended() == 0
        assert b"\x1b" not in terminal.raw


def test_one_turn_at_a_terminal_needs_no_line_editor(tiny: Path, state: Path) -> None:
    with Terminal("-m", tiny, "-n", "3", "-st", "-p", "Hi", state=state) as terminal:
        assert terminal.ended() == 0
        assert b"\x1b[?2004h" not in terminal.raw
        assert "> " not in terminal.text
    assert not (state / "history").exists()
