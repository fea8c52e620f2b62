"""Ask, step by step in a real browser over a real service."""

from __future__ import annotations

import csv
import re
import time
from typing import TYPE_CHECKING

from tests.browser import addressed, at, browser, chips, ended, filled, page, settled, site  # noqa: F401
from tests.live import Live
from tests.ui.bridges import PROBE, QUESTION, api, ask, ids  # noqa: F401

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_question_is_answered_with_its_support(page: Page, site: str) -> None:  # noqa: F811
    ask(page, site)
    first = page.locator(".docqa-answer").first
    assert first.locator(".docqa-said").inner_text() == "1912"
    assert first.locator("mark.answer").inner_text() == "1912"
    assert "high confidence" in first.inner_text() and "3 documents say so" in first.inner_text()
    told = page.locator(".docqa-against").inner_text()
    assert told.startswith("3 documents say 1912, ") and ", 1 says 1921" in told
    addressed(page, q=QUESTION, corpus="test")
    page.get_by_text("Why this answer").first.click()
    why = page.locator("table.docqa-why").first
    why.wait_for()
    for stage in (
        "Meaning (dense)",
        "Words (keyword)",
        "Both together",
        "Reader",
        "No-answer margin",
        "Passages read",
        "Time",
    ):
        assert stage in why.inner_text()
    page.get_by_text("Said in 3 places").click()
    page.get_by_text("reports/history.txt").first.wait_for()


def test_an_address_is_a_question(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="test", q=QUESTION, folder="reports", read="20"))
    settled(page)
    sources = page.locator(".docqa-where").all_text_contents()
    assert sources and all("reports/" in source for source in sources)
    filled(page, "Question", QUESTION)
    addressed(page, q=QUESTION, folder="reports")


def test_passages_come_first_then_progress(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="test", q="Answer slowly: when was the old bridge opened?", thorough="1"))
    page.get_by_text(re.compile(r"Found \d+ passages?; reading|Read \d+ of \d+ passages")).wait_for()
    page.locator(".docqa-passage").first.wait_for()
    assert page.locator(".st-key-tools").count() == 0
    page.get_by_text(re.compile(r"Read \d+ of \d+ passages")).wait_for()
    assert page.locator(".docqa-passage").count() > 0 and page.locator(".st-key-tools").count() == 0
    settled(page)


def test_earlier_questions_are_a_click_away(page: Page, site: str) -> None:  # noqa: F811
    ask(page, site)
    box = page.get_by_label("Question")
    box.fill("When was the tower finished?")
    box.press("Enter")
    addressed(page, q="When was the tower finished?")
    settled(page)
    page.reload()
    settled(page)
    page.get_by_text("Your questions").click()
    page.locator("details li a").nth(1).wait_for()
    assert page.locator("details li a").all_inner_texts() == ["When was the tower finished?", QUESTION]
    page.get_by_role("link", name=QUESTION).click()
    addressed(page, q=QUESTION)
    filled(page, "Question", QUESTION)
    page.locator("details li a", has_text=QUESTION).first.wait_for()
    page.goto(at(site, corpus="bare"))
    page.get_by_label("Question").wait_for()
    ended(page)
    assert not page.get_by_text("Your questions").is_visible(), "those of another collection"
    page.goto(at(site, corpus="test"))
    page.get_by_text("Your questions").click()
    page.get_by_role("button", name="Clear these questions").click()
    page.get_by_text("Your questions").wait_for(state="hidden")
    assert page.evaluate("localStorage.getItem('docqa-history')") == "[]"


def test_the_history_of_a_deleted_collection_is_gone(page: Page, site: str, api: Live) -> None:  # noqa: F811
    api.fill("brief", {"mill.txt": "The mill was opened in 1850.\n"})
    page.goto(at(site, corpus="brief", q="When was the mill opened?"))
    settled(page)
    page.wait_for_function("() => (localStorage.getItem('docqa-history') ?? '').includes('mill')")
    api.http.delete("/v1/corpora/brief")
    page.evaluate(
        """() => {
          const [one] = JSON.parse(localStorage.getItem('docqa-history'));
          const other = {...one, who: "another", corpus: "test", question: "a secret"};
          localStorage.setItem('docqa-history', JSON.stringify([one, other, {query: 7}, "nonsense"]));
        }"""
    )
    page.goto(at(site, corpus="test"))
    page.wait_for_function("() => localStorage.getItem('docqa-history') === '[]'")


def test_a_citation_is_copied(page: Page, site: str) -> None:  # noqa: F811
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, site)
    card = page.locator("[class*=st-key-answer-]", has_text="1912").first
    card.get_by_role("button", name="Copy citation").click()
    card.get_by_text("Copied", exact=True).wait_for()
    quoted, address = page.evaluate("navigator.clipboard.readText()").rsplit(" ", 1)
    said = re.fullmatch(r"“(.*)” (\S+), characters \d+–\d+\.", quoted)
    assert said and "1912" in said[1] and said[1].endswith(".") and said[2] in card.inner_text()
    page.goto(address)
    assert page.locator("mark.here").inner_text() == "1912"


def test_not_in_these_documents(page: Page, site: str) -> None:  # noqa: F811
    ask(page, site, "xylophone")
    assert page.locator(".docqa-none").inner_text().startswith("No answer in the")
    assert page.locator(".docqa-answer").count() == 0 and page.locator(".docqa-passage").count() > 0


def test_only_the_language_of_the_question(page: Page, site: str) -> None:  # noqa: F811
    ask(page, site, "Wie hoch ist der Berg auf der Insel und wie alt ist er?", own="1")
    page.get_by_text("The question is in German; only German is searched.").wait_for()
    assert all("German" in place for place in page.locator(".docqa-where").all_text_contents())


def test_a_filter_is_chosen_by_its_count(page: Page, site: str) -> None:  # noqa: F811
    ask(page, site)
    page.get_by_role("button", name="reports 2", exact=True).click()
    page.wait_for_function("() => location.search.includes('folder=reports')")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.docqa-where')].every(w => w.textContent.includes('reports/'))"
    )
    page.goto(at(site, corpus="test", q=QUESTION, folder="reports"))
    settled(page)
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    settled(page)
    page.locator(".st-key-chips button", has_text="Folder: reports").click()
    page.wait_for_function("() => !location.search.includes('folder=')")
    page.locator(".st-key-chips").wait_for(state="detached")


def test_all_filters_are_cleared_at_once(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="test", q=QUESTION, folder="reports", language="en", since="2019", own="1", top="3"))
    clear = page.locator(".st-key-chips button", has_text="Clear all")
    clear.wait_for()
    ended(page)
    assert chips(page) == [
        "Only the question's language",
        "Language: English",
        "Folder: reports",
        "From 2019",
        "Clear all",
    ]
    clear.click()
    settled(page)
    addressed(page, corpus="test", q=QUESTION, top="3")
    assert page.locator(".st-key-chips").count() == 0


def test_a_long_question_is_not_cut_silently(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="test"))
    box = page.get_by_label("Question")
    box.fill("When? " * 100)
    box.press("Enter")
    page.get_by_text("The question has 599 characters, and 512 are the most. Shorten it by 87.").wait_for()
    ended(page)
    assert page.locator(".docqa-answer").count() == 0
    filled(page, "Question", "When? " * 100)


def test_arrows_go_from_answer_to_answer(page: Page, site: str) -> None:  # noqa: F811
    ask(page, site)
    focused = "[...document.querySelectorAll('.docqa-answer')].indexOf(document.activeElement)"
    page.keyboard.press("ArrowDown")
    page.wait_for_function(f"{focused} === 0")
    page.keyboard.press("ArrowDown")
    page.wait_for_function(f"{focused} > 0")
    page.keyboard.press("ArrowUp")
    page.wait_for_function(f"{focused} === 0")
    assert page.title() == f"{QUESTION} · docqa"
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").get_by_text("open the answer in its document").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog", name="Keys").wait_for(state="detached")
    page.keyboard.press("Enter")
    page.locator("mark.here.answer").wait_for()


def test_keys_reach_an_answer_that_is_drawn_again_and_links_that_come_late(page: Page, site: str) -> None:  # noqa: F811
    ask(page, site)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    again = page.evaluate(
        """() => {
          const at = document.activeElement, all = [...document.querySelectorAll(".docqa-answer")];
          at.replaceWith(at.cloneNode(true));
          return [all.indexOf(at), document.activeElement === document.body];
        }"""
    )
    assert again[0] > 0 and again[1], again
    page.keyboard.press("ArrowUp")
    page.wait_for_function("[...document.querySelectorAll('.docqa-answer')].indexOf(document.activeElement) === 0")
    page.evaluate(
        """() => {
          const links = document.activeElement.closest("[class*=st-key-answer-]").querySelectorAll("a[href]");
          document.activeElement.replaceWith(document.activeElement.cloneNode(true));
          for (const link of links) link.style.display = "none";
          window.shown = () => { for (const link of links) link.style.display = ""; };
        }"""
    )
    page.keyboard.press("Enter")
    page.evaluate("setTimeout(window.shown, 300)")
    page.locator("mark.here.answer").wait_for()


def test_judging(page: Page, site: str, api: Live) -> None:  # noqa: F811
    ask(page, site)
    page.locator("[class*=st-key-answer-]").first.locator("[data-testid=stFeedback] button").first.click()
    page.get_by_text("Noted as right.").wait_for()
    page.get_by_role("button", name="Correct this answer").first.click()
    area = page.locator("[role=dialog] textarea")
    area.wait_for()
    area.evaluate("a => { const at = a.value.indexOf('bridge'); a.setSelectionRange(at, at + 6); a.onmouseup(); }")
    page.locator(".docqa-picked mark", has_text=re.compile("^bridge$")).wait_for()
    page.get_by_role("button", name="Save this span").click()
    page.get_by_text("Saved.", exact=True).wait_for()
    said = api.http.get("/v1/corpora/test/feedback").json()
    assert {(one["verdict"], one["text"]) for one in said} == {("right", "1912"), ("corrected", "bridge")}
    page.reload()
    settled(page)
    page.locator("[class*=st-key-answer-]").first.locator("[data-testid=stFeedback] button").first.click()
    until = time.monotonic() + 60
    while len(said := api.http.get("/v1/corpora/test/feedback").json()) > 1 and time.monotonic() < until:
        time.sleep(0.1)
    assert {(one["verdict"], one["text"]) for one in said} == {("corrected", "bridge")}


def test_results_are_taken_away(page: Page, site: str, api: Live) -> None:  # noqa: F811
    ask(page, site)
    with page.expect_download() as download:
        page.get_by_role("button", name="Results as CSV").click()
    with open(download.value.path(), encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["kind"] == "answer" and rows[0]["text"] == "1912" and rows[0]["link"].startswith(f"{site}/document?")
    with page.expect_download() as download:
        page.get_by_role("button", name="Citation list").click()
    assert "“1912”" in download.value.path().read_text("utf-8")
    page.get_by_role("button", name="Save this question").click()
    page.get_by_text("Saved. The page Saved questions").wait_for()
    assert api.http.get("/v1/corpora/test/saved").json()[0]["question"] == QUESTION
    page.goto(rows[0]["link"])
    page.locator("mark.here", has_text="1912").wait_for()


def test_nothing_of_a_document_is_markup(page: Page, site: str, api: Live) -> None:  # noqa: F811
    ask(page, site, f"zebra {PROBE}")
    page.locator(".docqa-answer", has_text="<script>alert(2)</script>").first.wait_for()
    assert page.locator("main img, .docqa-answer script, .stApp img[src=x]").count() == 0
    page.get_by_role("heading", name="Author").wait_for()
    assert page.get_by_role("button", name=f"Exclude {PROBE}").count() == 1
    page.goto(at(site, "document", corpus="test", document=ids(api)["probe.txt"], q=f"zebra {PROBE}"))
    page.locator(".docqa-whole", has_text=PROBE).wait_for()
    assert page.locator(".stApp img[src=x]").count() == 0


def test_corpora_that_are_empty_or_not_there(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="bare"))
    page.get_by_text("This collection has no documents yet.").wait_for()
    page.goto(at(site, corpus="nowhere", q=QUESTION))
    page.get_by_text("There is no collection 'nowhere'").wait_for()
    ended(page)
    assert page.locator(".docqa-answer").count() == 0
    page.get_by_test_id("stMain").get_by_role("link", name="test").click()
    page.get_by_text("Answers are quoted from them").wait_for()


def test_it_has_no_chrome(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="test"))
    page.wait_for_selector("[data-testid=stForm]")
    for chrome in ("stMainMenu", "stAppDeployButton", "stDecoration"):
        assert page.locator(f"[data-testid={chrome}]:visible").count() == 0


def test_right_to_left_and_narrow(page: Page, site: str) -> None:  # noqa: F811
    page.set_viewport_size({"width": 390, "height": 844})
    ask(page, site, "تأسس المرصد عام كم؟")
    text = page.locator(".docqa-text[lang=ar]").first
    assert text.evaluate("e => getComputedStyle(e).direction") == "rtl"
    assert (
        page.locator(".docqa-name", has_text="مرصد.txt").first.evaluate("e => getComputedStyle(e).unicodeBidi") == "isolate"
    )
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
