"""A SQLite connection whose errors are docqa's, and whose reads survive bytes that are no UTF-8.

SQLite reports damage at any read: at `execute`, or at a later row. Both raise IndexDamaged here, so no caller sees a
`sqlite3` error for what a bad disk can cause. Text that is no UTF-8 is read with U+FFFD; its content hash shows the damage.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from indexing.atomic_files import is_full, write_error
from indexing.errors import NO_SPACE, READ_ONLY, DiskFull, IndexDamaged, IndexFolderError, os_reason

if TYPE_CHECKING:
    from typing_extensions import Self

DAMAGE = ("malformed", "not a database", "no such table", "no such column", "corrupt", "unsupported file format")
FULL = ("disk is full",)
UNCLEAR = ("disk I/O error", "unable to open database file", "readonly database")

P = ParamSpec("P")
T = TypeVar("T")


def folder_error(path: Path, error: sqlite3.Error) -> IndexFolderError:
    """The docqa error for a `sqlite3` error in the index folder `path`."""
    text = str(error)
    if says_full(path, error):
        return _disk_full(path)
    if any(sign in text for sign in UNCLEAR) and write_error(path) in READ_ONLY:
        return _read_only(path)
    if not isinstance(error, sqlite3.OperationalError) or any(sign in text for sign in DAMAGE):
        return IndexDamaged(f"The database of the index in {path} is damaged ({text}); run `docqa doctor` on it.")
    return IndexFolderError(f"The index in {path} cannot be used ({text}).")


def _disk_full(path: Path) -> DiskFull:
    return DiskFull(f"The disk of the index in {path} is full; nothing was changed. Free some space and try again.")


def _read_only(path: Path) -> IndexFolderError:
    return IndexFolderError(f"The index in {path} is read-only here, so nothing was changed.")


@contextmanager
def files_written(path: Path) -> Iterator[None]:
    """Raises DiskFull or IndexFolderError where the system refuses a file of the index folder `path`."""
    try:
        yield
    except OSError as error:
        raise refused(path, error) from error


def refused(path: Path, error: OSError) -> IndexFolderError:
    """The docqa error where the system refuses a file of the index folder `path`."""
    if error.errno in NO_SPACE:
        return _disk_full(path)
    return (
        _read_only(path)
        if error.errno in READ_ONLY
        else IndexFolderError(f"The index in {path} cannot be written ({os_reason(error)}).")
    )


def says_full(folder: Path, error: sqlite3.Error) -> bool:
    """Whether the disk of `folder` is full is why SQLite raised `error`; of its smaller files SQLite does not say so."""
    text = str(error)
    return any(sign in text for sign in FULL) or (any(sign in text for sign in UNCLEAR) and is_full(folder))


def can_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


def frozen_state(database: Path) -> tuple[int, ...] | None:
    """Size, time and inode of a database whose write-ahead log is empty: while they stay, its file alone is all of it.

    None where the log holds transactions, or the file is gone. SQLite opens such a database with `immutable`, without the
    files that it shares with other processes: those cannot be made on a full or read-only disk.
    """
    try:
        log = database.with_name(f"{database.name}-wal")
        if log.exists() and log.stat().st_size:
            return None
        facts = database.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


class CheckedCursor(sqlite3.Cursor):
    """A cursor that raises IndexFolderError and its subclasses instead of `sqlite3` errors, also between rows."""

    def execute(self, *given: Any) -> Self:
        return self._checked(super().execute, *given)

    def executemany(self, *given: Any) -> Self:
        return self._checked(super().executemany, *given)

    def fetchone(self) -> Any:
        return self._checked(super().fetchone)

    def fetchall(self) -> list[Any]:
        return self._checked(super().fetchall)

    def __next__(self) -> Any:
        return self._checked(super().__next__)

    def _checked(self, call: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Call. A mistake in the SQL or its values is raised as it is; damage, a full disk and the like by docqa's errors.

        An error that is its own cause, or a variable that holds it, would keep the cursor until garbage is collected.
        """
        path: Path = self.connection.path  # type: ignore[attr-defined]
        try:
            return call(*given, **named)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError):
            raise
        except sqlite3.DatabaseError as error:
            raise folder_error(path, error) from error
        except UnicodeDecodeError as error:  # SQLite's message quotes a damaged schema.
            raise folder_error(path, sqlite3.DatabaseError("malformed database schema")) from error


class CheckedConnection(sqlite3.Connection):
    """A connection to the database of one index folder; its cursors are `CheckedCursor`s."""

    path = Path()
    frozen: tuple[int, ...] | None = None

    @classmethod
    def open(cls, path: Path, uri: str, wait: float) -> CheckedConnection:
        """Connect to `uri`. path: the index folder, for messages. wait: seconds for the locks of other processes."""
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=wait, check_same_thread=False, factory=cls)
        connection.path = path
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        return connection

    def cursor(self, *_: Any, **__: Any) -> CheckedCursor:  # type: ignore[override]
        return super().cursor(CheckedCursor)

    def execute(self, *given: Any) -> CheckedCursor:
        return self.cursor().execute(*given)

    def executemany(self, *given: Any) -> CheckedCursor:
        return self.cursor().executemany(*given)
