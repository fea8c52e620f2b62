"""Request and response schemas, from which the OpenAPI document is generated.

Values of `qa_pipeline.answers`, feedback and saved questions are served without a schema of their own here.

Unknown fields are refused, so that a misspelled filter never gives an unfiltered question.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from qa_pipeline.answers import DocumentName
from qa_pipeline.settings import MAX_QUESTION, MAX_TOP_K

T = TypeVar("T")

Question = Annotated[str, Meta(min_length=1, max_length=MAX_QUESTION, pattern=r"\S")]
Words = Annotated[
    str, Meta(min_length=1, max_length=2_000, description='Only passages with these words, such as `"old bridge" OR tow*`.')
]
Filters = Annotated[
    dict[str, Any], Meta(description='Which passages are searched, in Haystack\'s notation, such as {"language": "de"}.')
]
Offset = Annotated[int, Meta(ge=0, le=2**53, description="Code points from the beginning of the text.")]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Milliseconds = Annotated[float, Meta(ge=0, le=3_600_000)]
Many = Annotated[int, Meta(ge=1, le=MAX_TOP_K)]


def to_schema(value: Any, shape: type[T]) -> T:
    """Convert a value to a response schema. Raises msgspec.ValidationError, which is a defect of docqa."""
    return msgspec.convert(value, shape, from_attributes=True)


# -- in ----------------------------------------------------------------------------------------------------------------


class CorpusBody(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]
    title: Annotated[str, Meta(max_length=200)] = ""
    embedder: Annotated[str, Meta(min_length=1, max_length=500)] = "builtin"


class SearchBody(Struct, forbid_unknown_fields=True):
    question: Question
    retrieve: Many | None = None
    filters: Filters | None = None
    words: Words | None = None


class WordsBody(Struct, forbid_unknown_fields=True):
    words: Words
    filters: Filters | None = None
    offset: Offset = 0
    limit: Many = 10


class AskBody(Struct, forbid_unknown_fields=True):
    question: Question
    top_k: Many | None = None
    retrieve: Many | None = None
    no_answer_threshold: Fraction | None = None
    thorough: bool | None = None
    read_at_least: Many | None = None
    budget_ms: Milliseconds | None = None
    filters: Filters | None = None
    words: Words | None = None


class AskBatchBody(Struct, forbid_unknown_fields=True):
    questions: list[AskBody]


class SearchBatchBody(Struct, forbid_unknown_fields=True):
    questions: list[SearchBody]


class ReadBody(Struct, forbid_unknown_fields=True):
    question: Question
    context: Annotated[str, Meta(min_length=1, pattern=r"\S")]


class ReadBatchBody(Struct, forbid_unknown_fields=True):
    items: list[ReadBody]


class FeedbackBody(Struct, forbid_unknown_fields=True):
    question: Question
    verdict: Literal["right", "wrong", "corrected"]
    document_id: str | None = None
    start: Offset | None = None
    end: Offset | None = None
    text: str | None = None


class SavedQuestionSettings(Struct, forbid_unknown_fields=True, omit_defaults=True):
    top_k: Many | None = None
    retrieve: Many | None = None
    no_answer_threshold: Fraction | None = None
    thorough: bool | None = None
    read_at_least: Many | None = None
    budget_ms: Milliseconds | None = None
    words: Words | None = None


class SavedQuestionBody(Struct, forbid_unknown_fields=True):
    question: Question
    filters: Filters | None = None
    settings: SavedQuestionSettings | None = None


# -- out ---------------------------------------------------------------------------------------------------------------


class Problem(Struct):
    """An error (RFC 9457). type: urn:docqa:problem:KIND. detail: one sentence that says what to do."""

    type: str
    title: str
    status: int
    detail: str


class ServerEvent(Struct):
    """One server-sent event. data: JSON; its schema depends on the event."""

    event: Literal["passages", "answers", "reply", "error"]
    data: str


class Replies(Struct):
    """replies: in the order of the questions; a Reply, or {"question", "error"} for a failed question."""

    replies: list[dict[str, Any]]


class ReadAnswer(Struct):
    answer: str
    start: int
    end: int
    score: float


class ReadAnswers(Struct):
    answers: list[ReadAnswer]


class Counts(Struct):
    documents: int
    passages: int


class CorpusStatus(Struct, kw_only=True):
    """The state of a corpus. broken: why it cannot be read, "" if it can; then the counts are 0."""

    name: str
    title: str
    embedder: str
    created: str
    documents: int
    passages: int
    languages: dict[str, Counts]
    generation: int
    bytes: int
    deepened: float | None
    broken: str = ""


class SkippedFile(Struct):
    source: str
    reason: str


class CorpusDetail(CorpusStatus, kw_only=True):
    skipped: list[SkippedFile]


class Job(Struct):
    id: str
    corpus: str
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    created: str
    started: str | None
    ended: str | None
    done: int
    total: int
    message: str
    result: dict[str, Any] | None
    name: Annotated[str, Meta(description="Of its file of questions.")] = ""


class AcceptedJob(Struct):
    job: Job


class UploadedFile(Struct):
    name: str
    source: str
    status: Literal["stored", "refused"]
    reason: str


class UploadReceipt(Struct):
    job: Job | None
    files: list[UploadedFile]


class DocumentText(Struct):
    """A document with its text, or a part of it.

    text: the part from start to end, in code points. characters: length of the whole text.
    also_in: other documents with the same text, by source; at most 100.
    """

    id: str
    source: str
    language: str
    content_hash: str
    pages: list[int]
    headings: list[list[int]]
    meta: dict[str, Any]
    text: str
    start: int
    end: int
    characters: int
    page_count: int
    also_in: list[DocumentName]


class Page(Struct):
    page: int
    width: int
    height: int
    image: str
    boxes: list[list[float]]
    exact: bool


class Model(Struct):
    name: str
    kind: str
    model: str
    about: str
    languages: str
    licence: str
    available: bool
    reason: str


class Health(Struct):
    status: str
    precision: str
    instruction_set: str


class Limits(Struct):
    """What one request may hold: bytes of a file and of an upload, files of an upload, questions, characters, passages."""

    file_bytes: int
    upload_bytes: int
    upload_files: int
    batch_questions: int
    file_questions: int
    read_chars: int
    top_k: int


class Readiness(Struct):
    ready: bool
    reason: str
