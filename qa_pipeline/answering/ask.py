"""The answer stream of one question: passages first, better answers as passages are read, the whole reply last.

Read `ask_stream`: retrieve, read, decide, verify, reply. Whoever wants the reply alone takes the last step's.
"""

from __future__ import annotations

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
"""Retrieves the passages of a question; its readings are of the first passages, after each one more of them is read."""


@dataclass(frozen=True, slots=True)
class AnsweringModels:
    """What answers: the names of embedder and reader, and what the reader's margins mean with that embedder."""

    embedder: str
    reader: str
    calibration: Calibration

    @property
    def used(self) -> UsedModels:
        """Their names, as a reply has them."""
        return UsedModels(self.embedder, self.reader)


@dataclass(frozen=True, slots=True)
class Step:
    """How far a question is. answers: best first, of the `read` passages read so far; reply: with the last step only."""

    passages: tuple[Passage, ...]
    answers: tuple[Answer, ...] = ()
    read: int = 0
    reply: Reply | None = None


def ask_stream(
    question: str, run: Run, settings: AskSettings, stop: StopRule, models: AnsweringModels, verifier: Verifier
) -> Iterator[Step]:
    """First the passages, then a step for each passage read, in fused order; the last step has the reply.

    Raises what `run` raises, before the first step, and BrokenCitation for what is not its document's text.
    """
    began = time.perf_counter()
    retrieved, readings = run()
    calibration = models.calibration.of(retrieved.language)
    own = settings.no_answer_threshold
    threshold = calibration.threshold if own is None else own
    passages = verifier.passages(retrieved.passages, retrieved.content_hashes)
    last = Step(passages)
    yield last
    read_ms, at, read = 0.0, time.perf_counter(), list[Reading]()
    verdict = decide(None, threshold)
    for read in readings:
        read_ms += 1e3 * (time.perf_counter() - at)
        answers = verifier.answers(answers_of(retrieved, read, calibration))
        verdict = decide(best_score(answers), threshold)
        last = Step(passages, () if verdict.is_no_answer else tuple(answers[: settings.top_k]), len(read))
        yield last
        at = time.perf_counter()
    reply = Reply(
        question,
        retrieved.language,
        last.answers,
        passages,
        verdict,
        _timings(began, retrieved, read_ms),
        models.used,
        retrieved.generation,
        len(read),
        stop.why(read, len(retrieved.passages)),
        calibration.scope,
    )
    yield Step(passages, last.answers, last.read, reply)


def search_reply(
    question: str, retrieve: Callable[[], RetrievedPassages], models: AnsweringModels, verifier: Verifier
) -> Reply:
    """The closest passages only, verified; nothing is read, so nothing is answered."""
    began = time.perf_counter()
    retrieved = retrieve()
    passages = verifier.passages(retrieved.passages, retrieved.content_hashes)
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


def _timings(began: float, retrieved: RetrievedPassages, read_ms: float) -> Timings:
    """began: when the question was asked, by `time.perf_counter()`."""
    total = 1e3 * (time.perf_counter() - began)
    return Timings(*(round(ms, 2) for ms in (retrieved.embed_ms, retrieved.retrieve_ms, read_ms, total)))
