"""The values of a reply: `Answer`, `Passage`, `NoAnswer`, `Timings`, `Reply`; and `Asker`, the protocol of entry points.

They are msgspec structs: their fields, in this order, are the JSON of the REST API and of `docqa ask --json`.

Invariants, each tested through every entry point:

* `document.text[answer.start:answer.end] == answer.text`, and the same for every passage.
* "No answer" is a Reply with the closest passages and without answers, never an Answer with an empty text.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeVar

from msgspec import Struct

from indexing.store.filters import Filter
from qa_pipeline.errors import BrokenCitation
from qa_pipeline.settings import AskSettings

Stopped = Literal["all", "sure", "budget"]
Scope = Literal["language", "pooled", "none"]


class DocumentName(Struct, frozen=True):
    """The id and the source of a document."""

    document_id: str
    source: str


class Passage(Struct, frozen=True):
    """A chunk as retrieved. Offsets are code points in the document's text.

    Ranks begin at 1; a rank and score of None mean that the passage is not in that ranking.
    missing: numbers, codes and names of the question that the passage, its headings and its source do not state.
    also_in: other documents with the same text that match the filters, by source; at most 100.
    recognised: whether the text of its page was recognised from a picture, and can have wrong letters.
    """

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
    missing: tuple[str, ...] = ()
    also_in: tuple[DocumentName, ...] = ()
    recognised: bool = False


class AnswerQuotation(Struct, frozen=True):
    """An answer without its passage, as saved questions store it.

    start, end: code points in the document's text. score: in [0, 1].
    """

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
    """A quotation with its passage. score: calibrated probability that it is right, comparable across passages.

    recognised: whether it quotes text that was recognised from a picture. Scores are not calibrated on such text.
    """

    passage: Passage
    recognised: bool = False


class NoAnswer(Struct, frozen=True):
    """The no-answer verdict over the whole question. It is "no answer" where score, in [0, 1], exceeds threshold."""

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
    """The complete result of one question, from one generation of the index.

    language: of the question. passages_read, passages_retrieved: the reader read the first of so many passages. `passages`
    are fewer only where documents were removed meanwhile.
    stopped: why reading ended: "all" (no passage is left), "sure" (a confident answer, which is given), "budget" (the time
    is spent).
    calibration: "language" (fitted on questions in this language), "pooled" (on several languages), or "none" (not fitted).
    deepened: share of the index's passages that have a sentence vector, 0 to 1; None for an index of one tier.
    copies: ids of this reply's documents in groups, where their texts are the same or nearly so (Jaccard index of at least
    0.8); a group counts as one source.
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
    passages_retrieved: int = 0
    deepened: float | None = None
    copies: tuple[tuple[str, ...], ...] = ()


class WordHit(Struct, frozen=True):
    """A passage that matches. Offsets are code points in the document's text; `text` is its text from start to end.

    marks: (start, end) of the query's words, in order, in the document's text. score: BM25 of the query's words.
    recognised: as in a passage.
    """

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
    """How many passages of a document match."""

    document_id: str
    source: str
    passages: int


class WordHits(Struct, frozen=True):
    """The result of a search by words.

    passages, documents: how many match. hits: a part of the passages, best first. by_document: the number of passages of
    each document that match, most first, of at most 1,000 documents. ms: milliseconds it took.
    """

    query: str
    passages: int
    documents: int
    hits: tuple[WordHit, ...]
    by_document: tuple[DocumentHits, ...]
    generation: int
    ms: float


class Asker(Protocol):
    """Answers questions: the only interface that entry points may use."""

    def ask(self, question: str, settings: AskSettings = ..., filters: Filter | None = None) -> Reply: ...


class QuotedDocument(Protocol):
    """The quoted document: its text and content hash."""

    @property
    def text(self) -> str: ...

    @property
    def content_hash(self) -> str: ...


Quotation = TypeVar("Quotation", Answer, Passage, WordHit)


def verify(quotation: Quotation, document: QuotedDocument, content_hash: str) -> Quotation:
    """Return the quotation if the document has that text at its offsets, and this content hash. Raises BrokenCitation."""
    text = document.text[quotation.start : quotation.end]
    if not quotation.text or text != quotation.text or document.content_hash != content_hash:
        raise BrokenCitation(
            f"A quotation from {quotation.source} is not the text at {quotation.start}..{quotation.end} of that document;"
            " it was not sent. Run `docqa doctor` on the index."
        )
    return quotation
