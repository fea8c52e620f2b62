"""A question answered step by step: the passages at once, answers while they are read, the whole reply last.

The last step's reply is what `QAPipeline.ask` gives for the same question: the same passages, the same spans, the same
verdict over the whole question.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from indexing.filters import Filter
from qa_pipeline.answers import Answer, Passage, Reply
from qa_pipeline.pipeline import HowRead, QAPipeline, answers_of, decide, read_in_steps
from qa_pipeline.reader import ReadsPassages
from qa_pipeline.settings import AskSettings, question_text


@dataclass(frozen=True, slots=True)
class Step:
    """How far a question is. answers: best first, of the `read` passages read so far; reply: with the last step only."""

    passages: tuple[Passage, ...]
    answers: tuple[Answer, ...] = ()
    read: int = 0
    reply: Reply | None = None


def ask_in_steps(
    pipeline: QAPipeline, reader: ReadsPassages, question: str, settings: AskSettings, filters: Filter | None = None
) -> Iterator[Step]:
    """First the passages, then a step for each few of them read, in fused order; the last step has the reply.

    Raises SettingError, FilterError, before the first step.
    """
    began = time.perf_counter()
    question = question_text(question)
    retrieved = pipeline.retriever.passages(question, settings, filters)
    passages = retrieved.passages
    last = Step(passages)
    yield last
    read_ms, at = 0.0, time.perf_counter()
    stop, readings = pipeline.stop(settings), []
    for readings in read_in_steps(reader, question, passages, stop):
        read_ms += 1e3 * (time.perf_counter() - at)
        answers = pipeline.checked(answers_of(retrieved, readings, pipeline.calibration.of(retrieved.language)))
        verdict = decide(answers, pipeline.threshold_for(settings, retrieved.language))
        given = () if verdict.is_no_answer else tuple(answers[: settings.top_k])
        last = Step(passages, given, len(readings))
        yield last
        at = time.perf_counter()
    read = HowRead(read_ms, last.read, stop.why(readings, len(passages)))
    reply = pipeline.reply_of(question, retrieved, given, verdict, began, read)
    yield Step(passages, given, last.read, reply)
