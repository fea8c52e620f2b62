"""Rows of a table to values of a new column, from a context or from an index. Independent of Spark.

An invalid question (missing, empty, too long) or an empty text gives a value with a reason. Each process loads a reader and
an index once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from indexing.errors import SettingError
from qa_pipeline.settings import AskSettings, question_text

if TYPE_CHECKING:
    from qa_pipeline.answering.answerer import Answerer
    from qa_pipeline.answering.calibration import Calibration
    from qa_pipeline.answering.loaded_reader import LoadedReader
    from qa_pipeline.reading.readings import Reading

Values = dict[str, Any]
Column = Sequence[str | None]

SPAN = {"answer": "string", "start": "int", "end": "int", "score": "double"}
ANSWER: Values = {**SPAN, "no_answer": "boolean", "reason": "string"}
PLACED = {**SPAN, "document_id": "string", "source": "string", "page": "int", "language": "string"}
PASSAGE = {
    "text": "string",
    "start": "int",
    "end": "int",
    "document_id": "string",
    "source": "string",
    "page": "int",
    "language": "string",
}
REPLY: Values = {
    "answers": [PLACED],
    "no_answer": "boolean",
    "score": "double",
    "passages": [PASSAGE],
    "passages_read": "int",
    "passages_retrieved": "int",
    "reason": "string",
}


class Work(Protocol):
    """Maps the columns it reads to the values of the new column."""

    def __call__(self, *columns: Column) -> list[Values]: ...


@dataclass(frozen=True, slots=True)
class ReadRows:
    """Questions and contexts -> answers."""

    reader: str
    precision: str
    top_k: int
    threshold: float | None

    def __call__(self, *columns: Column) -> list[Values]:
        loaded = _reader(self.reader, self.precision, self.top_k)
        return read_rows(loaded, *columns, top_k=self.top_k, threshold=self.threshold)


@dataclass(frozen=True, slots=True)
class AskRows:
    """Questions -> replies from an index. find: returns the index folder on the executor's machine."""

    reader: str
    precision: str
    index: str
    find: Callable[[str], Path]
    settings: AskSettings
    filters: Mapping[str, Any] | None
    passages: int

    def __call__(self, *columns: Column) -> list[Values]:
        answerer = _answerer(self.find(self.index), self.reader, self.precision)
        return [self._reply(answerer, question) for question in columns[0]]

    def _reply(self, answerer: Answerer, question: str | None) -> Values:
        try:
            reply = answerer.ask(question or "", self.settings, self.filters)
        except SettingError as error:
            return {"reason": str(error)}
        answers = [
            {**{name: getattr(found, name) for name in PLACED if name != "answer"}, "answer": found.text}
            for found in reply.answers
        ]
        return {
            "answers": answers,
            "no_answer": reply.no_answer.is_no_answer,
            "score": reply.no_answer.score if reply.no_answer.is_no_answer else answers[0]["score"],
            "passages": [{name: getattr(p, name) for name in PASSAGE} for p in reply.passages[: self.passages]],
            "passages_read": reply.passages_read,
            "passages_retrieved": reply.passages_retrieved,
        }


def read_rows(
    loaded: LoadedReader, questions: Column, contexts: Column, *, top_k: int = 1, threshold: float | None = None
) -> list[Values]:
    """A value of the shape ANSWER for each question and its context; all pairs are batched together."""
    from qa_pipeline.reading.readings import read_pairs

    told: list[Values] = [{"reason": _why_not(*pair)} for pair in zip(questions, contexts, strict=True)]
    asked = [n for n, row in enumerate(told) if not row["reason"]]
    pairs = [(question_text(questions[n]), contexts[n] or "") for n in asked]
    for n, pair, reading in zip(asked, pairs, read_pairs(loaded.reader, pairs), strict=True):
        told[n] = _values(*pair, reading, loaded.calibration, top_k, threshold)
    return told


def _values(
    question: str, context: str, reading: Reading, calibration: Calibration, top_k: int, threshold: float | None
) -> Values:
    from indexing.text.language_id import detect_question
    from qa_pipeline.answering.verdict import best_score, candidates, decide, distinct
    from qa_pipeline.retrieval.fact_evidence import text_evidence

    asked = detect_question(question, tuple(calibration.languages))
    calibration = calibration.of(asked)
    evidence = [text_evidence(question, asked, context)]
    found = distinct(candidates([reading], [context], calibration, evidence), attrgetter("passage"), top_k)
    verdict = decide(best_score(found), calibration.threshold if threshold is None else threshold)
    if verdict.is_no_answer:
        return {"score": verdict.score, "no_answer": True, "answers": []}
    answers = [
        {"answer": context[one.start : one.end], "start": one.start, "end": one.end, "score": one.score} for one in found
    ]
    return {**answers[0], "no_answer": False, "answers": answers}


def _why_not(question: str | None, context: str | None) -> str | None:
    try:
        question_text(question)
    except SettingError as error:
        return str(error)
    return None if context and context.strip() else "The context is empty."


@lru_cache(maxsize=2)
def _reader(name: str, precision: str, top_k: int) -> LoadedReader:
    """The reader of this process, loaded once, with at least top_k spans per text."""
    from indexing.models.registry import resolve
    from qa_pipeline.answering.calibration import calibration_of
    from qa_pipeline.answering.loaded_reader import LoadedReader
    from qa_pipeline.reading.load import load_reader

    model = resolve(name, "reader")
    return LoadedReader(load_reader(model, precision=precision, count=top_k), model.name, calibration_of(model))


@lru_cache(maxsize=2)
def _answerer(index: Path, reader: str, precision: str) -> Answerer:
    """The answerer of this process, opened once."""
    from qa_pipeline.answering.answerer import Answerer

    return Answerer.open(index, reader, precision=precision)


def arrow_type(shape: Any) -> Any:
    """A shape as an Arrow type."""
    import pyarrow as pa

    if isinstance(shape, dict):
        return pa.struct([(name, arrow_type(part)) for name, part in shape.items()])
    if isinstance(shape, list):
        return pa.list_(arrow_type(shape[0]))
    return {"string": pa.string(), "int": pa.int32(), "double": pa.float64(), "boolean": pa.bool_()}[shape]
