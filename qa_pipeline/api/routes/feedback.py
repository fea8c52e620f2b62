"""Routes of feedback on answers, and of saved questions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response, delete, get, post

from indexing.store.corpus_db import IndexFolder
from indexing.store.filters import Filter
from indexing.store.listing import visible
from qa_pipeline.api.auth import FILTERED, WRITES, filter_of
from qa_pipeline.api.paging import LINK, Cursor, Limit, page_of, paged
from qa_pipeline.api.problems import error_responses
from qa_pipeline.api.schemas import FeedbackBody, SavedQuestionBody
from qa_pipeline.service.feedback import Feedback, no_feedback
from qa_pipeline.service.feedback import squad as squad_of
from qa_pipeline.service.saved_questions import Change, SavedQuestion
from qa_pipeline.service.service import Service

ApiRequest = Request[Any, Any, Any]
T = TypeVar("T")


async def _in_corpus(service: Service, corpus: str, work: Callable[[], T]) -> T:
    """The result of blocking work on a corpus that is there. Raises CorpusMissing."""

    def run() -> T:
        service.home.corpus(corpus)
        return work()

    return await service.run_blocking(run)


# -- feedback ----------------------------------------------------------------------------------------------------------


@post(
    "/v1/corpora/{corpus:str}/feedback",
    status_code=201,
    opt={WRITES: True},
    tags=["feedback"],
    summary="Add feedback",
    responses=error_responses(404, 408, 413, 503, 507),
)
async def add_feedback(corpus: str, data: FeedbackBody, service: Service, request: ApiRequest) -> Response[Feedback]:
    """Store a judgement on an answer.

    `right` and `corrected` need the span that answers the question. `wrong` has the span that does not; without a span it
    means that the document has no answer.
    """
    key = request.auth.id if request.auth else ""

    def add() -> Feedback:
        with service.using(corpus) as opened:
            added = service.feedback.add(
                corpus,
                opened.folder,
                question=data.question,
                verdict=data.verdict,
                document_id=data.document_id,
                start=data.start,
                end=data.end,
                text=data.text,
                key=key,
            )
        service.forget_if_gone(corpus, {added.document_id} if added.document_id else set())
        return added

    added = await service.run_blocking(add)
    return Response(added, headers={"Location": f"/v1/corpora/{corpus}/feedback/{added.id}"})


@get(
    "/v1/corpora/{corpus:str}/feedback",
    opt={FILTERED: True},
    tags=["feedback"],
    summary="List feedback",
    response_headers=LINK,
    responses=error_responses(404, 503),
)
async def list_feedback(
    corpus: str, service: Service, request: ApiRequest, limit: Limit = None, cursor: Cursor = None
) -> Response[list[Feedback]]:
    """List the feedback on a corpus, newest first; with a filtered key, that on documents it may see."""

    def listed() -> list[Feedback]:
        with service.using(corpus) as opened:
            return _visible(service.feedback.list(corpus), opened.folder, filter_of(request))

    shown, after = page_of(await service.run_blocking(listed), lambda one: (one.created, one.id), cursor, limit)
    return paged(request, list(shown), after)


@get(
    "/v1/corpora/{corpus:str}/feedback/{feedback:str}",
    opt={FILTERED: True},
    tags=["feedback"],
    summary="Get feedback",
    responses=error_responses(404, 503),
)
async def get_feedback(corpus: str, feedback: str, service: Service, request: ApiRequest) -> Feedback:
    """Get one entry of feedback; with a filtered key, one on a document that it may see."""

    def found() -> Feedback:
        with service.using(corpus) as opened:
            one = service.feedback.get(feedback, corpus=corpus)
            if not _visible([one], opened.folder, filter_of(request)):
                raise no_feedback(feedback)
            return one

    return await service.run_blocking(found)


def _visible(said: list[Feedback], folder: IndexFolder, allowed: Filter | None) -> list[Feedback]:
    """The feedback on documents that a key's filter allows."""
    if allowed is None:
        return said
    seen = visible(folder, {one.document_id for one in said if one.document_id}, allowed)
    return [one for one in said if one.document_id in seen]


@get(
    "/v1/corpora/{corpus:str}/feedback/export",
    opt={FILTERED: True},
    tags=["feedback"],
    summary="Export feedback",
    responses=error_responses(404, 503),
)
async def export_feedback(corpus: str, service: Service, request: ApiRequest) -> dict[str, Any]:
    """Export the feedback as SQuAD 2.0, for training and evaluation."""

    def squad() -> dict[str, Any]:
        with service.using(corpus) as opened:
            said = _visible(service.feedback.list(corpus), opened.folder, filter_of(request))
            return squad_of(reversed(said), opened.folder)

    return await service.run_blocking(squad)


@delete(
    "/v1/corpora/{corpus:str}/feedback/{feedback:str}",
    opt={WRITES: True},
    tags=["feedback"],
    summary="Delete feedback",
    responses=error_responses(404, 503, 507),
)
async def delete_feedback(corpus: str, feedback: str, service: Service) -> None:
    """Delete one entry of feedback."""
    await _in_corpus(service, corpus, partial(service.feedback.delete, feedback, corpus=corpus))


# -- saved questions ---------------------------------------------------------------------------------------------------


@post(
    "/v1/corpora/{corpus:str}/saved",
    status_code=201,
    opt={WRITES: True},
    tags=["saved"],
    summary="Save a question",
    responses=error_responses(404, 408, 413, 503, 507),
)
async def save_question(corpus: str, data: SavedQuestionBody, service: Service) -> Response[SavedQuestion]:
    """Save a question, to run it again when there are new documents."""
    chosen = {} if data.settings is None else msgspec.to_builtins(data.settings)

    def add() -> SavedQuestion:
        service.ask_settings(**chosen)
        added = service.saved.add(corpus, data.question, data.filters, chosen)
        service.forget_if_gone(corpus, set())
        return added

    added = await _in_corpus(service, corpus, add)
    return Response(added, headers={"Location": f"/v1/corpora/{corpus}/saved/{added.id}"})


@get(
    "/v1/corpora/{corpus:str}/saved",
    tags=["saved"],
    summary="List saved questions",
    response_headers=LINK,
    responses=error_responses(404, 503),
)
async def list_saved_questions(
    corpus: str, service: Service, request: ApiRequest, limit: Limit = None, cursor: Cursor = None
) -> Response[list[SavedQuestion]]:
    """List the saved questions of a corpus, newest first."""
    found = await _in_corpus(service, corpus, partial(service.saved.list, corpus))
    shown, after = page_of(found, lambda one: (one.created, one.id), cursor, limit)
    return paged(request, list(shown), after)


@get(
    "/v1/corpora/{corpus:str}/saved/{saved:str}",
    tags=["saved"],
    summary="Get a saved question",
    responses=error_responses(404, 503),
)
async def get_saved_question(corpus: str, saved: str, service: Service) -> SavedQuestion:
    """Get a saved question with its answers."""
    return await _in_corpus(service, corpus, partial(service.saved.get, saved, corpus=corpus))


@post(
    "/v1/corpora/{corpus:str}/saved/{saved:str}/run",
    status_code=200,
    opt={WRITES: True},
    tags=["saved"],
    summary="Run a saved question",
    responses=error_responses(404, 429, 503, 504, 507),
)
async def run_saved_question(corpus: str, saved: str, service: Service) -> Change:
    """Run a saved question and return its new and gone answers. The next run is compared with this one."""
    await service.run_blocking(service.home.corpus, corpus)
    return await service.reads.run(partial(service.run_saved, corpus, saved))


@post(
    "/v1/corpora/{corpus:str}/saved/{saved:str}/seen",
    status_code=200,
    opt={WRITES: True},
    tags=["saved"],
    summary="Mark changes as seen",
    responses=error_responses(404, 503, 507),
)
async def see_saved_question(corpus: str, saved: str, service: Service) -> SavedQuestion:
    """Mark the changes of a saved question as seen. Until then, `new` and `gone` of the question have them."""
    return await _in_corpus(service, corpus, partial(service.saved.see, saved, corpus=corpus))


@delete(
    "/v1/corpora/{corpus:str}/saved/{saved:str}",
    opt={WRITES: True},
    tags=["saved"],
    summary="Delete a saved question",
    responses=error_responses(404, 503, 507),
)
async def delete_saved_question(corpus: str, saved: str, service: Service) -> None:
    """Delete a saved question."""
    await _in_corpus(service, corpus, partial(service.saved.delete, saved, corpus=corpus))


ROUTES = (
    add_feedback,
    list_feedback,
    get_feedback,
    export_feedback,
    delete_feedback,
    save_question,
    list_saved_questions,
    get_saved_question,
    run_saved_question,
    see_saved_question,
    delete_saved_question,
)
