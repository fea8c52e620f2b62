"""Calibration metrics and Platt scaling: pure functions of margins and outcomes.

A sample is the best span over all passages of a question: its margin, with the retriever evidence of its passage
(`fit_evidence_weights`), and whether it is right. Each question gives two samples, one with its own context among the
passages and one without. So half of the samples cannot be right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 10
FEWEST = 60
STEPS = 60
STEEPEST = 20.0


@dataclass(frozen=True, slots=True)
class Sample:
    """margin: of the best span, in logits. right: whether the span is right. answerable: whether the passages hold it."""

    margin: float
    right: bool
    answerable: bool


@dataclass(frozen=True, slots=True)
class DecisionFigures:
    """Expected calibration error, and accuracy of the no-answer decision, both in percent."""

    error: float
    decided: float


@dataclass(frozen=True, slots=True)
class CalibratedRow:
    """One question language, cross-fitted. samples: their number; fitted: whether the language has its own curve.

    judged: the figures of raw (bare logits), before (the calibration in use until now) and after (the new one).
    """

    name: str
    samples: int
    fitted: bool
    judged: dict[str, DecisionFigures]


@dataclass(frozen=True, slots=True)
class Fit:
    """P(right) = logistic(slope * (margin - offset)); "no answer" below the margin `cut`."""

    slope: float
    offset: float
    cut: float

    def probability(self, margin: float) -> float:
        """
        >>> Fit(2.0, 1.5, 0.0).probability(1.5)
        0.5
        """
        return 1.0 / (1.0 + math.exp(-max(-500.0, min(500.0, self.slope * (margin - self.offset)))))

    @property
    def threshold(self) -> float:
        """No-answer score, 1 - P(right), of a span at `cut`; above it the reply is "no answer"."""
        return 1.0 - self.probability(self.cut)


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of a reliability diagram: sample count, mean probability, and the share that was right."""

    count: int
    said: float
    was: float


def fit(samples: Sequence[Sample], prior: Fit | None = None) -> Fit | None:
    """Fits the samples; None if fewer than FEWEST, or all of one outcome. prior: the fit towards which they are shrunk."""
    enough = len(samples) >= FEWEST and len({s.right for s in samples}) == len({s.answerable for s in samples}) == 2
    if not enough:
        return None
    margins = np.array([sample.margin for sample in samples])
    slope, offset = logistic(margins, np.array([s.right for s in samples]), (prior.slope, prior.offset) if prior else None)
    return Fit(slope, offset, cut(samples))


def logistic(
    margins: NDArray[np.float64], right: NDArray[np.bool_], prior: tuple[float, float] | None = None
) -> tuple[float, float]:
    """(slope, offset) of maximum likelihood, by Newton's method; the slope is above 0 and at most STEEPEST.

    Both are regularised towards the prior (default: slope 1 in standardised margins). This matters only if samples are few
    or separable.
    """
    centre, spread = float(margins.mean()), float(margins.std()) or 1.0
    x = np.stack([(margins - centre) / spread, np.ones(len(margins))], axis=1)
    start = np.array([prior[0] * spread, prior[0] * (centre - prior[1])]) if prior else np.array([1.0, 0.0])
    weights, ridge = start.copy(), (0.5 if prior else 0.01) * np.eye(2)
    for _ in range(STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ weights, -50, 50)))
        gradient = x.T @ (p - right) + ridge @ (weights - start)
        step = np.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]) + ridge, gradient)
        weights -= np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    slope = float(np.clip(weights[0] / spread, 1e-3, STEEPEST))
    return slope, centre - float(weights[1]) / slope


def cut(samples: Sequence[Sample]) -> float:
    """The margin at which the passages hold an answer with probability 0.5, by a logistic curve of its own.

    Below it the reply is "no answer". The best threshold of these samples would overfit a few hundred samples; the curve
    does not.
    """
    margins = np.array([sample.margin for sample in samples])
    _, even = logistic(margins, np.array([sample.answerable for sample in samples]))
    return float(np.clip(even, margins.min() - 1.0, margins.max() + 1.0))


def bins(said: Sequence[float], right: Sequence[bool], count: int = BINS) -> list[Bin]:
    """Groups samples into `count` probability bins of equal width, without the empty ones."""
    members: dict[int, list[int]] = {}
    for n, probability in enumerate(said):
        members.setdefault(min(count - 1, int(probability * count)), []).append(n)
    return [
        Bin(len(rows), sum(said[n] for n in rows) / len(rows), sum(right[n] for n in rows) / len(rows))
        for _, rows in sorted(members.items())
    ]


def expected_error(said: Sequence[float], right: Sequence[bool], count: int = BINS) -> float:
    """Expected calibration error (Naeini et al. 2015): mean over samples of |probability - share right|, 0 to 1.

    >>> expected_error([0.75, 0.75, 0.75, 0.75], [True, True, True, False])
    0.0
    """
    return sum(b.count * abs(b.said - b.was) for b in bins(said, right, count)) / len(said) if said else 0.0
