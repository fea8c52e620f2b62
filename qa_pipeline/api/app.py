"""The Litestar application: its routes, middleware and OpenAPI document.

Every error is problem+json. Every response has headers against MIME sniffing, framing and caching. Every request is counted
and logged by its route, never with the text of a question.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from contextlib import ExitStack
from typing import Any

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from qa_pipeline.api.auth import OPEN, guard
from qa_pipeline.api.bodies import HELD, BoundedRequest
from qa_pipeline.api.client_watch import ClientWatch
from qa_pipeline.api.openapi_page import POLICY, Description, InteractivePage
from qa_pipeline.api.problems import allowed_methods, exception_handler
from qa_pipeline.api.routes import ask, corpora, document_changes, documents, evaluations, feedback, jobs, system
from qa_pipeline.reading.cancellation import CURRENT, WorkToken
from qa_pipeline.service.service import Service

logger = logging.getLogger("docqa.api")

ROUTES = (
    *system.ROUTES,
    *corpora.ROUTES,
    *document_changes.ROUTES,
    *documents.ROUTES,
    *ask.ROUTES,
    *jobs.ROUTES,
    *feedback.ROUTES,
    *evaluations.ROUTES,
)
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}
DESCRIPTION = (
    "Answers from documents in many languages, each with its exact place. A path answers other methods with 405;"
    " its `Allow` header names the allowed ones. HEAD is GET without the body."
)
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
PAGES = ("/schema", "/schema/")


def create_app(service: Service) -> Litestar:
    """The application of a service; it starts and stops the service."""
    settings = service.settings

    async def start(app: Litestar) -> None:
        service.start()

    async def stop(app: Litestar) -> None:
        await asyncio.to_thread(service.stop)

    app = Litestar(
        ROUTES,
        guards=[guard],
        exception_handlers={Exception: exception_handler},
        on_startup=[start],
        on_shutdown=[stop],
        dependencies={"service": Provide(lambda: service, sync_to_thread=False, use_cache=True)},
        request_max_body_size=settings.body_bytes,
        openapi_config=_description(),
        cors_config=_cors(settings.cors_origins),
        request_class=BoundedRequest,
        logging_config=None,
    )
    app.state.service = service
    return app


def with_headers(app: Litestar) -> ASGIApp:
    """Wrap the application: add security headers to every response, also to 404 ones, and count and log every request."""
    service: Service = app.state.service
    methods = {route.path_format: allowed_methods(route.methods) for route in app.routes if isinstance(route, HTTPRoute)}

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        method, body_sent = scope["method"], False
        if method == "HEAD":
            # The answer to GET, without its body.
            scope = {**scope, "method": "GET"}  # type: ignore[misc]
        began, status, number = time.perf_counter(), 500, _request_id(scope)
        token = WorkToken(service.settings.deadline_s)
        watch = ClientWatch(receive, token, service.settings.body_s)
        CURRENT.set(token)

        async def sending(message: Message) -> None:
            nonlocal status, body_sent
            if message["type"] == "http.response.body" and method == "HEAD":
                if not body_sent:
                    body_sent = True
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            if message["type"] == "http.response.start":
                status = message["status"]
                if method == "OPTIONS":
                    _say_methods(message, methods.get(scope.get("path_template", ""), ""))
                _add_headers(message, scope["path"], number)
            await send(message)

        held = scope[HELD] = ExitStack()  # type: ignore[literal-required]
        try:
            if method == "POST" and _is_empty(scope):
                await watch.expect_no_body()
            await app(scope, watch.receive, sending)
        finally:
            held.close()
            await watch.close()
            _note(service, method, scope, status, time.perf_counter() - began, number)

    return serve


def _is_empty(scope: Any) -> bool:
    """Whether a request says by its headers that it has no body."""
    given = {name: value for name, value in scope["headers"] if name in (b"content-length", b"transfer-encoding")}
    return given.get(b"content-length", b"0").strip() == b"0" and b"transfer-encoding" not in given


def _say_methods(message: Any, methods: str) -> None:
    """Replace Litestar's `Allow` header, which has only the methods of a path's first handler."""
    headers = [(name, value) for name, value in message["headers"] if name.lower() != b"allow"]
    if len(headers) < len(message["headers"]) and methods:
        message["headers"] = [*headers, (b"allow", methods.encode())]


def _request_id(scope: Any) -> str:
    """The id of a request: the client's `X-Request-ID` if it is a plain word, else a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if REQUEST_ID.fullmatch(given) else os.urandom(8).hex()


def _add_headers(message: Any, path: str, number: str) -> None:
    given = {name.lower() for name, _ in message["headers"]}
    added = {**HEADERS, b"x-request-id": number.encode()}
    if path in PAGES:
        added[b"content-security-policy"] = POLICY.encode()
    message["headers"] = [*message["headers"], *((name, value) for name, value in added.items() if name not in given)]


def _note(service: Service, method: str, scope: Any, status: int, seconds: float, number: str) -> None:
    """Count and log a request by its route: never its path or query string, which may contain a person's words."""
    route = scope.get("path_template") or "(none)"
    service.measures.count_request(method, route, status, seconds)
    key = scope.get("auth")
    who = f" key {key.id} ({key.label})" if key else ""
    logger.info("%s %s %d %.0f ms id %s%s", method, route, status, 1e3 * seconds, number, who)


def _cors(origins: tuple[str, ...]) -> CORSConfig | None:
    """CORS for the configured origins; none by default, and never with credentials."""
    if not origins:
        return None
    headers = ["Authorization", "Content-Type"]
    return CORSConfig(
        allow_origins=list(origins), allow_methods=["GET", "POST", "DELETE"], allow_headers=headers, allow_credentials=False
    )


def operation_id(handler: Any, method: Any, path: Any) -> str:
    """The operation id of a route: its handler's name in camel case, such as addFeedback."""
    first, *rest = str(handler.handler_name).split("_")
    return first + "".join(part.title() for part in rest)


def _description() -> OpenAPIConfig:
    """The OpenAPI 3.1 configuration, and the page that shows the document."""
    return OpenAPIConfig(
        title="docqa",
        version="1",
        use_handler_docstrings=True,
        operation_id_creator=operation_id,
        description=DESCRIPTION,
        components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
        security=[{"key": []}, {}],
        openapi_router=Router("/schema", route_handlers=[], opt={OPEN: True}, include_in_schema=False),
        render_plugins=[Description(), InteractivePage(path="/")],
    )
