"""The commands of the service as processes: private files, and no child that outlives its parent."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qa_pipeline.cli import serve

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Linux and macOS")


def children_of(parent: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True).stdout
    return [int(word) for word in found.split()]


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_page_ends_its_service_when_it_is_ended(tmp_path: Path, number: int) -> None:
    pytest.importorskip("streamlit")
    command = [sys.executable, "-m", "qa_pipeline.cli", "ui", "--home", str(tmp_path / "h"), "--reader", "builtin", "--lean"]
    page = subprocess.Popen([*command, "--port", "0"], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while len(children := children_of(page.pid)) < 2 and time.monotonic() < until:
            time.sleep(0.1)
        assert len(children) == 2, "the service and the page"
        page.send_signal(number)
        page.wait(90)
        assert not [child for child in children if alive(child)]
    finally:
        page.kill()


def test_a_signal_during_the_start_of_a_child_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes after the process is there and before the block that ends it."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def signalled(command: list[str]) -> subprocess.Popen[bytes]:
        started.append(popen(command))
        signal.raise_signal(signal.SIGTERM)
        return started[0]

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    monkeypatch.setattr(subprocess, "Popen", signalled)
    ends = serve._Ends()
    ends.listen()
    try:
        with pytest.raises(SystemExit) as ended, serve._child(["sleep", "600"], ends):
            pass
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGHUP, before[1])
    assert ended.value.code == 128 + signal.SIGTERM and started[0].poll() is not None


def test_what_the_commands_write_is_of_their_owner_only(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "qa_pipeline.cli", "keys", str(tmp_path / "h"), "add", "--label", "me"],
        cwd=ROOT,
        capture_output=True,
        umask=0o022,
        env={**os.environ},
    )
    assert run.returncode == 0
    for path in (tmp_path / "h").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path.name
