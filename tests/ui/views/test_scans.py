"""An answer from a scan in a real browser: marked as recognised, and boxed on the picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser import browser, chromium, page, site  # noqa: F401
from tests.live import Live, live
from tests.scans import drawing, installed, png
from tests.ui.bridges import ask

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    chromium()
    folder = tmp_path_factory.mktemp("scans")
    with installed(folder / "bin"), live(folder / "home") as service:
        service.fill("test", {"tower.png": png(drawing(3)), "other.txt": "The mill of Orsund grinds rye."})
        yield service


def test_the_answer_is_boxed_on_the_picture(page: Page, site: str) -> None:  # noqa: F811
    ask(page, site, "When was the tower built in?")
    page.locator(".docqa-answer footer", has_text="recognised text").first.wait_for()
    page.get_by_role("link", name="Open in the document").first.click()
    image = page.locator(".docqa-page img")
    image.wait_for()
    page.get_by_text("recognised text, mean confidence 96%").first.wait_for()
    box = page.locator("#docqa-box-0")
    box.wait_for()
    drawn, marked = image.bounding_box(), box.bounding_box()
    assert drawn is not None and marked is not None
    # The stand-in puts the first line at pixels 200 to 240 of 1,754.
    assert (marked["y"] - drawn["y"]) / drawn["height"] == pytest.approx(200 / 1754, abs=0.01)
    assert marked["height"] / drawn["height"] == pytest.approx(40 / 1754, abs=0.01)
