"""The job store: background jobs in service.db, shared by all processes of a home.

Invariants, each tested:

* One process at a time runs a job. If the process dies, the job runs again at once, at most ATTEMPTS times in all.
* Index jobs of a corpus run in order, each before the question batches queued after it.
* An ended job never changes.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from qa_pipeline.errors import JobMissing
from qa_pipeline.service.process_locks import ProcessLocks
from qa_pipeline.service.service_db import Database, new_id, now

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    corpus TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    created TEXT NOT NULL,
    started TEXT,
    ended TEXT,
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '',
    request TEXT NOT NULL,
    result TEXT,
    owner TEXT NOT NULL DEFAULT '',
    cancel INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_corpus ON jobs (corpus, number);
CREATE INDEX IF NOT EXISTS jobs_state ON jobs (state, corpus, number);
"""
COLUMNS = "id, corpus, kind, state, created, started, ended, done, total, message, request"

ENDED = ("done", "failed", "cancelled")
PROCESSES = "processes"
INDEX = "index"
QUESTIONS = "questions"
ATTEMPTS = 3
KEPT = 1_000
MESSAGE = 1_000


@dataclass(frozen=True, slots=True)
class Job:
    """One job. state: queued, running, done, failed or cancelled. Times are ISO 8601, UTC."""

    id: str
    corpus: str
    kind: str
    state: str
    created: str
    started: str | None
    ended: str | None
    done: int
    total: int
    message: str
    request: dict[str, Any]
    result: dict[str, Any] | None

    @property
    def name(self) -> str:
        """The name of its file of questions, "" for other jobs."""
        return str(self.request.get("name", ""))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


Entries = list[Job]
Folders = list[str]


class JobStore:
    """The jobs of a home. Safe from any thread and any process.

    owner, in its methods: id of the claim; a job that another owner has claimed meanwhile is left unchanged.
    """

    def __init__(self, database: Path) -> None:
        self._database = Database(database, SCHEMA)
        self._processes = ProcessLocks(database.with_name(PROCESSES))

    def close(self) -> None:
        """Give up the claims of this process: jobs that it still runs are run again by others."""
        self._processes.close()

    def add(self, corpus: str, kind: str, request: Mapping[str, Any]) -> Job:
        """Queue a new job. Deletes ended jobs but those of question files that are not among about the last KEPT jobs."""
        row = (new_id(), corpus, kind, "queued", now(), json.dumps(dict(request)))
        with self._database.transaction() as connection:
            sql = "INSERT INTO jobs (id, corpus, kind, state, created, request) VALUES (?, ?, ?, ?, ?, ?)"
            number = connection.execute(sql, row).lastrowid or 0
            ended = f"state IN {ENDED!r} AND kind <> '{QUESTIONS}'"
            connection.execute(f"DELETE FROM jobs WHERE number <= ? AND {ended}", (number - KEPT,))
        return self.get(row[0])

    def get(self, id: str) -> Job:
        """The job of that id. Raises JobMissing."""
        rows = self._database.rows(f"SELECT {COLUMNS}, result FROM jobs WHERE id = ?", (_text(id),))
        if not rows:
            raise JobMissing(f"There is no job {_text(id)[:80]!r}; list the jobs, or start it again.")
        return _job(rows[0])

    def list(self, corpus: str | None = None, limit: int = 100, *, results: bool = True) -> Entries:
        """Jobs, newest first. results: False leaves out the results (None), which may be large."""
        column = "result" if results else "NULL"
        sql = f"SELECT {COLUMNS}, {column} FROM jobs WHERE corpus = coalesce(?, corpus) ORDER BY number DESC LIMIT ?"
        return [_job(row) for row in self._database.rows(sql, (corpus, max(0, limit)))]

    def cancel(self, id: str) -> Job:
        """Cancel a queued job at once, a running one at its next step; an ended job is unchanged. Raises JobMissing."""
        with self._database.transaction() as connection:
            _cancel(connection, "id = ?", _text(id))
        return self.get(id)

    def cancel_all(self, corpus: str) -> None:
        """Cancel every job of a corpus, before the corpus is deleted."""
        with self._database.transaction() as connection:
            _cancel(connection, "corpus = ?", corpus)

    def forget(self, corpus: str) -> Folders:
        """Delete every job of a deleted corpus; one that runs stops at its next step. Returns their folders of uploads."""
        with self._database.transaction() as connection:
            rows = connection.execute("SELECT request FROM jobs WHERE corpus = ?", (corpus,)).fetchall()
            connection.execute("DELETE FROM jobs WHERE corpus = ?", (corpus,))
        return [folder for (request,) in rows if (folder := _folder(request))]

    def folders(self) -> set[str]:
        """The folders of uploads that jobs use."""
        return {folder for (request,) in self._database.rows("SELECT request FROM jobs") if (folder := _folder(request))}

    def forget_old(self, days: float) -> None:
        """Delete ended jobs of question files older than so many days, beyond the last KEPT jobs."""
        cut = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days)
        newest = "coalesce((SELECT max(number) FROM jobs), 0)"
        with self._database.transaction() as connection:
            connection.execute(
                f"DELETE FROM jobs WHERE state IN {ENDED!r} AND ended < ? AND number <= {newest} - ?",
                (cut.isoformat(timespec="milliseconds"), KEPT),
            )

    def erase(self) -> bool:
        """As `service_db.Database.erase`."""
        return self._database.erase()

    def counts(self) -> dict[str, int]:
        """The number of jobs in each state."""
        found = dict.fromkeys(("queued", "running", *ENDED), 0)
        return found | dict(self._database.rows("SELECT state, count(*) FROM jobs GROUP BY state"))

    # -- for workers -----------------------------------------------------------------------------------------------

    def claim(self, owner: str, kinds: Sequence[str] | None = None) -> Job | None:
        """Claim the oldest queued job (of these kinds) that need not wait for an index job of its corpus; None if none.

        owner: must be new at each claim. Running jobs of processes that ended are queued again first.
        """
        active = self._database.rows("SELECT id, state, owner FROM jobs WHERE state IN ('queued', 'running')")
        left = [(id, owner) for id, state, owner in active if state == "running" and not self._is_alive(owner)]
        if not left and not any(state == "queued" for _, state, _ in active):
            return None
        process = self._processes.own()
        with self._database.transaction() as connection:
            for id, gone in left:
                _queue_again(connection, "id = ? AND owner = ?", id, gone)
            row = connection.execute(_NEXT, (None if kinds is None else json.dumps(list(kinds)),)).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE jobs SET state = 'running', started = ?, owner = ?, attempts = attempts + 1, done = 0, total = 0,"
                " message = '' WHERE id = ?",
                (now(), f"{process}.{owner}", row[0]),
            )
        return self.get(row[0])

    def goes_on(self, id: str, *, owner: str | None = None) -> bool:
        """Whether a running job goes on: False if it is cancelled or no longer this owner's."""
        rows = self._database.rows(f"SELECT cancel FROM jobs WHERE {_MINE}", (id, self._claim(owner)))
        return bool(rows) and not rows[0][0]

    def progress(self, id: str, done: int, total: int, message: str, *, owner: str | None = None) -> bool:
        """Record the progress of a running job. Returns False as `goes_on` does."""
        values = (done, total, _text(message)[:MESSAGE])
        with self._database.transaction() as connection:
            sql = f"UPDATE jobs SET done = ?, total = ?, message = ? WHERE {_MINE}"
            connection.execute(sql, (*values, id, self._claim(owner)))
        return self.goes_on(id, owner=owner)

    def _claim(self, owner: str | None) -> str | None:
        """The claim of this process that is stored in a job; None for any."""
        return None if owner is None else f"{self._processes.own()}.{owner}"

    def _is_alive(self, claim: str) -> bool:
        return self._processes.is_alive(claim.partition(".")[0])

    def finish(
        self, id: str, state: str, message: str = "", result: Mapping[str, Any] | None = None, *, owner: str | None = None
    ) -> Job:
        """End a running job as done, failed or cancelled. Returns the updated job. Raises JobMissing."""
        assert state in ENDED, state
        kept = None if result is None else json.dumps(dict(result))
        with self._database.transaction() as connection:
            connection.execute(
                f"UPDATE jobs SET state = ?, ended = ?, message = ?, result = ? WHERE {_MINE}",
                (state, now(), _text(message)[:MESSAGE], kept, id, self._claim(owner)),
            )
        return self.get(id)

    def release(self, id: str, *, owner: str | None = None) -> Job:
        """Return a running job to the queue, when its process shuts down; this is not counted as an attempt.

        Returns the updated job. Raises JobMissing.
        """
        claim = self._claim(owner)
        with self._database.transaction() as connection:
            connection.execute(f"UPDATE jobs SET attempts = attempts - 1 WHERE {_MINE}", (id, claim))
            _queue_again(connection, "id = ? AND owner = coalesce(?, owner)", id, claim)
        return self.get(id)


_NAMES = tuple(field.name for field in fields(Job))
_MINE = "id = ? AND owner = coalesce(?, owner) AND state = 'running'"
_NEXT = f"""
SELECT id FROM jobs AS job
WHERE state = 'queued' AND kind IN (SELECT value FROM json_each(coalesce(?, json_array(kind)))) AND NOT EXISTS (
    SELECT 1 FROM jobs AS earlier
    WHERE earlier.corpus = job.corpus AND earlier.kind = '{INDEX}' AND earlier.number < job.number
    AND earlier.state IN ('queued', 'running')
)
ORDER BY number LIMIT 1
"""


def _cancel(connection: Any, which: str, value: str) -> None:
    sql = f"UPDATE jobs SET state = 'cancelled', ended = ? WHERE state = 'queued' AND {which}"
    connection.execute(sql, (now(), value))
    connection.execute(f"UPDATE jobs SET cancel = 1 WHERE state = 'running' AND {which}", (value,))


def _queue_again(connection: Any, which: str, *values: Any) -> None:
    """Requeue these running jobs; cancel those with a pending cancellation, and fail those without attempts left."""
    which = f"state = 'running' AND {which}"
    connection.execute(f"UPDATE jobs SET state = 'cancelled', ended = ? WHERE {which} AND cancel", (now(), *values))
    connection.execute(
        f"UPDATE jobs SET state = 'failed', ended = ?, message = ? WHERE {which} AND attempts >= ?",
        (now(), f"Its process ended {ATTEMPTS} times; see the log of the service.", *values, ATTEMPTS),
    )
    connection.execute(f"UPDATE jobs SET state = 'queued', owner = '' WHERE {which}", values)


def _folder(request: str) -> str:
    """The folder of uploads in a stored request; "" without one."""
    found = json.loads(request).get("folder", "")
    return found if isinstance(found, str) and found.isalnum() else ""


def _text(text: str) -> str:
    """Text that SQLite accepts: lone surrogates become "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _job(row: tuple[Any, ...]) -> Job:
    facts = dict(zip(_NAMES, row, strict=True))
    facts["request"] = json.loads(facts["request"])
    facts["result"] = None if facts["result"] is None else json.loads(facts["result"])
    return Job(**facts)
