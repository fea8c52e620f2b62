"""Saved questions: running one again returns the changes since its last run.

Two answers are the same if they are the same span of the same document. Invariants, each tested:

* same + new are the answers of this run; same + gone are those of the last one.
* Of concurrent runs, only one reports each change.
* What changed stays with the question until it is marked as seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

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
    answers TEXT NOT NULL DEFAULT '[]',
    seen TEXT
);
CREATE INDEX IF NOT EXISTS saved_corpus ON saved (corpus);
"""
COLUMNS = "id, corpus, question, filters, settings, created, ran"
STORED = f"{COLUMNS}, answers, seen"
SETTINGS = tuple(field.name for field in fields(AskSettings))


class SavedQuestion(Struct, frozen=True):
    """A saved question. settings: the chosen fields of AskSettings.

    created, ran: ISO 8601, UTC; ran is the time of the last run, or None.
    answers: of the last run. new, gone: what changed in them since the question was marked as seen, or first run.
    """

    id: str
    corpus: str
    question: str
    filters: dict[str, Any] | None
    settings: dict[str, Any]
    created: str
    ran: str | None
    answers: tuple[AnswerQuotation, ...] = ()
    new: tuple[AnswerQuotation, ...] = ()
    gone: tuple[AnswerQuotation, ...] = ()


class Change(Struct, frozen=True):
    """The changes from the last run to this one.

    gone: answers of the last run that this run does not have; the text is "" if the document was deleted. same: number of
    answers in both. since: time of the last run, or None.
    """

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
        columns = "PRAGMA table_info(saved)"
        if "seen" in {row[1] for row in self._database.rows(columns)}:
            return
        with self._database.transaction() as connection:
            if "seen" not in {row[1] for row in connection.execute(columns)}:
                connection.execute("ALTER TABLE saved ADD COLUMN seen TEXT")
                connection.execute("UPDATE saved SET seen = answers WHERE ran IS NOT NULL")

    def add(
        self,
        corpus: str,
        question: str,
        filters: Filter | None = None,
        settings: AskSettings | Mapping[str, Any] | None = None,
    ) -> SavedQuestion:
        """Save a question, once for the same filters and settings. Raises SettingError, FilterError."""
        asked = encodable(question_text(question))
        where(filters)
        chosen = asdict(settings) if isinstance(settings, AskSettings) else dict(settings or {})
        ask_settings(chosen)
        row = (new_id(), corpus, asked, json.dumps(filters, default=list), json.dumps(chosen), now(), None)
        same = "corpus = ? AND question = ? AND filters = ? AND settings = ?"
        with self._database.transaction() as connection:
            known = connection.execute(f"SELECT {STORED} FROM saved WHERE {same}", row[1:5]).fetchone()
            if known is not None:
                return _saved(known)
            connection.execute(f"INSERT INTO saved ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return _saved((*row, "[]", None))

    def list(self, corpus: str) -> Entries:
        """The saved questions of a corpus, the newest first."""
        rows = self._database.rows(f"SELECT {STORED} FROM saved WHERE corpus = ? ORDER BY number DESC", (corpus,))
        return [_saved(row) for row in rows]

    def get(self, id: str, *, corpus: str | None = None) -> SavedQuestion:
        """A saved question; with `corpus`, only if it belongs to that corpus. Raises DocumentMissing."""
        sql = f"SELECT {STORED} FROM saved WHERE id = ? AND corpus = coalesce(?, corpus)"
        rows = self._database.rows(sql, (id, corpus))
        if not rows:
            raise _missing(id)
        return _saved(rows[0])

    def delete(self, id: str, *, corpus: str | None = None) -> None:
        """Delete a saved question; with `corpus`, only if it belongs to that corpus. Raises DocumentMissing."""
        if not self._database.delete("saved", id, corpus):
            raise _missing(id)

    def forget(self, corpus: str) -> int:
        """Delete all saved questions of a corpus. Returns their number."""
        return self._database.delete_corpus("saved", corpus)

    def quoted(self, corpus: str) -> set[str]:
        """The ids of the documents that the stored answers to the saved questions of a corpus quote."""
        rows = self._database.rows("SELECT answers, seen FROM saved WHERE corpus = ?", (corpus,))
        return {a.document_id for row in rows for stored in row if stored for a in _answers(stored) if a.text}

    def forget_texts(
        self, corpus: str, documents: Collection[str], existing_sources: Callable[[set[str]], set[str]]
    ) -> None:
        """Remove the texts of answers from deleted documents; the next run still counts them as gone.

        existing_sources: those of some sources that the corpus has. An answer from one stays, as its file was replaced.
        """

        def without(stored: str | None) -> str | None:
            answers = [] if stored is None else _answers(stored)
            kept = existing_sources({answer.source for answer in answers})
            gone = [a.document_id in documents and a.source not in kept for a in answers]
            left = [replace(a, text="") if out else a for a, out in zip(answers, gone, strict=True)]
            return msgspec.json.encode(left).decode() if any(gone) else stored

        rows = "SELECT id, answers, seen FROM saved WHERE corpus = ?"
        with self._database.transaction() as connection:
            for id, *stored in connection.execute(rows, (corpus,)).fetchall():
                left = [without(one) for one in stored]
                if left != stored:
                    connection.execute("UPDATE saved SET answers = ?, seen = ? WHERE id = ?", (*left, id))

    def see(self, id: str, *, corpus: str | None = None) -> SavedQuestion:
        """Mark the answers of the last run as seen; `new` and `gone` are then empty. Raises DocumentMissing."""
        self.get(id, corpus=corpus)
        with self._database.transaction() as connection:
            connection.execute("UPDATE saved SET seen = answers WHERE id = ? AND ran IS NOT NULL", (id,))
        return self.get(id, corpus=corpus)

    def run(self, id: str, asker: Asker, *, corpus: str | None = None) -> Change:
        """Run a saved question, compare with its last run, and store this run as the last one.

        Raises DocumentMissing for an unknown id, and the errors of the asker; then nothing is stored.
        """
        saved = self.get(id, corpus=corpus)
        reply = asker.ask(saved.question, ask_settings(saved.settings), saved.filters)
        answers = msgspec.json.encode(msgspec.convert(reply.answers, StoredAnswers, from_attributes=True)).decode()
        with self._database.transaction() as connection:
            row = connection.execute("SELECT answers, ran FROM saved WHERE id = ?", (id,)).fetchone()
            if row is None:
                raise _missing(id)
            sql = "UPDATE saved SET answers = ?, ran = ?, seen = coalesce(seen, ?) WHERE id = ?"
            connection.execute(sql, (answers, now(), answers, id))
        return compare(_answers(row[0]), reply, row[1])


def ask_settings(chosen: Mapping[str, Any]) -> AskSettings:
    """AskSettings with the chosen values, and defaults for all others. Raises SettingError."""
    unknown = [name for name in chosen if name not in SETTINGS]
    if unknown:
        raise SettingError(f"There is no setting {unknown[0]!r}; there are {', '.join(SETTINGS)}.")
    return AskSettings(**chosen)


def compare(last: StoredAnswers, reply: Reply, since: str | None) -> Change:
    """The changes from the answers of the last run to a reply."""
    before, after = set(map(_span, last)), set(map(_span, reply.answers))
    new = tuple(answer for answer in reply.answers if _span(answer) not in before)
    gone = tuple(answer for answer in last if _span(answer) not in after)
    return Change(new, gone, len(before & after), since, reply)


def _answers(stored: str) -> StoredAnswers:
    return msgspec.json.decode(stored, type=StoredAnswers)


def _span(answer: AnswerQuotation) -> tuple[str, int, int, str]:
    return answer.document_id, answer.start, answer.end, answer.text


def _saved(row: tuple[Any, ...]) -> SavedQuestion:
    id, corpus, question, filters, settings, created, ran, stored, seen = row
    answers = _answers(stored)
    before = answers if seen is None else _answers(seen)
    known, now_there = set(map(_span, before)), set(map(_span, answers))
    new = tuple(answer for answer in answers if _span(answer) not in known)
    gone = tuple(answer for answer in before if _span(answer) not in now_there)
    facts = (id, corpus, question, json.loads(filters), json.loads(settings), created, ran)
    return SavedQuestion(*facts, tuple(answers), new, gone)


def _missing(id: str) -> DocumentMissing:
    return DocumentMissing(f"No saved question has the id {id!r}; list the corpus's saved questions to see which there are.")
