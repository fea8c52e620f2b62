"""Which processes of a home are alive: each holds the lock of a file of its own as long as it runs.

The kernel releases the lock when the process ends, however it ends. No clock is read, so none that is set can mislead.
"""

from __future__ import annotations

import threading
from pathlib import Path

from filelock import FileLock, Timeout

from qa_pipeline.errors import HomeFolderError
from qa_pipeline.service.service_db import new_id


class ProcessLocks:
    """The locks in one folder. Thread-safe. Raises HomeFolderError where the folder cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._own: tuple[str, FileLock] | None = None

    def own(self) -> str:
        """The id of this process, whose lock it holds from the first call on."""
        with self._guard:
            if self._own is None:
                id = new_id()
                try:
                    self._folder.mkdir(exist_ok=True)
                    lock = FileLock(str(self._path(id)), timeout=0, thread_local=False)
                    lock.acquire()
                except OSError as error:
                    raise HomeFolderError(f"The lock of this process cannot be written ({error.strerror}).") from error
                self._own = id, lock
            return self._own[0]

    def is_alive(self, id: str) -> bool:
        """Whether the process of an id runs. The file of one that ended is removed."""
        with self._guard:
            if self._own is not None and self._own[0] == id:
                return True
        path = self._path(id)
        if not id.isalnum() or not path.exists():
            return False
        try:
            with FileLock(str(path), timeout=0, thread_local=False):
                path.unlink(missing_ok=True)
                return False
        except Timeout:
            return True
        except OSError as error:
            raise HomeFolderError(f"The lock of a process cannot be read ({error.strerror}).") from error

    def close(self) -> None:
        """Give up the lock, at the end of the process; `own` then gives a new id."""
        with self._guard:
            if self._own is not None:
                id, lock = self._own
                self._own = None
                self._path(id).unlink(missing_ok=True)
                lock.release()

    def _path(self, id: str) -> Path:
        return self._folder / f"{id}.lock"
