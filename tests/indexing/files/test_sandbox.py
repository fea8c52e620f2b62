"""The process that parses files: whatever a file holds or does, there is a text or a phrase, and the next file is read."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import UnreadableFile
from indexing.files import sandbox
from indexing.files.file_text import FileLimits
from indexing.files.walk import FileReader, FoundFile
from tests.indexing.files.conftest import check_laws, only, put, reason, wait_for

# -- nasty files -------------------------------------------------------------------------------------------------------


NASTY = {
    "deep.json": b"[" * 200_000 + b"]" * 200_000,
    "deep.jsonl": b"[" * 200_000 + b"]" * 200_000 + b'\n{"text":"fine"}\n',
    "deep.html": b"<b>" * 100_000 + b"text",
    "long.html": b"<p>" + b"word " * 200_000,
    "long.csv": b"a,b\n" + b"x" * 2_000_000 + b',"1\n',
    "nul.csv": b"name,year\nA\0da,19\x0012\n",
    "quotes.csv": b'"' * 100_001 + b",\n",
    "number.json": b'{"a": ' + b"9" * 100_000 + b"}",
    "broken.eml": b"From: =?bogus?q?=FF?=\r\nSubject: =?utf-8?b?////?=\r\nDate: never\r\n"
    b"Content-Type: text/plain; charset=nope\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n\xff\xfe!!!not base64\xe9\r\n",
    "raw.eml": b"From: J\xfcrgen <a@b>\r\nSubject: Gr\xfc\xdfe \x00\r\n\r\nSch\xf6ne Gr\xfc\xdfe aus Z\xfcrich\r\n",
    "parts.eml": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    + b"--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" * 500,
    "half.html": b"<html><body><p>a<table><tr><td>\xff\xfe<script>",
    "bad.md": b"```\n# no\n" + b"#" * 100_000 + b"\n" + b"- " * 100_000,
}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_files_give_a_text_or_a_phrase(reader: FileReader, tmp_path: Path, name: str) -> None:
    file = put(tmp_path, name, NASTY[name])
    try:
        texts, _ = reader.read(file)
    except UnreadableFile as error:
        assert len(str(error)) < 400 and "\n" not in str(error)
    else:
        for text in texts:
            check_laws(text)


@given(
    data=st.binary(min_size=1, max_size=300),
    name=st.sampled_from(["a.txt", "a.md", "a.csv", "a.json", "a.eml", "a.pdf", "a.html", "a.x"]),
)
def test_any_bytes_give_a_text_or_a_phrase(
    reader: FileReader, tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(data)
    try:
        for text in reader.read(FoundFile(path, name, len(data), 0))[0]:
            check_laws(text)
    except UnreadableFile as error:
        assert str(error) and "\n" not in str(error)


# -- the worker --------------------------------------------------------------------------------------------------------


def test_a_hang_is_ended_and_the_next_file_is_read(tmp_path: Path) -> None:
    with FileReader(FileLimits(seconds=1.5)) as reader:
        assert only(reader.read(put(tmp_path, "ok.html", b"<p>fine"))).text == "fine"
        hang = put(tmp_path, "hang.html", b"<div>" * 200_000 + b"text")
        assert reason(reader, hang) == "not read within the 1.5 seconds allowed for one file (--seconds)"
    with FileReader() as reader:
        assert only(reader.read(put(tmp_path, "ok.html", b"<p>fine"))).text == "fine"


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    file = put(tmp_path, "a.html", b"<p>fine")
    with FileReader() as reader:
        reader.read(file)
        child = reader._worker._child
        assert child is not None
        os.kill(child.process.pid, signal.SIGKILL)
        child.process.wait()
        assert only(reader.read(file)).text == "fine" and reader._worker._child is not child


def test_a_crash_while_parsing_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = "import indexing.files.sandbox as i, os; i._answer = lambda *a: os.kill(os.getpid(), 11); i.serve()"
    monkeypatch.setattr(sandbox, "_CODE", sandbox._CODE.partition("from ")[0] + crash)
    with FileReader() as reader:
        words = reason(reader, put(tmp_path, "a.html", b"<p>fine"))
        assert words.startswith("the parser crashed on it (exit -11)") and reader._worker._child is None


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is only bounded where the system can")
def test_too_much_memory_is_a_reason_and_the_next_file_is_read(tmp_path: Path) -> None:
    big = b'{"a":[' + b"{}," * 3_000_000 + b"{}]}"
    with FileReader(FileLimits(memory_mb=64)) as reader:
        assert "64 MB of memory" in reason(reader, put(tmp_path, "big.json", big))
        assert only(reader.read(put(tmp_path, "a.html", b"<p>fine"))).text == "fine"


def test_the_worker_is_renewed_and_ends_with_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "FILES_PER_WORKER", 2)
    file = put(tmp_path, "a.html", b"<p>fine")
    pids = set()
    with FileReader() as reader:
        for _ in range(5):
            reader.read(file)
            child = reader._worker._child
            assert child is not None
            pids.add(child.process.pid)
    assert len(pids) == 3 and child is not None and child.process.poll() is not None


def test_nothing_from_the_current_folder_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("selectolax", "json", "indexing"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(tmp_path)
    with FileReader() as reader:
        assert only(reader.read(put(tmp_path / "d", "a.html", b"<p>fine"))).text == "fine"


NONSENSE = {
    "no JSON": (5).to_bytes(4, "big") + b"{nope",
    "JSON of another kind": (2).to_bytes(4, "big") + b"17",
    "a length below nothing": (-9).to_bytes(4, "big", signed=True),
    "more than is ever taken": (-1).to_bytes(4, "big", signed=True) + (2**40).to_bytes(8, "big"),
    "a pickle": (3).to_bytes(4, "big") + b"\x80\x04.",
}


@pytest.mark.parametrize("sent", NONSENSE.values(), ids=NONSENSE)
def test_a_worker_that_talks_nonsense_is_a_crash(tmp_path: Path, sent: bytes) -> None:
    with FileReader() as reader:
        file = put(tmp_path, "a.html", b"<p>fine")
        reader.read(file)
        theirs = replaced_connection(reader)
        theirs.sendall(sent)
        assert "crashed" in reason(reader, file)
        assert only(reader.read(file)).text == "fine"
    theirs.close()


def test_a_worker_that_reads_nothing_is_ended_by_the_clock(tmp_path: Path) -> None:
    with FileReader(FileLimits(seconds=1.5)) as reader:
        file = put(tmp_path, "a.html", b"<p>fine")
        reader.read(file)
        assert reader._worker._child is not None
        os.kill(reader._worker._child.process.pid, signal.SIGSTOP)
        big = put(tmp_path, "big.html", b"<p>fine" * 1_000_000)
        assert reason(reader, big) == "not read within the 1.5 seconds allowed for one file (--seconds)"
        assert only(reader.read(file)).text == "fine"


def replaced_connection(reader: FileReader) -> socket.socket:
    """The other end of a new connection, in place of that to the worker."""
    assert reader._worker._child is not None
    ours, theirs = socket.socketpair()
    reader._worker._child.connection.close()
    reader._worker._child.connection = Connection(ours.detach())
    return theirs


def test_a_reader_leaves_no_folder_even_if_it_is_killed(tmp_path: Path) -> None:
    code = (
        "import time; from indexing.files.walk import FileReader; reader = FileReader(); reader.parse(b'<p>Pier', 'a.html')"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", f"{code}; reader.close()"], env=environment, check=True, timeout=60)
    assert not list(tmp_path.iterdir())
    command = [sys.executable, "-c", f"{code}; print('read', flush=True); time.sleep(60)"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"read\n" and list(tmp_path.iterdir())
        process.kill()
    assert wait_for(lambda: not list(tmp_path.iterdir()))
