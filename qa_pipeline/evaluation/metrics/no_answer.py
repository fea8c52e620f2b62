"""No-answer metrics of the SQuAD 2.0 script: thresholds and precision-recall curves.

The arguments are columns with one entry per question. scores: score of the best span, whether or not it is given;
answerable: whether the question has an answer; no_answer: the no-answer score. The reply is "no answer" if that score
exceeds a threshold. Sorting is stable: equal no-answer scores keep their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class BestThreshold:
    """The best mean score over all thresholds, and its threshold."""

    score: float
    threshold: float


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Average precision, and one point (precision, recall) per threshold, starting with (1, 0)."""

    average: float
    points: tuple[tuple[float, float], ...]


def with_threshold(
    scores: Sequence[float], answerable: Sequence[bool], no_answer: Sequence[float], threshold: float
) -> list[float]:
    """Each question's score after the threshold replaces answers by "no answer".

    >>> with_threshold([0.5, 1.0, 0.0], [True, True, False], [0.2, 0.9, 0.9], 0.5)
    [0.5, 0.0, 1.0]
    """
    return [
        float(not has) if na > threshold else score for score, has, na in zip(scores, answerable, no_answer, strict=True)
    ]


def best_threshold(
    scores: Sequence[float], answerable: Sequence[bool], no_answer: Sequence[float], answered: Sequence[bool]
) -> BestThreshold:
    """The threshold with the highest mean score, 0.0 if "no answer" to every question is best. answered: a span exists.

    It is chosen on the questions it is measured on, so its score is an upper bound, not an estimate.

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
    """Precision-recall curve over rising thresholds: precision of the questions answered, recall of all answerable ones.

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
    """Area under the ROC curve: P(a value of `right` exceeds one of `wrong`), ties counted half.

    >>> auroc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    order = np.sort(wrong)
    below, not_above = np.searchsorted(order, right, "left"), np.searchsorted(order, right, "right")
    return float((below + not_above).mean() / 2 / len(wrong))
