"""Question files: a batch of questions in, one row with the best answer per question out.

A question file is CSV (any encoding and delimiter), XLSX, JSON or JSON lines, with a column or field `question`. The columns
`corpus`, `filters` and `id` are optional. Other columns are ignored, so that a file of answers can be asked again.
Invariants, each tested:

* A file with a mistake in any row is refused as a whole before any question is asked. The error has one sentence per row.
* An empty question is no mistake: it gives a row with an error. A file of empty questions only is refused.
* A failed question gives a row with an error; the batch goes on.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from indexing.errors import DocqaError, FilterError, SettingError
from indexing.store.filters import Filter, parse_terms, where
from qa_pipeline.answers import Answer, Reply
from qa_pipeline.errors import JobCancelled
from qa_pipeline.service.spreadsheets import BEYOND, WRITERS, Record, read_records
from qa_pipeline.settings import question_text

Report = Callable[[int, int, str], None]

KINDS = tuple(WRITERS)
NAMES = {"question": "question", "id": "id", "corpus": "corpus", "filters": "filters", "filter": "filters"}
ROWS = "answers.jsonl"
MISTAKES_SHOWN = 10
_SURROGATE = re.compile("[\ud800-\udfff]")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchQuestion:
    """One question of a file, "" for an empty one. row: number of its row, from 1; id: from the file, else the row.

    corpus: "" for none.
    """

    question: str
    row: int = 0
    id: str = ""
    corpus: str = ""
    filters: Filter | None = None


@dataclass(frozen=True, slots=True)
class AnsweredRow:
    """A question with its best answer.

    Without an answer no_answer is true and answer is "". For a failed question error has the message and no_answer is None.
    language: of the question. score, no_answer_score: in [0, 1]. start, end: code points in the document's text.
    passages_read: number of passages that were read; without an answer, it is in none of these.
    """

    id: str
    corpus: str
    question: str
    language: str = ""
    answer: str = ""
    score: float | None = None
    no_answer: bool | None = None
    no_answer_score: float | None = None
    source: str = ""
    page: int | None = None
    start: int | None = None
    end: int | None = None
    document_id: str = ""
    link: str = ""
    error: str = ""
    passages_read: int | None = None


COLUMNS = tuple(field.name for field in fields(AnsweredRow))


# -- reading -----------------------------------------------------------------------------------------------------------


def read_questions(path: Path, name: str, limit: int, *, corpus: str = "") -> list[BatchQuestion]:
    """Read the questions of a file in order, at most `limit`.

    name: the file's name, whose suffix determines the format. corpus: for questions without a corpus.
    Raises SettingError with one sentence per mistake, each with its row.
    """
    asked: list[BatchQuestion] = []
    mistakes: list[str] = []
    for row, record in read_records(path.read_bytes(), name, "question", limit + 1):
        if len(asked) + len(mistakes) == limit:
            raise SettingError(f"The file holds more than {limit:,} questions; split it into several.")
        try:
            asked.append(_batch_question(row, record, corpus))
        except DocqaError as error:
            mistakes.append(f"Row {row:,}: {error}")
    if asked and not mistakes and not any(one.question for one in asked):
        raise SettingError(f"The file holds no question; {len(asked):,} rows are empty.")
    if mistakes:
        more = f" {len(mistakes) - MISTAKES_SHOWN:,} more rows have mistakes." if len(mistakes) > MISTAKES_SHOWN else ""
        raise SettingError(" ".join(mistakes[:MISTAKES_SHOWN]) + more)
    if not asked:
        raise SettingError("The file holds no question.")
    return asked


def _batch_question(row: int, record: Record, corpus: str) -> BatchQuestion:
    """One record as a question. Raises SettingError or FilterError, whose messages do not name the row."""
    values = _known_columns(record)
    question = values.get("question")
    if question is not None and not isinstance(question, str):
        raise SettingError("The question is not a text.")
    text = question_text(question) if question and question.strip() else ""
    name = _plain(values, "id") or str(row)
    return BatchQuestion(text, row, name, _plain(values, "corpus") or corpus, filters_of(values.get("filters")))


def _known_columns(record: Record) -> dict[str, object]:
    """The values of the known columns, by name. Raises SettingError."""
    values: dict[str, object] = {}
    for field, value in record:
        if field == BEYOND:
            raise SettingError("It has more cells than the first row; put quotes around a text that holds the delimiter.")
        name = NAMES.get(field.strip().lower())
        if name in values:
            raise SettingError(f"Two columns are named `{name}`.")
        if name is not None:
            values[name] = value
    if _SURROGATE.search(json.dumps(values, ensure_ascii=False)):
        raise SettingError("It holds half of a character (a lone surrogate).")
    return values


def _plain(values: Mapping[str, object], name: str) -> str:
    value = values.get(name)
    if isinstance(value, Mapping | list):
        raise SettingError(f"Its {name} is neither a text nor a number.")
    return "" if value is None else str(value).strip()


def filters_of(value: object) -> Filter | None:
    """Parse the filter of a cell: terms separated by ";" or newlines, or Haystack's notation as JSON. Raises FilterError.

    >>> filters_of("language=de; year>=1912")
    {'$and': [{'$or': [{'language': {'$eq': 'de'}}]}, {'$or': [{'year': {'$gte': 1912}}]}]}
    """
    if isinstance(value, str) and value.strip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise FilterError("The filter begins like JSON, but is not valid JSON.") from None
    elif isinstance(value, str):
        value = parse_terms(term for term in re.split(r"[;\n]", value) if term.strip())
    if value is not None:
        where(value)  # type: ignore[arg-type]
    return value  # type: ignore[return-value]


# -- asking ------------------------------------------------------------------------------------------------------------


def api_link(corpus: str, answer: Answer) -> str:
    """The API path of an answer's text."""
    return f"/v1/corpora/{quote(corpus)}/documents/{quote(answer.document_id)}?start={answer.start}&end={answer.end}"


def run_questions(
    asked: Sequence[BatchQuestion],
    ask: Callable[[BatchQuestion], Reply],
    report: Report,
    *,
    link: Callable[[str, Answer], str] = api_link,
    into: list[AnsweredRow] | None = None,
) -> list[AnsweredRow]:
    """Ask the questions one after another; one row each, in order. JobCancelled and errors of `report` end the batch.

    into: the list that the rows are added to, for a caller that keeps those of a batch that was ended.
    """
    rows: list[AnsweredRow] = [] if into is None else into
    for question in asked:
        report(len(rows), len(asked), "")
        rows.append(_answer(question, ask, link))
    report(len(rows), len(asked), "")
    return rows


def _answer(asked: BatchQuestion, ask: Callable[[BatchQuestion], Reply], link: Callable[[str, Answer], str]) -> AnsweredRow:
    """The row of a question, with an answer or an error. The log has the traceback of a defect, not the question."""
    if not asked.question:
        return AnsweredRow(asked.id, asked.corpus, "", error=f"Row {asked.row:,} has no question.")
    try:
        return _row(asked, ask(asked), link)
    except JobCancelled:
        raise
    except DocqaError as error:
        told = str(error)
    except Exception as error:
        name = type(error).__name__
        log.error("a question of a batch failed: %s\n%s", name, "".join(traceback.format_tb(error.__traceback__)))
        told = f"This question could not be answered because of an internal error ({name}); see the log of the service."
    return AnsweredRow(asked.id, asked.corpus, asked.question, error=told)


def _row(asked: BatchQuestion, reply: Reply, link: Callable[[str, Answer], str]) -> AnsweredRow:
    values: dict[str, Any] = {"no_answer": not reply.answers, "no_answer_score": reply.no_answer.score}
    values["passages_read"] = reply.passages_read
    if reply.answers:
        best = reply.answers[0]
        values |= {"answer": best.text, "score": best.score, "source": best.source, "page": best.page}
        values |= {"start": best.start, "end": best.end, "document_id": best.document_id}
        values |= {"link": link(asked.corpus, best)}
    return AnsweredRow(asked.id, asked.corpus, asked.question, reply.language, **values)


# -- writing -----------------------------------------------------------------------------------------------------------


def write_answers(rows: Iterable[AnsweredRow], kind: str, out: BinaryIO) -> None:
    """Write rows as "csv", "xlsx" or "jsonl". `out` stays open. Raises SettingError for another kind."""
    if kind not in WRITERS:
        raise SettingError(f"Answers are written as {', '.join(KINDS)}, not as {kind!r}.")
    WRITERS[kind](COLUMNS, ([getattr(row, name) for name in COLUMNS] for row in rows), out)
