"""Select many documents, then act on them: ask only them, download them, delete them; in a real browser."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.browser import addressed, at, browser, chromium, ended, page, settled, site  # noqa: F401
from tests.live import Live, live
from ui.client.http import Client
from ui.components import selection
from ui.components.selection import LEFT_OUT, parts, zipped
from ui.state.url import PAGE

if TYPE_CHECKING:
    from playwright.sync_api import Page

QUESTION = "When was the old bridge opened?"
FILES: dict[str, bytes | str] = {
    "a/one.txt": "The old bridge was opened in 1912.\n",
    "a/two.txt": "The old bridge was opened in 1921, say others.\n",
    "three.txt": "The old bridge was opened in 1850, says a third.\n",
    "records.jsonl": '{"text": "A mill of 1700."}\n{"text": "A tower of 1777."}\n',
    "gone.txt": "A heron stood near the water.\n",
    "also.txt": "A walrus slept on a rock.\n",
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("home")) as service:
        service.fill("test", FILES)
        yield service


def listed(api: Live) -> dict[str, str]:
    found = api.http.get("/v1/corpora/test/documents").json()["documents"]
    return {one["source"]: one["id"] for one in found}


def check(page: Page, name: str) -> None:  # noqa: F811
    page.get_by_role("checkbox", name=f"Select {name}", exact=True).locator("xpath=ancestor::label").click()


def test_only_the_selected_documents_are_asked(page: Page, site: str, api: Live) -> None:  # noqa: F811
    chromium()
    page.goto(at(site, corpus="test", q=QUESTION))
    settled(page)
    assert page.locator(".st-key-selection").count() == 0
    card = page.locator("[class*=st-key-answer-]", has_text="1921").first
    card.get_by_text("Select", exact=True).click()
    page.get_by_text("1 document selected").wait_for()
    page.get_by_role("link", name="Ask only these").click()
    id = listed(api)["a/two.txt"]
    addressed(page, q=QUESTION, only=id)
    settled(page)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.docqa-where')].every(w => w.textContent.includes('two.txt'))"
    )
    page.reload()
    settled(page)
    sources = page.locator(".docqa-where").all_text_contents()
    assert sources and all("two.txt" in source for source in sources)
    page.locator(".st-key-chips button", has_text="Only 1 document").click()
    page.wait_for_function("() => !location.search.includes('only=')")
    page.locator(".docqa-said", has_text="1912").first.wait_for()


def test_the_selected_files_are_downloaded(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, "corpora", corpus="test"))
    page.get_by_role("button", name=re.compile("^Select these")).wait_for()
    ended(page)
    for name in ("a/one.txt", "three.txt", "records.jsonl#1", "records.jsonl#2"):
        check(page, name)
        ended(page)
    page.get_by_text("4 documents selected").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as zip").click()
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        names = ("a/one.txt", "records.jsonl", "three.txt")
        assert {name: archive.read(name).decode() for name in archive.namelist()} == {name: FILES[name] for name in names}
    page.get_by_role("button", name="Clear selection").click()
    page.locator(".st-key-selection").wait_for(state="detached")


def test_a_file_that_cannot_be_had_is_named(api: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(api.url) as client:
        documents = [one for one in client.list_documents("test").documents if one.source.startswith("a/")]
        strange = msgspec.structs.replace(documents[0], file="lost.txt")
        monkeypatch.setattr(client, "get_original", _failing(client, documents[0].id))
        with zipfile.ZipFile(io.BytesIO(zipped(client, "test", [strange, documents[1]]))) as archive:
            assert sorted(archive.namelist()) == [LEFT_OUT, documents[1].source]
            assert archive.read(LEFT_OUT).decode().startswith("lost.txt: No document has the id")


def _failing(client: Client, id: str):  # type: ignore[no-untyped-def]
    given = client.get_original
    return lambda corpus, document: given(corpus, "none" if document == id else document)


def test_no_key_reaches_the_page_behind_a_dialog(page: Page, site: str, api: Live) -> None:  # noqa: F811
    page.goto(at(site, corpus="test", q=QUESTION, document=listed(api)["three.txt"]))
    settled(page)
    page.locator("[class*=st-key-answer-]").first.get_by_text("Select", exact=True).click()
    bar = page.locator(".st-key-selection")
    bar.wait_for()
    page.locator(".st-key-hits").get_by_role("button", name="Next").wait_for()
    bar.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Close").focus()
    page.evaluate("addEventListener('keydown', event => { window.taken = event.defaultPrevented })")
    for key in ("n", "j", "/", "?"):
        page.evaluate("window.taken = false")
        page.keyboard.press(key)
        assert not page.evaluate("window.taken"), key
    assert page.locator("#docqa-keys").count() == 0
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    ended(page)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("n")
    assert page.evaluate("window.taken")


def test_the_selected_files_are_deleted_in_one_job(page: Page, site: str, api: Live) -> None:  # noqa: F811
    page.goto(at(site, "corpora", corpus="test"))
    page.get_by_role("button", name=re.compile("^Select these")).wait_for()
    ended(page)
    before = len(api.http.get("/v1/jobs").json())
    for name in ("also.txt", "gone.txt"):
        check(page, name)
        ended(page)
    page.get_by_text("2 documents selected").wait_for()
    page.locator(".st-key-selection").get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("2 files of this collection").wait_for()
    assert "also.txt, gone.txt." in dialog.inner_text()
    dialog.get_by_label("To delete, type 2 files").fill("2 files")
    dialog.get_by_role("button", name="Delete").click()
    page.get_by_text("2 files deleted.").wait_for()
    jobs = api.http.get("/v1/jobs").json()
    assert len(jobs) == before + 1 and api.wait(jobs[0]["id"])["state"] == "done"
    assert set(listed(api)) == {*FILES, "records.jsonl#1", "records.jsonl#2"} - {"also.txt", "gone.txt", "records.jsonl"}


def test_a_thousand_files_with_long_names_are_deleted(api: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"الجزيرة/تقرير طويل الاسم عن الجسر القديم {number:04}.txt" for number in range(1_050)]
    api.fill("large", {part[0]: "The bridge.\n" for part in parts(names)} | {"kept.txt": "The mill.\n"})
    with Client(api.url) as client:
        corpus = client.get_corpus("large")
        one = client.list_documents("large").documents[0]
        chosen = {name: msgspec.structs.replace(one, id=name, file=name) for name in names}
        state: dict[str, Any] = {"selection": {(corpus.name, corpus.created): chosen}, PAGE: ""}
        monkeypatch.setattr(selection, "st", SimpleNamespace(session_state=state))
        monkeypatch.setattr(selection, "client", lambda: client)
        monkeypatch.setattr(selection, "address", lambda **query: None)
        selection._delete(corpus, tuple(names))
        assert not chosen and state["told"].startswith("1,050 files deleted.")
        assert api.wait(client.list_jobs("large")[0].id)["state"] == "done"
        assert [one.source for one in client.list_documents("large").documents] == ["kept.txt"]


def test_files_that_are_gone_already_are_passed_over(api: Live) -> None:
    api.fill("test", {"x.txt": "A walrus.\n", "y.txt": "Another walrus.\n"})
    sent = api.http.delete("/v1/corpora/test/files", params={"source": ["x.txt", "never.txt", "y.txt"]})
    assert sent.status_code == 202 and api.wait(sent.json()["job"]["id"])["state"] == "done"
    assert not {"x.txt", "y.txt"} & set(listed(api))
    again = api.http.delete("/v1/corpora/test/files", params={"source": ["never.txt"]})
    assert again.status_code == 404
