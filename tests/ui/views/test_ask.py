"""Ask and Document, step by step in a real browser over a real service; and what they are made of, without one."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from indexing.store.filters import where
from tests.browser import addressed, api, at, browser, chromium, ended, filled, page, settled, site  # noqa: F401
from tests.known import SCRIPTS, WordReader
from tests.live import Live, known_models, live
from tests.pdfs import make_pdf, paragraph
from ui.client.schemas import Answer, NoAnswer, Passage, Reply
from ui.components.hit_navigation import hits_of, page_of, window
from ui.render.answer_groups import by_language, competing_answers, group_answers, group_passages
from ui.render.export import citations, table
from ui.state.query import Query, from_query

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROBE = "<img src=x onerror=alert(1)>"
QUESTION = "When was the old bridge opened?"
RECORDS = f'{{"text": "The mill opened in 1850 near the old bridge.", "author": "{PROBE}", "date": "2019-07-01"}}\n' * 2
FILES: dict[str, str | bytes] = {
    "reports/bridge.txt": "The old bridge opened in 1912. It is long.\n",
    "reports/history.txt": "The old bridge was opened in 1912 by a queen.\n",
    "guide.md": "When the old bridge was opened in 1912 it rained.\n",
    "other.txt": "Some say the old bridge was opened in 1921 and not before.\n",
    "مرصد.txt": SCRIPTS["ar"] + "\n",
    "berg.txt": "Der Berg ist 2341 Meter hoch und liegt auf der Insel Vorn. Der Berg ist sehr alt und schön.\n",
    "records.jsonl": RECORDS,
    "probe.txt": f"{PROBE} <script>alert(2)</script> & zebra 77 zebra. The zebra is black.\n",
    "paper.pdf": make_pdf([paragraph(["A page of nothing much."]), paragraph(["The tower was finished in 1777 at last."])]),
    "long.txt": "Lorem ipsum dolor sit amet. " * 4_000 + "The giraffe came in 1666 at last.\n",
}


class PatientReader(WordReader):
    """Reads as if it were slow, when it is asked slowly."""

    def read(self, question: str, texts: Sequence[str]) -> Any:
        if "slowly" in question:
            time.sleep(0.6 * len(texts))
        return super().read(question, texts)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:  # noqa: F811
    """A service with one filled corpus and an empty one."""
    chromium()
    with live(tmp_path_factory.mktemp("home"), known_models(PatientReader())) as service:
        service.fill("test", FILES)
        service.http.post("/v1/corpora", json={"name": "bare"})
        yield service


def ask(page: Page, site: str, question: str = QUESTION, **query: Any) -> None:  # noqa: F811
    """Open the page, type, press Enter, and wait until all is there."""
    page.goto(at(site, corpus="test", **query))
    box = page.get_by_label("Question")
    box.fill(question)
    box.press("Enter")
    settled(page)


def ids(service: Live) -> dict[str, str]:
    found = service.http.get("/v1/corpora/test/documents").json()["documents"]
    return {document["source"]: document["id"] for document in found}


# -- Ask, in a browser -------------------------------------------------------------------------------------------------


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
    page.get_by_text("Your questions").click()
    page.get_by_role("link", name=QUESTION).click()
    addressed(page, q=QUESTION)
    filled(page, "Question", QUESTION)


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
    page.get_by_label("Folder").click()
    page.get_by_text("reports (2)").click()
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
    chips = page.locator(".st-key-chips button").all_inner_texts()
    assert [re.sub("[\u2066-\u2069✕]", "", chip).strip() for chip in chips] == [
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


def test_judging(page: Page, site: str, api: Live) -> None:  # noqa: F811
    ask(page, site)
    page.locator("[data-testid=stFeedback] button").first.click()
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
    page.locator("[data-testid=stFeedback] button").first.click()
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
    page.get_by_label("Author").click()
    page.get_by_text(f"{PROBE} (2)").wait_for()
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


# -- Document, in a browser --------------------------------------------------------------------------------------------


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
        page.get_by_role("button", name="Next").click()
        page.get_by_text(f"Hit {number} of 3").wait_for()
    page.get_by_role("button", name="Previous").click()
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


def test_right_to_left_and_narrow(page: Page, site: str) -> None:  # noqa: F811
    page.set_viewport_size({"width": 390, "height": 844})
    ask(page, site, "تأسس المرصد عام كم؟")
    text = page.locator(".docqa-text[lang=ar]").first
    assert text.evaluate("e => getComputedStyle(e).direction") == "rtl"
    assert (
        page.locator(".docqa-name", has_text="مرصد.txt").first.evaluate("e => getComputedStyle(e).unicodeBidi") == "isolate"
    )
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


# -- what they are made of ---------------------------------------------------------------------------------------------


def read_back(asked: Query) -> Query:
    said = asked.query()

    def many(name: str) -> list[str]:
        value = said.get(name, [])
        return value if isinstance(value, list) else [str(value)]

    return from_query(lambda name: "1" if said.get(name) is True else str(said.get(name, "")), many)


@pytest.mark.parametrize(
    "asked",
    [
        Query(),
        Query("q & a? ü=1", ("de", "fr"), ("pdf",), ("", "a b"), (("author", "x=y"), ("n", "3")), "2019", "2020-01"),
        Query("q", crosslingual=False, thorough=True, top_k=3, retrieve=99),
    ],
)
def test_what_is_asked_survives_the_address(asked: Query) -> None:
    assert read_back(asked) == asked


@pytest.mark.parametrize("name", ["top", "read", "since", "until", "own", "thorough", "meta", "q"])
def test_nonsense_in_the_address_is_as_usual(name: str) -> None:
    said = {name: "\x00nonsense"} if name != "q" else {name: "   "}
    assert (
        from_query(lambda one: said.get(one, ""), lambda one: [said[one]] if one in said and one == "meta" else [])
        == Query()
    )


def test_filters_are_the_service_s() -> None:
    asked = Query("q", ("de",), ("pdf",), ("a*", ""), (("n", "3"), ("n", "x"), ("ok", "true")), "2019", "2020")
    assert where(asked.filters("de")) is not None and Query("q").filters() is None
    assert asked.filters()["$and"][-1] == {"date": {"$gte": "2019", "$lt": "2020\uffff"}}  # type: ignore[index]
    assert Query("q").filters("ar") == {"$and": [{"language": "ar"}]}


def answer(text: str, document: str, score: float = 0.9, language: str = "en", start: int = 0) -> Answer:
    passage = Passage(document, f"{document}.txt", 2, language, start, start + len(text), text)
    return Answer(text, start, start + len(text), score, document, f"{document}.txt", 2, language, "h", passage)


def reply(*answers: Answer) -> Reply:
    passages = tuple(one.passage for one in answers if one.passage)
    verdict = NoAnswer(0.1, 0.5, False)
    return Reply("=When?", "en", answers, passages, verdict, {}, {}, 1, passages_read=1, passages_retrieved=2)


def test_the_same_answer_is_folded_and_its_support_counted() -> None:
    given = [
        answer("1912", "a"),
        answer(" 1912 ", "b", 0.8, "de"),
        answer("1912", "b", 0.7, "de"),
        answer("1921", "c", 0.95),
    ]
    said = group_answers(given)
    assert [one.best.text for one in said] == ["1921", "1912"] and sum(len(one.places) for one in said) == len(given)
    assert said[1].documents == 2 and said[1].languages == {"en": 1, "de": 1}
    assert competing_answers(said) == [(1, "1921"), (2, "1912")]
    assert (
        competing_answers(group_answers([answer("x", "a"), answer("y", "a", start=9)])) == [] == competing_answers(said[:1])
    )
    assert [one.best.text for one in by_language(said)["en"]] == ["1921", "1912"]


def test_copies_support_an_answer_once_and_doubtful_ones_do_not() -> None:
    given = [answer("1912", "a"), answer("1912", "b"), answer("1912", "c", 0.6), answer("1921", "d", 0.95)]
    said = group_answers(given, {"a": "a", "b": "a"})
    assert [(one.documents, len(one.places), one.languages) for one in said] == [(1, 1, {"en": 1}), (1, 3, {"en": 1})]
    assert competing_answers(said) == [(1, "1921"), (1, "1912")]
    assert competing_answers(group_answers([*given[:3], answer("1921", "d", 0.7)])) == []
    assert competing_answers(group_answers([answer("x", "a"), answer("y", "b", start=9)], {"a": "a", "b": "a"})) == []


def test_passages_of_copies_stand_together() -> None:
    passages = [one.passage for one in (answer("x y", "a"), answer("x y", "c"), answer("x  y", "b"), answer("z", "b"))]
    found = group_passages([one for one in passages if one], {"a": "a", "b": "a"})
    assert [[one.document_id for one in group] for group in found] == [["a", "b"], ["c"], ["b"]]


def test_a_table_runs_nothing_and_citations_say_where() -> None:
    found = reply(answer("=cmd()", "a"), answer("1912", "b"))
    rows = list(csv.DictReader(io.StringIO(table(found, lambda *place: f"link{place}").decode("utf-8-sig"))))
    assert len(rows) == 4 and rows[0]["text"] == "'=cmd()" and rows[0]["question"] == "'=When?" and rows[1]["page"] == "2"
    listed = citations(found, {"b": {"author": "N. N.", "date": "1999"}}, lambda *place: f"link{place}")
    assert (rows[0]["passages_read"], rows[0]["passages_retrieved"]) == ("1", "2") and "1 of 2 passages read." in listed
    assert "2. “1912” N. N., b.txt, 1999, p. 2, characters 0–4." in listed and "link('b', 0, 4)" in listed


def test_hits_of_a_document() -> None:
    found = reply(answer("1912", "a", start=50), answer("1921", "b", start=10))
    hits = hits_of(found, "a", None, (5, 7))
    assert hits.steps == ((5, 7), (50, 54)) and {mark.kind for mark in hits.marks} == {"answer", "passage", "here"}
    assert hits_of(found, "a", [(1, 2)], None).steps == ((1, 2),) and hits_of(None, "a", [], None).next(None, 1) is None
    assert window(10, None, None) == (0, 10) and page_of([], 5) == 1
