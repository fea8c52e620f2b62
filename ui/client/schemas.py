"""Response types of the API; unknown fields of a newer service are ignored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

T = TypeVar("T")
ENDED = ("done", "failed", "cancelled")


class ApiError(Exception):
    """An error of the service. status: HTTP status, 0 if unreachable; kind: problem type, such as CorpusMissing."""

    def __init__(self, detail: str, status: int = 0, kind: str = "", retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail, self.status, self.kind, self.retry_after = detail, status, kind, retry_after


class DocumentName(Struct, frozen=True):
    document_id: str
    source: str


class Passage(Struct, frozen=True):
    """document.text[start:end] == text, in code points. Ranks are 1-based, None in a ranking without the passage.

    missing: numbers, codes and names of the question that stand neither in the passage nor in its headings and source.
    also_in: other documents with the same text.
    recognised: whether the text of its page was recognised from a picture.
    """

    document_id: str
    source: str
    page: int | None
    language: str
    start: int
    end: int
    text: str
    dense_rank: int | None = None
    dense_score: float | None = None
    keyword_rank: int | None = None
    keyword_score: float | None = None
    fused_rank: int = 1
    fused_score: float = 0.0
    missing: tuple[str, ...] = ()
    also_in: tuple[DocumentName, ...] = ()
    recognised: bool = False


class Answer(Struct, frozen=True):
    """document.text[start:end] == text, in code points. passage: None for a stored answer."""

    text: str
    start: int
    end: int
    score: float
    document_id: str
    source: str
    page: int | None
    language: str
    content_hash: str
    passage: Passage | None = None
    recognised: bool = False


class NoAnswer(Struct, frozen=True):
    score: float
    threshold: float
    is_no_answer: bool


class Reply(Struct, frozen=True):
    """copies: ids of this reply's documents, in groups with the same text, or nearly the same."""

    question: str
    language: str
    answers: tuple[Answer, ...]
    passages: tuple[Passage, ...]
    no_answer: NoAnswer
    timings_ms: dict[str, float]
    models: dict[str, str]
    generation: int
    passages_read: int = 0
    stopped: str = "all"
    passages_retrieved: int = 0
    deepened: float | None = None
    copies: tuple[tuple[str, ...], ...] = ()

    @property
    def originals(self) -> dict[str, str]:
        """The id of each copied document, and of the first one with its text; documents without copies are left out."""
        return {id: group[0] for group in self.copies for id in group}


class WordHit(Struct, frozen=True):
    """A passage with the words of a search; marks: (start, end) of each word in the document's text."""

    document_id: str
    source: str
    page: int | None
    language: str
    start: int
    end: int
    text: str
    marks: tuple[tuple[int, ...], ...]
    score: float
    recognised: bool = False


class DocumentHits(Struct, frozen=True):
    document_id: str
    source: str
    passages: int


class WordHits(Struct, frozen=True):
    """passages, documents: how many match. hits: some of the passages, best first; by_document: how many in each."""

    query: str
    passages: int
    documents: int
    hits: tuple[WordHit, ...]
    by_document: tuple[DocumentHits, ...]
    generation: int
    ms: float


class FailedQuestion(Struct, frozen=True):
    """The entry of a batch for a question that failed."""

    question: str
    error: str


class Event(Struct, frozen=True):
    """One event of a stream: passages; answers, with `read` of `of` passages read; or reply."""

    name: str
    passages: tuple[Passage, ...] = ()
    answers: tuple[Answer, ...] = ()
    read: int = 0
    of: int = 0
    reply: Reply | None = None


class ReadAnswer(Struct, frozen=True):
    answer: str
    start: int
    end: int
    score: float


class SkippedFile(Struct, frozen=True):
    source: str
    reason: str


class Corpus(Struct, frozen=True):
    """languages: code -> {"documents", "passages"}; skipped: files that could not be read, if requested.

    deepened: share of the passages that have a sentence vector, 0 to 1; None for an index of one tier.
    """

    name: str
    title: str
    embedder: str
    created: str
    documents: int
    passages: int
    languages: dict[str, dict[str, int]]
    generation: int
    bytes: int
    skipped: tuple[SkippedFile, ...] = ()
    deepened: float | None = None


class Job(Struct, frozen=True):
    """state: queued, running, done, failed or cancelled. result: of a finished job; lists omit it.

    name: of the file of questions.
    """

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
    result: dict[str, Any] | None = None
    name: str = ""


class UploadedFile(Struct, frozen=True):
    name: str
    source: str
    status: str
    reason: str


class UploadReceipt(Struct, frozen=True):
    """job: None if no file was stored."""

    job: Job | None
    files: tuple[UploadedFile, ...]


class ListedDocument(Struct, frozen=True):
    id: str
    source: str
    language: str
    type: str
    folder: str
    characters: int
    passages: int
    pages: int
    title: str
    meta: dict[str, Any]
    file: str = ""


class Documents(Struct, frozen=True):
    """facets, meta: counts of documents by value, for each facet and field; fields: documents with a field."""

    total: int
    documents: tuple[ListedDocument, ...]
    facets: dict[str, dict[str, int]]
    fields: dict[str, int] = {}
    meta: dict[str, dict[str, int]] = {}


class Document(Struct, frozen=True):
    """text: the slice start..end of `characters`. pages: start offset of each; headings: start, end, level.

    also_in: other documents with the same text.
    """

    id: str
    source: str
    language: str
    content_hash: str
    pages: tuple[int, ...]
    headings: tuple[tuple[int, ...], ...]
    meta: dict[str, Any]
    text: str
    start: int
    end: int
    characters: int
    page_count: int
    also_in: tuple[DocumentName, ...] = ()


class Page(Struct, frozen=True):
    """image: data URI; boxes: left, top, right, bottom in 0..1; exact: False if no box could be placed reliably."""

    page: int
    width: int
    height: int
    image: str
    boxes: tuple[tuple[float, ...], ...]
    exact: bool


class Feedback(Struct, frozen=True):
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


class SavedQuestion(Struct, frozen=True):
    """answers: of the last run; new, gone: what changed in them since the question was marked as seen."""

    id: str
    corpus: str
    question: str
    filters: dict[str, Any] | None
    settings: dict[str, Any]
    created: str
    ran: str | None
    answers: tuple[Answer, ...] = ()
    new: tuple[Answer, ...] = ()
    gone: tuple[Answer, ...] = ()


class Change(Struct, frozen=True):
    new: tuple[Answer, ...]
    gone: tuple[Answer, ...]
    same: int
    since: str | None
    reply: Reply


class Model(Struct, frozen=True):
    name: str
    kind: str
    model: str
    about: str
    languages: str
    licence: str
    available: bool
    reason: str


class Limits(Struct, frozen=True):
    """Bytes of a file and of an upload at most, and files of an upload."""

    file_bytes: int
    upload_bytes: int
    upload_files: int


class Readiness(Struct, frozen=True):
    ready: bool
    reason: str


class Figure(Struct, frozen=True):
    """A mean and its 95 % confidence interval, in percent."""

    value: float
    low: float
    high: float


class Difference(Struct, frozen=True):
    """Run B minus run A, with its confidence interval and p value."""

    value: float
    low: float
    high: float
    p: float


class EvaluationRow(Struct, frozen=True):
    """One row of a run's table; figures of other kinds of runs are None.

    retrieval: dense, keyword, fused -> {"recall": {"10": …}, "mrr", "ndcg"}. `silence`: the no-answer decision,
    {"precision", "recall", "accuracy"}. judged: raw, before, after -> {"error", "decided"}.
    """

    name: str
    questions: int
    answerable: int | None = None
    exact: Figure | None = None
    f1: Figure | None = None
    best_f1: float | None = None
    details: dict[str, float] = {}
    retrieval: dict[str, dict[str, Any]] | None = None
    silence: dict[str, float] | None = None
    judged: dict[str, dict[str, float]] | None = None
    fitted: bool | None = None


class EvaluationFile(Struct, frozen=True):
    name: str
    questions: int


class Evaluation(Struct, frozen=True):
    """A run. state: done, unfinished or broken; `problem` then gives the reason. Lists omit the fields from `about` on."""

    name: str
    kind: str
    state: str
    problem: str
    made: str
    reader: str
    embedder: str
    scorer: str
    asked: int
    answered: int
    languages: int
    files: tuple[EvaluationFile, ...]
    exact: Figure | None
    f1: Figure | None
    recall: float | None
    about: str = ""
    rows: tuple[EvaluationRow, ...] = ()
    mean: EvaluationRow | None = None
    all: EvaluationRow | None = None
    mean_leaves_out: tuple[str, ...] = ()
    confidence: float = 0.0
    resamples: int = 0
    matrix: dict[str, dict[str, float]] = {}
    retrieve: int | None = None
    fingerprints: dict[str, str] = {}
    plots: tuple[str, ...] = ()


class TextPiece(Struct, frozen=True):
    start: int
    text: str


class Prediction(Struct, frozen=True):
    """said: the text that is scored, "" for "no answer"; wanted: the right answers, empty if "no answer" is right.

    right, found: spans of the right answers and of the best span in the context; pieces: the context around them.
    """

    origin: str
    id: str
    row: str
    language: str
    question_language: str
    question: str | None
    wanted: tuple[str, ...]
    said: str
    best: str
    exact: float
    f1: float
    gap: float | None
    no_answer: float
    absent: str | None
    verdict: str
    right: tuple[tuple[int, ...], ...] = ()
    found: tuple[int, ...] | None = None
    pieces: tuple[TextPiece, ...] = ()


class Predictions(Struct, frozen=True):
    """One page of predictions. verdicts, rows: facet counts, each under the filter of the other."""

    total: int
    verdicts: dict[str, int]
    rows: dict[str, int]
    predictions: tuple[Prediction, ...]


class ComparisonRow(Struct, frozen=True):
    """a, b: F1 of both runs; better: "A", "B", or "" if the difference is not significant."""

    name: str
    questions: int
    a: float
    b: float
    exact: Difference
    f1: Difference
    better: str


class RunComparison(Struct, frozen=True):
    """Two runs compared row by row."""

    a: str
    b: str
    a_reader: str
    b_reader: str
    scorer: str
    rows: tuple[ComparisonRow, ...]
    all: ComparisonRow
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class File:
    """A downloaded file: name, media type, bytes."""

    name: str
    type: str
    data: bytes = field(repr=False)


def value(shape: type[T], data: Any) -> T:
    """Converts JSON to a type. Raises ApiError if it does not fit."""
    try:
        return msgspec.convert(data, shape)
    except msgspec.ValidationError as error:
        raise ApiError(f"The service answered otherwise than expected ({error}); is it another version?") from error
