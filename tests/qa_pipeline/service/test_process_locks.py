"""Locks of processes: one that was killed is seen at once, and leaves no file for ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from qa_pipeline.errors import HomeFolderError
from qa_pipeline.service.process_locks import ProcessLocks

CHILD = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from qa_pipeline.service.process_locks import ProcessLocks
locks = ProcessLocks(Path({folder!r}))
print(locks.own(), flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "processes"


def locks(folder: Path) -> set[str]:
    """The ids that have a file."""
    return {path.stem for path in folder.glob("*.lock")}


def killed(folder: Path, repository: Path, seen_by: ProcessLocks) -> str:
    """The id of a process that was killed while it held its lock."""
    code = CHILD.format(root=str(repository), folder=str(folder))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        id = child.stdout.readline().strip()
        assert seen_by.is_alive(id) and id in locks(folder)
    finally:
        child.kill()
        child.wait()
    return id


def test_what_a_killed_process_left_is_removed_by_the_next_one(folder: Path, repository: Path) -> None:
    """Also where it ran no job, so that nobody asks for it."""
    before = ProcessLocks(folder)
    alive, dead = before.own(), killed(folder, repository, before)
    assert locks(folder) == {alive, dead}
    other = ProcessLocks(folder)
    assert locks(folder) == {alive, dead}, "it has started nothing yet"
    assert other.own() != alive and locks(folder) == {alive, other.own()}
    assert other.is_alive(alive) and before.is_alive(other.own()) and not other.is_alive(dead)


def test_a_file_is_removed_after_its_lock_is_released(
    folder: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, which removes no open file."""
    unlink = Path.unlink

    def careful(path: Path, missing_ok: bool = False) -> None:
        try:
            with FileLock(str(path), timeout=0):
                pass
        except Timeout:
            raise PermissionError(13, "The process cannot access the file") from None
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", careful)
    own = ProcessLocks(folder)
    own.own()
    id = killed(folder, repository, own)
    assert not own.is_alive(id) and id not in locks(folder)
    own.close()
    assert locks(folder) == set()


def test_a_file_that_cannot_be_opened_stops_no_process(folder: Path) -> None:
    """Such as one that another user left."""
    (folder / "other.lock").mkdir(parents=True)
    own = ProcessLocks(folder)
    assert own.is_alive(own.own()) and not own.is_alive("none") and not own.is_alive("../service")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeFolderError, match=r"cannot be written \(not a directory\)"):
        ProcessLocks(tmp_path / "file" / "processes").own()
