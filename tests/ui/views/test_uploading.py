"""The page in a browser uploads many files at once, and the browser loads it once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.browser import at, browser, ended, page, site  # noqa: F401
from tests.live import Live
from tests.ui.bridges import api  # noqa: F401

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_two_hundred_files_without_a_reload(page: Page, site: str, api: Live) -> None:  # noqa: F811
    page.goto(at(site, "corpora", corpus="bare"))
    page.evaluate("window.loadedOnce = true")
    files = [
        {"name": f"notes/{n:03}.txt", "mimeType": "text/plain", "buffer": f"Bridge {n} opened in {1700 + n}.".encode()}
        for n in range(200)
    ]
    page.locator("[data-testid=stFileUploader] input[type=file]").set_input_files(files)  # type: ignore[arg-type]
    page.get_by_role("button", name="Add 200 files to the collection").click()
    page.get_by_text("200 indexed").wait_for()
    ended(page)
    assert page.evaluate("window.loadedOnce") is True
    assert api.http.get("/v1/corpora/bare").json()["documents"] == 200
