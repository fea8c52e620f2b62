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
        service.fill("first", {"bridge.txt": "The old bridge opened in 1912. It is long.\n", "zoo.txt": "The giraffe did come in 1666.\n"})
        service.fill("second", {"tower.txt": "The tower opened in 1777, and the giraffe did come.\n"})
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
