"""Fits evidence weights and fact weights by conditional logistic regression on questions with known answers.

A question chooses among its passages and "none of them" with probability softmax(score). "None" scores 0, a passage scores

    margin * a + dense score * b + words * c + sentence score * s - numbers * e - names * f + d

where numbers and names are what it lacks of the question's facts. This is the conditional logit of McFadden (1974,
"Conditional logit analysis of qualitative choice behavior"). d is an intercept per question language, because languages
differ in how many words question and passage share. The fit maximises the likelihood of the right choices. In units of the
reader's margin the weights are b / a, c / a, s / a, e / a and f / a, never below 0. Weights of facts are not fitted where
few passages lack one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from qa_pipeline.answering.evidence_weights import SHIPPED, EvidenceWeights, FactWeights
from qa_pipeline.evaluation.metrics.calibration import FEWEST
from qa_pipeline.evaluation.open_domain.asker import ReadPassage, ReadQuestion
from qa_pipeline.retrieval.evidence import Evidence

Numbers = NDArray[np.float64]

RIDGE = 0.01
LEAST_MARGIN_WEIGHT = 0.01
TINY = 1e-300
KINDS = 6


@dataclass(frozen=True, slots=True)
class FittedWeights:
    """evidence: None for the margin alone. facts: None if too few questions have near misses."""

    evidence: EvidenceWeights | None
    facts: FactWeights | None


def fit_evidence_weights(asked: Sequence[ReadQuestion], embedder: str) -> EvidenceWeights | None:
    """The evidence weights of `fit_weights`."""
    found = fit_weights(asked, embedder)
    return found.evidence if found else None


def fit_weights(asked: Sequence[ReadQuestion], embedder: str | None) -> FittedWeights | None:
    """The weights of questions in any order; None if there are too few questions.

    A question whose answer is in the corpus, but in no span read, does not show which passage to choose. It is left out.
    Returns None if the margin itself is not informative (a at its lower bound). embedder: the name of its dense score;
    None fits fact weights beside the margin alone, without dense score and words.
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
    has_facts = _has_near_misses(chosen)
    weights = _weights(chosen, embedder is not None, has_facts)
    if weights is None:
        return None
    near, words, sentences, numbers, names = (weight / weights[0] for weight in weights[1:])
    facts = FactWeights(round(numbers, 3), round(names, 3)) if has_facts else None
    if embedder is None:
        return FittedWeights(None, facts)
    cost = facts or SHIPPED
    best = [max(one.passages, key=lambda read: _score(read, near, words, sentences, cost)) for one in chosen]
    typical = Evidence(
        _mean(read.nearness for read in best),
        _mean(read.words for read in best),
        sentences=_mean(read.sentences for read in best),
    )
    fitted = EvidenceWeights(round(near, 3), round(words, 3), typical, embedder, round(sentences, 3))
    return FittedWeights(fitted, facts)


def _has_near_misses(asked: Sequence[ReadQuestion]) -> bool:
    """Whether enough unanswerable questions lack a fact in the passage read best; else fact weights would be chance."""
    best = [max(one.passages, key=lambda read: read.gap or 0.0) for one in asked if not one.answerable]
    return all(sum(getattr(read, kind) > 0 for read in best) >= FEWEST // 2 for kind in ("numbers", "names"))


def _fill_missing(asked: Sequence[ReadQuestion]) -> list[ReadQuestion]:
    """Replaces missing evidence by its mean over all passages that have it."""
    nearness, words, sentences = (
        _mean(getattr(read, name) for one in asked for read in one.passages) for name in ("nearness", "words", "sentences")
    )

    def fill(read: ReadPassage) -> ReadPassage:
        return replace(
            read,
            nearness=nearness if read.nearness is None else read.nearness,
            words=words if read.words is None else read.words,
            sentences=sentences if read.sentences is None else read.sentences,
        )

    return [replace(one, passages=tuple(map(fill, one.passages))) for one in asked]


def _score(one: ReadPassage, near: float, words: float, sentences: float, facts: FactWeights) -> float:
    found = near * _number(one.nearness) + words * _number(one.words) + sentences * _number(one.sentences)
    return (one.gap or 0.0) + found - facts.cost(one.evidence)


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of the known values; None if there is none."""
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 4) if known else None


def _number(value: float | None) -> float:
    return 0.0 if value is None else value


def _weights(asked: Sequence[ReadQuestion], has_evidence: bool, has_facts: bool) -> tuple[float, ...] | None:
    """(a, b, c, s, e, f) of maximum likelihood; None if a is at its lower bound.

    b, c and s are 0 without evidence; without near misses, facts cost what SHIPPED says. Every question must have passages,
    and every passage a margin.
    """
    rows = [read for one in asked for read in one.passages]
    columns = np.array([_columns(read, has_evidence, has_facts) for read in rows], dtype=np.float64)
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
        scores = scaled @ weights[:KINDS] + weights[KINDS:][language]
        top = np.maximum(np.maximum.reduceat(scores, begins), 0.0)
        chances = np.exp(scores - top[which])
        none = np.exp(-top)
        whole = np.add.reduceat(chances, begins) + none
        wanted = np.maximum(np.where(has, np.add.reduceat(chances * right, begins), none), TINY)
        pull = chances * right / np.where(has, wanted, 1.0)[which] - chances / whole[which]
        gradient = np.append(scaled.T @ pull, np.bincount(language, pull, len(names)))
        likelihood = float((np.log(wanted) - np.log(whole)).sum())
        return RIDGE * float(weights @ weights) - likelihood, 2 * RIDGE * weights - gradient

    start = np.array([1.0, *[0.0] * (KINDS - 1 + len(names))])
    bounds = [(LEAST_MARGIN_WEIGHT, None), *[(0.0, None)] * (KINDS - 1), *[(None, None)] * len(names)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    if found.x[0] <= LEAST_MARGIN_WEIGHT:
        return None
    return tuple(float(weight) for weight in found.x[:KINDS] / spread)


def _columns(read: ReadPassage, has_evidence: bool, has_facts: bool) -> list[float]:
    """What a passage's score weighs; what is not fitted is 0, and the margin then has the shipped cost of facts."""
    gap = _number(read.gap) - (0.0 if has_facts else SHIPPED.cost(read.evidence))
    scores = [_number(read.nearness), _number(read.words), _number(read.sentences)]
    found = scores if has_evidence else [0.0, 0.0, 0.0]
    return [gap, *found, *([-read.numbers, -read.names] if has_facts else [0.0, 0.0])]
