"""Document, step by step in a real browser over a real service; and the hits it steps through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.browser import addressed, at, browser, filled, page, settled, site  # noqa: F401
from tests.live import Live
from tests.ui.bridges import FILES, QUESTION, api, ask, ids  # noqa: F401
from tests.ui.replies import answer, reply
from ui.components.hit_navigation import hits_of, page_of, window

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_from_the_answer_to_its_place(page: Page, site: str) -> None:  # noqa: F811
    ask(page, site)
    page.get_by_role("link", name="Open in the document").first.click()
    page.locator("mark.here.answer", has_text="1912").wait_for()
    page.locator("mark.passage").first.wait_for()
    addressed(page, q=QUESTION)
    page.get_by_role("link", name="Back to the answers").click()
    settled(page)
    filled(page, "Question", QUESTION)


def test_find_and_step(page: Page, site: str, api: Live) -> None:  # noqa: F811
    page.goto(at(site, "document", corpus="test", document=ids(api)["probe.txt"]))
    box = page.get_by_label("Find in the text")
    box.fill("ZEBRA")
    box.press("Enter")
    page.get_by_text("Hit 1 of 3").wait_for()
    page.wait_for_function("() => document.querySelectorAll('mark.found').length === 3")
    assert page.locator("mark.found").all_inner_texts() == ["zebra"] * 3
    assert page.title().startswith("probe.txt")
    for number in (2, 3, 1):
        page.get_by_role("button", name="Next", exact=True).click()
        page.get_by_text(f"Hit {number} of 3").wait_for()
    page.get_by_role("button", name="Previous", exact=True).click()
    page.get_by_text("Hit 3 of 3").wait_for()
    page.locator(".docqa-title").click()
    page.keyboard.press("n")
    page.get_by_text("Hit 1 of 3").wait_for()
    page.keyboard.press("p")
    page.get_by_text("Hit 3 of 3").wait_for()
    addressed(page, find="ZEBRA")


def test_a_long_text_is_shown_around_its_hit(page: Page, site: str, api: Live) -> None:  # noqa: F811
    page.goto(at(site, "document", corpus="test", document=ids(api)["long.txt"], find="giraffe"))
    page.locator("mark.here.found", has_text="giraffe").wait_for()
    page.get_by_text("Hit 1 of 1").wait_for()
    page.wait_for_function("() => document.querySelector('mark.here').getBoundingClientRect().top < innerHeight")
    page.get_by_role("button", name="Earlier text").click()
    page.locator("mark.here").wait_for(state="detached")


def test_the_place_on_a_page_of_a_pdf(page: Page, site: str, api: Live) -> None:  # noqa: F811
    ask(page, site, "When was the tower finished?")
    page.get_by_role("link", name="Open in the document").first.click()
    page.wait_for_selector(".docqa-page img")
    page.get_by_text("Page 2 of 2").wait_for()
    page.locator(".docqa-box").or_(page.get_by_text("The exact place could not be found")).first.wait_for()
    page.get_by_role("button", name="Page before").click()
    page.get_by_text("Page 1 of 2").wait_for()
    page.get_by_text("Text", exact=True).click()
    page.locator("mark.here", has_text="1777").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the original").click()
    assert download.value.path().read_bytes() == FILES["paper.pdf"]


def test_documents_are_listed_and_missing_ones_told(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, "document", corpus="test", find="bridge"))
    page.get_by_role("link", name="reports/bridge.txt").click()
    page.locator(".docqa-whole", has_text="The old bridge opened in 1912.").wait_for()
    page.goto(at(site, "document", corpus="test", document="nothing"))
    page.get_by_text("No document has the id").wait_for()


def test_hits_of_a_document() -> None:
    found = reply(answer("1912", "a", start=50), answer("1921", "b", start=10))
    hits = hits_of(found, "a", None, (5, 7))
    assert hits.steps == ((5, 7), (50, 54)) and {mark.kind for mark in hits.marks} == {"answer", "passage", "here"}
    assert hits_of(found, "a", [(1, 2)], None).steps == ((1, 2),) and hits_of(None, "a", [], None).next(None, 1) is None
    assert window(10, None, None) == (0, 10) and page_of([], 5) == 1
