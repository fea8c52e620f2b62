"""Table of a reading comprehension run: one row per language with intervals, macro average, all questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_pipeline.evaluation.metrics.bootstrap import CONFIDENCE, RESAMPLES, Figure, Means, figure, resample
from qa_pipeline.evaluation.metrics.no_answer import best_threshold, precision_recall
from qa_pipeline.evaluation.metrics.scorers import Scorer
from qa_pipeline.evaluation.runs.predictions import Prediction
from qa_pipeline.evaluation.runs.results_folder import CALIBRATION, OPEN_DOMAIN, READING

Columns = NDArray[np.float64]

FEWEST = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a language, "mean" (macro average), or "all" (micro average). details: further figures of the scorer."""

    name: str
    questions: int
    answerable: int
    exact: Figure
    f1: Figure
    details: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a run. Figures are comparable only under the same scorer. left_out: rows excluded from the mean."""

    scorer: Scorer
    rows: tuple[Row, ...]
    mean: Row
    all: Row
    left_out: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "scorer": self.scorer.name,
            "about": self.scorer.about,
            "resamples": RESAMPLES,
            "confidence": CONFIDENCE,
            "mean_leaves_out": list(self.left_out),
            "rows": [asdict(row) for row in self.rows],
            "mean": asdict(self.mean),
            "all": asdict(self.all),
        }


def text_scored(prediction: Prediction, scorer: Scorer, kind: str = READING) -> str:
    """The text that is scored: the answer given if "no answer" may be right, else the best span.

    kind: of the run. In an open-domain run the answer given always counts.
    """
    may_be_none = kind == OPEN_DOMAIN or scorer.name == "squad2" or not prediction.wanted
    return prediction.given if may_be_none and kind != CALIBRATION else prediction.best


def scores(predictions: Sequence[Prediction], scorer: Scorer, kind: str = READING) -> Columns:
    """Exact match and F1 of each prediction, 0 to 1: [questions, 2]. kind: of the run."""
    found = [scorer.score(text_scored(p, scorer, kind), p.wanted, p.language) for p in predictions]
    return np.array(found, dtype=np.float64).reshape(len(predictions), 2)


def summarise(predictions: Sequence[Prediction], scorer: Scorer) -> Summary:
    """Summarises all predictions. Raises ValueError without predictions."""
    if not predictions:
        raise ValueError("There are no predictions.")
    columns = scores(predictions, scorer)
    names = [prediction.row for prediction in predictions]
    members = {name: np.array([n for n, other in enumerate(names) if other == name]) for name in sorted(set(names))}
    means = {name: resample(columns[rows], name) for name, rows in members.items()}
    table = [
        _row(name, [predictions[n] for n in rows], columns[rows], means[name], scorer) for name, rows in members.items()
    ]
    counted = _rows_of_mean(table, scorer)
    return Summary(
        scorer,
        tuple(table),
        _mean(counted, means),
        _row("all", predictions, columns, _pooled(table, means), scorer),
        tuple(row.name for row in table if row not in counted),
    )


def _rows_of_mean(table: Sequence[Row], scorer: Scorer) -> Sequence[Row]:
    """The rows of the macro average: without the scorer's exclusions and without rows of fewer than FEWEST questions.

    If none is left, small rows count too.
    """
    wanted = [row for row in table if row.name not in scorer.left_out] or table
    return [row for row in wanted if row.questions >= FEWEST] or wanted


def _row(name: str, predictions: Sequence[Prediction], columns: Columns, means: Means, scorer: Scorer) -> Row:
    exact, f1 = (figure(float(columns[:, n].mean()), means[:, n]) for n in (0, 1))
    answerable = sum(bool(p.wanted) for p in predictions)
    details = _squad2(predictions, columns, scorer) if scorer.name == "squad2" else _no_answer_details(predictions)
    return Row(name, len(predictions), answerable, exact, f1, details)


def _mean(rows: Sequence[Row], means: dict[str, Means]) -> Row:
    """Macro average: every language has the same weight."""
    together = np.mean([means[row.name] for row in rows], axis=0)
    exact, f1 = (float(np.mean([getattr(row, name).value for row in rows])) / 100 for name in ("exact", "f1"))
    return Row(
        "mean",
        sum(row.questions for row in rows),
        sum(row.answerable for row in rows),
        figure(exact, together[:, 0]),
        figure(f1, together[:, 1]),
    )


def _pooled(rows: Sequence[Row], means: dict[str, Means]) -> Means:
    """Bootstrap means of the micro average (every question has the same weight), resampled within languages."""
    weights = np.array([row.questions for row in rows], dtype=np.float64)
    pooled: Means = np.tensordot(weights / weights.sum(), np.stack([means[row.name] for row in rows]), axes=1)
    return pooled


def _no_answer_details(predictions: Sequence[Prediction]) -> dict[str, float]:
    """The share of "no answer" decisions at the reader's own threshold, in percent; it does not count here."""
    return {"would_say_no_answer": 100 * sum(not p.given for p in predictions) / len(predictions)}


def _squad2(predictions: Sequence[Prediction], columns: Columns, scorer: Scorer) -> dict[str, float]:
    """The further figures of SQuAD 2.0's script, under its names, from the best spans and no-answer scores."""
    answerable = [bool(p.wanted) for p in predictions]
    no_answer_scores = [p.no_answer for p in predictions]
    details: dict[str, float] = {}
    for label, wanted in (("HasAns", True), ("NoAns", False)):
        rows = [n for n, has in enumerate(answerable) if has == wanted]
        if rows:
            exact, f1 = columns[rows].mean(axis=0)
            details |= {f"{label}_exact": 100 * float(exact), f"{label}_f1": 100 * float(f1), f"{label}_total": len(rows)}
    raw = np.array([scorer.score(p.best, p.wanted, p.language) for p in predictions])
    for column, label in enumerate(("exact", "f1")):
        values = raw[:, column].tolist()
        found = best_threshold(values, answerable, no_answer_scores, [bool(p.best) for p in predictions])
        details |= {f"best_{label}": 100 * found.score, f"best_{label}_thresh": found.threshold}
        if any(answerable):
            details[f"pr_{label}_ap"] = 100 * precision_recall(values, answerable, no_answer_scores).average
    if any(answerable):
        details["pr_oracle_ap"] = (
            100 * precision_recall([float(has) for has in answerable], answerable, no_answer_scores).average
        )
    return details
