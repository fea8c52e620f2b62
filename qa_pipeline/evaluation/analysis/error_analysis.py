"""Error analysis: single predictions, judged by the scorer of their run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qa_pipeline.errors import EvaluationDamaged
from qa_pipeline.evaluation.metrics.scorers import SCORERS, Scorer
from qa_pipeline.evaluation.reading_comprehension.summary import text_scored
from qa_pipeline.evaluation.runs.predictions import Prediction
from qa_pipeline.evaluation.runs.question_records import QuestionRecord, Span
from qa_pipeline.evaluation.runs.results_folder import CALIBRATION, READING, Results

Verdict = Literal["right", "partly", "wrong"]
VERDICTS: tuple[Verdict, ...] = ("right", "partly", "wrong")


@dataclass(frozen=True, slots=True)
class JudgedQuestion:
    """One prediction with its scores. exact, f1: in percent; gap: margin of the best span.

    said: the text that is scored, "" for "no answer". wanted: the right answers, empty if "no answer" is right.
    question: None if the folder does not store it. right, found: spans of the right answers and of the best span in the
    context, None where unknown; pieces: (start, text) of the context around them.
    absent: the answer given without the question's own context, None if the run did not ask that.
    """

    origin: str
    id: str
    row: str
    language: str
    question_language: str
    question: str | None
    wanted: tuple[str, ...]
    said: str
    best: str
    exact: float
    f1: float
    gap: float | None
    no_answer: float
    absent: str | None
    right: tuple[Span, ...]
    found: Span | None
    pieces: tuple[tuple[int, str], ...]

    @property
    def verdict(self) -> Verdict:
        """right: exact match; partly: F1 above 0; wrong: F1 of 0."""
        return "right" if self.exact else "partly" if self.f1 else "wrong"


@dataclass(frozen=True, slots=True)
class JudgedPage:
    """One page of the predictions that match a query. total: of all pages.

    Facet counts: verdicts are counted over the selected row, rows over the selected verdict.
    """

    total: int
    verdicts: dict[str, int]
    rows: dict[str, int]
    predictions: tuple[JudgedQuestion, ...]


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A filter by row (a language, or en→de) and verdict; ordered as asked, or by ascending no-answer score."""

    row: str | None = None
    verdict: Verdict | None = None
    surest_first: bool = False

    def of(self, judged: Sequence[JudgedQuestion], offset: int = 0, limit: int = 50) -> JudgedPage:
        """The page of matching predictions from `offset`."""
        of_row = [one for one in judged if self.row in (None, one.row)]
        of_verdict = [one for one in judged if self.verdict in (None, one.verdict)]
        found = [one for one in of_row if self.verdict in (None, one.verdict)]
        if self.surest_first:
            found.sort(key=lambda one: one.no_answer)
        verdicts, rows = Counter(one.verdict for one in of_row), Counter(one.row for one in of_verdict)
        return JudgedPage(
            len(found),
            {verdict: verdicts[verdict] for verdict in VERDICTS},
            dict(sorted(rows.items())),
            tuple(found[offset : offset + limit]),
        )


def judge(results: Results) -> tuple[JudgedQuestion, ...]:
    """Scores every prediction of a results folder. Raises EvaluationDamaged for invalid lines and for an unfinished run."""
    kind, metrics = str(results.settings.get("kind")), results.metrics()
    if not metrics:
        raise EvaluationDamaged(f"{results.name} is not finished, so nothing is judged yet; run its command again.")
    try:
        scorer, questions = SCORERS["mlqa" if kind == CALIBRATION else str(metrics["scorer"])], _questions(results)
        return tuple(_judge_line(line, kind, scorer, questions) for line in results.lines)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged_error(results.name) from error


def damaged_error(name: str) -> EvaluationDamaged:
    """The error for a predictions file that cannot be parsed."""
    return EvaluationDamaged(f"The predictions of {name} are not what `docqa evaluate` writes; run that again.")


def _judge_line(
    line: Mapping[str, Any], kind: str, scorer: Scorer, questions: Mapping[tuple[str, str], QuestionRecord]
) -> JudgedQuestion:
    p = Prediction.from_dict(line)
    said = text_scored(p, scorer, kind)
    exact, f1 = scorer.score(said, p.wanted, p.language)
    absent = str(line["absent"]["given"]) if "absent" in line else None
    asked = questions.get(p.key)
    return JudgedQuestion(
        p.origin,
        p.id,
        p.row,
        p.language,
        p.question_language,
        asked.question if asked else None,
        p.wanted,
        said,
        p.best,
        100.0 * exact,
        100.0 * f1,
        p.gap,
        p.no_answer,
        absent,
        asked.right if asked else (),
        (p.start, p.end) if kind == READING and p.best else None,
        asked.pieces if asked else (),
    )


def _questions(results: Results) -> dict[tuple[str, str], QuestionRecord]:
    return {(asked.origin, asked.id): asked for asked in map(QuestionRecord.from_dict, results.questions())}
