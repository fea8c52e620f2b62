"""The values of a reply: `Answer`, `Passage`, `NoAnswer`, `Timings`, `Reply`; and `Asker`, what an entry point needs.

They are msgspec structs: their fields, in this order, are the JSON of the REST API and of `docqa ask --json`.

Invariants, each held by a test, through every entry point:
    document.text[answer.start:answer.end] == answer.text, and the same for every passage
    "no answer" is a Reply without answers and with the closest passages, never an Answer with an empty text
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeVar

from msgspec import Struct

from indexing.store.filters import Filter
from qa_pipeline.errors import BrokenCitation
from qa_pipeline.settings import AskSettings

Stopped = Literal["all", "sure", "budget"]
Scope = Literal["language", "pooled", "none"]


class Passage(Struct, frozen=True):
    """A chunk as retrieved. Offsets are code points in the document's text; ranks begin at 1, None: not in that ranking."""

    document_id: str
    source: str
    page: int | None
    language: str
    start: int
    end: int
    text: str
    dense_rank: int | None
    dense_score: float | None
    keyword_rank: int | None
    keyword_score: float | None
    fused_rank: int
    fused_score: float


class AnswerQuotation(Struct, frozen=True):
    """A quotation, without its passage: what is remembered of an answer."""

    text: str
    start: int
    end: int
    score: float
    document_id: str
    source: str
    page: int | None
    language: str
    content_hash: str


class Answer(AnswerQuotation, frozen=True):
    """A quotation. score in [0, 1]: how sure the reader is of it against "no answer", comparable between passages."""

    passage: Passage


class NoAnswer(Struct, frozen=True):
    """Whether the documents say it at all: score in [0, 1], held against threshold, over the whole question."""

    score: float
    threshold: float
    is_no_answer: bool


class Timings(Struct, frozen=True):
    """Milliseconds of each stage."""

    embed: float
    retrieve: float
    read: float
    total: float


class UsedModels(Struct, frozen=True):
    """The names of the models that answered."""

    embedder: str
    reader: str


class Reply(Struct, frozen=True):
    """The whole answer to one question, from one generation of the index.

    language: the question's. passages_read: how many of the passages the reader read, in their order. stopped: why no
    more: "all" (there are no more), "sure" (an answer it is sure of), "budget" (the time was spent).
    calibration: whether its scores were learned from questions in this language ("language"), in several together
    ("pooled"), or not at all ("none").
    """

    question: str
    language: str
    answers: tuple[Answer, ...]
    passages: tuple[Passage, ...]
    no_answer: NoAnswer
    timings_ms: Timings
    models: UsedModels
    generation: int
    passages_read: int
    stopped: Stopped
    calibration: Scope


class Asker(Protocol):
    """Something that answers questions: what an entry point needs, and all it may know."""

    def ask(self, question: str, settings: AskSettings = ..., filters: Filter | None = None) -> Reply: ...


class QuotedDocument(Protocol):
    """What a quotation is of: a document's text and the hash of its content."""

    @property
    def text(self) -> str: ...

    @property
    def content_hash(self) -> str: ...


Quotation = TypeVar("Quotation", Answer, Passage)


def verify(quotation: Quotation, document: QuotedDocument, content_hash: str) -> Quotation:
    """The answer or passage, if it is the document's text at its offsets and of this hash. Raises BrokenCitation."""
    text = document.text[quotation.start : quotation.end]
    if not quotation.text or text != quotation.text or document.content_hash != content_hash:
        raise BrokenCitation(
            f"A quotation from {quotation.source} is not the text at {quotation.start}..{quotation.end} of that document;"
            " it was not sent. Run `docqa doctor` on the index."
        )
    return quotation
