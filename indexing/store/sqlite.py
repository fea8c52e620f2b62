"""The SQLite file (WAL) of an index folder: create, open, lock, and transactions.

Invariants:
    one writer at a time across all processes (lock file), any number of readers;
    one transaction per batch of files, which raises the generation by one; readers see whole generations;
    a committed transaction is on disk (synchronous=FULL), also after kill -9 or loss of power.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from filelock import FileLock, Timeout

from indexing.atomic_files import make_folder, move
from indexing.errors import (
    DiskFull,
    DocqaError,
    IndexBusy,
    IndexDamaged,
    IndexFolderError,
    IndexMismatch,
    IndexMissing,
    os_reason,
)
from indexing.settings import IndexSettings
from indexing.store.checked_sqlite import CheckedConnection, can_write, folder_error, frozen_state, refused, says_full
from indexing.store.schema import FILTER_INDEXES, FORMAT, PAGE_SIZE, SCHEMA

if TYPE_CHECKING:
    from typing_extensions import Self

Connection = CheckedConnection

DATABASE = "corpus.db"
LOCK = "writer.lock"
WAIT_S = 30.0
ERASE_WAIT_S = 2.0
UNERASED = "unerased"


class Database:
    """The SQLite file of one index folder. Thread-safe: each thread has its own connection."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        self.path = path
        self.writable = writable
        self._local = threading.local()
        self._connections: list[Connection] = []
        self._guard = threading.Lock()
        self._lock = FileLock(str(path / LOCK), thread_local=False)
        self._settings: IndexSettings | None = None

    # -- opening ---------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path, settings: IndexSettings, model: dict[str, Any]) -> Self:
        """Create an empty index in `path`, which is created if missing. It must hold no other files, else IndexFolderError.

        model: name, fingerprint and dimension of the embedder, stored with the settings.
        """
        if (path / DATABASE).exists():
            raise IndexFolderError(f"There is already an index in {path}.")
        if path.exists() and (not path.is_dir() or any(not _of_a_stopped_start(p) for p in path.iterdir())):
            raise IndexFolderError(f"{path} holds other files; name an empty or new folder for the index.")
        try:
            make_folder(path)
            folder = cls(path, writable=True)
            with folder.writer():
                folder._initialise(settings, model)
        except sqlite3.OperationalError as error:
            raise folder_error(path, error) from error
        except OSError as error:
            raise IndexFolderError(f"No index can be made in {path} ({os_reason(error)}).") from error
        return folder

    def _initialise(self, settings: IndexSettings, model: dict[str, Any]) -> None:
        """Create all tables and facts in one transaction of a temporary file, and rename it."""
        beside = self.path / f"{DATABASE}.new"
        for leftover in self.path.glob(f"{beside.name}*"):
            leftover.unlink(missing_ok=True)
        connection = sqlite3.connect(beside, isolation_level=None)
        facts = {"format": FORMAT, "generation": 0, "settings": settings.as_dict(), "model": model}
        try:
            connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
            connection.executescript(f"BEGIN;{SCHEMA}{';'.join(FILTER_INDEXES)};")
            rows = [(name, json.dumps(value)) for name, value in facts.items()]
            connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
            connection.execute("COMMIT")
        finally:
            connection.close()
        move(beside, self.path / DATABASE)

    @classmethod
    def open(cls, path: Path, *, writable: bool = False) -> Self:
        """Open an existing index. Raises IndexMissing, IndexMismatch (a newer format), IndexDamaged."""
        if not (path / DATABASE).is_file():
            raise IndexMissing(f"There is no index in {path}; create one with `docqa index DOCUMENTS --into {path}`.")
        if not (path / DATABASE).stat().st_size:
            raise IndexDamaged(f"The database of the index in {path} is an empty file.")
        folder = cls(path, writable=writable)
        try:
            found = folder.fact("format")
        except IndexFolderError:
            folder.close()
            raise
        if found != FORMAT:
            folder.close()
            raise IndexMismatch(f"The index in {path} has format {found}; this docqa reads format {FORMAT}.")
        return folder

    def close(self) -> None:
        """Close every connection. The last one of all processes merges the write-ahead log into the database."""
        with self._guard:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            self._local = threading.local()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connection(self) -> Connection:
        """This thread's connection. Raises IndexDamaged if the database cannot be read."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None and self._is_outdated(connection):
            self._drop(connection)
            connection = None
        if connection is None:
            connection = self._connect()
            self._local.connection = connection
            with self._guard:
                self._connections.append(connection)
        return connection

    def _connect(self) -> Connection:
        """Connect. To read needs no file beside the database while its log is empty, as on a full or read-only disk."""
        if self.writable:
            return self._opened("mode=rw")
        frozen = frozen_state(self.path / DATABASE)
        if frozen is None or can_write(self.path):
            try:
                return self._opened("mode=ro")
            except DiskFull:
                if frozen is None:
                    raise
        connection = self._opened("mode=ro&immutable=1")
        connection.frozen = frozen
        return connection

    def _drop(self, connection: CheckedConnection) -> None:
        with self._guard:
            self._connections.remove(connection)
        connection.close()

    def _is_outdated(self, connection: CheckedConnection) -> bool:
        """Whether the database was written since a connection that cannot see that was opened."""
        if connection.frozen is None or connection.in_transaction:
            return False
        return connection.frozen != frozen_state(self.path / DATABASE)

    def _opened(self, mode: str) -> CheckedConnection:
        name = quote(str((self.path / DATABASE).absolute()))
        try:
            connection = CheckedConnection.open(self.path, f"file:{name}?{mode}", WAIT_S)
        except sqlite3.DatabaseError as error:
            if says_full(self.path, error):
                raise folder_error(self.path, error) from error
            raise IndexDamaged(f"The database of the index in {self.path} cannot be read ({error}).") from error
        try:
            connection.execute("PRAGMA foreign_keys=ON")
            if self.writable:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA secure_delete=ON")
            connection.execute("PRAGMA cache_size=-65536")
            connection.execute("SELECT count(*) FROM meta").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection

    # -- transactions ----------------------------------------------------------------------------------------------

    @contextmanager
    def writer(self, wait: float = 0.0) -> Iterator[None]:
        """Hold the folder's writer lock, after waiting at most `wait` seconds.

        Raises IndexBusy; IndexMissing for a folder that was removed, which the lock would make again.
        """
        if not self.path.is_dir():
            raise IndexMissing(f"The index in {self.path} was removed.")
        try:
            self._lock.acquire(timeout=wait)
        except Timeout:
            raise IndexBusy(f"Another process is writing to the index in {self.path}; wait until it is done.") from None
        except OSError as error:
            raise refused(self.path, error) from error
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction: all reads inside see the same generation."""
        connection = self.connection()
        nested = connection.in_transaction
        if not nested:
            connection.execute("BEGIN")
        try:
            yield connection
        finally:
            if not nested and connection.in_transaction:
                connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[tuple[Connection, int]]:
        """A write transaction, and the generation it creates. The caller holds `writer()`."""
        connection = self.connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            generation = self.generation() + 1
            yield connection, generation
            connection.execute("UPDATE meta SET value = ? WHERE name = 'generation'", (str(generation),))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    # -- facts -----------------------------------------------------------------------------------------------------

    def fact(self, name: str) -> Any:
        """One row of `meta`, parsed. Raises IndexDamaged if it is missing."""
        value = self.fact_or(name, None)
        if value is None:
            raise IndexDamaged(f"The index in {self.path} lacks its {name}.")
        return value

    def fact_or(self, name: str, default: Any) -> Any:
        """One row of `meta`, parsed; `default` if it is missing."""
        row = self.connection().execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        try:
            return default if row is None else json.loads(row[0])
        except (ValueError, TypeError) as error:
            raise IndexDamaged(f"The {name} of the index in {self.path} is damaged.") from error

    def store_facts(self, facts: dict[str, Any]) -> None:
        """Store facts that do not affect answers; the generation is unchanged."""
        self.connection().executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(name, json.dumps(value)) for name, value in facts.items()]
        )

    def add_filter_indexes(self) -> None:
        """Add the indexes that filters read to a database of an earlier docqa. The caller holds `writer()`."""
        for statement in FILTER_INDEXES:
            self.connection().execute(statement)

    def generation(self) -> int:
        found = self.fact("generation")
        if not isinstance(found, int) or found < 0:
            raise IndexDamaged(f"The generation of the index in {self.path} is damaged.")
        return found

    @property
    def settings(self) -> IndexSettings:
        """The settings with which the index was created."""
        if self._settings is None:
            found = self.fact("settings")
            try:
                self._settings = IndexSettings.from_dict(found)
            except (DocqaError, TypeError, ValueError, KeyError, AttributeError) as error:
                raise IndexDamaged(f"The settings of the index in {self.path} are damaged.") from error
        return self._settings

    def change_settings(self, settings: IndexSettings) -> None:
        """Store settings that do not affect what is already in the index. The caller holds `writer()`."""
        self.store_facts({"settings": settings.as_dict()})
        self._settings = settings

    @property
    def model(self) -> dict[str, Any]:
        """Name, fingerprint and dimension of the embedder that computed the vectors."""
        found = self.fact("model")
        kinds = {"name": str, "fingerprint": str, "dimension": int}
        if not isinstance(found, dict) or any(type(found.get(name)) is not kind for name, kind in kinds.items()):
            raise IndexDamaged(f"The name of the embedder of the index in {self.path} is damaged.")
        return found

    # -- disk space ------------------------------------------------------------------------------------------------

    def erase_deleted(self, wait: float | None = None) -> bool:
        """Erase deleted rows from the disk, if a deletion was stored since the last time. The caller holds `writer()`.

        It merges the write-ahead log into the database and empties it. The database overwrites deleted rows with zeros
        (secure_delete), so afterwards no file of the folder contains them. wait: seconds for readers to leave the log
        (None: ERASE_WAIT_S). Returns False if they did not; the fact stays stored, and the next call tries again.
        """
        if not self.fact_or(UNERASED, False):
            return True
        connection = self.connection()
        connection.execute(f"PRAGMA busy_timeout={round(1e3 * (ERASE_WAIT_S if wait is None else wait))}")
        try:
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.execute(f"PRAGMA busy_timeout={round(1e3 * WAIT_S)}")
        if not busy:
            self.store_facts({UNERASED: False})
        return not busy

    def mark_unerased(self) -> None:
        """Store that rows were deleted, in the transaction that deletes them."""
        self.store_facts({UNERASED: True})

    def reindex(self, sound: Callable[[], bool]) -> bool:
        """Rebuild the indexes of the database from its tables. Returns whether it is `sound` then; else nothing is written.

        Raises IndexDamaged if two rows have one key.
        """
        connection = self.connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute("REINDEX")
            done = sound()
            connection.execute("COMMIT" if done else "ROLLBACK")
        except sqlite3.IntegrityError as error:
            raise IndexDamaged(f"The database of the index in {self.path} holds a row twice ({error}).") from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return done

    def compact(self) -> bool:
        """Rewrite the database without deleted rows, then `erase_deleted`. The caller holds `writer()`.

        This also erases rows that older versions deleted without overwriting. It needs as much free space as the database
        has. Raises IndexFolderError, for instance if the disk is full.
        """
        self.mark_unerased()
        self.connection().execute("VACUUM")
        return self.erase_deleted(WAIT_S)

    def size(self) -> int:
        """The size of all files in the folder, in bytes."""
        return sum(p.stat().st_size for p in self.path.rglob("*") if p.is_file())


def erase_pending(path: Path) -> bool:
    """Erase deleted rows of an index that readers kept on disk, if no writer is busy. Returns whether none is left.

    Raises IndexFolderError and its subclasses.
    """
    with Database.open(path) as database:
        if not database.fact_or(UNERASED, False):
            return True
    try:
        with Database.open(path, writable=True) as database, database.writer():
            return database.erase_deleted()
    except IndexBusy:
        return False


def _of_a_stopped_start(path: Path) -> bool:
    """Whether a file is a leftover of a process that was interrupted while it created an index."""
    return path.name == LOCK or path.name.startswith(f"{DATABASE}.new")
