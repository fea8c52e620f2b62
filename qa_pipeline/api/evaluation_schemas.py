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
    """A mean and its 95 % interval, in percent."""

    value: float
    low: float
    high: float


class Difference(Struct):
    """Run B less run A, in percent points, its interval, and p that the runs are alike."""

    value: float
    low: float
    high: float
    p: float


class Ranking(Struct):
    """recall: by how many passages are looked at, as "10"."""

    questions: int
    recall: dict[str, float]
    mrr: float
    ndcg: float


class NoAnswerFigures(Struct):
    """ "No answer": of the times it was said, how often rightly; of the times it was right, how often said; both right."""

    precision: float
    recall: float
    accuracy: float


class Judgement(Struct):
    """error: expected calibration error; decided: how often "no answer" was said where it is right, or not where not."""

    error: float
    decided: float


class EvaluationRow(Struct):
    """One line of a run's table: a language, en→de, "mean" or "all". What its kind of run does not have is null.

    details: what the scorer's script tells beside. retrieval: by dense, keyword and fused. judged: by raw, before, after.
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
    """One run. state: done, unfinished or broken, then `problem` says in a sentence what is wrong. made: ISO 8601, UTC.

    exact, f1: of all questions together; recall: at 10, fused; each null where the run does not have it.
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
    """rows: the table, a line a language; mean, all: over all of them. about: the scorer in words.

    matrix: recall at 10 by the question's and the documents' language. plots: names of its pictures.
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
    """text: from `start` of the text that was read."""

    start: int
    text: str


class JudgedPrediction(Struct):
    """said: the text that is scored, "" for "no answer"; wanted: the right answers, none where "no answer" is right.

    exact, f1: in percent. gap: logits over "no answer". absent: what was said when the right text was taken out, or null.
    right, found: start and end of the right answers and of what was found, null where that is not known; pieces: the text
    around them.
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
    """verdicts: how many of each, over the row that is wanted; rows: over the verdict that is."""

    total: int
    verdicts: dict[str, int]
    rows: dict[str, int]
    predictions: list[JudgedPrediction]


class ComparisonRow(Struct):
    """F1 of both runs, the differences B less A, and which is better by F1: "A", "B", or "" where chance could do it."""

    name: str
    questions: int
    a: float
    b: float
    exact: Difference
    f1: Difference
    better: Literal["", "A", "B"]


class RunComparison(Struct):
    """notes: what else there is to say, such as questions that only one run was asked."""

    a: str
    b: str
    a_reader: str
    b_reader: str
    scorer: str
    rows: list[ComparisonRow]
    all: ComparisonRow
    notes: list[str]


# -- made of our values ------------------------------------------------------------------------------------------------


def evaluation_schema(run: StoredRun) -> Evaluation:
    """A run as a list tells it."""
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
    """A run with its table and the names of its pictures."""
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
    """Two runs side by side."""
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
