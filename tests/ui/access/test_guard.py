"""The guard of the page: names, origins, policies, and the login, over a service that needs keys."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from qa_pipeline.service.api_keys import KeyStore
from qa_pipeline.service.home import Home
from tests.browser import browser, page, page_server  # noqa: F401
from tests.live import BRIDGE, known_models, live
from ui.access import guard, logins
from ui.access.guard import Guard
from ui.access.login import ROUTES
from ui.access.logins import COOKIE, Logins
from ui.state import session

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[3]
HOSTS = ("localhost", "127.0.0.1", "::1", "*.example.org")


async def _drawn(request: Request) -> PlainTextResponse:
    return PlainTextResponse("drawn")


async def _stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("drawn")
    await socket.close()


class Site:
    """A page behind the guard, and a browser's requests to it, with its cookies."""

    def __init__(self) -> None:
        pages = [Route("/", _drawn, methods=["GET", "POST"]), Route("/document", _drawn)]
        routes = [*ROUTES, *pages, WebSocketRoute("/_stcore/stream", _stream)]
        self.app = Starlette(routes=routes, middleware=[Middleware(Guard, hosts=HOSTS)])
        self.cookies = httpx.Cookies()

    def get(self, path: str, **sent: Any) -> httpx.Response:
        return asyncio.run(self._send("GET", path, **sent))

    def post(self, path: str, **sent: Any) -> httpx.Response:
        return asyncio.run(self._send("POST", path, **sent))

    async def _send(self, method: str, path: str, **sent: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8501", cookies=self.cookies) as http:
            answer = await http.request(method, path, **sent)
            self.cookies = http.cookies
        return answer

    def connects(self, **headers: str) -> bool:
        """Whether a WebSocket is accepted."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        named = {"host": "localhost:8501", "cookie": cookies, **{name.lower(): value for name, value in headers.items()}}
        return asyncio.run(self._connect(named))

    async def _connect(self, headers: dict[str, str]) -> bool:
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "websocket", "path": "/_stcore/stream", "headers": pairs, "query_string": b"", "subprotocols": []}
        said: list[str] = []

        async def receive() -> dict[str, str]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            said.append(message["type"])

        await self.app(scope, receive, send)
        return said[0] == "websocket.accept"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A service with keys and a corpus: its address, and the secrets."""
    home = Home.open(tmp_path_factory.mktemp("guard") / "h", create=True, embedder=known_models().embedder)
    store = KeyStore(home.keys)
    write, read = store.add("writer", write=True)[1], store.add("reader")[1]
    other, rotated = store.add("other", corpora=["other"])[1], store.add("rotated")
    store.rotate(rotated[0].id)
    with live(home.path, key=write) as api:
        api.fill("c", {"bridge.txt": BRIDGE})
        yield {"api": api, "write": write, "read": read, "other": other, "old": rotated[1]}


@pytest.fixture
def needs_keys(keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("DOCQA_API_URL", keys["api"].url)
    monkeypatch.delenv("DOCQA_API_KEY", raising=False)
    return keys


# -- names and origins -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8501", "[::1]:8501", "LOCALHOST.", "a.example.org:443"])
def test_the_page_answers_to_its_names(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_API_KEY", "docqa_x")
    assert Site().get("/", headers={"Host": host}).text == "drawn"
    assert Site().connects(Host=host)


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "evil.example:8501", "example.org", "127.0.0.1@evil.example", ""]
)
def test_the_page_answers_to_no_other_name(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: a name of an attacker that leads to this machine."""
    monkeypatch.setenv("DOCQA_API_KEY", "docqa_x")
    answer = Site().get("/", headers={"Host": host})
    assert answer.status_code == 421 and "--allowed-host" in answer.text
    assert not Site().connects(Host=host)


def test_the_page_does_nothing_for_pages_of_other_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_API_KEY", "docqa_x")
    for origin in ("http://evil.example", "http://localhost:9999", "null"):
        assert Site().post("/", headers={"Origin": origin}).status_code == 403
        assert not Site().connects(Origin=origin)
    assert Site().post("/", headers={"Origin": "http://localhost:8501"}).text == "drawn"
    assert Site().connects(Host="localhost:8501", Origin="http://localhost:8501")


def test_every_answer_of_the_page_has_its_policies(needs_keys: dict[str, Any]) -> None:
    for answer in (Site().get("/login"), Site().get("/"), Site().get("/", headers={"Host": "x"}), Site().get("/static/x")):
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], answer.status_code
        assert "connect-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY" and answer.headers["x-content-type-options"] == "nosniff"


# -- the login ---------------------------------------------------------------------------------------------------------


def test_a_page_without_a_key_shows_nothing_before_a_login(needs_keys: dict[str, Any]) -> None:
    client = Site()
    answer = client.get("/document?corpus=c&q=a+b")
    where = urlsplit(answer.headers["location"])
    assert (answer.status_code, where.path) == (303, "/login")
    assert parse_qs(where.query) == {"next": ["/document?corpus=c&q=a+b"]}
    assert client.post("/", content=b"x").status_code == 401 and client.get("/_stcore/upload_file").status_code == 401
    assert not client.connects() and not client.connects(Cookie=f"{COOKIE}=guessed")


def test_a_key_opens_the_page_and_is_in_no_address(needs_keys: dict[str, Any]) -> None:
    client = Site()
    form = client.get("/login?next=%2Fdocument%3Fcorpus%3Dc").text
    assert 'method="post"' in form and 'value="/document?corpus=c"' in form
    answer = client.post("/login", data={"key": needs_keys["read"], "next": "/document?corpus=c"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/document?corpus=c")
    given = answer.headers["set-cookie"]
    assert "HttpOnly" in given and "SameSite=lax" in given and "Secure" not in given
    assert needs_keys["read"] not in str(answer.headers)
    assert client.get("/document").text == "drawn" and client.connects()
    token = client.cookies[COOKIE]
    logins.LOGINS.remove(token)
    assert client.get("/document").status_code == 303 and not client.connects()


def test_a_login_over_tls_is_never_sent_without_it(needs_keys: dict[str, Any]) -> None:
    sent = {"key": needs_keys["read"]}
    assert "Secure" in Site().post("/login", data=sent, headers={"X-Forwarded-Proto": "https"}).headers["set-cookie"]


@pytest.mark.parametrize("key", ["", "docqa_wrong", "é", "a\nb", "old"])
def test_no_other_key_opens_the_page(key: str, needs_keys: dict[str, Any]) -> None:
    answer = Site().post("/login", data={"key": needs_keys.get(key, key), "next": '"><script>'})
    assert answer.status_code == 401 and "not known" in answer.text and "set-cookie" not in answer.headers
    assert "<script>" not in answer.text


def test_a_login_from_another_page_is_refused(needs_keys: dict[str, Any]) -> None:
    answer = Site().post("/login", data={"key": needs_keys["read"]}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403 and "set-cookie" not in answer.headers


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "/login", ""])
def test_a_login_leads_to_no_other_site(back: str, needs_keys: dict[str, Any]) -> None:
    answer = Site().post("/login", data={"key": needs_keys["read"], "next": back})
    assert answer.headers["location"] == "/"


def test_a_form_that_is_too_large_is_refused(needs_keys: dict[str, Any]) -> None:
    assert Site().post("/login", data={"key": "x" * 10_000}).status_code == 413


def test_a_service_that_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_API_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("DOCQA_API_KEY", raising=False)
    answer = Site().post("/login", data={"key": "docqa_x"})
    assert answer.status_code == 503 and "does not answer" in answer.text
    assert guard.keys_needed(True) and not guard.keys_needed(False)


def test_a_service_without_keys_needs_no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCQA_API_KEY", raising=False)
    with live(tmp_path / "h") as api:
        monkeypatch.setenv("DOCQA_API_URL", api.url)
        assert Site().get("/").text == "drawn" and Site().connects()


def test_a_login_ends_when_it_is_not_used_and_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "MOST", 2)
    now = [0.0]
    kept = Logins(10, clock=lambda: now[0])
    first, second = kept.add("1"), kept.add("2")
    now[0] = 9
    assert kept.key(first) == "1"
    now[0] = 11
    assert kept.key(first) == "1" and kept.key(second) == ""
    third, fourth = kept.add("3"), kept.add("4")
    assert [kept.key(token) for token in (first, third, fourth)] == ["", "3", "4"]


# -- what is kept ------------------------------------------------------------------------------------------------------


@session.cached_by_key(max_entries=8)
def _first(corpus: str, *, much: int = 1) -> tuple[str, int, int]:
    CALLS.append(corpus)
    return corpus, much, len(CALLS)


@session.cached_by_key(max_entries=8)
def _second(corpus: str) -> str:
    return f"second {corpus}"


CALLS: list[str] = []


def test_what_one_key_was_told_is_kept_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_data.clear()
    found = []
    for key in ("a", "a", "b", "a"):
        monkeypatch.setattr(session, "_key", lambda key=key: key)
        found.append(_first("c"))
    assert found == [("c", 1, 1), ("c", 1, 1), ("c", 1, 2), ("c", 1, 1)]
    assert _first("c", much=2) == ("c", 2, 3) and _first("d") == ("d", 1, 4) and _second("c") == "second c"


def test_nothing_of_the_service_is_kept_for_all() -> None:
    """Every function that keeps what the service said does it apart for each key."""
    kept = {
        path.name
        for path in (ROOT / "ui").rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if "cache_data(" in line
    }
    assert kept == {"session.py"}


# -- the whole page ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(keys: dict[str, Any]) -> Iterator[str]:
    """The page as `docqa ui` starts it, over the service with keys."""
    command = ("qa_pipeline.cli", "ui", "--api", keys["api"].url, "--allowed-host", "docs.example.org", "--port")
    with page_server(*command) as address:
        yield address


def test_the_page_is_served_behind_its_guard(served: str) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    with httpx.Client(base_url=served, trust_env=False) as http:
        for path, more in (("/", {}), ("/_stcore/stream", upgrade)):
            statuses = {
                host: http.get(path, headers={"Host": host, **more}).status_code for host in ("evil.example", "localhost")
            }
            assert statuses == ({"evil.example": 403, "localhost": 403} if more else {"evil.example": 421, "localhost": 303})
        assert http.get("/", headers={"Host": "docs.example.org"}).status_code == 303
        assert http.get("/_stcore/health", headers={"Host": "localhost"}).text == "ok"


@pytest.mark.browser
def test_a_person_signs_in_with_a_key_and_out_again(served: str, keys: dict[str, Any], page: Page) -> None:  # noqa: F811
    page.goto(f"{served}/corpora?corpus=c")
    page.get_by_label("Key").fill("docqa_wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("This key is not known").wait_for()
    page.get_by_label("Key").fill(keys["read"])
    page.get_by_role("button", name="Sign in").click()
    page.locator("h1.docqa-title").wait_for()
    assert "docqa_" not in page.url and "corpus=c" in page.url
    assert page.evaluate("document.cookie").find(COOKIE) < 0
    page.reload()
    page.locator("h1.docqa-title").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in with another key").click()
    page.get_by_label("Key").wait_for()
