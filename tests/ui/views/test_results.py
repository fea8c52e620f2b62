"""The results of a question, in a real browser: they are its own, they count texts, and they say how much was read."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import addressed, at, browser, chromium, ended, page, settled, site  # noqa: F401
from tests.known import WordReader
from tests.live import Live, known_models, live

if TYPE_CHECKING:
    from playwright.sync_api import Page

QUESTION = "When was the old bridge opened?"
SLOW = "Answer slowly: when did the giraffe come?"
PROGRESS = re.compile(r"Found \d+ passages?; reading|Read \d+ of \d+ passages")


REPORT = "The old bridge was opened in 1912. " + " ".join(f"Pier {n} was built of grey stone." for n in "abcdefghij")
COPIES: dict[str, str | bytes] = {
    "reports/bridge.txt": REPORT,
    "mail/bridge (1).txt": REPORT,
    "mail/edited.txt": f"Second edition.\n{REPORT}",
    "other.txt": "So when was it? The old bridge was opened in 1921 and not before.\n",
    **{f"more/{n}.txt": f"A text number {n} about nothing much at all.\n" for n in range(10, 20)},
}


class PatientReader(WordReader):
    """Reads as if it were slow, when it is asked slowly."""

    def read(self, question: str, texts: Sequence[str]) -> Any:
        if "slowly" in question:
            time.sleep(2.0 * len(texts))
        return super().read(question, texts)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with two filled corpora."""
    chromium()
    with live(tmp_path_factory.mktemp("home"), known_models(PatientReader())) as service:
        service.fill(
            "first",
            {"bridge.txt": "The old bridge opened in 1912. It is long.\n", "zoo.txt": "The giraffe did come in 1666.\n"},
        )
        service.fill("second", {"tower.txt": "The tower opened in 1777, and the giraffe did come.\n"})
        service.fill("copies", COPIES)
        yield service


def ask(page: Page, question: str) -> None:  # noqa: F811
    box = page.get_by_label("Question")
    box.fill(question)
    box.press("Enter")


# -- the results are those of the question in the box ------------------------------------------------------------------


def test_another_question_leaves_no_answer_of_the_last_one(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="first", q=QUESTION))
    settled(page)
    assert page.locator(".docqa-said", has_text="1912").count() == 1
    ask(page, SLOW)
    page.get_by_text(PROGRESS).first.wait_for()
    assert page.locator("[class*=st-key-answer-]").count() == 0 and page.locator(".st-key-tools").count() == 0
    assert page.locator(".docqa-against").count() == 0
    settled(page)
    assert page.locator(".docqa-said", has_text="1666").count() == 1


def test_another_collection_leaves_no_answer_of_the_last_one(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="first", q=SLOW))
    settled(page)
    page.get_by_label("Collection", exact=True).click()
    page.get_by_role("option", name="second").click()
    page.get_by_text(PROGRESS).first.wait_for()
    assert page.locator("[class*=st-key-answer-]").count() == 0 and page.locator(".st-key-tools").count() == 0
    addressed(page, corpus="second")
    settled(page)
    assert page.locator(".docqa-said", has_text="1777").count() == 1


def test_a_click_below_the_answers_keeps_what_is_open(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="first", q=QUESTION))
    settled(page)
    page.get_by_text("Why this answer").first.click()
    page.locator("table.docqa-why").first.wait_for()
    page.get_by_role("button", name="Save this question").click()
    page.get_by_text("Saved.").first.wait_for()
    ended(page)
    assert page.locator("table.docqa-why").first.is_visible()


# -- what the lines above the answers claim ----------------------------------------------------------------------------


def test_copies_of_a_text_are_one_source(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="copies", q=QUESTION, thorough="1"))
    settled(page)
    assert page.locator(".docqa-against").inner_text() == "1 document says 1921, 1 says 1912."
    card = page.locator("[class*=st-key-answer-]", has=page.locator(".docqa-said", has_text="1912"))
    assert "documents say so" not in card.inner_text()
    card.get_by_text("Said in 2 places").click()
    card.get_by_text("copy of").first.wait_for()
    for source in ("reports/bridge.txt", "mail/bridge (1).txt", "mail/edited.txt"):
        card.locator(".docqa-where", has_text=source).first.wait_for()
    page.get_by_text(re.compile(r"The \d+ closest passages")).click()
    page.locator(".docqa-passage .docqa-where", has_text="also in").first.wait_for()


def test_it_says_how_much_was_read_and_reads_more(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="copies", q="So when was it that the old bridge was opened in, and not before?"))
    settled(page)
    read = re.fullmatch(r"(\d+) of 10 passages read", page.locator(".st-key-reading .docqa-quiet").inner_text())
    assert read is not None and int(read[1]) < 10
    page.get_by_role("button", name="Read all 10").click()
    page.locator(".st-key-reading", has_text="10 of 10 passages read").wait_for()
    addressed(page, thorough="1")
    ended(page)
    assert page.get_by_role("button", name="Read all 10").count() == 0
    page.get_by_role("button", name="Read 50 more").click()
    page.locator(".st-key-reading", has_text="13 of 13 passages read").wait_for()
    addressed(page, thorough="1", read="60")
    ended(page)
    assert page.get_by_role("button", name=re.compile("^Read ")).count() == 0


def test_no_answer_is_said_of_the_passages_that_were_read(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="copies", q="xylophone"))
    settled(page)
    told = page.locator(".docqa-none")
    assert told.locator("strong").inner_text() == "No answer in the 10 closest passages"
    assert "Another passage may have one" in told.inner_text() and "No passage answers" not in told.inner_text()
    page.get_by_role("button", name="Read 50 more").click()
    page.locator(".docqa-none", has_text="There are no other passages").wait_for()
    assert told.locator("strong").inner_text() == "No answer in the 13 closest passages"
