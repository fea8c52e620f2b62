"""Search by words in a real browser: counts, marks, further hits, filters, what is refused, and the way from a question."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser import addressed, at, browser, chromium, counted, ended, filled, page, settled, site  # noqa: F401
from tests.known import SCRIPTS
from tests.live import Live, live

if TYPE_CHECKING:
    from playwright.sync_api import Page

FILES: dict[str, str | bytes] = {
    "reports/bridge.txt": "The old bridge opened in 1912. A <b>bridge</b> of stone.\n",
    "guide.md": "Bridges are many; an old stone bridge is here.\n",
    "ja.txt": SCRIPTS["ja"] + "\n",
    "ar.txt": SCRIPTS["ar"] + "\n",
    "walrus.txt": "".join(f"A walrus slept on rock {n}. {'The sea was calm that day. ' * 25}\n\n" for n in range(130)),
    **{f"many/{n}.txt": f"A heron number {n} stood near the water.\n" for n in range(25)},
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    chromium()
    with live(tmp_path_factory.mktemp("home")) as service:
        service.fill("test", FILES)
        yield service


def search(page: Page, words: str) -> None:  # noqa: F811
    box = page.get_by_label("Question")
    box.fill(words)
    box.press("Enter")
    addressed(page, q=words, mode="words")
    page.locator(".docqa-count").wait_for()
    ended(page)


def test_words_are_counted_and_marked(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="test"))
    page.get_by_label("Question").wait_for()
    page.get_by_text("Search", exact=True).first.click()
    addressed(page, mode="words")
    search(page, 'bridge "old bridge" OR 橋')
    assert page.locator(".docqa-count").inner_text() == "2 passages in 2 documents"
    marks = page.locator(".docqa-text mark.found").all_inner_texts()
    assert sorted(marks) == ["bridge", "old bridge", "橋"]
    assert page.locator(".docqa-text b").count() == 0
    search(page, "bridg* AND NOT language:de")
    assert page.locator(".docqa-count").inner_text() == "2 passages in 2 documents"
    page.reload()
    counted(page, "2 passages in 2 documents")
    filled(page, "Question", "bridg* AND NOT language:de")
    page.get_by_role("link", name="Open in the document").first.click()
    page.locator("mark.here.found").wait_for()
    page.get_by_text("Hit 1 of").wait_for()
    page.get_by_role("link", name="Back to the answers").click()
    counted(page, "2 passages in 2 documents")


def test_more_hits_a_filter_and_a_query_that_is_none(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="test", mode="words", q="heron"))
    counted(page, "25 passages in 25 documents")
    page.get_by_role("button", name="Show more").click()
    page.wait_for_function("() => document.querySelectorAll('.docqa-answer').length === 25")
    page.goto(at(site, corpus="test", mode="words", q="bridge", folder="reports"))
    counted(page, "1 passage in 1 document")
    search(page, "zebra")
    assert page.locator(".docqa-count").inner_text() == "No passage has these words"
    box = page.get_by_label("Question")
    box.fill("(bridge")
    box.press("Enter")
    page.get_by_text("A bracket is not closed; add the closing one, or remove it.").wait_for()
    assert page.locator(".docqa-count").count() == 0


def test_more_hits_in_a_document_than_are_shown_are_no_secret(page: Page, site: str, api: Live) -> None:  # noqa: F811
    found = api.http.post("/v1/corpora/test/words", json={"words": "walrus"}).json()
    assert found["passages"] > 100
    id = found["hits"][0]["document_id"]
    page.goto(at(site, "document", corpus="test", document=id, mode="words", q="walrus"))
    page.get_by_text("100+ hits").wait_for()


def test_from_a_question_without_an_answer_to_its_words(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="test", q="Which heron?"))
    settled(page)
    page.locator(".docqa-none").wait_for()
    page.get_by_role("button", name="Show passages with these words").click()
    addressed(page, mode="words", q="Which OR heron")
    counted(page, "25 passages in 25 documents")
