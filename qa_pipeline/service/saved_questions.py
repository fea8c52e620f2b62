"""Saved questions, asked again with only the changes since the last run.

Two answers are the same when they are the same span of the same document. Invariants, each held by a test:

    same + new are the answers of this run, same + gone those of the last one
    of runs at the same time, each change is told by one of them only
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from indexing.errors import DocumentMissing, SettingError
from indexing.store.filters import Filter, where
from qa_pipeline.answers import Answer, AnswerQuotation, Asker, Reply
from qa_pipeline.service.feedback import encodable
from qa_pipeline.service.service_db import Database, new_id, now
from qa_pipeline.settings import AskSettings, question_text

SCHEMA = """
CREATE TABLE IF NOT EXISTS saved (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    corpus TEXT NOT NULL,
    question TEXT NOT NULL,
    filters TEXT NOT NULL,
    settings TEXT NOT NULL,
    created TEXT NOT NULL,
    ran TEXT,
    answers TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX IF NOT EXISTS saved_corpus ON saved (corpus);
"""
COLUMNS = "id, corpus, question, filters, settings, created, ran"
SETTINGS = tuple(field.name for field in fields(AskSettings))


class SavedQuestion(Struct, frozen=True):
    """A question that is kept. settings: those of AskSettings that were chosen. created, ran: ISO 8601, UTC; None: never."""

    id: str
    corpus: str
    question: str
    filters: dict[str, Any] | None
    settings: dict[str, Any]
    created: str
    ran: str | None


class Change(Struct, frozen=True):
    """What a run found that the last one had not. gone: answers as told then. since: when that was; None: never."""

    new: tuple[Answer, ...]
    gone: tuple[AnswerQuotation, ...]
    same: int
    since: str | None
    reply: Reply


Entries = list[SavedQuestion]
StoredAnswers = list[AnswerQuotation]


class SavedQuestions:
    """The saved questions of all corpora of a home folder. Safe from any thread and any process."""

    def __init__(self, database: Path) -> None:
        self._database = Database(database, SCHEMA)

    def add(
        self,
        corpus: str,
        question: str,
        filters: Filter | None = None,
        settings: AskSettings | Mapping[str, Any] | None = None,
    ) -> SavedQuestion:
        """Keep a question. Raises SettingError, FilterError."""
        asked = encodable(question_text(question))
        where(filters)
        chosen = asdict(settings) if isinstance(settings, AskSettings) else dict(settings or {})
        ask_settings(chosen)
        row = (new_id(), corpus, asked, json.dumps(filters, default=list), json.dumps(chosen), now(), None)
        with self._database.transaction() as connection:
            connection.execute(f"INSERT INTO saved ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return _saved(row)

    def list(self, corpus: str) -> Entries:
        """The saved questions of a corpus, the newest first."""
        rows = self._database.rows(f"SELECT {COLUMNS} FROM saved WHERE corpus = ? ORDER BY number DESC", (corpus,))
        return [_saved(row) for row in rows]

    def get(self, id: str, *, corpus: str | None = None) -> SavedQuestion:
        """One of them; with `corpus` only if it is of that corpus. Raises DocumentMissing where there is none."""
        sql = f"SELECT {COLUMNS} FROM saved WHERE id = ? AND corpus = coalesce(?, corpus)"
        rows = self._database.rows(sql, (id, corpus))
        if not rows:
            raise _missing(id)
        return _saved(rows[0])

    def delete(self, id: str, *, corpus: str | None = None) -> None:
        """Forget one of them; with `corpus` only if it is of that corpus. Raises DocumentMissing where there is none."""
        if not self._database.delete("saved", id, corpus):
            raise _missing(id)

    def forget(self, corpus: str) -> int:
        """Forget all saved questions of a corpus that is deleted. How many they were."""
        return self._database.delete_corpus("saved", corpus)

    def run(self, id: str, asker: Asker, *, corpus: str | None = None) -> Change:
        """Ask again, and compare with the last run; this run is the last one from now on.

        Raises DocumentMissing where there is no such question, and whatever the asker raises: then nothing is remembered.
        """
        saved = self.get(id, corpus=corpus)
        reply = asker.ask(saved.question, ask_settings(saved.settings), saved.filters)
        answers = msgspec.json.encode(msgspec.convert(reply.answers, StoredAnswers, from_attributes=True)).decode()
        with self._database.transaction() as connection:
            row = connection.execute("SELECT answers, ran FROM saved WHERE id = ?", (id,)).fetchone()
            if row is None:
                raise _missing(id)
            connection.execute("UPDATE saved SET answers = ?, ran = ? WHERE id = ?", (answers, now(), id))
        return compare(msgspec.json.decode(row[0], type=StoredAnswers), reply, row[1])


def ask_settings(chosen: Mapping[str, Any]) -> AskSettings:
    """The settings that were chosen, all others as they are by default. Raises SettingError."""
    unknown = [name for name in chosen if name not in SETTINGS]
    if unknown:
        raise SettingError(f"There is no setting {unknown[0]!r}; there are {', '.join(SETTINGS)}.")
    return AskSettings(**chosen)


def compare(last: StoredAnswers, reply: Reply, since: str | None) -> Change:
    """What is new in a reply, and what is gone of the answers told last."""
    before, after = set(map(_span, last)), set(map(_span, reply.answers))
    new = tuple(answer for answer in reply.answers if _span(answer) not in before)
    gone = tuple(answer for answer in last if _span(answer) not in after)
    return Change(new, gone, len(before & after), since, reply)


def _span(answer: AnswerQuotation) -> tuple[str, int, int, str]:
    return answer.document_id, answer.start, answer.end, answer.text


def _saved(row: tuple[Any, ...]) -> SavedQuestion:
    id, corpus, question, filters, settings, created, ran = row
    return SavedQuestion(id, corpus, question, json.loads(filters), json.loads(settings), created, ran)


def _missing(id: str) -> DocumentMissing:
    return DocumentMissing(f"No saved question has the id {id!r}; list the corpus's saved questions to see which there are.")
