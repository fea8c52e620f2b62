"""A service over documents about a bridge and more, as fixture `api`, and how a test asks it in a browser."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import at, chromium, settled
from tests.known import SCRIPTS, WordReader
from tests.live import Live, known_models, live
from tests.pdfs import make_pdf, paragraph

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
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with one filled corpus and an empty one."""
    chromium()
    with live(tmp_path_factory.mktemp("home"), known_models(PatientReader())) as service:
        service.fill("test", FILES)
        service.http.post("/v1/corpora", json={"name": "bare"})
        yield service


def ask(page: Page, site: str, question: str = QUESTION, **query: Any) -> None:
    """Open the page, type, press Enter, and wait until all is there."""
    page.goto(at(site, corpus="test", **query))
    box = page.get_by_label("Question")
    box.fill(question)
    box.press("Enter")
    settled(page)


def ids(service: Live) -> dict[str, str]:
    found = service.http.get("/v1/corpora/test/documents").json()["documents"]
    return {document["source"]: document["id"] for document in found}
