"""Routes of the service itself: health, readiness, limits, Prometheus metrics."""

from __future__ import annotations

from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec

from qa_pipeline.api.auth import ALL_CORPORA, FILTERED, OPEN
from qa_pipeline.api.problems import error_responses
from qa_pipeline.api.schemas import Health, Limits, Readiness
from qa_pipeline.service.metrics import CONTENT_TYPE
from qa_pipeline.service.service import Service


@get("/health", opt={OPEN: True}, tags=["service"], summary="Check liveness")
async def get_health(service: Service) -> Health:
    """Liveness: the process runs. Precision and instruction set are empty until the reader is loaded; see also /ready."""
    facts = service.models.reader_facts()
    return Health("up", facts.get("precision", ""), facts.get("instruction_set", ""))


@get(
    "/ready",
    opt={OPEN: True},
    tags=["service"],
    summary="Check readiness",
    responses={503: ResponseSpec(Readiness, generate_examples=False, description="Not ready, with the reason.")},
)
async def get_readiness(service: Service) -> Response[Readiness]:
    """Readiness: the reader is loaded and has answered a test question."""
    reason = service.ready()
    return Response(Readiness(not reason, reason), status_code=503 if reason else 200)


@get(
    "/metrics",
    opt={ALL_CORPORA: True},
    tags=["service"],
    summary="Get metrics",
    media_type="text/plain",
    responses=error_responses(),
)
async def get_metrics(service: Service) -> Response[str]:
    """Metrics of requests, stage times, queues, jobs and corpora, in Prometheus's text format."""
    figures = await service.run_blocking(service.measures.text)
    return Response(figures.decode(), headers={"Content-Type": CONTENT_TYPE})


@get("/v1/limits", opt={FILTERED: True}, tags=["service"], summary="Get limits", responses=error_responses())
async def get_limits(service: Service) -> Limits:
    """Get what one request may hold, as the settings say. More is refused with 413 or 422, or left out with a reason."""
    at = service.settings
    return Limits(
        file_bytes=at.file_bytes,
        upload_bytes=at.upload_bytes,
        upload_files=at.upload_files,
        batch_questions=at.batch,
        file_questions=at.questions,
        read_chars=at.read_chars,
        top_k=at.top_k,
    )


ROUTES = (get_health, get_readiness, get_limits, get_metrics)
