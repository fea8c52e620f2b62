"""Span decoding: from token logits to answer spans as FARM's head does, without its L x L matrices.

Pure functions over numpy. A window is one model input, `<s> question </s></s> passage </s> pad ...`; its passage tokens
have the positions `first .. last`. A span's score is start logit + end logit; "no answer" is the span (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """A candidate span of one window. start, end: token positions, both inclusive. score: sum of the two logits.

    confidence: FARM's, in [0, 1].
    """

    start: int
    end: int
    score: float
    confidence: float


def windows(length: int, stride: int, room: int) -> list[tuple[int, int]]:
    """(first, end) tokens of each window over a passage of `length` tokens, as in FARM; end is exclusive.

    room: number of passage tokens that fit beside the question. The last window reaches the end of the passage.

    >>> windows(10, 4, 6), windows(6, 4, 6)
    ([(0, 6), (4, 10)], [(0, 6)])
    """
    result: list[tuple[int, int]] = []
    first = 0
    while True:
        result.append((first, min(first + room, length)))
        if first + room >= length:
            return result
        first += stride


def best_span(start: Logits, end: Logits, first: int, last: int) -> tuple[int, int]:
    """The best span (s, e) with first <= s <= e <= last, in one pass; ties go to the earliest start, then end.

    The best start for each end is a running maximum of the start logits, so no sort and no matrix is needed.

    >>> best_span(np.array([9., 0, 3, 1], np.float32), np.array([9., 1, 0, 2], np.float32), 1, 3)
    (2, 3)
    """
    starts, ends = start[first : last + 1], end[first : last + 1]
    running = np.maximum.accumulate(starts)
    totals = running + ends
    top = totals.max()
    tied = np.flatnonzero(totals == top)
    begins = np.array([int(np.argmax(starts[: e + 1] == running[e])) for e in tied])
    pick = int(np.lexsort((tied, begins))[0])
    return first + int(begins[pick]), first + int(tied[pick])


def best_spans(start: Logits, end: Logits, first: int, last: int, count: int, apart: int) -> list[tuple[int, int]]:
    """The best `count` spans, best first.

    apart: FARM's `duplicate_filtering`. A span is dropped if its start or end is at most this far from a better span's
    (0: equal ones only; -1: none is dropped).
    """
    if count == 1:
        return [best_span(start, end, first, last)]
    size = last - first + 1
    totals = start[first : last + 1, None] + end[None, first : last + 1]
    totals[np.tril_indices(size, -1)] = -np.inf
    order = np.argsort(-totals, axis=None, kind="stable")
    chosen: list[tuple[int, int]] = []
    for flat in order[: size * (size + 1) // 2]:
        s, e = divmod(int(flat), size)
        if any(apart > -1 and (abs(s - cs) <= apart or abs(e - ce) <= apart) for cs, ce in chosen):
            continue
        chosen.append((s, e))
        if len(chosen) == count:
            break
    return [(first + s, first + e) for s, e in chosen]


def log_total(logits: Logits, missing: int = 0, pad: float = 0.0) -> float:
    """log-sum-exp of the logits, as if there were `missing` more positions with the logit `pad`.

    FARM's confidence is a softmax over all positions of a window padded to max_seq_len, question and padding included.
    Where all pad positions of a model have the same logit, as in RoBERTa, unpadded inputs give the same softmax.
    """
    values = logits.astype(np.float64)
    top = max(float(values.max()), pad if missing else -np.inf)
    total = float(np.exp(values - top).sum()) + (missing * float(np.exp(pad - top)) if missing else 0.0)
    return top + float(np.log(total))


def candidates(
    start: Logits, end: Logits, first: int, last: int, *, missing: int = 0, count: int = 1, apart: int = 0
) -> tuple[list[TokenSpan], TokenSpan]:
    """The best spans of one window, best first, and its "no answer" span, with FARM's scores and confidences.

    start, end: logits of the window, float32 [L], without `missing` trailing pad positions that equal the last position.
    """
    start_total = log_total(start, missing, float(start[-1]))
    end_total = log_total(end, missing, float(end[-1]))

    def span(s: int, e: int) -> TokenSpan:
        confidence = (np.exp(float(start[s]) - start_total) + np.exp(float(end[e]) - end_total)) / 2
        return TokenSpan(s, e, float(start[s] + end[e]), float(confidence))

    found = [span(s, e) for s, e in best_spans(start, end, first, last, count, apart)] if last >= first else []
    return found, span(0, 0)
