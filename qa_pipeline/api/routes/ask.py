"""Routes for questions: ask, search and read, each also as a batch, and ask as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import msgspec
from litestar import Request, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Stream

from indexing.errors import DocqaError, SettingError
from qa_pipeline.answering.ask import Step
from qa_pipeline.answers import Reply, WordHits
from qa_pipeline.api.auth import FILTERED, limited, owner
from qa_pipeline.api.problems import error_responses, problem, status_of
from qa_pipeline.api.schemas import (
    AskBatchBody,
    AskBody,
    ReadAnswer,
    ReadAnswers,
    ReadBatchBody,
    ReadBody,
    Replies,
    SearchBatchBody,
    SearchBody,
    ServerEvent,
    WordsBody,
    to_schema,
)
from qa_pipeline.errors import ClientGone, TooBusy
from qa_pipeline.reading.cancellation import CURRENT
from qa_pipeline.service.service import Service
from qa_pipeline.settings import AskSettings

ApiRequest = Request[Any, Any, Any]
Event = tuple[str, Any]

SSE = "text/event-stream"
ERRORS = (404, 408, 413, 429, 503, 504)
EVENTS = {200: ResponseSpec(ServerEvent, generate_examples=False, media_type=SSE, description="Events.")}


def _ask(service: Service, corpus: str, request: ApiRequest, body: AskBody) -> Reply:
    return service.ask(corpus, body.question, _settings(service, body), limited(request, body.filters))


def _settings(service: Service, body: AskBody) -> AskSettings:
    return service.ask_settings(
        top_k=body.top_k,
        retrieve=body.retrieve,
        no_answer_threshold=body.no_answer_threshold,
        thorough=body.thorough,
        read_at_least=body.read_at_least,
        budget_ms=body.budget_ms,
        words=body.words,
    )


def _search(service: Service, corpus: str, request: ApiRequest, body: SearchBody) -> Reply:
    settings = service.ask_settings(retrieve=body.retrieve, words=body.words)
    return service.search(corpus, body.question, settings, limited(request, body.filters))


@post(
    "/v1/corpora/{corpus:str}/ask",
    status_code=200,
    opt={FILTERED: True},
    tags=["ask"],
    summary="Answer a question",
    responses=error_responses(*ERRORS),
)
async def ask(corpus: str, data: AskBody, service: Service, request: ApiRequest) -> Reply:
    """Answer a question. The reply has the closest passages, also when it has no answer."""
    return await service.reads.run(partial(_ask, service, corpus, request, data))


@post(
    "/v1/corpora/{corpus:str}/search",
    status_code=200,
    opt={FILTERED: True},
    tags=["ask"],
    summary="Search for passages",
    responses=error_responses(*ERRORS),
)
async def search(corpus: str, data: SearchBody, service: Service, request: ApiRequest) -> Reply:
    """Retrieve the closest passages without running the reader; the reply has no answers."""
    return await service.reads.run(partial(_search, service, corpus, request, data))


@post(
    "/v1/corpora/{corpus:str}/words",
    status_code=200,
    opt={FILTERED: True},
    tags=["ask"],
    summary="Search by words",
    responses=error_responses(*ERRORS),
)
async def search_words(corpus: str, data: WordsBody, service: Service, request: ApiRequest) -> WordHits:
    """Find the passages with words, phrases and fields: all are counted, `limit` of them from `offset` on are returned."""
    filters = limited(request, data.filters)
    work = partial(service.search_words, corpus, data.words, filters, data.offset, data.limit)
    return await service.reads.run(work)


@post(
    "/v1/corpora/{corpus:str}/ask/batch",
    status_code=200,
    opt={FILTERED: True},
    tags=["ask"],
    summary="Answer many questions",
    responses=error_responses(*ERRORS),
)
async def ask_batch(corpus: str, data: AskBatchBody, service: Service, request: ApiRequest) -> Replies:
    """Answer many questions, in order; a failed question has an error in its place. It ends with its client."""
    with service.reads.batch(owner(request)):
        return Replies(await _each(service, data.questions, partial(_ask, service, corpus, request), corpus))


@post(
    "/v1/corpora/{corpus:str}/search/batch",
    status_code=200,
    opt={FILTERED: True},
    tags=["ask"],
    summary="Search for many questions",
    responses=error_responses(*ERRORS),
)
async def search_batch(corpus: str, data: SearchBatchBody, service: Service, request: ApiRequest) -> Replies:
    """Retrieve the closest passages for many questions, in order; a failed question has an error in its place."""
    with service.reads.batch(owner(request)):
        return Replies(await _each(service, data.questions, partial(_search, service, corpus, request), corpus))


@post(
    "/v1/read",
    status_code=200,
    opt={FILTERED: True},
    tags=["ask"],
    summary="Answer from a text",
    responses=error_responses(408, 413, 429, 503, 504),
)
async def read(data: ReadBody, service: Service) -> ReadAnswer:
    """Answer from a given text; `answer` is "" if the text has no answer."""
    return to_schema(await service.reads.run(partial(service.read, data.question, data.context)), ReadAnswer)


@post(
    "/v1/read/batch",
    status_code=200,
    opt={FILTERED: True},
    tags=["ask"],
    summary="Answer from many texts",
    responses=error_responses(408, 413, 429, 503, 504),
)
async def read_batch(data: ReadBatchBody, service: Service, request: ApiRequest) -> ReadAnswers:
    """Answer from many texts, in order. Either all are read, or the request fails. It ends with its client."""
    _check_many(service, len(data.items))
    found = []
    with service.reads.batch(owner(request)):
        for item in data.items:
            _next_of_batch()
            work = partial(service.read, item.question, item.context)
            found.append(to_schema(await service.reads.run(work, bounded=False), ReadAnswer))
    return ReadAnswers(found)


@post(
    "/v1/corpora/{corpus:str}/ask/stream",
    status_code=200,
    opt={FILTERED: True},
    tags=["ask"],
    summary="Stream answers",
    media_type=SSE,
    responses=error_responses(*ERRORS) | EVENTS,
)
async def ask_stream(corpus: str, data: AskBody, service: Service, request: ApiRequest) -> Stream:
    """Answer a question as a stream of server-sent events.

    `passages` comes first, then `answers` after each passage read, then `reply`; or `error`.
    """
    settings, filters = _settings(service, data), limited(request, data.filters)
    loop, queue, gone = asyncio.get_running_loop(), asyncio.Queue[Event | Exception](), threading.Event()

    def tell(event: Event | Exception) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, event)

    def failed(done: Future[None]) -> None:
        """Tell that the work ended while it waited."""
        error = None if done.cancelled() else done.exception()
        if isinstance(error, Exception):
            tell(error)

    def run() -> None:
        try:
            for number, step in enumerate(service.ask_stream(corpus, data.question, settings, filters)):
                tell(_event(step, first=number == 0))
                if gone.is_set():
                    return
        except Exception as error:
            tell(error)

    service.reads.submit(run).add_done_callback(failed)
    first = await queue.get()
    if isinstance(first, Exception):
        raise first
    return Stream(_events(first, queue, gone, service.settings.log_questions), media_type=SSE)


ROUTES = (ask, search, search_words, ask_batch, search_batch, read, read_batch, ask_stream)


def _check_many(service: Service, count: int) -> None:
    if count > service.settings.batch:
        raise SettingError(f"{count:,} at once; {service.settings.batch:,} are the most. Send them in several requests.")


async def _each(service: Service, bodies: list[Any], work: Callable[[Any], Reply], corpus: str) -> list[dict[str, Any]]:
    """One reply per question. The batch was admitted as a whole; each question has the deadline of a single one."""
    _check_many(service, len(bodies))
    await service.run_blocking(service.home.corpus, corpus)
    replies: list[dict[str, Any]] = []
    for number, body in enumerate(bodies):
        try:
            _next_of_batch()
            reply = await service.reads.run(partial(work, body), bounded=False)
            replies.append(msgspec.to_builtins(reply))
        except (ClientGone, TooBusy):
            raise
        except DocqaError as error:
            if number == 0 and status_of(error) in (404, 429, 503):
                raise
            replies.append({"question": body.question, "error": str(error)})
    return replies


def _next_of_batch() -> None:
    """Begin the time of the next question. Raises ClientGone, TooBusy if the batch must end."""
    token = CURRENT.get()
    if token is not None:
        token.renew()
        token.check()


def _event(step: Step, first: bool) -> Event:
    """The event of a step: `passages` first, `answers` after each passage read, `reply` last."""
    if step.reply is not None:
        return "reply", step.reply
    if first:
        return "passages", {"passages": step.passages}
    return "answers", {"answers": step.answers, "read": step.read, "of": len(step.passages)}


async def _events(
    event: Event | Exception, queue: asyncio.Queue[Event | Exception], gone: threading.Event, log_questions: bool
) -> AsyncIterator[bytes]:
    """Server-sent events as bytes, up to the reply or an error. On disconnect, reading stops at its next step."""
    try:
        while True:
            if isinstance(event, Exception):
                event = ("error", problem(event, with_text=log_questions))
            name, value = event
            yield b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(value))
            if name in ("reply", "error"):
                return
            event = await queue.get()
    finally:
        gone.set()
