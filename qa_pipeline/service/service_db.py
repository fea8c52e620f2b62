"""The service database (SQLite, WAL): short transactions from any thread and process.

What a transaction has committed is on disk (synchronous=FULL), also after kill -9 or loss of power.
"""

from __future__ import annotations

import datetime
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qa_pipeline.errors import HomeFolderError

WAIT_S = 30.0


class Database:
    """Tables of `schema` (CREATE TABLE IF NOT EXISTS) in the file at `path`, which is made if needed.

    Raises HomeFolderError where the file cannot be read or written.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self.path = path
        with self._connected() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(f"BEGIN IMMEDIATE; {schema} COMMIT;")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: all or nothing; it waits for others to end theirs."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What one SELECT finds."""
        with self._connected() as connection:
            return connection.execute(sql, values).fetchall()

    def delete(self, table: str, id: str, corpus: str | None = None) -> bool:
        """Delete the row with that id; with `corpus` only if it is of that corpus. False where there is none."""
        sql = f"DELETE FROM {table} WHERE id = ? AND corpus = coalesce(?, corpus)"
        with self.transaction() as connection:
            return connection.execute(sql, (id, corpus)).rowcount > 0

    def delete_corpus(self, table: str, corpus: str) -> int:
        """Delete all rows of a corpus. How many they were."""
        with self.transaction() as connection:
            return connection.execute(f"DELETE FROM {table} WHERE corpus = ?", (corpus,)).rowcount

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, timeout=WAIT_S)
            try:
                connection.execute("PRAGMA synchronous=FULL")
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise HomeFolderError(
                f"The service's database {self.path.name} cannot be used ({error}); check the disk and its rights."
            ) from error


def new_id() -> str:
    """128 random bits, 32 hex digits: nobody guesses another's entry."""
    return uuid.uuid4().hex


def now() -> str:
    """The time, ISO 8601 in UTC, to the millisecond."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
