"""Question files: a batch of questions in, one row with the best answer out for each.

A file of questions is a table (CSV in any encoding and with any delimiter, or XLSX) whose first row names a column
`question`, or JSON or JSON lines with such a field. `corpus`, `filters` and `id` may stand beside it; other columns are
passed over, so a file of answers can be asked again. Invariants, each held by a test:

    a file with a mistake in any row is refused whole, before anything is asked, with a sentence for each such row
    one question that fails costs its own row its answer, never the batch
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
MISTAKES_SHOWN = 10
_SURROGATE = re.compile("[\ud800-\udfff]")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchQuestion:
    """One question of a file. row: where it stands there, from 1; id: its own, else the row; corpus: "" for none."""

    question: str
    row: int = 0
    id: str = ""
    corpus: str = ""
    filters: Filter | None = None


@dataclass(frozen=True, slots=True)
class AnsweredRow:
    """A question with its best answer. No answer: no_answer is true, answer "". Failed: error says why, no_answer is None.

    language: the question's. score, no_answer_score in [0, 1]; start, end: code points in the document's text.
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


COLUMNS = tuple(field.name for field in fields(AnsweredRow))


# -- reading -----------------------------------------------------------------------------------------------------------


def read_questions(path: Path, name: str, limit: int, *, corpus: str = "") -> list[BatchQuestion]:
    """The questions of a file, in its order, at most `limit`.

    name: what the file is called, which tells its format. corpus: for questions that name none.
    Raises SettingError: one sentence for each mistake, with its row; nothing is returned when there is any.
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
    if mistakes:
        more = f" {len(mistakes) - MISTAKES_SHOWN:,} more rows have mistakes." if len(mistakes) > MISTAKES_SHOWN else ""
        raise SettingError(" ".join(mistakes[:MISTAKES_SHOWN]) + more)
    if not asked:
        raise SettingError("The file holds no question.")
    return asked


def _batch_question(row: int, record: Record, corpus: str) -> BatchQuestion:
    """One record as a question. Raises SettingError or FilterError, without the row."""
    values = _known_columns(record)
    question = values.get("question")
    if question is not None and not isinstance(question, str):
        raise SettingError("The question is not a text.")
    text, name = question_text(question), _plain(values, "id") or str(row)
    return BatchQuestion(text, row, name, _plain(values, "corpus") or corpus, filters_of(values.get("filters")))


def _known_columns(record: Record) -> dict[str, object]:
    """The values that mean something here, by name."""
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
    """A filter from a cell: terms with ";" between, or Haystack's notation as JSON. Raises FilterError.

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
    """The address of an answer's text at this API."""
    return f"/v1/corpora/{quote(corpus)}/documents/{quote(answer.document_id)}?start={answer.start}&end={answer.end}"


def run_questions(
    asked: Sequence[BatchQuestion],
    ask: Callable[[BatchQuestion], Reply],
    report: Report,
    *,
    link: Callable[[str, Answer], str] = api_link,
) -> list[AnsweredRow]:
    """Ask them one after the other; a row for each, in order. What `report` raises, and JobCancelled, ends the batch."""
    rows: list[AnsweredRow] = []
    for question in asked:
        report(len(rows), len(asked), "")
        rows.append(_answer(question, ask, link))
    report(len(rows), len(asked), "")
    return rows


def _answer(asked: BatchQuestion, ask: Callable[[BatchQuestion], Reply], link: Callable[[str, Answer], str]) -> AnsweredRow:
    """Its row, or what went wrong. The log tells where a defect is, not what was asked."""
    try:
        return _row(asked, ask(asked), link)
    except JobCancelled:
        raise
    except DocqaError as error:
        told = str(error)
    except Exception as error:
        name = type(error).__name__
        log.error("a question of a batch failed: %s\n%s", name, "".join(traceback.format_tb(error.__traceback__)))
        told = f"This question could not be answered because of a defect of docqa ({name}); its log says where."
    return AnsweredRow(asked.id, asked.corpus, asked.question, error=told)


def _row(asked: BatchQuestion, reply: Reply, link: Callable[[str, Answer], str]) -> AnsweredRow:
    values: dict[str, Any] = {"no_answer": not reply.answers, "no_answer_score": reply.no_answer.score}
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
