"""Paired comparison of two runs, language by language, with bootstrap p values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from indexing.errors import SettingError
from qa_pipeline.datasets.examples import Reporter
from qa_pipeline.evaluation.metrics.bootstrap import Difference, Means, difference, holm, resample
from qa_pipeline.evaluation.metrics.scorers import SCORERS, Scorer
from qa_pipeline.evaluation.reading_comprehension.summary import Columns, scores
from qa_pipeline.evaluation.runs.predictions import Prediction
from qa_pipeline.evaluation.runs.results_folder import READING, Results

CONFIDENCE_LIMIT = 0.05


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One row: F1 of both runs in percent, and B minus A in exact match and F1.

    f1.p is Holm-adjusted over the languages.
    """

    name: str
    questions: int
    a: float
    b: float
    exact: Difference
    f1: Difference

    @property
    def verdict(self) -> str:
        """The run with the better F1, "" where the difference is not significant."""
        return "" if self.f1.p >= CONFIDENCE_LIMIT else "B" if self.f1.value > 0 else "A"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of two runs: one row per language, and a row of all questions."""

    scorer: str
    readers: tuple[str, str]
    rows: tuple[ComparisonRow, ...]
    all: ComparisonRow

    def as_dicts(self) -> list[dict[str, Any]]:
        about = {"scorer": self.scorer, "a_reader": self.readers[0], "b_reader": self.readers[1]}
        return [{**about, **asdict(row), "better": row.verdict} for row in (*self.rows, self.all)]


def compare(run_a: Path, run_b: Path, scorer: str | None = None, tell: Reporter = lambda _: None) -> Comparison:
    """Compares two results folders over the questions that both contain.

    scorer: None takes the scorer that both runs used. Raises SettingError for folders that cannot be compared.
    """
    return compare_results(Results.read(run_a), Results.read(run_b), scorer, tell)


def compare_results(a: Results, b: Results, scorer: str | None = None, tell: Reporter = lambda _: None) -> Comparison:
    """As `compare`, for results already read."""
    if a.settings.get("kind") != b.settings.get("kind"):
        raise SettingError(f"{a.name} and {b.name} are runs of different kinds, reading and open-domain; compare two alike.")
    chosen = SCORERS[scorer] if scorer else _scorer_of(a, b)
    left, right = _paired(a, b, tell)
    readers = (str(a.settings["reader"]["name"]), str(b.settings["reader"]["name"]))
    return compare_scores(left, right, chosen, readers, str(a.settings.get("kind")))


def compare_scores(
    a: Sequence[Prediction],
    b: Sequence[Prediction],
    scorer: Scorer,
    readers: tuple[str, str] = ("A", "B"),
    kind: str = READING,
) -> Comparison:
    """As `compare`, for predictions of the same questions in the same order."""
    both = np.stack([scores(a, scorer, kind), scores(b, scorer, kind)])
    names = [prediction.row for prediction in a]
    members = {name: np.array([n for n, other in enumerate(names) if other == name]) for name in sorted(set(names))}
    means = {name: resample(both[1, rows] - both[0, rows], name) for name, rows in members.items()}
    rows = [_row(name, both[:, rows], means[name]) for name, rows in members.items()]
    adjusted = holm([row.f1.p for row in rows])
    rows = [replace(row, f1=replace(row.f1, p=p)) for row, p in zip(rows, adjusted, strict=True)]
    weights = np.array([len(rows) for rows in members.values()]) / len(names)
    pooled = np.tensordot(weights, np.stack(list(means.values())), axes=1)
    return Comparison(scorer.name, readers, tuple(rows), _row("all", both, pooled))


def _row(name: str, both: Columns, means: Means) -> ComparisonRow:
    """both: [2 runs, questions, exact match and F1], 0 to 1."""
    a, b = both[0].mean(axis=0), both[1].mean(axis=0)
    return ComparisonRow(
        name,
        both.shape[1],
        100 * float(a[1]),
        100 * float(b[1]),
        difference(float(b[0] - a[0]), means[:, 0]),
        difference(float(b[1] - a[1]), means[:, 1]),
    )


def _paired(a: Results, b: Results, tell: Reporter) -> tuple[list[Prediction], list[Prediction]]:
    left = {p.key: p for p in map(Prediction.from_dict, a.lines)}
    right = {p.key: p for p in map(Prediction.from_dict, b.lines)}
    shared = [key for key in left if key in right]
    if not shared:
        raise SettingError(f"{a.name} and {b.name} have no question in common.")
    if any(left[key].wanted != right[key].wanted for key in shared):
        raise SettingError(f"{a.name} and {b.name} were asked questions of the same names with other right answers.")
    alone = len(left) + len(right) - 2 * len(shared)
    if alone:
        tell(f"{alone:,} questions are in one run only and are left out; {len(shared):,} are compared.")
    return [left[key] for key in shared], [right[key] for key in shared]


def _scorer_of(*runs: Results) -> Scorer:
    found = {str(run.metrics().get("scorer")) for run in runs}
    known = found.pop() if len(found) == 1 else ""
    if known not in SCORERS:
        raise SettingError(
            f"The runs were not scored by the same scorer; name the scorer to compare them by: {', '.join(SCORERS)}."
        )
    return SCORERS[known]
