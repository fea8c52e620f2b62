"""Spans of passages -> distinct answers with their places, best first, and whether the documents answer at all.

That is decided once, over the whole question: the best span of all passages against "no answer".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from indexing.text.language_id import detect_question
from qa_pipeline.answering.calibration import UNCALIBRATED, Calibration
from qa_pipeline.answers import Answer, NoAnswer
from qa_pipeline.reading.readings import Reading, ReadsPassages
from qa_pipeline.retrieval.retriever import Retrieved


def decide(answers: Sequence[Answer], threshold: float) -> NoAnswer:
    """No answer when the best answer's score leaves more than `threshold` to "no answer"."""
    score = 1.0 - max((answer.score for answer in answers), default=0.0)
    return NoAnswer(score, threshold, score > threshold or not answers)


def answers_of(retrieved: Retrieved, readings: Sequence[Reading], calibration: Calibration) -> list[Answer]:
    """All spans of the passages read in document offsets, best first; of those that overlap in a document the best."""
    found = [
        Answer(
            passage.text[span.start : span.end], passage.start + span.start, passage.start + span.end,
            calibration.probability(calibration.lifted(span.gap, how)), passage.document_id, passage.source, passage.page,
            passage.language, passage.content_hash, passage,
        )
        for passage, how, reading in zip(retrieved.passages, retrieved.evidence, readings, strict=False)
        for span in reading.spans
    ]  # fmt: skip
    found.sort(key=lambda answer: (-answer.score, answer.passage.fused_rank, answer.start))
    return distinct(found)


def distinct(answers: Sequence[Answer]) -> list[Answer]:
    """Of answers that overlap in the same document, the first; the order stays."""
    kept: list[Answer] = []
    for answer in answers:
        if not any(
            other.document_id == answer.document_id and other.start < answer.end and answer.start < other.end
            for other in kept
        ):
            kept.append(answer)
    return kept


def read_one(
    reader: ReadsPassages, question: str, context: str, calibration: Calibration = UNCALIBRATED
) -> dict[str, Any]:  # fmt: skip
    """One text, no index: {"answer", "start", "end", "score"}, the shape of the model cards; "" when it does not say."""
    calibration = calibration.of(detect_question(question, tuple(calibration.languages)))
    spans = reader.read(question, [context])[0].spans
    best = spans[0] if spans else None
    score = calibration.probability(best.gap) if best else 0.0
    if best is None or 1.0 - score > calibration.threshold:
        return {"answer": "", "start": 0, "end": 0, "score": 1.0 - score}
    return {"answer": context[best.start : best.end], "start": best.start, "end": best.end, "score": score}
