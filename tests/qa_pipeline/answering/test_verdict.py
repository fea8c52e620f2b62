"""Candidates, distinct answers, and the verdict over the whole question."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from operator import attrgetter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.documents import Document
from qa_pipeline.answering.ask import AnsweringModels, ask_stream
from qa_pipeline.answering.calibration import UNCALIBRATED, Calibration
from qa_pipeline.answering.evidence_weights import EvidenceWeights
from qa_pipeline.answering.verdict import (
    FEW,
    Candidate,
    DecisionRule,
    answer_text,
    best_score,
    candidates,
    decide,
    distinct,
    overlap,
)
from qa_pipeline.answering.verification import Verifier
from qa_pipeline.answers import Answer, Passage
from qa_pipeline.reading.readings import Reading, Span
from qa_pipeline.retrieval.evidence import Evidence
from qa_pipeline.retrieval.retriever import RetrievedPassages
from qa_pipeline.settings import AskSettings
from tests.known import WordReader


def answer(start: int, end: int, score: float, document: str = "d") -> Answer:
    passage = Passage(document, "s", None, "en", 0, 100, "x" * 100, None, None, None, None, 1, 0.0)
    return Answer("x" * (end - start), start, end, score, document, "s", None, "en", "h", passage)


TEXT = "— " * 40
"""No words and no numbers: every boundary is whole."""

spans = st.builds(
    lambda start, length, margin: Span(2 * start, 2 * (start + length) - 1, margin, margin, 0.5),
    st.integers(0, 15),
    st.integers(1, 5),
    st.integers(-20, 20).map(float),
)
evidence_ = st.builds(Evidence, st.floats(0, 1), st.floats(0, 1))
readings_ = st.lists(st.lists(spans, max_size=5).map(lambda found: Reading(tuple(found))), max_size=5)


def test_of_overlapping_answers_the_better_stays() -> None:
    given_ = [answer(0, 5, 0.9), answer(3, 8, 0.8), answer(5, 8, 0.7), answer(0, 5, 0.6, "other")]
    assert distinct(given_, attrgetter("document_id")) == [given_[0], given_[2], given_[3]]
    assert distinct(given_, attrgetter("document_id"), 2) == [given_[0], given_[2]]


@given(readings_)
def test_candidates_are_all_distinct_spans_by_falling_score(readings: list[Reading]) -> None:
    found = candidates(readings, [TEXT] * len(readings), UNCALIBRATED)
    places = {(n, span.start, span.end) for n, reading in enumerate(readings) for span in reading.spans}
    assert {(one.passage, one.start, one.end) for one in found} == places and len(found) == len(places)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert all(one.score == UNCALIBRATED.probability(one.margin) for one in found)
    kept = distinct(found, attrgetter("passage"), 3)
    assert kept == found[:1] + kept[1:] and len(kept) <= 3
    pairs = [(one, other) for n, one in enumerate(kept) for other in kept[:n]]
    assert not any(one.passage == other.passage and overlap(one, other) for one, other in pairs)


def test_evidence_is_added_to_the_margin_of_its_passage() -> None:
    """The second passage was found better, which outweighs its smaller margin."""
    weights = Calibration(evidence_weights=EvidenceWeights(4.0, 0.0, Evidence(0.5, 0.5), "e"))
    readings = [Reading((Span(0, 1, 3.0, 3.0, 0.5),)), Reading((Span(2, 3, 2.0, 2.0, 0.5),))]
    evidence = [Evidence(0.1, 0.5), Evidence(0.9, 0.5)]
    first = candidates(readings, [TEXT] * 2, weights, evidence)[0]
    assert (first.passage, first.margin) == (1, pytest.approx(weights.with_evidence(2.0, evidence[1])))
    assert candidates(readings, [TEXT] * 2, weights)[0].passage == 0


def test_the_verdict_is_over_the_whole_question() -> None:
    assert decide(best_score([answer(5, 6, 0.7), answer(0, 1, 0.4)]), 0.5).is_no_answer is False
    assert decide(best_score([answer(0, 1, 0.4)]), 0.5).is_no_answer is True
    assert decide(0.5, 0.5).is_no_answer is False, "at the threshold it answers"
    nothing = decide(best_score(()), 1.0)
    assert nothing.is_no_answer is True and nothing.score == 1.0, "nothing found is no answer at any threshold"
    assert decide(0.0, 1.0).is_no_answer is False
    assert Calibration().probability(1000.0) == 1.0 and Calibration().probability(-1000.0) < 1e-100


def test_equal_margins_keep_the_order_of_passages_and_of_the_reader() -> None:
    same = [Reading((Span(6, 7, 1.0, 1.0, 0.5), Span(0, 1, 1.0, 1.0, 0.5))), Reading((Span(4, 5, 1.0, 1.0, 0.5),))]
    found: list[Candidate] = candidates(same, [TEXT] * 2, UNCALIBRATED)
    assert [(one.passage, one.start) for one in found] == [(0, 6), (0, 0), (1, 4)]


def test_one_text_is_answered_by_the_same_verdict() -> None:
    said = answer_text(WordReader(), "When was the bridge opened?", "The bridge was opened in 1912.")
    assert said["answer"] == "1912" and said["score"] >= 0.5
    assert answer_text(WordReader(), "When was the bridge opened?", "   ") == {
        "answer": "",
        "start": 0,
        "end": 0,
        "score": 1.0,
    }


@given(
    st.one_of(st.none(), st.floats(0, 1)),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_sure_is_never_no_answer(
    best: float | None, threshold: float, sure: float, sure_of_few: float, at_least: int, read: int
) -> None:
    decision = DecisionRule(threshold, sure, sure_of_few, at_least).decide(best, read)
    assert decision.no_answer == decide(best, threshold)
    assert not (decision.sure and decision.no_answer.is_no_answer)
    wanted = best is not None and best >= (sure_of_few if read < FEW else sure) and read >= at_least
    assert decision.sure == (wanted and not decision.no_answer.is_no_answer)


calibrations = st.builds(
    Calibration,
    slope=st.floats(0.05, 3.0),
    offset=st.floats(-5, 10),
    threshold=st.floats(0, 1),
    stop_margin=st.floats(-5, 15),
    evidence_weights=st.one_of(
        st.none(), st.builds(EvidenceWeights, st.floats(0, 9), st.floats(0, 9), evidence_, st.just("e"))
    ),
)


@given(
    calibrations,
    st.lists(st.tuples(st.one_of(st.none(), st.floats(-15, 25)), evidence_), max_size=6),
    st.one_of(st.none(), st.floats(0, 1)),
    st.integers(1, 4),
    st.booleans(),
)
def test_reading_that_stops_at_a_sure_answer_gives_it(
    calibration: Calibration,
    found: list[tuple[float | None, Evidence]],
    threshold: float | None,
    at_least: int,
    thorough: bool,
) -> None:
    """Random margins, evidence and calibrations: one decision stops reading and gives the verdict, streamed or not."""
    document = Document("d", "s", "h", TEXT, "en", (0,))
    passages = tuple(
        Passage("d", "s", None, "en", 2 * n, 2 * n + 1, "—", None, None, None, None, n + 1, 0.0) for n in range(len(found))
    )
    readings = [Reading(() if margin is None else (Span(0, 1, margin, margin, 0.5),)) for margin, _ in found]
    retrieved = RetrievedPassages(passages, ("h",) * len(found), tuple(e for _, e in found), "en", 1, 0.0, 0.0)
    settings = AskSettings(no_answer_threshold=threshold, read_at_least=at_least, thorough=thorough)
    replies = []
    for progress in (True, False):
        lazy = iter([readings[: n + 1] for n in range(len(readings))] or [[]])
        models, run = AnsweringModels("e", "r", calibration), partial(lambda lazy: (retrieved, lazy), lazy)
        steps = ask_stream("q", run, settings, models, Verifier(OneDocument(document)), progress=progress)
        *_, last = steps
        assert last.reply is not None
        replies.append(last.reply)
        assert next(lazy, None) is None or last.reply.stopped == "sure"
    for reply in replies:
        assert not (reply.stopped == "sure" and (reply.no_answer.is_no_answer or not reply.answers))
        assert (reply.passages_read < len(found)) == (reply.stopped == "sure")
        assert reply.passages_retrieved == len(found) and bool(reply.answers) != reply.no_answer.is_no_answer
        assert all(TEXT[answer.start : answer.end] == answer.text for answer in reply.answers)
    one, other = (msgspec.structs.replace(reply, timings_ms=replies[0].timings_ms) for reply in replies)
    assert one == other


class OneDocument:
    """A store of one document."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def document(self, document_id: str) -> Document:
        return self._document

    def existing(self, ids: Iterable[str]) -> set[str]:
        return set(ids)
