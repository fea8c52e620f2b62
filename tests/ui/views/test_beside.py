"""The document beside the list of answers, in a real browser: on wide screens both, on a phone one at a time; by key."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from tests.browser import addressed, at, browser, ended, page, settled, site  # noqa: F401
from tests.live import Live
from tests.ui.bridges import QUESTION, api, ask, ids  # noqa: F401

if TYPE_CHECKING:
    from playwright.sync_api import Page


def shown(page: Page) -> str:  # noqa: F811
    """The document in the address."""
    return parse_qs(urlsplit(page.url).query)["document"][0]


def test_a_document_is_read_beside_the_list_by_key(page: Page, site: str, api: Live) -> None:  # noqa: F811
    names = {id: source for source, id in ids(api).items()}
    ask(page, site)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Show beside").first.wait_for()
    page.locator(".docqa-answer").first.focus()
    page.keyboard.press("Enter")
    page.locator(".st-key-beside mark.here").wait_for()
    ended(page)
    mark, first = page.locator(".st-key-beside mark.here"), page.locator(".docqa-answer").first
    assert mark.inner_text() == "1912" and first.is_visible()
    left, right = first.bounding_box(), mark.bounding_box()
    assert left and right and left["x"] + left["width"] < right["x"], "the list is left of the document"
    addressed(page, q=QUESTION, document=shown(page))
    one = shown(page)
    page.keyboard.press("Shift+N")
    page.get_by_text("Document 2 of").wait_for()
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query)["document"] != [one])
    two = shown(page)
    page.locator(".st-key-beside h2", has_text=names[two]).wait_for()
    assert two != one and page.locator(".st-key-beside mark.here").count() == 1
    page.keyboard.press("Shift+P")
    addressed(page, document=one)
    page.get_by_text("Document 1 of").wait_for()
    page.reload()
    page.locator(".st-key-beside mark.here").wait_for()
    assert page.locator(".docqa-answer").first.is_visible()
    page.get_by_role("link", name="Close").click()
    page.locator(".st-key-beside").wait_for(state="detached")
    addressed(page, q=QUESTION)
    assert "document=" not in page.url


def test_another_question_closes_the_document(page: Page, site: str, api: Live) -> None:  # noqa: F811
    page.goto(at(site, corpus="test", q=QUESTION, document=ids(api)["guide.md"]))
    page.locator(".st-key-beside").wait_for()
    settled(page)
    box = page.get_by_label("Question")
    box.fill("When was the tower finished?")
    box.press("Enter")
    addressed(page, q="When was the tower finished?")
    page.locator(".st-key-beside").wait_for(state="detached")
    assert "document=" not in page.url


def test_a_phone_shows_one_at_a_time(page: Page, site: str, api: Live) -> None:  # noqa: F811
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(at(site, corpus="test", q=QUESTION))
    settled(page)
    page.get_by_role("link", name="Open in the document").first.wait_for()
    beside = page.locator("a", has_text="Show beside").first
    beside.wait_for(state="attached")
    assert not beside.is_visible()
    page.goto(at(site, corpus="test", q=QUESTION, document=ids(api)["guide.md"]))
    page.locator(".st-key-beside").wait_for()
    settled_document = page.locator(".st-key-beside .docqa-whole")
    settled_document.wait_for()
    ended(page)
    assert not page.locator(".docqa-answer").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("link", name="Close").click()
    page.locator(".docqa-answer").first.wait_for()


def test_a_hit_of_a_search_by_words_opens_beside_too(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="test", q="bridge", mode="words"))
    page.locator(".docqa-count").wait_for()
    ended(page)
    page.get_by_role("link", name="Show beside").first.wait_for()
    page.locator(".docqa-answer").first.focus()
    page.keyboard.press("Enter")
    page.locator(".st-key-beside mark.here.found").wait_for()
    addressed(page, q="bridge", mode="words", document=shown(page))
