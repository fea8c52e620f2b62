"""Response schemas of evaluations. Figures are in percent, except p values, probabilities and margins."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from msgspec import Struct

from qa_pipeline.api.schemas import to_schema
from qa_pipeline.evaluation.analysis.compare import Comparison
from qa_pipeline.evaluation.analysis.error_analysis import JudgedQuestion
from qa_pipeline.evaluation.analysis.stored_run import CalibrationMetrics, OpenMetrics, ReadingMetrics
from qa_pipeline.evaluation.analysis.stored_run import Evaluation as StoredRun
from qa_pipeline.evaluation.metrics.bootstrap import CONFIDENCE, RESAMPLES
from qa_pipeline.evaluation.metrics.calibration import CalibratedRow
from qa_pipeline.evaluation.open_domain.summary import MATRIX_CUT, OpenRow
from qa_pipeline.evaluation.reading_comprehension.summary import Row


class Figure(Struct):
    """A mean and its 95 % confidence interval, in percent."""

    value: float
    low: float
    high: float


class Difference(Struct):
    """Run B minus run A in percentage points, its 95 % confidence interval, and the p value of no difference."""

    value: float
    low: float
    high: float
    p: float


class Ranking(Struct):
    """Retrieval metrics in percent. recall: recall@k by k, such as "10"."""

    questions: int
    recall: dict[str, float]
    mrr: float
    ndcg: float


class NoAnswerFigures(Struct):
    """Precision, recall and accuracy of the no-answer verdict, in percent."""

    precision: float
    recall: float
    accuracy: float


class Judgement(Struct):
    """Calibration in percent. error: expected calibration error (ECE). decided: accuracy of the no-answer verdict."""

    error: float
    decided: float


class EvaluationRow(Struct):
    """One row of a run's table: a language, a language pair en→de, "mean" or "all". Null: not in this kind of run.

    details: further figures of the scorer's official script. retrieval: by dense, keyword and fused. `silence`: figures of
    the no-answer verdict. judged: calibration raw, before and after. fitted: whether the language has its own calibration.
    """

    name: str
    questions: int
    answerable: int | None = None
    exact: Figure | None = None
    f1: Figure | None = None
    best_f1: float | None = None
    details: dict[str, float] = {}
    retrieval: dict[str, Ranking] | None = None
    silence: NoAnswerFigures | None = None
    judged: dict[str, Judgement] | None = None
    fitted: bool | None = None


class EvaluationFile(Struct):
    name: str
    questions: int


class Evaluation(Struct):
    """One run. problem: one sentence on what is wrong with a broken run. made: ISO 8601, UTC.

    exact, f1: over all questions. recall: recall@10 of the fused ranking. Each is null if the run does not have it.
    """

    name: str
    kind: str
    state: Literal["done", "unfinished", "broken"]
    problem: str
    made: str
    reader: str
    embedder: str
    scorer: str
    asked: int
    answered: int
    languages: int
    files: list[EvaluationFile]
    exact: Figure | None
    f1: Figure | None
    recall: float | None


class EvaluationDetail(Evaluation):
    """A run with its table. rows: one per language. mean, all: over all languages, and over all questions.

    about: the scorer in words. mean_leaves_out: languages not in the mean. confidence: of intervals, in percent.
    matrix: recall@10 by language of the question and language of the documents. plots: names of the plots.
    """

    about: str
    rows: list[EvaluationRow]
    mean: EvaluationRow | None
    all: EvaluationRow | None
    mean_leaves_out: list[str]
    confidence: float
    resamples: int
    matrix: dict[str, dict[str, float]]
    retrieve: int | None
    fingerprints: dict[str, str]
    plots: list[str]


class TextPiece(Struct):
    """A part of the text that was read, from offset `start` on."""

    start: int
    text: str


class JudgedPrediction(Struct):
    """One prediction, judged by the run's scorer.

    said: the scored text; "" is "no answer". wanted: the right answers; empty for an unanswerable question.
    exact, f1: in percent. gap: the margin, logits minus "no answer" logits. absent: the prediction without the right text in
    the corpus, or null. right, found: [start, end] of the right answers and of the prediction, null if unknown.
    pieces: the text around them.
    """

    origin: str
    id: str
    row: str
    language: str
    question_language: str
    question: str | None
    wanted: list[str]
    said: str
    best: str
    exact: float
    f1: float
    gap: float | None
    no_answer: float
    absent: str | None
    right: list[list[int]]
    found: list[int] | None
    pieces: list[TextPiece]
    verdict: Literal["right", "partly", "wrong"]


class Predictions(Struct):
    """A page of predictions. verdicts: counts by verdict in the chosen row. rows: counts by row of the chosen verdict."""

    total: int
    verdicts: dict[str, int]
    rows: dict[str, int]
    predictions: list[JudgedPrediction]


class ComparisonRow(Struct):
    """F1 of both runs in percent, and the differences B minus A.

    better: the run with the significantly higher F1, "A" or "B"; "" if the difference is not significant.
    """

    name: str
    questions: int
    a: float
    b: float
    exact: Difference
    f1: Difference
    better: Literal["", "A", "B"]


class RunComparison(Struct):
    """The comparison of two runs. notes: remarks, such as questions that only one run has."""

    a: str
    b: str
    a_reader: str
    b_reader: str
    scorer: str
    rows: list[ComparisonRow]
    all: ComparisonRow
    notes: list[str]


# -- conversions -------------------------------------------------------------------------------------------------------


def evaluation_schema(run: StoredRun) -> Evaluation:
    """A run, as in a list of runs."""
    settings, metrics = run.settings, run.metrics
    whole = metrics.all if isinstance(metrics, ReadingMetrics | OpenMetrics) else None
    recall = whole.retrieval["fused"].recall.get(MATRIX_CUT) if isinstance(whole, OpenRow) else None
    rows = [] if metrics is None else [row for row in metrics.rows if row.name != "all"]
    return Evaluation(
        run.name,
        settings.kind if settings else "",
        run.state,
        run.problem,
        run.made,
        settings.reader.name if settings else "",
        settings.embedder.name if settings and settings.embedder else "",
        "" if metrics is None else "mlqa" if isinstance(metrics, CalibrationMetrics) else metrics.scorer,
        settings.asked if settings else 0,
        run.answered,
        len(rows),
        [EvaluationFile(file.name, file.questions) for file in settings.set_of_questions] if settings else [],
        to_schema(whole.exact, Figure) if whole else None,
        to_schema(whole.f1, Figure) if whole else None,
        recall,
    )


def evaluation_detail_schema(run: StoredRun, plots: list[str]) -> EvaluationDetail:
    """A run with its table and the names of its plots."""
    metrics, settings, head = run.metrics, run.settings, evaluation_schema(run)
    rows = [] if metrics is None else [_row(row) for row in metrics.rows]
    whole = next((row for row in rows if row.name == "all"), None)
    if isinstance(metrics, ReadingMetrics | OpenMetrics):
        whole = _row(metrics.all)
    models = {"reader": settings.reader, "embedder": settings.embedder} if settings else {}
    return EvaluationDetail(
        **{name: getattr(head, name) for name in head.__struct_fields__},
        about=_about(metrics),
        rows=[row for row in rows if row.name != "all"],
        mean=_row(metrics.mean) if isinstance(metrics, ReadingMetrics) else None,
        all=whole,
        mean_leaves_out=list(metrics.mean_leaves_out) if isinstance(metrics, ReadingMetrics) else [],
        confidence=100 * CONFIDENCE,
        resamples=RESAMPLES,
        matrix=metrics.matrix if isinstance(metrics, OpenMetrics) else {},
        retrieve=settings.retrieve if settings else None,
        fingerprints={kind: model.fingerprint for kind, model in models.items() if model is not None},
        plots=plots,
    )


def prediction_schema(judged: JudgedQuestion) -> JudgedPrediction:
    """One prediction."""
    pieces = [TextPiece(start, text) for start, text in judged.pieces]
    return to_schema({**asdict(judged), "verdict": judged.verdict, "pieces": pieces}, JudgedPrediction)


def comparison_schema(found: Comparison, a: str, b: str, notes: tuple[str, ...]) -> RunComparison:
    """The comparison of two runs."""
    rows = [to_schema({**asdict(row), "better": row.verdict}, ComparisonRow) for row in (*found.rows, found.all)]
    return RunComparison(a, b, *found.readers, found.scorer, rows[:-1], rows[-1], list(notes))


def _about(metrics: ReadingMetrics | OpenMetrics | CalibrationMetrics | None) -> str:
    if metrics is None:
        return ""
    return f"right: {metrics.right_is}" if isinstance(metrics, CalibrationMetrics) else metrics.about


def _row(row: Row | OpenRow | CalibratedRow) -> EvaluationRow:
    if isinstance(row, CalibratedRow):
        return EvaluationRow(row.name, row.samples, judged=to_schema(row.judged, dict[str, Judgement]), fitted=row.fitted)
    facts = asdict(row)
    if isinstance(row, OpenRow):
        for ranking in facts["retrieval"].values():
            ranking["recall"] = {str(cut): share for cut, share in ranking["recall"].items()}
    return to_schema(facts, EvaluationRow)
