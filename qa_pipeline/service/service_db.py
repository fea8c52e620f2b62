"""The service database (SQLite, WAL): short transactions from any thread and process.

A committed transaction is durable (synchronous=FULL), also after kill -9 or power loss.
"""

from __future__ import annotations

import datetime
import logging
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from indexing.atomic_files import move, sync_file, write_error
from indexing.errors import NO_SPACE, READ_ONLY, DiskFull
from indexing.store.checked_sqlite import frozen_state, says_full
from qa_pipeline.errors import HomeFolderError

logger = logging.getLogger(__name__)

SERVICE_DATABASE = "service.db"
WAIT_S = 30.0


class Database:
    """Tables of `schema` (CREATE TABLE IF NOT EXISTS) in the file at `path`, which is created if missing.

    Raises HomeFolderError where the file cannot be read or written; DiskFull.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self.path = path
        self._schema = schema
        try:
            with self._connected() as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.executescript(f"BEGIN IMMEDIATE; {schema} COMMIT;")
        except (HomeFolderError, DiskFull) as error:
            if not self._is_frozen():
                raise
            logger.warning("Nothing can be stored in %s: %s", path.name, error)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """An atomic write transaction; it waits up to WAIT_S seconds for other writers."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of one SELECT, also on a full or read-only disk."""
        try:
            with self._connected() as connection:
                return connection.execute(sql, values).fetchall()
        except (HomeFolderError, DiskFull):
            if not self._is_frozen():
                raise
            return self._frozen_rows(sql, values)

    def delete(self, table: str, id: str, corpus: str | None = None) -> bool:
        """Delete the row with that id; with `corpus`, only if it belongs to that corpus. Returns whether there was one."""
        sql = f"DELETE FROM {table} WHERE id = ? AND corpus = coalesce(?, corpus)"
        with self.transaction() as connection:
            return connection.execute(sql, (id, corpus)).rowcount > 0

    def delete_corpus(self, table: str, corpus: str) -> int:
        """Delete all rows of a corpus. Returns their number."""
        with self.transaction() as connection:
            return connection.execute(f"DELETE FROM {table} WHERE corpus = ?", (corpus,)).rowcount

    def erase(self) -> bool:
        """Merge the write-ahead log and empty it, so that no file holds deleted rows (they are overwritten with zeros).

        Returns False if another connection uses the log; then a later call tries again. An empty log is not touched.
        """
        log = self.path.with_name(f"{self.path.name}-wal")
        try:
            if not log.stat().st_size:
                return True
        except FileNotFoundError:
            return True
        with self._connected() as connection:
            connection.execute("PRAGMA busy_timeout=2000")
            return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]

    def _is_frozen(self) -> bool:
        """Whether the disk refuses every change, and the file alone is all of the database, or it has none."""
        if write_error(self.path.parent) not in (*NO_SPACE, *READ_ONLY):
            return False
        return not self.path.exists() or frozen_state(self.path) is not None

    def _frozen_rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """As `rows`, without the files beside the database, which SQLite cannot make there."""
        is_file = self.path.exists() and self.path.stat().st_size > 0
        name = f"file:{quote(str(self.path.absolute()))}?mode=ro&immutable=1" if is_file else ":memory:"
        try:
            with closing(sqlite3.connect(name, uri=True)) as connection:
                if not is_file:
                    connection.executescript(self._schema)
                return connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _error(self, error: sqlite3.Error) -> HomeFolderError | DiskFull:
        """The docqa error for a `sqlite3` error."""
        if says_full(self.path.parent, error):
            return DiskFull("The disk of the service is full; nothing was changed. Free some space and try again.")
        if write_error(self.path.parent) in READ_ONLY:
            return HomeFolderError("The home is read-only, so nothing was changed; only questions and searches work.")
        return HomeFolderError(
            f"The service's database {self.path.name} cannot be used ({error}); check the disk and its rights."
        )

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, timeout=WAIT_S)
            try:
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA secure_delete=ON")
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise self._error(error) from error


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite database as of one moment, also while it is written, and check the copy.

    Raises HomeFolderError, also for a source or copy that is damaged; then the target is unchanged.
    """
    beside = target.with_name(f"{target.name}.part")
    beside.unlink(missing_ok=True)
    try:
        old = sqlite3.connect(f"file:{quote(str(source.absolute()))}?mode=ro", uri=True, timeout=WAIT_S)
        new = sqlite3.connect(beside, isolation_level=None)
        try:
            old.backup(new, pages=2_000, sleep=0.01)
            new.execute("PRAGMA journal_mode=DELETE")
            found = new.execute("PRAGMA integrity_check(1)").fetchone()
        finally:
            old.close()
            new.close()
    except sqlite3.Error as error:
        is_full = says_full(target.parent, error)
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        if is_full:
            raise DiskFull(
                f"The disk of {target.parent} is full; free some space, and run the same command again."
            ) from error
        raise HomeFolderError(
            f"The database {source.name} cannot be copied ({error}); `docqa doctor` names damage."
        ) from error
    if found != ("ok",):
        beside.unlink(missing_ok=True)
        raise HomeFolderError(
            f"The database {source.name} is damaged, so it was not copied; `docqa doctor` repairs an index."
        )
    sync_file(beside)
    move(beside, target)


def new_id() -> str:
    """An unguessable id: 32 hex digits of a random UUID."""
    return uuid.uuid4().hex


def now() -> str:
    """The current time, ISO 8601 in UTC, in milliseconds."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
