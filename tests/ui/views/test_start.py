"""An empty home, in a real browser: the example documents with one click, and a question about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.browser import addressed, api, at, browser, ended, page, settled, site  # noqa: F401
from ui.components.start import QUESTIONS

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_stranger_begins_with_the_examples(page: Page, site: str) -> None:  # noqa: F811
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(at(site))
    page.get_by_role("heading", name="docqa").wait_for()
    page.get_by_role("link", name="Upload your own").wait_for()
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Try with the example documents").click()
    page.get_by_text("48 documents in 12 languages").wait_for()
    ended(page)
    assert len(QUESTIONS) == 5 and page.locator(".st-key-example-questions a").count() == 5
    page.get_by_role("link", name=QUESTIONS[0]).click()
    settled(page)
    addressed(page, corpus="examples", q=QUESTIONS[0])
