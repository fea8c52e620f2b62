"""Rows of a table to values of a new column, from a context or from an index. Independent of Spark.

What cannot be read gives a value with a reason: a missing, empty or too long question, an empty or too long text, bytes that
are no text, a text on which the reader fails. Each process loads a reader and an index once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from indexing.errors import DocqaError, SettingError, one_line
from indexing.files.file_text import FileLimits
from qa_pipeline.settings import AskSettings, question_text

if TYPE_CHECKING:
    from qa_pipeline.answering.answerer import Answerer
    from qa_pipeline.answering.calibration import Calibration
    from qa_pipeline.answering.loaded_reader import LoadedReader
    from qa_pipeline.answers import Reply
    from qa_pipeline.reading.readings import PassageReader, Reading

Values = dict[str, Any]
Column = Sequence[str | bytes | None]
"""Texts; None for null, bytes for what is not UTF-8."""

MAX_CONTEXT = FileLimits().max_chars
READ_CHARACTERS = 1_000_000
QUESTION_TOKENS = 68
SMALLEST_WINDOW = 96

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

    def __call__(self, *columns: Column) -> Sequence[Values | list[Values]]: ...


@dataclass(frozen=True, slots=True)
class ReadRows:
    """Questions and contexts -> answers.

    window: tokens that the model sees at once; None: the reader's own number. lowered: read in lower case.
    """

    reader: str
    precision: str
    top_k: int
    threshold: float | None
    window: int | None = None
    lowered: bool = False

    def __call__(self, *columns: Column) -> list[Values]:
        loaded = _reader(self.reader, self.precision, self.top_k, self.window)
        return read_rows(loaded, *columns, top_k=self.top_k, threshold=self.threshold, lowered=self.lowered)


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

    def _reply(self, answerer: Answerer, question: str | bytes | None) -> Values:
        try:
            reply = answerer.ask(asked_text(question, "question"), self.settings, self.filters)
        except SettingError as error:
            return {"reason": str(error)}
        return reply_values(reply, self.passages)


def reply_values(reply: Reply, passages: int) -> Values:
    """A reply as a value of the shape REPLY, with so many of its passages."""
    answers = [
        {**{name: getattr(found, name) for name in PLACED if name != "answer"}, "answer": found.text}
        for found in reply.answers
    ]
    return {
        "answers": answers,
        "no_answer": reply.no_answer.is_no_answer,
        "score": reply.no_answer.score if reply.no_answer.is_no_answer else answers[0]["score"],
        "passages": [{name: getattr(p, name) for name in PASSAGE} for p in reply.passages[:passages]],
        "passages_read": reply.passages_read,
        "passages_retrieved": reply.passages_retrieved,
    }


def read_rows(
    loaded: LoadedReader,
    questions: Column,
    contexts: Column,
    *,
    top_k: int = 1,
    threshold: float | None = None,
    lowered: bool = False,
) -> list[Values]:
    """A value of the shape ANSWER for each question and its context; pairs are batched together.

    lowered: the reader sees question and context in lower case; answers quote the context as it is.
    """
    told: list[Values] = [{"reason": _why_not(*pair)} for pair in zip(questions, contexts, strict=True)]
    asked = [(n, question_text(questions[n]), str(contexts[n])) for n, row in enumerate(told) if not row["reason"]]
    for part in _parts(asked):
        readings = _readings(loaded.reader, [(question, context) for _, question, context in part], lowered)
        for (n, question, context), reading in zip(part, readings, strict=True):
            told[n] = (
                {"reason": reading}
                if isinstance(reading, str)
                else _values(question, context, reading, loaded.calibration, top_k, threshold)
            )
    return told


def _parts(asked: Sequence[tuple[int, str, str]]) -> Iterator[list[tuple[int, str, str]]]:
    """The rows in runs of about READ_CHARACTERS, so that long contexts are not all in memory as windows."""
    part: list[tuple[int, str, str]] = []
    characters = 0
    for row in asked:
        if part and characters + len(row[2]) > READ_CHARACTERS:
            yield part
            part, characters = [], 0
        part.append(row)
        characters += len(row[2])
    if part:
        yield part


def _readings(reader: PassageReader, pairs: Sequence[tuple[str, str]], lowered: bool) -> list[Reading | str]:
    """The reading of each pair; the reason where the reader fails on that pair alone."""
    from qa_pipeline.reading.readings import read_pairs

    seen = [(_lower(question), _lower(context)) for question, context in pairs] if lowered else pairs
    try:
        return [*read_pairs(reader, seen)]
    except DocqaError:
        raise
    except Exception as error:
        if len(pairs) == 1:
            return [f"The reader fails on this text: {one_line(error)}"]
        return [found for pair in pairs for found in _readings(reader, [pair], lowered)]


def _lower(text: str) -> str:
    """The text in lower case, with as many code points.

    >>> _lower("ABC"), _lower("İI")
    ('abc', 'İi')
    """
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c if len(c.lower()) > 1 else c.lower() for c in text)


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


def _why_not(question: str | bytes | None, context: str | bytes | None) -> str | None:
    try:
        question_text(asked_text(question, "question"))
        text = asked_text(context, "context")
    except SettingError as error:
        return str(error)
    if len(text) > MAX_CONTEXT:
        return f"The context has {len(text):,} characters; {MAX_CONTEXT:,} are the most that are read."
    return None if text.strip() else "The context is empty."


def asked_text(value: str | bytes | None, what: str) -> str:
    """The value, "" for null. Raises SettingError for bytes."""
    if isinstance(value, bytes):
        raise SettingError(f"The {what} is not text in UTF-8.")
    return value or ""


@lru_cache(maxsize=2)
def _reader(name: str, precision: str, top_k: int, window: int | None = None) -> LoadedReader:
    """The reader of this process, loaded once, with at least top_k spans per text."""
    from indexing.models.registry import resolve
    from qa_pipeline.answering.calibration import calibration_of
    from qa_pipeline.answering.loaded_reader import LoadedReader
    from qa_pipeline.reading.load import load_reader, window_sizes

    model = resolve(name, "reader")
    sizes: dict[str, Any] = {} if window is None else window_of(window, window_sizes(model)["doc_stride"])
    return LoadedReader(load_reader(model, precision=precision, count=top_k, **sizes), model.name, calibration_of(model))


def window_of(tokens: int, stride: int) -> dict[str, int]:
    """Window and stride for a model that sees so many tokens at once. Beside the longest question, windows overlap.

    >>> window_of(128, 128), window_of(512, 128), window_of(1, 128)
    ({'max_seq_len': 128, 'doc_stride': 60}, {'max_seq_len': 512, 'doc_stride': 128}, {'max_seq_len': 96, 'doc_stride': 28})
    """
    size = max(SMALLEST_WINDOW, tokens)
    return {"max_seq_len": size, "doc_stride": min(stride, size // 2, size - QUESTION_TOKENS)}


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
    return {
        "string": pa.string(),
        "int": pa.int32(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "long": pa.int64(),
        "binary": pa.binary(),
        "floats": pa.list_(pa.float32()),
        "texts": pa.map_(pa.string(), pa.string()),
    }[shape]
