"""Percentile bootstrap confidence intervals, and paired differences of two runs.

The bootstrap of Efron (1979), paired as in Koehn (2004). It draws RESAMPLES samples with replacement, each of as many
questions as there are, the same for both runs. The seed is fixed, so the same predictions give the same interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000
CONFIDENCE = 0.95
PART = 100

Means = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean with its confidence interval, in percent."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Run B minus run A in percent, with its confidence interval and the two-sided p value."""

    value: float
    low: float
    high: float
    p: float


def resample(columns: NDArray[np.float64], name: str = "") -> Means:
    """Bootstrap means, [RESAMPLES, columns]. columns: [questions, columns]; name: part of the seed."""
    count = len(columns)
    random = np.random.default_rng([0, *name.encode()])
    means = np.empty((RESAMPLES, columns.shape[1]))
    for first in range(0, RESAMPLES, PART):
        rows = random.integers(0, count, size=(PART, count))
        means[first : first + PART] = columns[rows].mean(axis=1)
    return means


def figure(value: float, means: Means) -> Figure:
    """A mean (0 to 1) with the interval of its bootstrap means, [RESAMPLES]."""
    low, high = _interval(means)
    return Figure(100 * value, 100 * low, 100 * high)


def difference(value: float, means: Means) -> Difference:
    """A mean difference with its interval and p. p: twice the share of bootstrap means with the opposite sign, never 0."""
    low, high = _interval(means)
    turned = min(int((means <= 0).sum()), int((means >= 0).sum()))
    p = min(1.0, 2 * (turned + 1) / (len(means) + 1))
    return Difference(100 * value, 100 * low, 100 * high, p)


def holm(values: Sequence[float]) -> list[float]:
    """Holm-adjusted p values for multiple comparisons (Holm 1979), in the given order.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    adjusted, most = [0.0] * len(values), 0.0
    for place, n in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        most = max(most, min(1.0, values[n] * (len(values) - place)))
        adjusted[n] = most
    return adjusted


def _interval(means: Means) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
