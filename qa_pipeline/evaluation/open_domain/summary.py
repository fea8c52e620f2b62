"""Table of an open-domain run: retrieval, answers, and the no-answer decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from qa_pipeline.evaluation.metrics.bootstrap import CONFIDENCE, RESAMPLES, Figure, figure, resample
from qa_pipeline.evaluation.metrics.no_answer import auroc
from qa_pipeline.evaluation.metrics.ranking import Ranking, RelevantRanks, ranking, recall
from qa_pipeline.evaluation.metrics.scorers import Scorer
from qa_pipeline.evaluation.open_domain.asker import SYSTEMS, OpenPrediction

MATRIX_CUT = 10
NO_SPAN_MARGIN = -1e9


@dataclass(frozen=True, slots=True)
class NoAnswerFigures:
    """The no-answer decision over all questions, present and absent, in percent.

    precision, recall: of the reply "no answer"; accuracy: of the decision. auroc, in [0, 1]: how well the margin separates
    questions with an answer from those without, over all thresholds; None if no question has an answer.
    """

    precision: float
    recall: float
    accuracy: float
    auroc: float | None = None


@dataclass(frozen=True, slots=True)
class OpenRow:
    """One row. exact, f1: of the replies over the whole corpus; best_f1: of the best span, whether or not it is given."""

    name: str
    questions: int
    retrieval: dict[str, Ranking]
    exact: Figure
    f1: Figure
    best_f1: float
    silence: NoAnswerFigures


@dataclass(frozen=True, slots=True)
class OpenSummary:
    """The table. matrix[question's language][documents' language]: recall@10 of the fused ranking; {} if not measured."""

    scorer: Scorer
    rows: tuple[OpenRow, ...]
    all: OpenRow
    matrix: dict[str, dict[str, float]]

    def as_dict(self) -> dict[str, Any]:
        return {
            "scorer": self.scorer.name,
            "about": self.scorer.about,
            "resamples": RESAMPLES,
            "confidence": CONFIDENCE,
            "rows": [asdict(row) for row in self.rows],
            "all": asdict(self.all),
            "matrix": self.matrix,
            "matrix_is": f"recall@{MATRIX_CUT} of the fused ranking, rows: the question's language",
        }


def summarise_open(predictions: Sequence[OpenPrediction], scorer: Scorer) -> OpenSummary:
    """Summarises all predictions. Raises ValueError without predictions."""
    if not predictions:
        raise ValueError("There are no predictions.")
    names = sorted({p.present.row for p in predictions})
    rows = [_row(name, [p for p in predictions if p.present.row == name], scorer) for name in names]
    return OpenSummary(scorer, tuple(rows), _row("all", predictions, scorer), matrix(predictions))


def matrix(predictions: Sequence[OpenPrediction]) -> dict[str, dict[str, float]]:
    """Recall@10 of the fused ranking for each pair of languages; {} if no other language was searched."""
    cells: dict[tuple[str, str], list[float]] = {}
    for p in predictions:
        asked_in = p.present.question_language
        if p.across:
            cells.setdefault((asked_in, p.present.language), []).append(recall(p.found("fused"), MATRIX_CUT))
        for language, ranks in p.across.items():
            cells.setdefault((asked_in, language), []).append(
                recall(RelevantRanks(ranks, p.across_relevant[language]), MATRIX_CUT)
            )
    found: dict[str, dict[str, float]] = {}
    for (asked_in, language), values in sorted(cells.items()):
        found.setdefault(asked_in, {})[language] = 100 * sum(values) / len(values)
    return found


def _row(name: str, predictions: Sequence[OpenPrediction], scorer: Scorer) -> OpenRow:
    answerable = [p for p in predictions if p.present.wanted]
    retrieval = {system: ranking([p.found(system) for p in answerable]) for system in SYSTEMS}
    given = np.array([scorer.score(p.present.given, p.present.wanted, p.present.language) for p in predictions])
    best = [scorer.score(p.present.best, p.present.wanted, p.present.language)[1] for p in answerable]
    means = resample(given, name)
    exact, f1 = (figure(float(given[:, n].mean()), means[:, n]) for n in (0, 1))
    best_f1 = 100 * sum(best) / len(best) if best else 0.0
    return OpenRow(name, len(predictions), retrieval, exact, f1, best_f1, no_answer_figures(predictions))


def no_answer_figures(predictions: Sequence[OpenPrediction]) -> NoAnswerFigures:
    """Figures of the no-answer decision, 0.0 where there is nothing to count."""
    asked = [(not p.present.wanted, not p.present.given) for p in predictions]
    asked += [(True, not p.absent.given) for p in predictions if p.present.wanted]
    rightly = sum(right and said for right, said in asked)
    said, right = sum(said for _, said in asked), sum(right for right, _ in asked)
    agreed = sum(right == said for right, said in asked)
    shares = [
        100 * part / whole if whole else 0.0 for part, whole in ((rightly, said), (rightly, right), (agreed, len(asked)))
    ]
    return NoAnswerFigures(shares[0], shares[1], shares[2], _auroc(predictions))


def _auroc(predictions: Sequence[OpenPrediction]) -> float | None:
    """AUROC of the margin: present questions with an answer against absent ones and those without an answer."""
    with_answer = [p.present.gap for p in predictions if p.present.wanted]
    without = [p.absent.gap if p.present.wanted else p.present.gap for p in predictions]
    if not with_answer or not without:
        return None
    kinds = [
        np.array([NO_SPAN_MARGIN if margin is None else margin for margin in margins]) for margins in (with_answer, without)
    ]
    return auroc(kinds[0], kinds[1])
