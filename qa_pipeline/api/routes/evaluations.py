"""Routes of evaluation runs: tables, plots, predictions, and the comparison of two runs.

Runs belong to no corpus and may quote any, so keys limited to some corpora cannot see them.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from litestar import Request, Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter

from qa_pipeline.api.auth import ALL_CORPORA
from qa_pipeline.api.evaluation_schemas import (
    Evaluation,
    EvaluationDetail,
    Predictions,
    RunComparison,
    comparison_schema,
    evaluation_detail_schema,
    prediction_schema,
)
from qa_pipeline.api.evaluation_schemas import evaluation_schema as told_run
from qa_pipeline.api.paging import LINK, Cursor, Limit, page_of, paged
from qa_pipeline.api.problems import error_responses
from qa_pipeline.evaluation.analysis.error_analysis import JudgedQuery, Verdict
from qa_pipeline.service.service import Service

ScorerName = Literal["squad1", "squad2", "mlqa", "tydiqa"]
RowName = Annotated[str | None, Parameter(query="language", max_length=100, description="A language, or en→de.")]

TYPES = {"png": "image/png", "svg": "image/svg+xml"}
A_PICTURE = {200: ResponseSpec(bytes, generate_examples=False, media_type="image/*", description="PNG or SVG.")}
# An SVG plot may have styles, but must not run scripts or load anything.
HARMLESS = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


@get(
    "/v1/evaluations",
    opt={ALL_CORPORA: True},
    tags=["evaluations"],
    summary="List evaluations",
    response_headers=LINK,
    responses=error_responses(503),
)
async def list_evaluations(
    service: Service, request: Request[Any, Any, Any], limit: Limit = None, cursor: Cursor = None
) -> Response[list[Evaluation]]:
    """List the runs of `docqa evaluate` in this home, newest first. `state` marks broken and unfinished runs."""
    found = await service.run_blocking(service.evaluations.list)
    shown, after = page_of(found, lambda run: (run.made, run.name), cursor, limit)
    return paged(request, [told_run(run) for run in shown], after)


@get(
    "/v1/evaluations/{evaluation:str}",
    opt={ALL_CORPORA: True},
    tags=["evaluations"],
    summary="Get an evaluation",
    responses=error_responses(404, 503),
)
async def get_evaluation(evaluation: str, service: Service) -> EvaluationDetail:
    """Get a run with its table: one row per language, each figure with its confidence interval."""

    def found() -> EvaluationDetail:
        return evaluation_detail_schema(service.evaluations.get(evaluation), service.evaluations.plots(evaluation))

    return await service.run_blocking(found)


@get(
    "/v1/evaluations/{evaluation:str}/plots/{plot:str}",
    opt={ALL_CORPORA: True},
    tags=["evaluations"],
    summary="Get a plot",
    responses=error_responses(404, 503) | A_PICTURE,
)
async def get_plot(evaluation: str, plot: str, service: Service) -> Response[bytes]:
    """Get a plot of a run, as PNG or SVG; a content security policy blocks scripts in it."""
    data = await service.run_blocking(service.evaluations.plot, evaluation, plot)
    headers = {
        "Content-Type": TYPES[plot.rpartition(".")[2]],
        "Content-Disposition": f'inline; filename="{plot}"',
        "Content-Security-Policy": HARMLESS,
    }
    return Response(data, headers=headers)


@get(
    "/v1/evaluations/{evaluation:str}/predictions",
    opt={ALL_CORPORA: True},
    tags=["evaluations"],
    summary="List predictions",
    responses=error_responses(404, 429, 503, 504),
)
async def list_predictions(
    evaluation: str,
    service: Service,
    row: RowName = None,
    verdict: Verdict | None = None,
    order: Literal["asked", "surest"] = "asked",
    offset: Annotated[int, Parameter(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Parameter(ge=1, le=1_000)] = 50,
) -> Predictions:
    """List questions with right answers and predictions, each judged by the run's scorer.

    verdict: `right` is an exact match, `partly` has some words of a right answer, `wrong` has none. order: `asked` keeps
    the order of the questions, `surest` begins with the lowest no-answer score.
    """
    wanted = JudgedQuery(row, verdict, order == "surest")

    def found() -> Predictions:
        some = wanted.of(service.evaluations.judge(evaluation), offset, limit)
        return Predictions(some.total, some.verdicts, some.rows, [prediction_schema(judged) for judged in some.predictions])

    return await service.reads.run(found)


@get(
    "/v1/evaluations/{evaluation:str}/compare/{other:str}",
    opt={ALL_CORPORA: True},
    tags=["evaluations"],
    summary="Compare two evaluations",
    responses=error_responses(404, 429, 503, 504),
)
async def compare_evaluations(
    evaluation: str, other: str, service: Service, scorer: ScorerName | None = None
) -> RunComparison:
    """Compare a run (A) with another (B) over the questions of both, as `docqa compare` does.

    scorer: by default the one that scored both runs.
    """
    found, notes = await service.reads.run(partial(service.evaluations.compare, evaluation, other, scorer))
    return comparison_schema(found, evaluation, other, notes)


ROUTES = (list_evaluations, get_evaluation, get_plot, list_predictions, compare_evaluations)
