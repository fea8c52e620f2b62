"""Answer selection and the no-answer verdict: spans of passages become scored candidates, best first.

There is one verdict for the whole question: the best span of all passages against "no answer". Every caller uses this code:
a corpus, one text, a table on Spark, and the evaluation of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar

from indexing.text.language_id import detect_question
from qa_pipeline.answering.calibration import UNCALIBRATED, Calibration
from qa_pipeline.answers import Answer, NoAnswer
from qa_pipeline.reading.readings import PassageReader, Reading
from qa_pipeline.retrieval.evidence import Evidence
from qa_pipeline.retrieval.fact_evidence import text_evidence
from qa_pipeline.retrieval.retriever import RetrievedPassages

FEW = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A span of one passage with whole boundaries (`span_boundaries`). start, end: code points in that passage's text.

    passage: index among the readings. margin: in logits, with the weighted retrieval evidence if there is any.
    score: the calibrated probability, in [0, 1], that the span is right.
    """

    passage: int
    start: int
    end: int
    margin: float
    score: float


Spans = TypeVar("Spans", Candidate, Answer)


def candidates(
    readings: Iterable[Reading],
    texts: Sequence[str],
    calibration: Calibration,
    evidence: Sequence[Evidence] | None = None,
) -> list[Candidate]:
    """The spans of the readings by falling margin; ties by passage, then in the reader's order.

    Here, and nowhere else, spans get whole boundaries. Of spans that become equal in one passage, the best remains.
    texts: what was read, one for each reading. evidence: the retrieval evidence of each passage; None: nothing is added
    to the reader's margin.
    """
    from qa_pipeline.answering.span_boundaries import whole_span  # its patterns take 20 ms, and a search reads nothing

    found: list[Candidate] = []
    for number, reading in enumerate(readings):
        for span in reading.spans:
            margin = span.margin if evidence is None else calibration.with_evidence(span.margin, evidence[number])
            boundaries = whole_span(texts[number], span.start, span.end)
            found.append(Candidate(number, *boundaries, margin, calibration.probability(margin)))
    best = sorted(found, key=lambda candidate: (-candidate.margin, candidate.passage))
    merged: dict[tuple[int, int, int], Candidate] = {}
    for candidate in best:
        merged.setdefault((candidate.passage, candidate.start, candidate.end), candidate)
    return list(merged.values())


@dataclass(frozen=True, slots=True)
class Decision:
    """What the best score so far decides. sure: reading may stop; never together with the verdict "no answer"."""

    no_answer: NoAnswer
    sure: bool


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """Holds one value, the score of the best answer, against both limits: to be given, and to end reading.

    threshold: of the no-answer score. sure: the score at which reading stops once `at_least` passages are read.
    sure_of_few: the same with fewer than FEW passages read. The best answer is often in the second or third passage, and
    few readings say little about the others.
    """

    threshold: float
    sure: float = math.inf
    sure_of_few: float = math.inf
    at_least: int = 1

    def decide(self, best: float | None, read: int, settled: bool = True) -> Decision:
        """The decision after so many passages. best: the highest score so far; None without an answer.

        settled: whether the best answer can be sure (`variants.is_settled`).
        """
        verdict = decide(best, self.threshold)
        enough = self.sure_of_few if read < FEW else self.sure
        sure = settled and not verdict.is_no_answer and read >= self.at_least and (best or 0.0) >= enough
        return Decision(verdict, sure)


def decide(best: float | None, threshold: float) -> NoAnswer:
    """The verdict for a question: no answer where 1 - best is above `threshold`.

    best: the highest score of the candidates; None without candidates, which is no answer at any threshold.
    """
    score = 1.0 - (best or 0.0)
    return NoAnswer(score, threshold, best is None or score > threshold)


def best_score(found: Sequence[Candidate] | Sequence[Answer]) -> float | None:
    """The score of the first candidate, which is the best; None if there is none."""
    return found[0].score if found else None


def answers_of(retrieved: RetrievedPassages, readings: Sequence[Reading], calibration: Calibration) -> list[Answer]:
    """The candidates as answers with document offsets, best first; of overlapping ones in a document, only the best."""
    answers = []
    texts = [passage.text for passage in retrieved.passages]
    for candidate in candidates(readings, texts, calibration, retrieved.evidence):
        passage, start, end = retrieved.passages[candidate.passage], candidate.start, candidate.end
        content_hash = retrieved.content_hashes[candidate.passage]
        answer = Answer(
            passage.text[start:end],
            passage.start + start,
            passage.start + end,
            candidate.score,
            passage.document_id,
            passage.source,
            passage.page,
            passage.language,
            content_hash,
            passage,
            passage.recognised,
        )
        answers.append(answer)
    return distinct(answers, attrgetter("document_id"))


def distinct(spans: Iterable[Spans], text_of: Callable[[Spans], Hashable], most: int | None = None) -> list[Spans]:
    """Keep the first of spans that overlap in one text, in order. most: maximum number to keep (None: all)."""
    kept: list[Spans] = []
    for span in spans:
        if len(kept) == most:
            break
        if not any(text_of(other) == text_of(span) and overlap(other, span) for other in kept):
            kept.append(span)
    return kept


def overlap(one: Candidate | Answer, other: Candidate | Answer) -> bool:
    """Whether two spans of one text share a character."""
    return one.start < other.end and other.start < one.end


def answer_text(
    reader: PassageReader, question: str, context: str, calibration: Calibration = UNCALIBRATED
) -> dict[str, Any]:
    """Answer from one text, without an index: {"answer", "start", "end", "score"}, the format of model cards.

    answer: "" for no answer; score is then that of "no answer". start, end: code points in the context.
    """
    asked = detect_question(question, tuple(calibration.languages))
    calibration = calibration.of(asked)
    evidence = [text_evidence(question, asked, context)]
    found = candidates(reader.read(question, [context]), [context], calibration, evidence)
    verdict = decide(best_score(found), calibration.threshold)
    if verdict.is_no_answer:
        return {"answer": "", "start": 0, "end": 0, "score": verdict.score}
    best = found[0]
    return {"answer": context[best.start : best.end], "start": best.start, "end": best.end, "score": best.score}
