"""Fits the evidence weights by conditional logistic regression on questions with known answers.

A question chooses among its passages and "none of them" with probability softmax(score). "None" scores 0, a passage
scores margin * a + dense score * b + words * c + d. This is the conditional logit of McFadden (1974, "Conditional logit
analysis of qualitative choice behavior"). d is an intercept per question language, because languages differ in how many
words question and passage share. The fit maximises the likelihood of the right choices. In units of the reader's margin
the weights are b / a and c / a, and never below 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from qa_pipeline.answering.evidence_weights import EvidenceWeights
from qa_pipeline.evaluation.metrics.calibration import FEWEST
from qa_pipeline.evaluation.open_domain.asker import ReadPassage, ReadQuestion
from qa_pipeline.retrieval.evidence import Evidence

Numbers = NDArray[np.float64]

RIDGE = 0.01
LEAST_MARGIN_WEIGHT = 0.01
TINY = 1e-300


def fit_evidence_weights(asked: Sequence[ReadQuestion], embedder: str) -> EvidenceWeights | None:
    """The evidence weights of questions in any order; None if there are too few questions.

    A question whose answer is in the corpus, but in no span read, does not show which passage to choose. It is left out.
    Returns None if the margin itself is not informative (a at its lower bound). embedder: the name of its dense score.
    """
    chosen = [
        replace(one, passages=tuple(read for read in one.passages if read.gap is not None))
        for one in asked
        if not one.answerable or any(read.right for read in one.passages)
    ]
    chosen = _fill_missing([one for one in chosen if one.passages])
    answerable = sum(one.answerable for one in chosen)
    if min(answerable, len(chosen) - answerable) < FEWEST // 2:
        return None
    weights = _weights(chosen)
    if weights is None:
        return None
    a, b, c = weights
    near, words = b / a, c / a
    best = [max(one.passages, key=lambda read: _score(read, near, words)) for one in chosen]
    typical = Evidence(_mean(read.nearness for read in best), _mean(read.words for read in best))
    return EvidenceWeights(round(near, 3), round(words, 3), typical, embedder)


def _fill_missing(asked: Sequence[ReadQuestion]) -> list[ReadQuestion]:
    """Replaces missing evidence by its mean over all passages that have it."""
    nearness, words = (
        _mean(getattr(read, name) for one in asked for read in one.passages) for name in ("nearness", "words")
    )

    def fill(read: ReadPassage) -> ReadPassage:
        return replace(
            read,
            nearness=nearness if read.nearness is None else read.nearness,
            words=words if read.words is None else read.words,
        )

    return [replace(one, passages=tuple(map(fill, one.passages))) for one in asked]


def _score(one: ReadPassage, near: float, words: float) -> float:
    return (one.gap or 0.0) + near * _number(one.nearness) + words * _number(one.words)


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of the known values; None if there is none."""
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 4) if known else None


def _number(value: float | None) -> float:
    return 0.0 if value is None else value


def _weights(asked: Sequence[ReadQuestion]) -> tuple[float, ...] | None:
    """(a, b, c) of maximum likelihood; None if a is at its lower bound.

    Every question must have passages, and every passage a margin.
    """
    rows = [read for one in asked for read in one.passages]
    columns = np.array([[read.gap, _number(read.nearness), _number(read.words)] for read in rows], dtype=np.float64)
    right = np.array([read.right and one.answerable for one in asked for read in one.passages])
    has = np.array([one.answerable for one in asked])
    sizes = np.array([len(one.passages) for one in asked])
    begins, which = np.cumsum(sizes) - sizes, np.repeat(np.arange(len(asked)), sizes)
    names = sorted({one.language for one in asked})
    language = np.array([names.index(one.language) for one in asked])[which]
    spread = columns.std(0)
    spread[spread == 0] = 1.0
    scaled = (columns - columns.mean(0)) / spread

    def loss(weights: Numbers) -> tuple[float, Numbers]:
        scores = scaled @ weights[:3] + weights[3:][language]
        top = np.maximum(np.maximum.reduceat(scores, begins), 0.0)
        chances = np.exp(scores - top[which])
        none = np.exp(-top)
        whole = np.add.reduceat(chances, begins) + none
        wanted = np.maximum(np.where(has, np.add.reduceat(chances * right, begins), none), TINY)
        pull = chances * right / np.where(has, wanted, 1.0)[which] - chances / whole[which]
        gradient = np.append(scaled.T @ pull, np.bincount(language, pull, len(names)))
        likelihood = float((np.log(wanted) - np.log(whole)).sum())
        return RIDGE * float(weights @ weights) - likelihood, 2 * RIDGE * weights - gradient

    start = np.array([1.0, 0.0, 0.0, *[0.0] * len(names)])
    bounds = [(LEAST_MARGIN_WEIGHT, None), (0.0, None), (0.0, None), *[(None, None)] * len(names)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return tuple(float(weight) for weight in found.x[:3] / spread) if found.x[0] > LEAST_MARGIN_WEIGHT else None
