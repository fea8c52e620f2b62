"""The answer stream of one question: passages first, then the best answers so far, the complete reply last.

Read `ask_stream`: retrieve, read, verify, decide, reply. The last step alone has the reply.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from qa_pipeline.answering.calibration import NEVER, Calibration
from qa_pipeline.answering.verdict import answers_of, best_score, decide
from qa_pipeline.answering.verification import Verifier
from qa_pipeline.answers import Answer, NoAnswer, Passage, Reply, Timings, UsedModels
from qa_pipeline.reading.early_stop import StopRule
from qa_pipeline.reading.readings import Reading
from qa_pipeline.retrieval.retriever import RetrievedPassages
from qa_pipeline.settings import AskSettings

Run = Callable[[], tuple[RetrievedPassages, Iterator[list[Reading]]]]
"""Retrieves the passages of a question; the iterator yields all readings so far after each passage."""


@dataclass(frozen=True, slots=True)
class AnsweringModels:
    """The names of embedder and reader, and the calibration of the reader with that embedder."""

    embedder: str
    reader: str
    calibration: Calibration

    @property
    def used(self) -> UsedModels:
        """The names, as in a reply."""
        return UsedModels(self.embedder, self.reader)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the answer stream. answers: best first, from the `read` passages so far. reply: in the last step only."""

    passages: tuple[Passage, ...]
    answers: tuple[Answer, ...] = ()
    read: int = 0
    reply: Reply | None = None


def ask_stream(
    question: str,
    run: Run,
    settings: AskSettings,
    stop: StopRule,
    models: AnsweringModels,
    verifier: Verifier,
    *,
    progress: bool = True,
) -> Iterator[Step]:
    """Yield the passages, then one step per passage read, in fused order, then a step with the reply.

    progress: False leaves the steps between out; then answers are selected and verified once, after the last reading.
    Raises the errors of `run`, before the first step, and BrokenCitation for a quotation that is not its document's text.
    """
    began = time.perf_counter()
    retrieved, readings = run()
    calibration = models.calibration.of(retrieved.language)
    own = settings.no_answer_threshold
    threshold = calibration.threshold if own is None else own
    quotations = verifier.quotations()

    def verified(read: list[Reading]) -> tuple[tuple[Answer, ...], NoAnswer]:
        best = quotations.answers(answers_of(retrieved, read, calibration), settings.top_k)
        verdict = decide(best_score(best), threshold)
        return () if verdict.is_no_answer else tuple(best), verdict

    passages = quotations.passages(retrieved.passages, retrieved.content_hashes)
    yield Step(passages)
    read_ms, at, read = 0.0, time.perf_counter(), list[Reading]()
    for read in readings:
        read_ms += 1e3 * (time.perf_counter() - at)
        if progress:
            yield Step(passages, verified(read)[0], len(read))
        at = time.perf_counter()
    answers, verdict = verified(read)
    passages = quotations.passages(retrieved.passages, retrieved.content_hashes)
    reply = Reply(
        question,
        retrieved.language,
        answers,
        passages,
        verdict,
        _timings(began, retrieved, read_ms),
        models.used,
        retrieved.generation,
        len(read),
        stop.why(read, retrieved.passages),
        calibration.scope,
    )
    yield Step(passages, answers, len(read), reply)


def search_reply(
    question: str, retrieve: Callable[[], RetrievedPassages], models: AnsweringModels, verifier: Verifier
) -> Reply:
    """The closest passages, verified, without running the reader; the reply has no answers."""
    began = time.perf_counter()
    retrieved = retrieve()
    passages = verifier.quotations().passages(retrieved.passages, retrieved.content_hashes)
    return Reply(
        question,
        retrieved.language,
        (),
        passages,
        NoAnswer(0.0, NEVER.threshold, False),
        _timings(began, retrieved, 0.0),
        models.used,
        retrieved.generation,
        0,
        "all",
        models.calibration.of(retrieved.language).scope,
    )


def stop_rule(settings: AskSettings, calibration: Calibration) -> StopRule:
    """The stop rule of a question with these settings."""
    margin = math.inf if settings.thorough else calibration.stop_margin
    return StopRule(margin, settings.read_at_least, math.inf if settings.budget_ms is None else settings.budget_ms)


def _timings(began: float, retrieved: RetrievedPassages, read_ms: float) -> Timings:
    """began: the `time.perf_counter()` at which the question arrived."""
    total = 1e3 * (time.perf_counter() - began)
    return Timings(*(round(ms, 2) for ms in (retrieved.embed_ms, retrieved.retrieve_ms, read_ms, total)))
