"""The values of a reply: `Answer`, `Passage`, `NoAnswer`, `Timings`, `Reply`; and `Asker`, what an entry point needs.

Laws, each held by a test, through every door:
    document.text[answer.start:answer.end] == answer.text, and the same for every passage
    "no answer" is a Reply without answers and with the closest passages, never an Answer with an empty text
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

from indexing.store.filters import Filter
from qa_pipeline.errors import BrokenCitation
from qa_pipeline.settings import AskSettings


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk as retrieved. Offsets are code points in the document's text; ranks begin at 1, None: not in that ranking."""

    document_id: str
    source: str
    page: int | None
    language: str
    start: int
    end: int
    text: str
    content_hash: str
    dense_rank: int | None = None
    dense_score: float | None = None
    keyword_rank: int | None = None
    keyword_score: float | None = None
    fused_rank: int = 1
    fused_score: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        values = asdict(self)
        del values["content_hash"]
        return values


@dataclass(frozen=True, slots=True)
class Answer:
    """A quotation. score in [0, 1]: how sure the reader is of it against "no answer", comparable between passages."""

    text: str
    start: int
    end: int
    score: float
    document_id: str
    source: str
    page: int | None
    language: str
    content_hash: str
    passage: Passage

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "passage": self.passage.as_dict()}


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Whether the documents say it at all: score in [0, 1], held against threshold, over the whole question."""

    score: float
    threshold: float
    is_no_answer: bool


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds of each stage."""

    embed: float = 0.0
    retrieve: float = 0.0
    read: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
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
    embedder: str
    reader: str
    generation: int
    passages_read: int = 0
    stopped: str = "all"
    calibration: str = "none"

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, `docqa ask --json`."""
        return {
            "question": self.question,
            "language": self.language,
            "answers": [answer.as_dict() for answer in self.answers],
            "passages": [passage.as_dict() for passage in self.passages],
            "no_answer": asdict(self.no_answer),
            "timings_ms": asdict(self.timings_ms),
            "models": {"embedder": self.embedder, "reader": self.reader},
            "generation": self.generation,
            "passages_read": self.passages_read,
            "stopped": self.stopped,
            "calibration": self.calibration,
        }


class Asker(Protocol):
    """Something that answers questions: what a door needs, and all it may know."""

    def ask(self, question: str, settings: AskSettings = ..., filters: Filter | None = None) -> Reply: ...


class Quoted(Protocol):
    """What a quotation is of: a document's text and the hash of its content."""

    @property
    def text(self) -> str: ...

    @property
    def content_hash(self) -> str: ...


Quotation = TypeVar("Quotation", Answer, Passage)


def verified(quotation: Quotation, document: Quoted) -> Quotation:
    """The answer or passage, if it is the document's text at its offsets and has its hash. Raises BrokenCitation."""
    text = document.text[quotation.start : quotation.end]
    if not quotation.text or text != quotation.text or document.content_hash != quotation.content_hash:
        raise BrokenCitation(
            f"A quotation from {quotation.source} is not the text at {quotation.start}..{quotation.end} of that document;"
            " it was not sent. Run `docqa doctor` on the index."
        )
    return quotation
