"""Candidates, distinct answers, and the verdict over the whole question."""

from __future__ import annotations

from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_pipeline.answering.calibration import UNCALIBRATED, Calibration
from qa_pipeline.answering.evidence_weights import EvidenceWeights
from qa_pipeline.answering.verdict import Candidate, answer_text, best_score, candidates, decide, distinct, overlap
from qa_pipeline.answers import Answer, Passage
from qa_pipeline.reading.readings import Reading, Span
from qa_pipeline.retrieval.evidence import Evidence
from tests.known import WordReader


def answer(start: int, end: int, score: float, document: str = "d") -> Answer:
    passage = Passage(document, "s", None, "en", 0, 100, "x" * 100, None, None, None, None, 1, 0.0)
    return Answer("x" * (end - start), start, end, score, document, "s", None, "en", "h", passage)


spans = st.builds(
    lambda start, length, margin: Span(start, start + length, margin, margin, 0.5),
    st.integers(0, 30),
    st.integers(1, 9),
    st.integers(-20, 20).map(float),
)
readings_ = st.lists(st.lists(spans, max_size=5).map(lambda found: Reading(tuple(found))), max_size=5)


def test_of_overlapping_answers_the_better_stays() -> None:
    given_ = [answer(0, 5, 0.9), answer(3, 8, 0.8), answer(5, 8, 0.7), answer(0, 5, 0.6, "other")]
    assert distinct(given_, attrgetter("document_id")) == [given_[0], given_[2], given_[3]]
    assert distinct(given_, attrgetter("document_id"), 2) == [given_[0], given_[2]]


@given(readings_)
def test_candidates_are_all_spans_by_falling_score(readings: list[Reading]) -> None:
    found = candidates(readings, UNCALIBRATED)
    assert len(found) == sum(len(reading.spans) for reading in readings)
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
    first = candidates(readings, weights, evidence)[0]
    assert (first.passage, first.margin) == (1, pytest.approx(weights.with_evidence(2.0, evidence[1])))
    assert candidates(readings, weights)[0].passage == 0


def test_the_verdict_is_over_the_whole_question() -> None:
    assert decide(best_score([answer(5, 6, 0.7), answer(0, 1, 0.4)]), 0.5).is_no_answer is False
    assert decide(best_score([answer(0, 1, 0.4)]), 0.5).is_no_answer is True
    assert decide(0.5, 0.5).is_no_answer is False, "at the threshold it answers"
    nothing = decide(best_score(()), 1.0)
    assert nothing.is_no_answer is True and nothing.score == 1.0, "nothing found is no answer at any threshold"
    assert decide(0.0, 1.0).is_no_answer is False
    assert Calibration().probability(1000.0) == 1.0 and Calibration().probability(-1000.0) < 1e-100


def test_equal_margins_keep_the_order_of_passages_and_of_the_reader() -> None:
    same = [Reading((Span(5, 6, 1.0, 1.0, 0.5), Span(0, 1, 1.0, 1.0, 0.5))), Reading((Span(3, 4, 1.0, 1.0, 0.5),))]
    found: list[Candidate] = candidates(same, UNCALIBRATED)
    assert [(one.passage, one.start) for one in found] == [(0, 5), (0, 0), (1, 3)]


def test_one_text_is_answered_by_the_same_verdict() -> None:
    said = answer_text(WordReader(), "When was the bridge opened?", "The bridge was opened in 1912.")
    assert said["answer"] == "1912" and said["score"] >= 0.5
    assert answer_text(WordReader(), "When was the bridge opened?", "   ") == {
        "answer": "",
        "start": 0,
        "end": 0,
        "score": 1.0,
    }
