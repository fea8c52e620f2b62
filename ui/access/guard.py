"""A guard in front of every request and connection of the page.

It answers to allowed host names only, against DNS rebinding. It refuses requests and WebSockets from pages of other origins.
It adds policies against framing, sniffing and loading from elsewhere. Where the service needs keys and the page has none,
only the login is reached without one.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from ui.access.logins import COOKIE, LOGINS
from ui.access.page_key import page_key
from ui.client.http import Client
from ui.client.schemas import ApiError

DEFAULT_API = "http://127.0.0.1:8080"
LOGIN = "/login"
OPEN = (LOGIN, "/_stcore/health", "/favicon.png")
OPEN_FOLDER = "/static/"
KEPT_S = 5.0
ASK_S = 10.0
# Streamlit's page has inline scripts and styles. Nothing may be loaded from, or sent to, another address.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' blob:; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none';"
    " base-uri 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """ASGI middleware. hosts: allowed names, without ports; "*.example.org" allows every name below it."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = tuple(host.strip().lower().rstrip(".") for host in hosts)
        self._needed = False
        self._known_until = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await WebSocketClose(1008)(scope, receive, send)
        else:
            await refusal(scope, receive, _with_headers(send))

    async def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._is_allowed(headers.get("host", "")):
            text = "The page does not answer to this name; `docqa ui --allowed-host NAME` allows one."
            return PlainTextResponse(text, status_code=421)
        if not _is_own_origin(scope, headers):
            return PlainTextResponse("A page of another address may not do this.", status_code=403)
        path = scope["path"]
        if path in OPEN or path.startswith(OPEN_FOLDER) or login_key(headers):
            return None
        if page_key() or not await self._keys_needed():
            return None
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and not path.startswith("/_stcore/"):
            query = scope.get("query_string", b"").decode("latin-1")
            back = quote(path + (f"?{query}" if query else ""), safe="")
            return RedirectResponse(f"{LOGIN}?next={back}", status_code=303)
        return PlainTextResponse("Sign in first.", status_code=401)

    def _is_allowed(self, host: str) -> bool:
        name = _host_name(host)
        return bool(name) and any(
            name == allowed or allowed == "*" or (allowed.startswith("*.") and name.endswith(allowed[1:]))
            for allowed in self._hosts
        )

    async def _keys_needed(self) -> bool:
        """Whether the service refuses requests without a key; kept for KEPT_S."""
        if time.monotonic() > self._known_until:
            self._needed = await asyncio.to_thread(keys_needed, self._needed)
            self._known_until = time.monotonic() + KEPT_S
        return self._needed


def api_url() -> str:
    """The address of the service."""
    return os.environ.get("DOCQA_API_URL") or os.environ.get("DOCQA_API") or DEFAULT_API


def keys_needed(otherwise: bool = False) -> bool:
    """Whether the service needs a key; `otherwise` while it cannot be reached."""
    problem = refusal_of("")
    return otherwise if problem is not None and not problem.status else problem is not None


def refusal_of(key: str) -> ApiError | None:
    """Why the service does not accept a key ("": none), or None if it does. A status of 0 says that it cannot be reached."""
    with Client(api_url(), key, timeout=ASK_S) as client:
        try:
            client.list_jobs(limit=1)
        except ApiError as error:
            return error if error.status in (0, 401) else None
    return None


def login_key(headers: Headers) -> str:
    """The key of a request's login; "" without one."""
    return LOGINS.key(cookie(headers))


def cookie(headers: Headers) -> str:
    """The token of a request's login; "" without one."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _host_name(host: str) -> str:
    """The name in a Host header, in lower case; "" for an invalid one.

    >>> [_host_name(host) for host in ("Docs.example.org:8501", "[::1]:80", "a@b", "x:y", "")]
    ['docs.example.org', '::1', '', '', '']
    """
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    return (parts.hostname or "").rstrip(".") if parts.netloc == host and "@" not in host else ""


def _is_own_origin(scope: Scope, headers: Headers) -> bool:
    """Whether a request that may change something comes from a page of this address, or from no page."""
    origin = headers.get("origin")
    if origin is None or (scope["type"] == "http" and scope["method"] in ("GET", "HEAD", "OPTIONS")):
        return True
    return origin.partition("://")[2].lower() == headers.get("host", "").lower()


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
