"""The page in a browser: many files uploaded without a reload, and what it says of files with the same text."""

from __future__ import annotations

import re
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


def test_a_document_names_its_copies(page: Page, site: str, api: Live) -> None:  # noqa: F811
    ids = api.fill("copied", {f"{n}.txt": "The tower was finished in 1777." for n in range(5)})
    page.goto(at(site, "document", corpus="copied", document=ids["0.txt"]))
    said = page.locator(".docqa-where span[title]")
    said.wait_for()
    assert re.sub("[\u2066-\u2069]", "", said.inner_text()) == "also in 1.txt, 2.txt, 3.txt and 1 more"
    assert said.get_attribute("title") == "1.txt\n2.txt\n3.txt\n4.txt"
