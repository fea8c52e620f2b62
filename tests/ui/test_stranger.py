"""A stranger's run in a real browser, over what `make ui` starts with the built-in models: from nothing to an export.

Each step is checked by what is seen; the names of the steps are in the order they are taken.
"""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import openpyxl
import pytest

from tests.browser import addressed, browser, chromium, page, page_server, settled  # noqa: F401

if TYPE_CHECKING:
    from playwright.sync_api import Download, Page

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "hi/orveth-guide.docx",
    "ru/orsund-hospital.html",
    "th/morrel-restaurants.txt",
    "tr/weaving.md",
    "en/kestrel-bridge.pdf",
)
LANGUAGES = ("English", "Hindi", "Russian", "Thai", "Turkish")
QUESTION = "Quand le Kestrel Bridge a-t-il été inauguré ?"
ANSWER, SOURCE = "22 June 1912", "kestrel-bridge.pdf"

DROP = """([place, files]) => {
  const data = new DataTransfer();
  for (const [name, content] of files)
    data.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt(0))], name));
  for (const kind of ['dragenter', 'dragover', 'drop'])
    place.dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page over a new home, both started by the one command that `make ui` runs."""
    chromium()
    home = tmp_path_factory.mktemp("stranger") / "home"
    with page_server("qa_pipeline.cli", "ui", "--home", str(home), "--reader", "builtin", "--port") as address:
        yield address


def test_a_strangers_run(page: Page, address: str) -> None:  # noqa: F811
    page.set_default_timeout(120_000)
    page.goto(address)
    make_a_corpus(page)
    drop_five_files(page)
    see_the_report(page)
    see_the_languages(page)
    ask_in_another_language(page)
    link = export_the_results(page)
    open_the_document_at_the_answer(page)
    follow_the_exported_link(page, link)
    ask_a_file_of_questions(page)


def make_a_corpus(page: Page) -> None:  # noqa: F811
    page.get_by_role("link", name="Upload your own").click()
    page.get_by_label("Title").fill("Fünf Akten")
    page.get_by_role("button", name="Create collection").click()
    page.get_by_text("Fünf Akten is created; now upload documents.").wait_for()
    addressed(page, corpus="funf-akten")


def drop_five_files(page: Page) -> None:  # noqa: F811
    contents = [(ROOT / "examples/corpus" / file).read_bytes() for file in FILES]
    files = [[Path(file).name, base64.b64encode(data).decode()] for file, data in zip(FILES, contents, strict=True)]
    place = page.get_by_test_id("stFileUploaderDropzone")
    place.wait_for()
    page.evaluate(DROP, [place.element_handle(), files])
    page.get_by_role("button", name="Add 5 files to the collection").click()


def see_the_report(page: Page) -> None:  # noqa: F811
    """It comes by itself when the job has ended."""
    page.get_by_text("5 indexed", exact=True).wait_for()
    rows = page.locator(".docqa-table", has_text="Status").locator("tbody tr").all_inner_texts()
    assert sorted(row.split("\t")[0].strip() for row in rows) == sorted(Path(file).name for file in FILES)
    assert all("Indexed" in row and re.search(r"1 document, \d+ passages", row) for row in rows)
    page.wait_for_url(lambda url: "job=" in url)


def see_the_languages(page: Page) -> None:  # noqa: F811
    page.get_by_text("5 languages", exact=True).click()
    page.locator("td", has_text="Hindi").wait_for()
    for language in LANGUAGES:
        page.locator("td", has_text=language).first.wait_for()


def ask_in_another_language(page: Page) -> None:  # noqa: F811
    page.get_by_role("link", name="Ask this collection").click()
    box = page.get_by_label("Question")
    box.fill(QUESTION)
    box.press("Enter")
    settled(page)
    first = page.locator(".docqa-answer").first
    assert first.locator(".docqa-said").inner_text() == ANSWER and first.locator("mark.answer").inner_text() == ANSWER
    where = first.locator(".docqa-where").inner_text()
    assert SOURCE in where and "page 2" in where and "English" in where and "confidence" in first.inner_text()
    addressed(page, q=QUESTION)
    page.get_by_text("question in French").wait_for()


def export_the_results(page: Page) -> str:  # noqa: F811
    """The link of the first answer in the table, which is also in the list of citations."""
    with page.expect_download() as table:
        page.get_by_role("button", name="Results as CSV").click()
    rows = list(csv.DictReader(io.StringIO(saved(table.value).decode("utf-8-sig"), newline="")))
    assert (rows[0]["kind"], rows[0]["text"], rows[0]["source"], rows[0]["page"]) == ("answer", ANSWER, SOURCE, "2")
    with page.expect_download() as listed:
        page.get_by_role("button", name="Citation list").click()
    citations = saved(listed.value).decode()
    assert f"“{ANSWER}”" in citations and rows[0]["link"] in citations
    return rows[0]["link"]


def open_the_document_at_the_answer(page: Page) -> None:  # noqa: F811
    page.get_by_role("link", name="Open in the document").first.click()
    page.locator(".docqa-page img").wait_for()
    page.get_by_text("Page 2 of 2").wait_for()
    page.locator(".docqa-box").first.wait_for()
    page.get_by_text("Text", exact=True).click()
    marked(page)


def follow_the_exported_link(page: Page, link: str) -> None:  # noqa: F811
    page.goto(link)
    page.locator(".docqa-page img").wait_for()
    page.get_by_text("Text", exact=True).click()
    marked(page)


def marked(page: Page) -> None:  # noqa: F811
    """The answer is marked where the address says, and nothing but the answer."""
    page.locator("mark.here").first.wait_for()
    assert "".join(page.locator("mark.here").all_inner_texts()) == ANSWER
    here = query(page)
    assert int(here["end"][0]) - int(here["start"][0]) == len(ANSWER)


def ask_a_file_of_questions(page: Page) -> None:  # noqa: F811
    page.get_by_role("link", name="Batch").click()
    table = f"question\n{QUESTION}\nWhat is the capital of France?\n".encode()
    page.locator("input[type=file]").set_input_files({"name": "q.csv", "mimeType": "text/csv", "buffer": table})
    page.locator("td", has_text=QUESTION).wait_for()
    page.get_by_role("button", name="Ask these questions").click()
    page.locator("td", has_text=ANSWER).wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download Excel").click()
    sheet = openpyxl.load_workbook(io.BytesIO(saved(download.value))).active
    assert sheet is not None
    names, first, second = ([cell.value for cell in row] for row in sheet.iter_rows())
    assert first[names.index("answer")] == ANSWER and first[names.index("page")] == 2
    assert not second[names.index("answer")] and second[names.index("no_answer")]
    page.get_by_role("link", name=SOURCE).click()
    page.locator(".docqa-page img").wait_for()


def query(page: Page) -> dict[str, list[str]]:  # noqa: F811
    return parse_qs(urlsplit(page.url).query)


def saved(download: Download) -> bytes:
    return download.path().read_bytes()
