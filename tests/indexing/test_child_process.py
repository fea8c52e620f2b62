"""A child process answers, dies, hangs or stops in the middle of a message: its parent always goes on, in time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexing.child_process import ChildProcess, bounded, code_to_serve, import_path

HEAD = "import sys; sys.path[:] = sys.argv[1:]; import os, time; from indexing.child_process import parent; p = parent(); "


@pytest.fixture
def started(request: pytest.FixtureRequest) -> Iterator[ChildProcess]:
    child = ChildProcess(HEAD + request.param, {"DOCQA_TEST": "set"})
    yield child
    child.close()
    assert child.process.poll() is not None


def running(code: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("started", [code], indirect=True)


@running("[p.send_bytes(p.recv_bytes()[::-1]) for _ in range(3)]")
def test_messages_come_whole_whatever_their_size(started: ChildProcess) -> None:
    for data in (b"", b"ab", os.urandom(3_000_000)):
        with started.within(30):
            started.connection.send_bytes(data)
            assert started.connection.recv_bytes() == data[::-1]
    with pytest.raises(EOFError):
        started.connection.recv_bytes()


@running("p.send_bytes(os.environ['DOCQA_TEST'].encode() + str(os.getcwd() in sys.path).encode())")
def test_it_has_its_variables_and_nothing_from_the_current_folder(started: ChildProcess) -> None:
    assert started.connection.recv_bytes().startswith(b"set")
    assert str(Path(__file__).parents[2]) in import_path() and "" not in import_path()
    assert code_to_serve("a.b").endswith("from a.b import serve; serve()")


@running("p.recv_bytes(); os.write(0, b'\\0\\0\\0\\x09half'); time.sleep(60)")
def test_half_a_message_is_waited_for_in_vain_until_the_limit(started: ChildProcess) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError), started.within(2.0):
        started.connection.send_bytes(b"go")
        started.connection.recv_bytes()
    assert 1.9 < time.monotonic() - began < 20 and started.process.wait() == -signal.SIGKILL


@running("time.sleep(60)")
def test_a_child_that_reads_nothing_holds_nobody_up(started: ChildProcess) -> None:
    with pytest.raises(TimeoutError), started.within(1.0):
        started.connection.send_bytes(bytes(50_000_000))


@running("p.recv_bytes(); os.kill(os.getpid(), 9)")
def test_a_death_is_seen_at_once(started: ChildProcess) -> None:
    began = time.monotonic()
    with pytest.raises((EOFError, ConnectionError)), started.within(60):
        started.connection.send_bytes(b"go")
        started.connection.recv_bytes()
    assert time.monotonic() - began < 30


@running("p.send_bytes(bytes(100))")
def test_a_message_of_more_than_is_taken_is_an_error(started: ChildProcess) -> None:
    with pytest.raises(OSError, match="bad message length"), started.within(30):
        started.connection.recv_bytes(99)


@running("time.sleep(60)")
def test_a_block_in_time_leaves_the_child_alive_and_its_errors_as_they_are(started: ChildProcess) -> None:
    with pytest.raises(ZeroDivisionError), started.within(0.5):
        raise ZeroDivisionError
    time.sleep(0.8)
    assert started.process.poll() is None


@running("time.sleep(60)")
def test_a_block_that_ends_too_late_is_too_late(started: ChildProcess) -> None:
    with pytest.raises(TimeoutError), started.within(0.1):
        time.sleep(0.5)
    assert started.process.wait() == -signal.SIGKILL


@running("[p.send_bytes(p.recv_bytes()) for _ in range(50)]; time.sleep(60)")
def test_many_small_messages_share_one_watchdog_thread(started: ChildProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    start = threading.Thread.start

    def noted(thread: threading.Thread) -> None:
        threads.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", noted)
    for _ in range(50):
        with started.within(60):
            started.connection.send_bytes(b"small")
            assert started.connection.recv_bytes() == b"small"
    assert len(threads) == 1 and threads[0].daemon
    started.close()
    assert not threads[0].is_alive()


@running("time.sleep(60)")
def test_each_block_has_its_own_limit(started: ChildProcess) -> None:
    """A limit shorter or longer than the last one, which the watchdog still waits for."""
    with started.within(60):
        pass
    with started.within(0.2):
        pass
    with started.within(60):
        time.sleep(0.5)
    assert started.process.poll() is None
    with pytest.raises(TimeoutError), started.within(0.2):
        started.connection.recv_bytes()
    assert started.process.wait() == -signal.SIGKILL
    with pytest.raises(OSError), started.within(60):
        started.connection.send_bytes(bytes(50_000_000))


@running("time.sleep(60)")
def test_an_idle_watchdog_ends(started: ChildProcess) -> None:
    with started.within(0.1):
        pass
    while started._watchdog._thread is not None:
        time.sleep(0.01)
    with pytest.raises(TimeoutError), started.within(0.1):
        started.connection.recv_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_a_program_that_reads_a_document_has_no_network(tmp_path: Path) -> None:
    """Its own limits hold for its children too, so an own process asks whether the system lets it have a namespace."""
    may = "import ctypes; c = ctypes.CDLL(None); raise SystemExit(bool(c.unshare(1 << 30) and c.unshare(5 << 28)))"
    if subprocess.run([sys.executable, "-c", may]).returncode:
        pytest.skip("this system lets no process have a network namespace of its own")
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5)"
        asked = [sys.executable, "-c", code]
        assert subprocess.run(asked).returncode == 0
        found = subprocess.run(asked, preexec_fn=bounded(20), capture_output=True, text=True)
    assert found.returncode == 1 and "Network is unreachable" in found.stderr
