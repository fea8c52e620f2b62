"""Deleted is gone: removes the text of deleted documents from feedback, saved questions, jobs and their answers.

The index of a corpus erases the texts themselves (`store.sqlite.Database.erase_deleted`). The tables of `service.db` and the
answers of question files quote them. Judgements and counts stay; only the quotations go.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from indexing.atomic_files import store
from indexing.errors import DocqaError
from indexing.store.sqlite import LOCK
from qa_pipeline.service.feedback import FeedbackStore
from qa_pipeline.service.job_store import JobStore
from qa_pipeline.service.question_files import ROWS
from qa_pipeline.service.saved_questions import SavedQuestions

Existing = Callable[[Iterable[str]], set[str]]
"""Those of some document ids, or sources, that still exist."""

DELETED = "The document of this answer was deleted."
QUOTING = ("answer", "source", "document_id", "link", "page", "start", "end", "score")
DAY_S = 86_400.0
ABANDONED_DAYS = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServiceTexts:
    """Everything of a home, beside its indexes, that quotes documents. uploads: the folder of question files."""

    feedback: FeedbackStore
    saved: SavedQuestions
    jobs: JobStore
    uploads: Path

    def forget_documents(self, corpus: str, existing: Existing, existing_sources: Existing) -> int:
        """Remove the quotations of documents of a corpus that no longer exist. Returns how many documents.

        existing, existing_sources: those of some ids and sources that the corpus has. Of a file that was replaced, the last
        answers to saved questions stay until the next run, which tells what changed.
        """
        quoted = self.feedback.quoted(corpus) | self.saved.quoted(corpus) | self._quoted(corpus)
        gone = quoted - existing(quoted)
        if gone:
            self.feedback.forget_texts(corpus, gone)
            self.saved.forget_texts(corpus, gone, existing_sources)
            for path in self._answers():
                _rewrite(path, lambda row: row["corpus"] == corpus and row["document_id"] in gone)
            self.erase()
        return len(gone)

    def forget_corpus(self, corpus: str) -> None:
        """Remove all that is kept of a deleted corpus, so that a new one of its name sees nothing of it."""
        for folder in self.jobs.forget(corpus):
            shutil.rmtree(self.uploads / folder, ignore_errors=True)
        self.feedback.forget(corpus)
        self.saved.forget(corpus)
        for path in self._answers():
            _rewrite(path, lambda row: row["corpus"] == corpus)
        self.erase()

    def sweep(self, days: float) -> None:
        """Remove uploads of no job after ABANDONED_DAYS, and results and jobs older than `days`."""
        self.jobs.forget_old(days)
        used, now = self.jobs.folders(), time.time()
        for folder in self.uploads.iterdir():
            try:
                if folder.stat().st_mtime < now - (days if folder.name in used else ABANDONED_DAYS) * DAY_S:
                    shutil.rmtree(folder, ignore_errors=True)
            except OSError:
                continue

    def erase(self) -> bool:
        """Empty the log of the service's database, whose deleted rows are overwritten. Returns False if it is in use."""
        try:
            return self.jobs.erase()
        except DocqaError as error:
            logger.warning("Deleted rows stay in the log of the service's database for now: %s", error)
            return False

    def _answers(self) -> Iterator[Path]:
        yield from sorted(self.uploads.glob(f"*/{ROWS}"))

    def _quoted(self, corpus: str) -> set[str]:
        return {
            str(row["document_id"])
            for path in self._answers()
            for row in _rows(path)
            if row["corpus"] == corpus and row["document_id"]
        }


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of answers; none if it is gone or damaged."""
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if isinstance(row, dict) and {"corpus", "document_id"} <= row.keys():
                    yield row
    except (OSError, ValueError) as error:
        logger.warning("The answers in %s cannot be read: %s", path.parent.name, type(error).__name__)


def _rewrite(path: Path, forget: Callable[[dict[str, Any]], bool]) -> None:
    """Write a file of answers again, if one of its rows is to be forgotten. One process and thread at a time."""
    if not any(forget(row) and row["document_id"] for row in _rows(path)):
        return
    with FileLock(str(path.parent.with_name(LOCK)), thread_local=False):
        rows = list(_rows(path))
        lines = [json.dumps(_without_quotation(row) if forget(row) else row, ensure_ascii=False) for row in rows]
        store(path, "".join(f"{line}\n" for line in lines).encode("utf-8"))


def _without_quotation(row: dict[str, Any]) -> dict[str, Any]:
    empty = {name: "" if isinstance(row.get(name), str) else None for name in QUOTING if name in row}
    return {**row, **empty, "error": DELETED} if row["document_id"] else row
