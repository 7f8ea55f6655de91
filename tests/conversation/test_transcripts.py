"""Transcripts: private, on the disk line by line, and sound whatever a kill has left."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from pyllama.conversation import Conversation, Header, Kept, Message, Said, System, Transcripts
from pyllama.conversation.places import state_directory
from pyllama.conversation.transcripts import read, write
from pyllama.errors import FileError, UsageError

ASKED = Said(Message("user", "Grüße\n\ud800"))
ANSWERED = Said(Message("assistant", "Hi", "hm", "stop"))


@pytest.fixture
def transcripts(tmp_path: Path) -> Transcripts:
    return Transcripts(tmp_path / "state" / "conversations")


def test_each_record_is_on_the_disk_at_once(transcripts: Transcripts) -> None:
    transcript = transcripts.begin("a model")
    transcript.append(System("Be brief."))
    assert not transcript.path.exists(), "a conversation without messages leaves nothing"
    transcript.append(ASKED)
    first = transcript.path.read_bytes()
    header, system, said = map(json.loads, first.splitlines())
    assert system == {"system": "Be brief."}
    assert (header["pyllama"], header["version"]) == ("conversation", 1)
    assert (header["id"], header["model"]) == (transcript.path.stem, "a model")
    assert said == {"role": "user", "content": "Grüße\n?"}
    transcript.append(ANSWERED)
    assert transcript.path.read_bytes().startswith(first)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_only_the_user_can_read_them(transcripts: Transcripts) -> None:
    before = os.umask(0)
    try:
        transcript = transcripts.begin("m")
        transcript.append(ASKED)
    finally:
        os.umask(before)
    modes = {
        path: stat.S_IMODE(path.stat().st_mode)
        for path in (transcripts.directory, transcripts.directory.parent, transcript.path)
    }
    assert list(modes.values()) == [0o700, 0o700, 0o600], modes


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_directory_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """It may be one that others need, too: what is in it is private all the same."""
    folder = tmp_path / "conversations"
    folder.mkdir()
    folder.chmod(0o755)
    transcript = Transcripts(folder).begin("m")
    transcript.append(ASKED)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE(transcript.path.stat().st_mode) == 0o600


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=r"file.*; set PYLLAMA_STATE .* or give --no-save"):
        Transcripts(tmp_path / "file" / "conversations").begin("m").append(ASKED)


def test_every_cut_of_the_file_is_a_conversation(transcripts: Transcripts) -> None:
    transcript = transcripts.begin("m")
    for record in (ASKED, ANSWERED, Kept(1), ANSWERED):
        transcript.append(record)
    whole = transcript.path.read_bytes()
    head = whole.index(b"\n") + 1
    counts = []
    for cut in range(head, len(whole) + 1):
        transcript.path.write_bytes(whole[:cut])
        _, conversation = transcripts.open()
        counts.append(len(conversation.messages))
    assert set(counts) == {0, 1, 2}
    transcript.path.write_bytes(whole[:-3])
    transcript.append(Kept(1))
    lines = transcript.path.read_bytes().splitlines()
    assert [json.loads(line) for line in lines[-2:]] == [{"keep": 1}, {"keep": 1}]
    transcript.path.write_bytes(whole[: head - 5])
    transcript.append(ASKED)
    assert len(transcripts.open()[1].messages) == 1, "a torn header is written again"


def test_going_on_with_one(transcripts: Transcripts) -> None:
    with pytest.raises(UsageError, match="nothing is saved yet"):
        transcripts.open()
    paths = []
    for n in range(2):
        transcript = transcripts.begin("m")
        transcript.append(Said(Message("user", f"question {n}")))
        os.utime(transcript.path, (n, n))
        paths.append(transcript.path)
    assert transcripts.open()[0].path == paths[1]
    assert transcripts.open(paths[0].stem)[0].path == paths[0]
    with pytest.raises(UsageError, match="2 conversations begin with '2'"):
        transcripts.open("2")
    with pytest.raises(UsageError, match="no saved conversation begins with 'x'"):
        transcripts.open("x")
    (transcripts.directory / "broken.jsonl").write_text("{}\n")
    openings = [summary.opening for summary in transcripts.summaries()]
    assert openings == ["question 1", "question 0"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "holds no conversation"),
        (b"hello\n", "line 1 is no record"),
        (b"[1]\n", "line 1 is no record: it is no object"),
        (b'{"role": "user", "content": "a"}\n', "does not begin as a conversation"),
        (b'{"pyllama": "conversation", "version": 2}\n', "version 2 is unknown"),
        (b'{"pyllama": "conversation", "version": 1, "id": 3}\n', "must be texts"),
        (b"\xff\n", "line 1 is no record"),
        (b"[" * 100_000 + b"\n", "line 1 is no record"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(content)
    with pytest.raises(FileError, match=complaint) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(Header.new("m").line() + b'{"keep": 0}\n{"keep": -1}\n{"keep": 0}\n')
    with pytest.raises(FileError, match="line 3 is no record: keep is no number"):
        read(path)


def test_files_by_name(tmp_path: Path) -> None:
    conversation = Conversation()
    conversation.ask("a")
    conversation.answer(ANSWERED.message)
    conversation.instruct("s")
    path = tmp_path / "saved.jsonl"
    write(path, Header.new("m"), conversation)
    header, again = read(path)
    assert (header.model, again.system, again.messages) == ("m", "s", conversation.messages)
    with pytest.raises(FileError):
        write(tmp_path, Header.new("m"), conversation)


def test_where_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYLLAMA_STATE", str(tmp_path / "chosen"))
    assert state_directory() == tmp_path / "chosen"
    monkeypatch.delenv("PYLLAMA_STATE")
    if sys.platform.startswith("linux"):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        assert state_directory() == tmp_path / "pyllama"
        monkeypatch.delenv("XDG_STATE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert state_directory() == tmp_path / ".local" / "state" / "pyllama"
