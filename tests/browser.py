"""The page in a real browser, over a real service with known models; skipped, with the reason, where there is no browser.

Fixtures, to be imported by name: `api` (a service with an empty home), `site` (the page's address over it), `page`.
Nothing may be loaded from other machines: a page that tries fails its test.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from tests.live import Live, live

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
PATIENCE_MS = 120_000


def chromium() -> str:
    """The path of an installed Chromium; skips the test where there is none, or nothing to drive it with."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed, so no browser can be driven")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip(f"no browser is installed: none of {', '.join(NAMES)} is on PATH, and CHROMIUM names none")
    return found


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service of a home without corpora."""
    chromium()
    with live(tmp_path_factory.mktemp("home")) as service:
        yield service


@pytest.fixture(scope="module")
def site(api: Live) -> Iterator[str]:
    """The address of the page, run as `docqa ui` runs it."""
    with page_server("streamlit", "run", str(ROOT / "ui/server.py"), "--server.port", DOCQA_API_URL=api.url) as address:
        yield address


@contextmanager
def page_server(*module: str, **environment: str) -> Iterator[str]:
    """The address of a page while it runs: a Python module with arguments, the last one an option for a free port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(("STREAMLIT_", "DOCQA_API"))}
    process = subprocess.Popen(
        [sys.executable, "-m", *module, str(port)],
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a module."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new page of 1280 pixels. Fails the test when the page reached for another machine, raised, or opened a dialog."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    wrong: list[str] = []
    opened.on("request", lambda request: wrong.append(request.url) if _is_elsewhere(request.url) else None)
    opened.on("pageerror", lambda error: wrong.append(f"error: {error}"))

    def dismissed(dialog: Dialog) -> None:
        wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    opened.on("dialog", dismissed)
    yield opened
    context.close()
    assert not wrong, wrong


def settled(page: Page, shown: str = ".docqa-where") -> None:
    """Wait until the page's script has ended and drawn its tools and something of `shown`: only then may a test count.

    Streamlit draws the parts of a run one after the other, so a part that is there says nothing about the next one.
    """
    page.locator(".st-key-tools").wait_for()
    page.locator(shown).first.wait_for()
    ended(page)


def ended(page: Page) -> None:
    """Wait until the page's script has ended: a click before its end can be overtaken by the address of the old run."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def addressed(page: Page, **values: str | list[str]) -> None:
    """Wait until the address of the page has these values: a run sends its address apart from what it draws."""
    wanted = {name: value if isinstance(value, list) else [value] for name, value in values.items()}

    def said(url: str) -> dict[str, list[str] | None]:
        query = parse_qs(urlsplit(url).query, keep_blank_values=True)
        return {name: query.get(name) for name in values}

    page.wait_for_url(lambda url: said(url) == wanted)


def counted(page: Page, text: str) -> None:
    """Wait until the list of results says how many there are."""
    page.locator(".docqa-count", has_text=text).wait_for()


def chips(page: Page) -> list[str]:
    """The filters above the results, by their labels."""
    page.locator(".st-key-chips button", has_text="Clear all").wait_for()
    return [re.sub("[\u2066-\u2069✕]", "", chip).strip() for chip in page.locator(".st-key-chips button").all_inner_texts()]


def filled(page: Page, label: str, text: str) -> None:
    """Wait until the box of this label holds this text: a box gets its value a moment after it is drawn."""
    from playwright.sync_api import expect

    expect(page.get_by_label(label)).to_have_value(text, timeout=PATIENCE_MS)


def at(site: str, path: str = "", **query: Any) -> str:
    """The address of a page of the site: `at(site, "ask", corpus="x")`."""
    return f"{site}/{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")


def _is_elsewhere(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1"


def _wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Wait until a page's server answers; fails when it ends before that."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert process.poll() is None, "the page's server ended"
        try:
            if httpx.get(url, trust_env=False, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError("the page's server did not start")
