"""Routes of corpora: list, create, status, delete; and the list of models."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, delete, get, post

from indexing.errors import ModelError, SettingError
from qa_pipeline.api.auth import FILTERED, WRITES
from qa_pipeline.api.paging import LINK, Cursor, Limit, page_of, paged
from qa_pipeline.api.problems import error_responses
from qa_pipeline.api.schemas import CorpusBody, CorpusDetail, CorpusStatus, Model, to_schema
from qa_pipeline.errors import NotAllowed
from qa_pipeline.service.service import Service

ApiRequest = Request[Any, Any, Any]


@get("/v1/models", opt={FILTERED: True}, tags=["service"], summary="List models", responses=error_responses())
async def list_models(service: Service) -> list[Model]:
    """List readers and embedders, and whether each can be loaded on the service's machine now."""
    from indexing.models.registry import available

    rows = await service.run_blocking(available)
    return [Model(p.name, p.kind, p.model, p.about, p.languages, p.licence, here, reason) for p, here, reason in rows]


@get(
    "/v1/corpora",
    opt={FILTERED: True},
    tags=["corpora"],
    summary="List corpora",
    response_headers=LINK,
    responses=error_responses(503),
)
async def list_corpora(
    service: Service, request: ApiRequest, limit: Limit = None, cursor: Cursor = None
) -> Response[list[CorpusStatus]]:
    """List every corpus that the key may see, by name."""
    names = [name for name in await service.run_blocking(service.home.names) if service.may_see(request.auth, name)]
    shown, after = page_of(names, lambda name: (name, name), cursor, limit, ascending=True)
    return paged(
        request, to_schema(await service.run_blocking(service.statuses, request.auth, shown), list[CorpusStatus]), after
    )


@post(
    "/v1/corpora",
    status_code=201,
    opt={WRITES: True},
    tags=["corpora"],
    summary="Create a corpus",
    responses=error_responses(408, 409, 413, 503, 507),
)
async def create_corpus(data: CorpusBody, service: Service, request: ApiRequest) -> Response[CorpusDetail]:
    """Create an empty corpus; it accepts questions at once."""
    if not service.may_see(request.auth, data.name):
        raise NotAllowed("This key is limited to other corpora; use one that is not.")
    try:
        await service.run_blocking(service.home.create, data.name, title=data.title, embedder=data.embedder)
    except ModelError as error:
        raise SettingError(str(error)) from error
    made = to_schema(await service.run_blocking(service.status, data.name, skipped=True), CorpusDetail)
    return Response(made, headers={"Location": f"/v1/corpora/{made.name}"})


@get(
    "/v1/corpora/{corpus:str}",
    opt={FILTERED: True},
    tags=["corpora"],
    summary="Get a corpus",
    responses=error_responses(404, 503),
)
async def get_corpus(corpus: str, service: Service, request: ApiRequest) -> CorpusDetail:
    """Get the status of a corpus, and its unreadable files, each with the reason."""
    found = await service.run_blocking(service.status, corpus, skipped=True, key=request.auth)
    return to_schema(found, CorpusDetail)


@delete(
    "/v1/corpora/{corpus:str}",
    opt={WRITES: True},
    tags=["corpora"],
    summary="Delete a corpus",
    responses=error_responses(404, 409, 503, 507),
)
async def delete_corpus(corpus: str, service: Service) -> None:
    """Delete a corpus with its files, index, feedback and saved questions."""
    await service.run_blocking(service.delete, corpus)


ROUTES = (list_models, list_corpora, create_corpus, get_corpus, delete_corpus)
