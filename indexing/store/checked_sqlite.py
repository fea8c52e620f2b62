"""A SQLite connection whose errors are docqa's, and whose reads survive bytes that are no UTF-8.

SQLite reports damage at any read: at `execute`, or at a later row. Both raise IndexDamaged here, so no caller sees a
`sqlite3` error for what a bad disk can cause. Text that is no UTF-8 is read with U+FFFD; its content hash shows the damage.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from indexing.errors import DiskFull, IndexDamaged, IndexFolderError

if TYPE_CHECKING:
    from typing_extensions import Self

DAMAGE = ("malformed", "not a database", "no such table", "no such column", "corrupt", "unsupported file format")
FULL = ("disk is full",)

P = ParamSpec("P")
T = TypeVar("T")


def folder_error(path: Path, error: sqlite3.Error) -> IndexFolderError:
    """The docqa error for a `sqlite3` error in the index folder `path`."""
    text = str(error)
    if any(sign in text for sign in FULL):
        return DiskFull(f"The disk of the index in {path} is full; nothing was changed. Free some space and try again.")
    if not isinstance(error, sqlite3.OperationalError) or any(sign in text for sign in DAMAGE):
        return IndexDamaged(f"The database of the index in {path} is damaged ({text}); run `docqa doctor` on it.")
    return IndexFolderError(f"The index in {path} cannot be used ({text}).")


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
        try:
            return call(*given, **named)
        except sqlite3.DatabaseError as error:
            raise _translated(self.connection, error) from error
        except UnicodeDecodeError as error:  # SQLite's message quotes a damaged schema.
            raise _translated(self.connection, sqlite3.DatabaseError("malformed database schema")) from error


class CheckedConnection(sqlite3.Connection):
    """A connection to the database of one index folder; its cursors are `CheckedCursor`s."""

    path = Path()

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


def _translated(connection: Any, error: sqlite3.DatabaseError) -> Exception:
    """A docqa error for damage, a full disk and the like; the error itself for a mistake in the SQL or its values."""
    if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError):
        return error
    return folder_error(connection.path, error)
