"""No-answer metrics of the SQuAD 2.0 script: thresholds, and precision against recall.

Every function takes columns, one entry a question: its raw score (what the best span is worth, whether or not it is
given), whether it has an answer, and its no-answer score. "No answer" is said above a threshold. Questions of equal
no-answer score are taken in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class BestThreshold:
    """The best mean score that any threshold gives, and that threshold."""

    score: float
    threshold: float


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Average precision, and a point (precision, recall) for each threshold, beginning with (1, 0)."""

    average: float
    points: tuple[tuple[float, float], ...]


def with_threshold(
    scores: Sequence[float], answerable: Sequence[bool], no_answer: Sequence[float], threshold: float
) -> list[float]:
    """Each question's score once "no answer" is said above a threshold.

    >>> with_threshold([0.5, 1.0, 0.0], [True, True, False], [0.2, 0.9, 0.9], 0.5)
    [0.5, 0.0, 1.0]
    """
    return [
        float(not has) if na > threshold else score for score, has, na in zip(scores, answerable, no_answer, strict=True)
    ]


def best_threshold(
    scores: Sequence[float], answerable: Sequence[bool], no_answer: Sequence[float], answered: Sequence[bool]
) -> BestThreshold:
    """The threshold that serves these very questions best, 0.0 when silence throughout does. answered: a span was given.

    It is chosen on what it is measured on, so its score says what could be reached, not what will be.

    >>> best_threshold([1.0, 0.0, 0.0], [True, False, True], [0.1, 0.5, 0.4], [True, True, True])
    BestThreshold(score=0.6666666666666666, threshold=0.1)
    """
    if not scores:
        return BestThreshold(0.0, 0.0)
    current = float(sum(not has for has in answerable))
    most, threshold = current, 0.0
    for row in sorted(range(len(scores)), key=no_answer.__getitem__):
        current += scores[row] if answerable[row] else -float(answered[row])
        if current > most:
            most, threshold = current, no_answer[row]
    return BestThreshold(most / len(scores), threshold)


def precision_recall(scores: Sequence[float], answerable: Sequence[bool], no_answer: Sequence[float]) -> PrecisionRecall:
    """As the threshold rises: precision over the questions answered so far, recall over all that have an answer.

    >>> precision_recall([1.0, 0.0, 1.0], [True, False, True], [0.1, 0.2, 0.3]).points
    ((1.0, 0.0), (1.0, 0.5), (0.5, 0.5), (0.6666666666666666, 1.0))
    """
    total = sum(answerable)
    rows = sorted(range(len(scores)), key=no_answer.__getitem__)
    points, average, right = [(1.0, 0.0)], 0.0, 0.0
    for place, row in enumerate(rows, start=1) if total else ():
        right += scores[row] if answerable[row] else 0.0
        if place == len(rows) or no_answer[row] != no_answer[rows[place]]:
            average += right / place * (right / total - points[-1][1])
            points.append((right / place, right / total))
    return PrecisionRecall(average, tuple(points))


def auroc(right: NDArray[np.float64], wrong: NDArray[np.float64]) -> float:
    """The chance that one of `right` is above one of `wrong`, equals counted half.

    >>> auroc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    order = np.sort(wrong)
    below, not_above = np.searchsorted(order, right, "left"), np.searchsorted(order, right, "right")
    return float((below + not_above).mean() / 2 / len(wrong))
