"""The answer stream of one question: passages first, then the best answers so far, the complete reply last.

Read `ask_stream`: retrieve, read, verify, decide, reply. The last step alone has the reply. One decision
(`verdict.DecisionRule`) ends reading and gives the verdict, so a reply is never both "sure" and "no answer".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from qa_pipeline.answering.calibration import NEVER, Calibration
from qa_pipeline.answering.verdict import Decision, DecisionRule, answers_of, best_score
from qa_pipeline.answering.verification import Verifier
from qa_pipeline.answers import Answer, NoAnswer, Passage, Reply, Stopped, Timings, UsedModels
from qa_pipeline.reading.readings import Reading
from qa_pipeline.retrieval.retriever import RetrievedPassages
from qa_pipeline.retrieval.variants import is_settled
from qa_pipeline.settings import AskSettings

Run = Callable[[], tuple[RetrievedPassages, Iterator[list[Reading]]]]
"""Retrieves the passages of a question; the iterator yields all readings so far after each passage."""


MORE_FOR_FEW = 2.5
"""Logits above the stop margin that the first passages need."""


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
    rule = decision_rule(settings, calibration)
    quotations = verifier.quotations()

    def decision_of(found: list[Answer], read: int) -> Decision:
        """The decision by the best answer, which may need the facts of the question and all variants of its passage."""
        settled = bool(found) and is_settled(found[0].passage, retrieved.passages[read:])
        return rule.decide(best_score(found), read, settled)

    def decided(found: list[Answer], read: int) -> tuple[tuple[Answer, ...], Decision]:
        """The decision by answers that are verified."""
        best = quotations.answers(found, settings.top_k)
        decision = decision_of(best, read)
        return () if decision.no_answer.is_no_answer else tuple(best), decision

    passages = quotations.passages(retrieved.passages, retrieved.content_hashes)
    yield Step(passages)
    read_ms, at, read, found = 0.0, time.perf_counter(), list[Reading](), list[Answer]()
    for read in readings:
        read_ms += 1e3 * (time.perf_counter() - at)
        found = answers_of(retrieved, read, calibration)
        if progress or decision_of(found, len(read)).sure:
            answers, decision = decided(found, len(read))
            if progress:
                yield Step(passages, answers, len(read))
            if decision.sure:
                break
        at = time.perf_counter()
    else:
        answers, decision = decided(found, len(read))
    passages = quotations.passages(retrieved.passages, retrieved.content_hashes)
    reply = Reply(
        question,
        retrieved.language,
        answers,
        passages,
        decision.no_answer,
        _timings(began, retrieved, read_ms),
        models.used,
        retrieved.generation,
        len(read),
        _stopped(decision, len(read), len(retrieved.passages)),
        calibration.scope,
        len(retrieved.passages),
        retrieved.deepened,
        _copies(retrieved, passages),
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
        len(retrieved.passages),
        retrieved.deepened,
        _copies(retrieved, passages),
    )


def decision_rule(settings: AskSettings, calibration: Calibration) -> DecisionRule:
    """The decision rule of a question with these settings. calibration: of the question's language."""
    own = settings.no_answer_threshold
    threshold = calibration.threshold if own is None else own
    if settings.thorough:
        return DecisionRule(threshold)
    margin = calibration.stop_margin
    sure, sure_of_few = calibration.probability(margin), calibration.probability(margin + MORE_FOR_FEW)
    return DecisionRule(threshold, sure, sure_of_few, settings.read_at_least)


def _copies(retrieved: RetrievedPassages, passages: tuple[Passage, ...]) -> tuple[tuple[str, ...], ...]:
    """The groups of copies among the documents of these passages, which may be fewer than were retrieved."""
    there = {passage.document_id for passage in passages}
    groups = (tuple(id for id in group if id in there) for group in retrieved.copies)
    return tuple(group for group in groups if len(group) > 1)


def _stopped(decision: Decision, read: int, passages: int) -> Stopped:
    """Why reading ended after `read` of so many passages."""
    return "all" if read >= passages else "sure" if decision.sure else "budget"


def _timings(began: float, retrieved: RetrievedPassages, read_ms: float) -> Timings:
    """began: the `time.perf_counter()` at which the question arrived."""
    total = 1e3 * (time.perf_counter() - began)
    return Timings(*(round(ms, 2) for ms in (retrieved.embed_ms, retrieved.retrieve_ms, read_ms, total)))
