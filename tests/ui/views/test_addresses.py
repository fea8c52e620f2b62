"""Every state of a page has an address: what is chosen is in it, what is in it is shown, also after a link on the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from tests.browser import addressed, at, browser, chromium, ended, page, settled, site  # noqa: F401
from tests.live import Live, live
from tests.runs import make_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

APP = Path(__file__).resolve().parents[3] / "ui" / "app.py"
QUESTION = "When was the old bridge opened?"
FILES: dict[str, bytes | str] = {f"many/{n:02}.txt": f"Mill number {n}, built {1800 + n}." for n in range(30)}
FILES |= {
    "reports/bridge.txt": "The old bridge opened in 1912. It is long and it is the only bridge of the whole island.\n",
    "reports/brücke.txt": "Man liest auf einer Tafel the old bridge opened 1921 und weiß es auf der Insel nicht besser.\n",
    "guide.md": "When the old bridge was opened in 1912 it rained.\n",
    "records.jsonl": '{"text": "The old bridge opened in 1913.", "author": "N. N.", "date": "2019-07-01"}\n' * 2,
}
CSV = b"question\nWhen was the old bridge opened?\nxylophone\n"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("home")) as service:
        service.fill("test", FILES)
        service.http.post("/v1/corpora", json={"name": "bare"})
        for name in ("good", "other"):
            make_run(service.service.home.evaluations / name, tmp_path_factory.mktemp("asked"))
        yield service


@pytest.fixture(scope="module")
def batch(api: Live) -> str:
    job = api.http.post("/v1/corpora/test/questions", files={"file": ("q.csv", CSV)}, data={"format": "csv"}).json()["job"]
    return str(api.wait(job["id"])["id"])


def opened(view: str, query: dict[str, Any], api: Live, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("DOCQA_API_URL", api.url)
    at = AppTest.from_file(str(APP), default_timeout=120).run()
    if view != "ask":
        at = at.switch_page(f"views/{view}.py")
    at.query_params.clear()
    at.query_params.update(query)
    at = at.run()
    assert not at.exception, at.exception[0].message
    return at


def said(at: AppTest) -> dict[str, list[str]]:
    return {name: value if isinstance(value, list) else [value] for name, value in at.query_params.items()}


# Every widget that says how a page is drawn, another value for it, and what the address then says beside `given`.
ASKED = {"corpus": "test", "q": QUESTION}
CHOICES: list[tuple[str, dict[str, str], str, Any, dict[str, list[str]]]] = [
    ("ask", ASKED, "corpus_picked", "bare", {"corpus": ["bare"]}),
    ("ask", ASKED, "crosslingual", False, {"own": ["1"]}),
    ("ask", ASKED, "thorough", True, {"thorough": ["1"]}),
    ("ask", ASKED, "since", "2019", {"since": ["2019"]}),
    ("ask", ASKED, "until", "2020-01", {"until": ["2020-01"]}),
    ("ask", ASKED, "top_k", 3, {"top": ["3"]}),
    ("ask", ASKED, "retrieve", 20, {"read": ["20"]}),
    ("ask", ASKED, "mode", "Search", {"mode": ["words"]}),
    ("ask", ASKED, "order", "By language", {"order": ["language"]}),
    ("document", {"corpus": "test"}, "wanted", "guide", {"find": ["guide"]}),
    ("document", {"corpus": "test", "document": "guide.md"}, "find", "bridge", {"find": ["bridge"]}),
    ("corpora", {"corpus": "test"}, "files_name", "guide", {"name": ["guide"]}),
    ("corpora", {"corpus": "test"}, "files_language", "de", {"language": ["de"]}),
    ("corpora", {"corpus": "test"}, "upload_way", "A folder with all that is in it", {"upload": ["folder"]}),
    ("batch", {"corpus": "test", "job": "batch"}, "batch_show", "none", {"show": ["none"]}),
    ("batch", {"corpus": "test", "job": "batch"}, "batch_sort", "lowest", {"sort": ["lowest"]}),
    ("saved", {"corpus": "test"}, "corpus_picked", "bare", {"corpus": ["bare"]}),
    ("quality", {"run": "good"}, "quality_sort", "f1", {"sort": ["f1"]}),
    ("quality", {"run": "good"}, "quality_up", True, {"up": ["1"]}),
    ("quality", {"run": "good"}, "quality_with", "other", {"with": ["other"]}),
    ("quality", {"run": "good"}, "quality_scorer", "mlqa", {"scorer": ["mlqa"]}),
    ("quality", {"run": "good"}, "quality_verdict", "right", {"show": ["right"]}),
    ("quality", {"run": "good"}, "quality_language", "de", {"language": ["de"]}),
    ("quality", {"run": "good"}, "quality_order", "surest", {"order": ["surest"]}),
]
# Boxes of forms that are sent away, the place in an upload of files, and what a click does at once.
NO_STATE = ("new_title", "new_name", "new_embedder", "question", "quality_corpus")


def widget(at: AppTest, key: str) -> Any:
    kinds = (at.selectbox, at.multiselect, at.toggle, at.text_input, at.number_input, at.button_group)
    return next(one for kind in kinds for one in kind if one.key == key)


@pytest.mark.parametrize(("view", "given", "key", "value", "query"), CHOICES, ids=[f"{c[0]}-{c[2]}" for c in CHOICES])
def test_what_is_chosen_is_in_the_address_and_comes_back_from_it(
    view: str,
    given: dict[str, str],
    key: str,
    value: Any,
    query: dict[str, list[str]],
    api: Live,
    batch: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = {d["source"]: d["id"] for d in api.http.get("/v1/corpora/test/documents?limit=100").json()["documents"]}
    here = {name: {"batch": batch, **ids}.get(text, text) for name, text in given.items()}
    at = opened(view, here, api, monkeypatch)
    widget(at, key).set_value(value).run()
    now = said(at)
    assert {name: now.get(name) for name in query} == query
    assert widget(opened(view, now, api, monkeypatch), key).value == value


def test_no_choice_is_forgotten(api: Live, batch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every widget that is drawn on a page is in CHOICES, or has no state worth an address."""
    known = {(view, key) for view, _, key, *_ in CHOICES} | {(v, "corpus_picked") for v in ("document", "batch")}
    id = api.http.get("/v1/corpora/test/documents").json()["documents"][0]["id"]
    pages: list[tuple[str, dict[str, Any]]] = [
        ("ask", {**ASKED, "own": "1"}),
        ("document", {"corpus": "test"}),
        ("document", {"corpus": "test", "document": id}),
        ("corpora", {}),
        ("corpora", {"corpus": "test"}),
        ("batch", {"corpus": "test"}),
        ("batch", {"corpus": "test", "job": batch}),
        ("saved", {"corpus": "test"}),
        ("quality", {}),
        ("quality", {"run": "good"}),
    ]
    for view, query in pages:
        at = opened(view, query, api, monkeypatch)
        kinds = (at.selectbox, at.multiselect, at.toggle, at.text_input, at.number_input, at.checkbox, at.radio, at.slider)
        keys = {str(one.key) for kind in (*kinds, at.button_group) for one in kind}
        keys = {key for key in keys if not key.startswith(("thumbs-", "tick-")) and key not in NO_STATE}
        assert {(view, key) for key in keys} <= known, view


# -- in a browser ------------------------------------------------------------------------------------------------------


def query_of(page: Page) -> dict[str, list[str]]:  # noqa: F811
    return parse_qs(urlsplit(page.url).query)


def test_a_link_to_the_same_page_takes_its_address_along(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, "corpora", corpus="test", name="mill"))
    page.get_by_label("Name holds").wait_for()
    ended(page)
    page.get_by_role("link", name="All collections").click()
    page.get_by_role("heading", name="Collections", exact=True).wait_for()
    page.wait_for_url(lambda url: not urlsplit(url).query)
    page.locator(".st-key-corpus-test").get_by_role("link", name="Open", exact=True).click()
    addressed(page, corpus="test")
    page.get_by_role("link", name="Next").click()
    addressed(page, corpus="test", at="2")
    page.get_by_text("Page 2 of 2").wait_for()
    page.reload()
    page.get_by_text("Page 2 of 2").wait_for()
    page.get_by_role("link", name="Previous").click()
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query) == {"corpus": ["test"]})
    page.get_by_label("Name holds").fill("guide")
    page.keyboard.press("Enter")
    addressed(page, corpus="test", name="guide")
    page.go_back()
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query) == {"corpus": ["test"]})


def test_a_new_batch_has_an_address_of_its_own(page: Page, site: str, batch: str) -> None:  # noqa: F811
    page.goto(at(site, "batch", corpus="test", job=batch))
    page.get_by_role("link", name="New batch").wait_for()
    ended(page)
    page.get_by_role("link", name="New batch").click()
    page.get_by_text("Drag and drop").or_(page.locator("[data-testid=stFileUploader]")).first.wait_for()
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query) == {"corpus": ["test"]})


def test_the_order_of_answers_is_shared_with_the_address(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="test", q=QUESTION))
    settled(page)
    assert page.locator(".docqa-language").count() == 0 and "order" not in query_of(page)
    page.get_by_text("By language", exact=True).click()
    addressed(page, order="language", q=QUESTION)
    page.locator(".docqa-language").first.wait_for()
    page.reload()
    settled(page, ".docqa-language")
    assert page.locator(".docqa-language").count() > 1
    page.get_by_role("link", name="Open in the document").first.click()
    page.get_by_role("link", name="Back to the answers").click()
    settled(page, ".docqa-language")
    addressed(page, order="language", q=QUESTION)
    assert page.locator(".docqa-language").count() > 1
