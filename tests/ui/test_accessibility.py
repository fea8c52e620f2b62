"""axe-core on every view, light and dark: no serious or critical finding. axe-core comes with axe-playwright-python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.browser import at, browser, ended, page, site  # noqa: F401
from tests.live import Live
from tests.runs import make_run
from tests.ui.bridges import QUESTION, api, ids  # noqa: F401

if TYPE_CHECKING:
    from playwright.sync_api import Page

GRAVE = ("serious", "critical")
# A view: the page, its address, what is there when it has been drawn.
VIEWS: dict[str, tuple[str, dict[str, Any], str]] = {
    "start of a collection": ("", {"corpus": "test"}, ".docqa-quiet"),
    "answers": ("", {"corpus": "test", "q": QUESTION, "not_type": "pdf", "since": "1900"}, ".st-key-chips"),
    "no answer": ("", {"corpus": "test", "q": "xylophone"}, ".docqa-none"),
    "word results": ("", {"corpus": "test", "q": "bridge", "mode": "words"}, "mark.found"),
    "document beside": (
        "",
        {"corpus": "test", "q": QUESTION, "document": "guide.md", "start": 38, "end": 42},
        ".docqa-whole",
    ),
    "documents": ("document", {"corpus": "test"}, "[data-testid=stPageLink]"),
    "text": ("document", {"corpus": "test", "document": "long.txt", "find": "Lorem"}, "mark.found"),
    "page of a PDF": ("document", {"corpus": "test", "document": "paper.pdf"}, ".docqa-page img"),
    "collections": ("corpora", {}, ".docqa-entry"),
    "collection": ("corpora", {"corpus": "test"}, "[class*=st-key-document-]"),
    "batch": ("batch", {"corpus": "test"}, "[data-testid=stFileUploader]"),
    "saved questions": ("saved", {"corpus": "test"}, "h1"),
    "quality": ("quality", {}, "h1"),
    "run": ("quality", {"run": "good"}, "table"),
}


@pytest.fixture(scope="module", autouse=True)
def _filled(api: Live, tmp_path_factory: pytest.TempPathFactory) -> None:  # noqa: F811
    """A saved question and an evaluation, for their views."""
    api.http.post("/v1/corpora/test/saved", json={"question": QUESTION})
    make_run(api.service.home.evaluations / "good", tmp_path_factory.mktemp("asked"))


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core."""
    package = pytest.importorskip(
        "axe_playwright_python", reason="axe-core is not installed: axe-playwright-python brings it"
    )
    return (Path(package.__file__).parent / "axe.min.js").read_text("utf-8")


def findings(page: Page, axe: str) -> list[tuple[str, str, str]]:  # noqa: F811
    """Grave findings: impact, rule, and the first element of each."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert len(found["passes"]) > 15, "the rules were run"
    return [(one["impact"], one["id"], one["nodes"][0]["html"]) for one in found["violations"] if one["impact"] in GRAVE]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_has_a_serious_finding(
    scheme: Literal["light", "dark"],
    page: Page,  # noqa: F811
    site: str,  # noqa: F811
    api: Live,  # noqa: F811
    axe: str,
) -> None:
    known, wrong = ids(api), {}
    page.emulate_media(color_scheme=scheme)
    for name, (path, query, there) in VIEWS.items():
        here = {key: known.get(value, value) if key == "document" else value for key, value in query.items()}
        page.goto(at(site, path, **here))
        page.locator(f"[data-testid=stMain] {there}").first.wait_for()
        ended(page)
        if found := findings(page, axe):
            wrong[name] = found
    assert not wrong


def test_a_grave_fault_would_be_found(page: Page, site: str, axe: str) -> None:  # noqa: F811
    page.goto(at(site, corpus="test"))
    page.locator(".docqa-quiet").wait_for()
    page.evaluate("document.querySelector('[data-testid=stMain]').append(document.createElement('button'))")
    assert ("critical", "button-name") in [(impact, rule) for impact, rule, _ in findings(page, axe)]
