"""`docqa calibrate`: asks questions with and without their own context, and cross-fits calibration on two halves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexing.errors import SettingError
from qa_pipeline.answering.calibration_store import StoredCalibration, to_json
from qa_pipeline.answering.evidence_weights import SHIPPED, FactWeights
from qa_pipeline.answering.verdict import decide
from qa_pipeline.evaluation.calibration.fit_evidence_weights import FittedWeights, fit_weights
from qa_pipeline.evaluation.metrics.calibration import (
    FEWEST,
    Bin,
    CalibratedRow,
    DecisionFigures,
    Fit,
    Sample,
    bins,
    expected_error,
    fit,
)
from qa_pipeline.evaluation.open_domain.asker import RIGHT, OpenPrediction, ReadQuestion
from qa_pipeline.evaluation.open_domain.run import FORMAT, OpenDomainSettings, open_predictions
from qa_pipeline.evaluation.reading_comprehension.run import MeasuredReader, Progress, settings_of
from qa_pipeline.evaluation.runs import plots
from qa_pipeline.evaluation.runs.predictions import QuestionSet
from qa_pipeline.evaluation.runs.results_folder import CALIBRATION, PLOTS, Results
from qa_pipeline.retrieval.evidence import Evidence

if TYPE_CHECKING:
    from indexing.models.embedder import Embedder
    from qa_pipeline.answering.calibration import Calibration

WAYS = RAW, BEFORE, AFTER = "raw", "before", "after"

UNWEIGHTED = FittedWeights(None, FactWeights(0.0, 0.0))
"""Leaves the reader's margin as it is."""

Judge = Callable[[float], float]
Samples = dict[str, list[Sample]]


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """The calibration fitted on all questions, and its cross-fitted error and accuracy on unseen questions."""

    known: StoredCalibration
    rows: tuple[CalibratedRow, ...]
    all: CalibratedRow
    bins: dict[str, list[Bin]]


def calibrate(
    questions: QuestionSet,
    reader: MeasuredReader,
    embedder: Embedder,
    *,
    retrieve: int = 10,
    out: Path | None = None,
    progress: Progress | None = None,
) -> CalibrationResult:
    """Asks all questions, fits the calibration, and measures each half by the fit of the other.

    An interrupted run in `out` is resumed. Raises SettingError if there are too few samples.
    """
    settings = {
        **settings_of(questions, reader),
        "kind": CALIBRATION,
        "format": FORMAT,
        "embedder": embedder.facts(),
        "retrieve": retrieve,
    }
    del settings["calibration"]  # Only margins are stored; the calibration does not change them.
    with Results.writing(out, settings) as results:
        predictions = open_predictions(questions, reader, embedder, OpenDomainSettings(retrieve), results, progress)
        found = learn(questions, predictions, reader.loaded.calibration, embedder.dense_score_name)
        results.write_metrics({"kind": CALIBRATION, **as_dict(found)})
        if results.path is not None:
            drawn = plots.reliability([(name, found.bins[name]) for name in WAYS], f"{reader.name}, all languages")
            for file, data in plots.files("reliability", drawn):
                results.write(f"{PLOTS}/{file}", data)
    return found


def learn(
    questions: QuestionSet, predictions: Sequence[OpenPrediction], before: Calibration, embedder: str
) -> CalibrationResult:
    """Fits and cross-validates; a paragraph and its translations are in one half. embedder: name of its dense score."""
    side = sides(questions)
    halves: tuple[list[OpenPrediction], list[OpenPrediction]] = ([], [])
    for prediction in predictions:
        halves[int(side[prediction.present.key])].append(prediction)
    names = sorted({prediction.present.question_language for prediction in predictions})
    with_evidence, bare = _FittedCalibration.of(predictions, embedder), _FittedCalibration.of(predictions, None)
    here = before.with_embedder(embedder)
    told: dict[str, dict[str, list[_Outcome]]] = {name: {way: [] for way in WAYS} for name in names}
    for half, other in (halves, halves[::-1]):
        there = _FittedCalibration.of(other, embedder)
        until_now = FittedWeights(here.evidence_weights, here.fact_weights)
        for way, weights in ((RAW, UNWEIGHTED), (BEFORE, until_now), (AFTER, there.weights)):
            for name, found in _samples(half, weights).items():
                judge = _judge(way, here.of(name), there.fits.get(name, there.pooled))
                told[name][way].extend(judge.of(sample) for sample in found)
    rows = [_row(name, len(told[name][RAW]), name in with_evidence.fits, told[name]) for name in names]
    together = {way: [one for name in names for one in told[name][way]] for way in WAYS}
    known = replace(
        bare.known({"questions": len(predictions)}),
        found=with_evidence.known({}) if with_evidence.weights.evidence else None,
    )
    reliability = {way: bins([one.said for one in some], [one.right for one in some]) for way, some in together.items()}
    return CalibrationResult(known, tuple(rows), _row("all", len(together[RAW]), True, together), reliability)


@dataclass(frozen=True, slots=True)
class _FittedCalibration:
    """A fit on some questions: weights, the curve pooled over languages, and curves of languages with enough samples."""

    weights: FittedWeights
    pooled: Fit
    fits: dict[str, Fit]

    @classmethod
    def of(cls, predictions: Sequence[OpenPrediction], embedder: str | None) -> _FittedCalibration:
        """embedder: None to fit the reader's margins alone. Raises SettingError if there are too few samples."""
        asked = [asked for prediction in predictions for asked in prediction.asked()]
        weights = fit_weights(asked, embedder) or FittedWeights(None, None)
        found = _samples(predictions, weights)
        pooled = fit([sample for some in found.values() for sample in some])
        if pooled is None:
            raise SettingError(
                f"There is too little to learn from: {FEWEST} questions, some answered rightly and some wrongly, are needed."
            )
        own = {name: fit(some, pooled) for name, some in found.items()}
        return cls(weights, pooled, {name: one for name, one in own.items() if one is not None})

    def known(self, about: Mapping[str, Any]) -> StoredCalibration:
        fits = {name: _numbers(found) for name, found in sorted(self.fits.items())}
        return StoredCalibration(_numbers(self.pooled), fits, about, self.weights.evidence, fact_weights=self.weights.facts)


def _samples(predictions: Sequence[OpenPrediction], weights: FittedWeights) -> Samples:
    """Samples by question language: per question one with its own context among the passages, and one without."""
    found: Samples = {}
    for prediction in predictions:
        of = found.setdefault(prediction.present.question_language, [])
        of.extend(sample for asked in prediction.asked() if (sample := _sample(asked, weights)) is not None)
    return found


def _sample(asked: ReadQuestion, weights: FittedWeights) -> Sample | None:
    """The sample of the best span over all passages; None if there is no span. Facts weigh SHIPPED where not fitted."""
    facts = weights.facts or SHIPPED

    def margin(gap: float, found: Evidence) -> float:
        return gap - facts.cost(found) + (weights.evidence.of(found) if weights.evidence else 0.0)

    margins = [(margin(one.gap, one.evidence), one) for one in asked.passages if one.gap is not None]
    if not margins:
        return None
    best_margin, best = max(margins, key=lambda pair: pair[0])
    return Sample(best_margin, asked.answerable and best.right, asked.answerable)


def sides(questions: QuestionSet) -> dict[tuple[str, str], bool]:
    """The half of each question. A paragraph and its translations are in the same half.

    Contexts are linked by the ids of their questions, as in parallel files. The half is a digest of the group's first id,
    so it does not depend on the order or number of other questions.
    """
    parent: dict[Any, Any] = {}

    def root(node: Any) -> Any:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for example in questions.examples:
        parent[root((example.language, example.context))] = root(("#", example.id))
    first: dict[Any, str] = {}
    for example in questions.examples:
        group = root(("#", example.id))
        first[group] = min(first.get(group, example.id), example.id)
    return {(e.origin, e.id): _half(first[root(("#", e.id))]) for e in questions.examples}


def _half(id: str) -> bool:
    return hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=1).digest()[0] % 2 == 0


# -- measuring ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The outcome for one sample. decided: whether the no-answer decision was right."""

    said: float
    right: bool
    decided: bool


@dataclass(frozen=True, slots=True)
class _Judge:
    """A calibration curve (margin to probability) with its no-answer threshold."""

    probability: Judge
    threshold: float

    def of(self, sample: Sample) -> _Outcome:
        said = self.probability(sample.margin)
        return _Outcome(said, sample.right, decide(said, self.threshold).is_no_answer != sample.answerable)


def _judge(way: str, before: Calibration, after: Fit) -> _Judge:
    ways: dict[str, Fit | Calibration] = {RAW: Fit(1.0, 0.0, 0.0), BEFORE: before, AFTER: after}
    held = ways[way]
    return _Judge(held.probability, held.threshold)


def _row(name: str, count: int, fitted: bool, told: Mapping[str, Sequence[_Outcome]]) -> CalibratedRow:
    return CalibratedRow(name, count, fitted, {way: _figures(some) for way, some in told.items()})


def _figures(told: Sequence[_Outcome]) -> DecisionFigures:
    error = expected_error([one.said for one in told], [one.right for one in told])
    return DecisionFigures(100 * error, 100 * sum(one.decided for one in told) / max(1, len(told)))


def _numbers(found: Fit) -> tuple[float, float, float]:
    return round(found.slope, 4), round(found.offset, 4), round(found.threshold, 4)


def as_dict(found: CalibrationResult) -> dict[str, Any]:
    """The content of metrics.json."""
    rows: Iterable[CalibratedRow] = (*found.rows, found.all)
    return {
        "right_is": f"F1 of mlqa at least {RIGHT}",
        "known": to_json(found.known),
        "rows": [asdict(row) for row in rows],
        "bins": {way: [asdict(b) for b in several] for way, several in found.bins.items()},
    }
