"""Calibration metrics and Platt scaling: pure functions of margins and outcomes.

A sample is the best span over the passages of one question: its margin over "no answer", with what the finding of its
passage adds (`fit_evidence_weights`), and whether it is right. Each question gives two, one with its own text among the
passages and one without, so half of the samples cannot be right.
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
    """margin: of the best span, logits. right: it is a right answer. answerable: the passages hold one."""

    margin: float
    right: bool
    answerable: bool


@dataclass(frozen=True, slots=True)
class DecisionFigures:
    """One way to judge the same samples, in percent: expected calibration error, and how often the decision is right."""

    error: float
    decided: float


@dataclass(frozen=True, slots=True)
class CalibratedRow:
    """One language of questions. samples: measured, each by what the half without it taught. judged: raw (bare logits),
    before (what held until now), after. fitted: it has a curve of its own.
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
        """The no-answer score, 1 - P(right), above which "no answer" is said: the one of a span at the cut."""
        return 1.0 - self.probability(self.cut)


@dataclass(frozen=True, slots=True)
class Bin:
    """Samples of about the same probability: how many, their mean probability, and the share that was right."""

    count: int
    said: float
    was: float


def fit(samples: Sequence[Sample], prior: Fit | None = None) -> Fit | None:
    """The fit of samples; None where they are fewer than FEWEST, or all right or all wrong. prior: what few are drawn to."""
    enough = len(samples) >= FEWEST and len({s.right for s in samples}) == len({s.answerable for s in samples}) == 2
    if not enough:
        return None
    margins = np.array([sample.margin for sample in samples])
    slope, offset = logistic(margins, np.array([s.right for s in samples]), (prior.slope, prior.offset) if prior else None)
    return Fit(slope, offset, cut(samples))


def logistic(
    margins: NDArray[np.float64], right: NDArray[np.bool_], prior: tuple[float, float] | None = None
) -> tuple[float, float]:
    """(slope, offset) of largest likelihood, by Newton's steps; the slope is above 0 and at most STEEPEST.

    Both are drawn a little to the prior (to 1 standard deviation where there is none), which matters only where samples are
    few or separable.
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
    """The margin at which the passages hold an answer as likely as not, by a curve of its own; "no answer" below it.

    A curve, not the very margin that decides these samples best: with some hundred samples that one follows chance.
    """
    margins = np.array([sample.margin for sample in samples])
    _, even = logistic(margins, np.array([sample.answerable for sample in samples]))
    return float(np.clip(even, margins.min() - 1.0, margins.max() + 1.0))


def bins(said: Sequence[float], right: Sequence[bool], count: int = BINS) -> list[Bin]:
    """Samples in `count` bins of equal width by their probability, empty ones left out."""
    members: dict[int, list[int]] = {}
    for n, probability in enumerate(said):
        members.setdefault(min(count - 1, int(probability * count)), []).append(n)
    return [
        Bin(len(rows), sum(said[n] for n in rows) / len(rows), sum(right[n] for n in rows) / len(rows))
        for _, rows in sorted(members.items())
    ]


def expected_error(said: Sequence[float], right: Sequence[bool], count: int = BINS) -> float:
    """Expected calibration error (Naeini et al. 2015): |probability - share right|, mean over samples, 0 to 1.

    >>> expected_error([0.75, 0.75, 0.75, 0.75], [True, True, True, False])
    0.0
    """
    return sum(b.count * abs(b.said - b.was) for b in bins(said, right, count)) / len(said) if said else 0.0
