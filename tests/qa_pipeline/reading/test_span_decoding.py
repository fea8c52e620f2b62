"""The arithmetic of spans against brute force and against FARM's own."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from haystack.modeling.data_handler.samples import get_passage_offsets
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qa_pipeline.reading.span_decoding import best_span, best_spans, candidates, log_total, windows

Logits = NDArray[np.float32]

# Few values: many ties.
tied = st.integers(-3, 3).map(float)
# Halves and quarters add up exactly in float32, so that equal sums are equal in any order of adding.
exact = st.integers(-400, 400).map(lambda n: n / 4)
anything = st.floats(-30, 30, width=32)


@st.composite
def passages(draw: st.DrawFn, values: st.SearchStrategy[float] = exact | tied) -> tuple[Logits, Logits, int, int]:
    """Start and end logits of a window and where its passage lies in it."""
    length = draw(st.integers(2, 24))
    logits = [np.array(draw(st.lists(values, min_size=length, max_size=length)), dtype=np.float32) for _ in "se"]
    first = draw(st.integers(1, length - 1))
    return logits[0], logits[1], first, draw(st.integers(first, length - 1))


def every(start: Logits, end: Logits, first: int, last: int) -> list[tuple[int, int]]:
    """All spans of the passage, best first, ties by the earliest start, then the earliest end."""
    spans = [(s, e) for s, e in product(range(first, last + 1), repeat=2) if s <= e]
    return sorted(spans, key=lambda span: (-float(start[span[0]] + end[span[1]]), span))


@given(passages())
def test_best_span_is_the_best_of_all(window: tuple[Logits, Logits, int, int]) -> None:
    assert best_span(*window) == every(*window)[0]


@given(passages(anything))
def test_best_span_of_any_logits_has_the_highest_score(window: tuple[Logits, Logits, int, int]) -> None:
    start, end, first, last = window
    s, e = best_span(*window)
    assert first <= s <= e <= last
    assert start[s] + end[e] == max(start[a] + end[b] for a, b in every(*window))


@given(passages(), st.integers(1, 6), st.integers(-1, 2))
def test_best_spans_are_farms_greedy_choice(window: tuple[Logits, Logits, int, int], count: int, apart: int) -> None:
    chosen: list[tuple[int, int]] = []
    for s, e in every(*window):
        near = any(abs(s - a) <= apart or abs(e - b) <= apart for a, b in chosen)
        if len(chosen) < count and not (apart > -1 and near):
            chosen.append((s, e))
    assert best_spans(*window, count, apart) == chosen


@given(passages(anything), st.integers(1, 5), st.integers(-1, 1))
def test_candidates_carry_their_score_and_confidence(
    window: tuple[Logits, Logits, int, int], count: int, apart: int
) -> None:
    start, end, *_ = window
    spans, null = candidates(*window, count=count, apart=apart)
    assert spans and (null.start, null.end) == (0, 0)
    for span in [*spans, null]:
        assert span.score == float(start[span.start] + end[span.end])
        soft = [np.exp(part.astype(np.float64)) / np.exp(part.astype(np.float64)).sum() for part in (start, end)]
        assert span.confidence == pytest.approx((soft[0][span.start] + soft[1][span.end]) / 2, abs=1e-9)
    assert [span.score for span in spans] == sorted((span.score for span in spans), reverse=True)


def test_a_window_without_passage_tokens_has_no_span() -> None:
    spans, null = candidates(np.zeros(4, np.float32), np.ones(4, np.float32), 3, 2)
    assert spans == [] and null.score == 1.0


@given(passages(anything), st.integers(0, 40))
def test_trimmed_padding_changes_no_confidence(window: tuple[Logits, Logits, int, int], missing: int) -> None:
    start, end, first, last = window
    start, end = np.append(start, np.float32(-1.5)), np.append(end, np.float32(2.25))
    whole = [np.append(part, np.full(missing, part[-1], dtype=np.float32)) for part in (start, end)]
    for short, padded in zip((start, end), whole, strict=True):
        assert log_total(short, missing, float(short[-1])) == pytest.approx(log_total(padded), abs=1e-9)
    trimmed, null = candidates(start, end, first, last, missing=missing, count=3)
    full, full_null = candidates(whole[0], whole[1], first, last, count=3)
    assert [(s.start, s.end, s.score) for s in trimmed] == [(s.start, s.end, s.score) for s in full]
    for short_span, full_span in zip([*trimmed, null], [*full, full_null], strict=True):
        assert short_span.confidence == pytest.approx(full_span.confidence, abs=1e-9)


@pytest.mark.parametrize("shift", [-1e4, 0.0, 1e4])
def test_log_total_neither_overflows_nor_vanishes(shift: float) -> None:
    logits = np.array([1.0, 2.0, 3.0], dtype=np.float32) + np.float32(shift)
    assert log_total(logits) == pytest.approx(3.4076059644443806 + shift, abs=1e-2)
    assert log_total(logits, missing=5, pad=shift - 9_000) == pytest.approx(3.4076059644443806 + shift, abs=1e-2)


@given(st.integers(1, 400), st.integers(1, 60), st.integers(1, 120))
def test_windows_are_farms(length: int, stride: int, room: int) -> None:
    offsets = [3 * n for n in range(length)]
    theirs = get_passage_offsets(offsets, stride, room, "ab " * length) if stride <= room else None
    ours = windows(length, min(stride, room), room)
    if theirs is not None:
        pairs = [(part["passage_start_t"], min(part["passage_end_t"], length)) for part in theirs]
        assert ours == pairs


@given(st.integers(1, 400), st.integers(1, 60), st.integers(1, 120))
def test_windows_leave_no_token_out(length: int, stride: int, room: int) -> None:
    cut = windows(length, min(stride, room), room)
    assert {n for begin, end in cut for n in range(begin, end)} == set(range(length))
    assert all(0 < end - begin <= room for begin, end in cut)
