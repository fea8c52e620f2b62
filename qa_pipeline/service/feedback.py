"""The feedback store: judgements on answers, verified against documents, exported as SQuAD 2.0.

Invariants, each tested:

* The text of stored feedback is the document's text at its offsets.
* In an export, `context[answer_start : answer_start + len(text)] == text`, in code points.
* For one question and one document, the latest entry on each span wins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import Struct

from indexing.documents import Document
from indexing.errors import DocumentMissing, SettingError
from indexing.store.corpus_db import IndexFolder
from qa_pipeline.service.service_db import Database, new_id, now
from qa_pipeline.settings import question_text

VERDICTS = ("right", "wrong", "corrected")
CHANGED = "the document has changed or is gone"
NO_DOCUMENT = "no document was named"
NO_LABEL = "a span is wrong, and the right answer is unknown"

SCHEMA = """
CREATE TABLE IF NOT EXISTS feedback (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    corpus TEXT NOT NULL,
    question TEXT NOT NULL,
    verdict TEXT NOT NULL,
    document_id TEXT,
    content_hash TEXT,
    start INTEGER,
    "end" INTEGER,
    text TEXT,
    created TEXT NOT NULL,
    key TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS feedback_corpus ON feedback (corpus);
"""
COLUMNS = 'id, corpus, question, verdict, document_id, content_hash, start, "end", text, created, key'


class Feedback(Struct, frozen=True):
    """One judgement on an answer. Offsets are code points in the document's text; None: no span or no document.

    verdict: "right" or "corrected": this span answers the question. "wrong": this span does not; without a span, the
    document has no answer. created: ISO 8601, UTC. key: id of the API key of the request, or "".
    """

    id: str
    corpus: str
    question: str
    verdict: str
    document_id: str | None
    content_hash: str | None
    start: int | None
    end: int | None
    text: str | None
    created: str
    key: str


Entries = list[Feedback]


class FeedbackStore:
    """The feedback of all corpora of a home folder. Safe from any thread and any process."""

    def __init__(self, database: Path) -> None:
        self._database = Database(database, SCHEMA)

    def add(
        self,
        corpus: str,
        folder: IndexFolder,
        *,
        question: str,
        verdict: str,
        document_id: str | None = None,
        start: int | None = None,
        end: int | None = None,
        text: str | None = None,
        key: str = "",
    ) -> Feedback:
        """Store feedback durably. White space at the ends of a span is stripped.

        Raises SettingError for input that contradicts itself or the document, DocumentMissing.
        """
        asked = encodable(question_text(question))
        if verdict not in VERDICTS:
            raise SettingError(f"The verdict is {verdict!r}; it must be one of {', '.join(VERDICTS)}.")
        document = None if document_id is None else folder.document(document_id)
        span = _span(document, start, end, text)
        if span is None and verdict != "wrong":
            raise SettingError(f"The verdict {verdict!r} needs a document_id, a start and an end: the span that answers.")
        first, last, marked = span or (None, None, None)
        digest = document.content_hash if document else None
        said = Feedback(new_id(), corpus, asked, verdict, document_id, digest, first, last, marked, now(), key)
        values = [getattr(said, name.strip(' "')) for name in COLUMNS.split(",")]
        with self._database.transaction() as connection:
            connection.execute(f"INSERT INTO feedback ({COLUMNS}) VALUES ({', '.join('?' * len(values))})", values)
        return said

    def list(self, corpus: str, limit: int | None = None) -> Entries:
        """The feedback on a corpus, newest first."""
        sql = f"SELECT {COLUMNS} FROM feedback WHERE corpus = ? ORDER BY number DESC LIMIT ?"
        return [Feedback(*row) for row in self._database.rows(sql, (corpus, -1 if limit is None else limit))]

    def get(self, id: str, *, corpus: str) -> Feedback:
        """One entry on a corpus. Raises DocumentMissing."""
        rows = self._database.rows(f"SELECT {COLUMNS} FROM feedback WHERE id = ? AND corpus = ?", (id, corpus))
        if not rows:
            raise no_feedback(id)
        return Feedback(*rows[0])

    def delete(self, id: str, *, corpus: str | None = None) -> None:
        """Delete one entry; with `corpus`, only if it belongs to that corpus. Raises DocumentMissing."""
        if not self._database.delete("feedback", id, corpus):
            raise no_feedback(id)

    def forget(self, corpus: str) -> int:
        """Delete all feedback on a corpus. Returns the number of entries."""
        return self._database.delete_corpus("feedback", corpus)

    def quoted(self, corpus: str) -> set[str]:
        """The ids of the documents that the feedback on a corpus quotes."""
        sql = "SELECT DISTINCT document_id FROM feedback WHERE corpus = ? AND text IS NOT NULL AND document_id IS NOT NULL"
        return {row[0] for row in self._database.rows(sql, (corpus,))}

    def forget_texts(self, corpus: str, documents: Iterable[str]) -> None:
        """Remove the quotations of deleted documents; the judgements stay, without a span."""
        sql = 'UPDATE feedback SET text = NULL, start = NULL, "end" = NULL WHERE corpus = ? AND document_id = ?'
        with self._database.transaction() as connection:
            connection.executemany(sql, [(corpus, document) for document in documents])

    def squad(self, corpus: str, folder: IndexFolder) -> dict[str, Any]:
        """Export the feedback as SQuAD 2.0: an article with one paragraph for each document, by source.

        Entries without a valid label are left out. "docqa_skipped" is their number, "docqa_skipped_because" the numbers by
        reason.
        """
        return squad(reversed(self.list(corpus)), folder)


def no_feedback(id: str) -> DocumentMissing:
    """The error for an id of no feedback."""
    return DocumentMissing(f"No feedback has the id {id[:80]!r}; list the corpus's feedback to see which there are.")


def encodable(text: str) -> str:
    """Return `text` if it can be encoded as UTF-8. Raises SettingError."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SettingError("The question holds half of a character (a lone surrogate).") from None
    return text


def _span(document: Document | None, start: int | None, end: int | None, text: str | None) -> tuple[int, int, str] | None:
    """(start, end, text) of the marked span, stripped of white space; None without a span. Raises SettingError."""
    if start is None and end is None and text is None:
        return None
    if document is None:
        raise SettingError("A span needs the document_id of the document that it is in.")
    numbers = all(isinstance(value, int) and not isinstance(value, bool) for value in (start, end))
    if not numbers or start is None or end is None:
        raise SettingError("A span needs a start and an end, as whole numbers; texts are never searched for.")
    if not 0 <= start < end <= len(document.text):
        raise SettingError(f"The span {start}..{end} is not inside the document's {len(document.text):,} characters.")
    found = document.text[start:end]
    if text is not None and text != found:
        raise SettingError(f"The text given is not the document's text from {start} to {end}; open the document again.")
    if not found.strip():
        raise SettingError("The span holds nothing but white space.")
    start += len(found) - len(found.lstrip())
    return start, start + len(found.strip()), found.strip()


# -- export ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _LabelledQuestion:
    """The label of one question in one document so far: spans that answer it, or unanswerable."""

    question: str
    spans: dict[tuple[int, str], None] = field(default_factory=dict)
    unanswerable: bool = False
    entries: int = 0

    def add(self, said: Feedback) -> None:
        self.entries += 1
        if said.start is None or said.text is None:
            self.spans, self.unanswerable = {}, True
        elif said.verdict != "wrong":
            self.spans[said.start, said.text], self.unanswerable = None, False
        else:
            self.spans.pop((said.start, said.text), None)


def squad(entries: Iterable[Feedback], folder: IndexFolder) -> dict[str, Any]:
    """Feedback, oldest first, as SQuAD 2.0; see `FeedbackStore.squad`."""
    documents: dict[str, Document | None] = {}
    asked: dict[str, dict[str, _LabelledQuestion]] = {}
    skipped = {CHANGED: 0, NO_DOCUMENT: 0, NO_LABEL: 0}
    for said in entries:
        if said.document_id is None:
            skipped[NO_DOCUMENT] += 1
        elif not _stands(said, _document(documents, folder, said.document_id)):
            skipped[CHANGED] += 1
        else:
            questions = asked.setdefault(said.document_id, {})
            questions.setdefault(said.question, _LabelledQuestion(said.question)).add(said)
    found = [document for document in documents.values() if document is not None and document.id in asked]
    for document in found:
        skipped[NO_LABEL] += sum(q.entries for q in asked[document.id].values() if not _is_label(q))
    articles = [_article(document, asked[document.id]) for document in sorted(found, key=lambda d: d.source)]
    return {
        "version": "v2.0",
        "data": [article for article in articles if article["paragraphs"][0]["qas"]],
        "docqa_skipped": sum(skipped.values()),
        "docqa_skipped_because": {reason: count for reason, count in skipped.items() if count},
    }


def _document(documents: dict[str, Document | None], folder: IndexFolder, id: str) -> Document | None:
    if id not in documents:
        try:
            documents[id] = folder.document(id)
        except DocumentMissing:
            documents[id] = None
    return documents[id]


def _stands(said: Feedback, document: Document | None) -> bool:
    """Whether the document is unchanged since the feedback, and the span is its text at these offsets."""
    if document is None or document.content_hash != said.content_hash:
        return False
    return said.start is None or document.text[said.start : said.end] == said.text


def _is_label(asked: _LabelledQuestion) -> bool:
    return bool(asked.spans) or asked.unanswerable


def _article(document: Document, asked: dict[str, _LabelledQuestion]) -> dict[str, Any]:
    qas = [_qa(document.id, question) for question in asked.values() if _is_label(question)]
    return {"title": document.source, "paragraphs": [{"context": document.text, "qas": qas}]}


def _qa(document_id: str, asked: _LabelledQuestion) -> dict[str, Any]:
    """One SQuAD question. Its id is the same in every export and unique to question and document."""
    digest = hashlib.blake2b(f"{document_id}\0{asked.question}".encode(), digest_size=12)
    answers = [{"text": text, "answer_start": start} for start, text in asked.spans]
    return {"id": digest.hexdigest(), "question": asked.question, "answers": answers, "is_impossible": not answers}
