"""The page Quality over a real service: which runs there are, what each comes to, what went wrong, two compared."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from qa_pipeline.service.home import Home
from tests.browser import addressed, at, browser, chromium, page, settled, site  # noqa: F401
from tests.live import Live, live
from tests.runs import PROBE, make_calibration, make_runs
from tests.ui.views.test_corpora import opened, runs, said, shown, sound
from ui.client.http import Client
from ui.client.schemas import EvaluationRow, Figure
from ui.components.error_analysis import prediction_html
from ui.render.evaluation_table import LANGUAGE, as_csv, columns_of, comparison_csv, lines, row_name, sort_rows

if TYPE_CHECKING:
    from playwright.sync_api import Page

ARTICLES = ".docqa-judged article"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    home = tmp_path_factory.mktemp("quality") / "home"
    Home.open(home, create=True)
    make_runs(home, tmp_path_factory.mktemp("asked"))
    with live(home) as service:
        yield service


@pytest.fixture
def here(api: Live, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setenv("DOCQA_API_URL", api.url)
    return Client(api.url)


def links(at: AppTest) -> list[str]:
    return [link.proto.query_string for link in at.get("page_link")]


# -- what it is made of ------------------------------------------------------------------------------------------------


def rows(*figures: float | None) -> list[EvaluationRow]:
    codes = ("fi", "ar", "de")
    made = [None if value is None else Figure(value, value - 1, value + 1) for value in figures]
    return [EvaluationRow(code, 10, f1=f1) for code, f1 in zip(codes, made, strict=True)]


def test_rows_stand_in_the_order_that_is_chosen(here: Client) -> None:
    f1 = next(column for column in columns_of(here.get_evaluation("good")) if column.key == "f1")
    assert [row.name for row in sort_rows(rows(50.0, 70.0, None), f1, False)] == ["ar", "fi", "de"]
    assert [row.name for row in sort_rows(rows(50.0, 70.0, None), f1, True)] == ["de", "fi", "ar"]
    assert [row.name for row in sort_rows(rows(1.0, 2.0, 3.0), None, False)] == ["ar", "fi", "de"], "by the language's name"


def test_tables_hold_what_the_run_says_and_files_all_of_it(here: Client) -> None:
    for name, heads in (("good", ["Exact match", "F1"]), ("open", ["Found by both", "MRR", "nDCG@10", "F1"])):
        run = here.get_evaluation(name)
        columns = columns_of(run)
        assert set(heads) <= {column.label for column in columns}
        cells = lines(run, columns, run.rows)
        assert len(cells) == len(run.rows) + (2 if run.mean else 1) and all(len(row) == len(columns) + 1 for row in cells)
        table = list(csv.DictReader(io.StringIO(as_csv(run, columns).decode("utf-8-sig"))))
        assert run.all is not None and run.all.f1 is not None and table[-1]["row"] == "all"
        assert [float(table[-1][key]) for key in ("F1", "F1 low", "F1 high")] == pytest.approx(
            [run.all.f1.value, run.all.f1.low, run.all.f1.high], abs=1e-4
        )
    compared = list(
        csv.DictReader(io.StringIO(comparison_csv(here.compare_evaluations("good", "poor")).decode("utf-8-sig")))
    )
    assert compared[-1]["row"] == "all" and compared[-1]["better"] == "good" and float(compared[-1]["F1 difference"]) < 0
    assert row_name("ar→de") == "Arabic → German"


def test_every_text_stands_in_the_direction_of_its_language_and_none_is_markup(here: Client) -> None:
    told = "".join(map(prediction_html, here.list_predictions("good").predictions))
    assert 'dir="rtl" lang="ar">متى' in told and 'dir="rtl" lang="ar">1912<' in told and 'dir="auto" lang="de">1912<' in told
    assert '<mark class="answer">in </mark>' in told and '<mark class="answer found">1912</mark>' in told
    assert PROBE not in told and "&lt;img" in told and "<em>no answer</em>" not in told
    assert "<em>no answer</em>" in "".join(map(prediction_html, here.list_predictions("poor").predictions))


# -- the page ----------------------------------------------------------------------------------------------------------


def test_every_run_is_listed_with_its_figures_or_what_is_wrong(here: Client, api: Live) -> None:
    (api.service.home.evaluations / PROBE).mkdir()
    at = opened("quality")
    told = shown(at)
    for name in ("good", "poor", "open", "half", "torn"):
        assert f">{name}</bdi>" in told
    assert "scored by squad1" in told and "found in 10 <b>100.0</b>" in told and "F1 <b>44.4</b>" in told
    assert "settings.json of torn is not what" in told and "6 of 6 questions" in told
    assert "&lt;img" in told and not runs(told) and "cannot stand in an address" in told
    assert sorted(links(at)) == ["run=good", "run=open", "run=poor"]
    assert not opened("quality", run="half").header and "6 of 6 questions" in shown(opened("quality", run="half"))
    assert "There is no evaluation" in shown(opened("quality", run="none"))


def test_a_home_without_runs_says_who_makes_one_and_offers_the_feedback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live(tmp_path / "h") as bare:
        monkeypatch.setenv("DOCQA_API_URL", bare.url)
        assert "There is no evaluation yet" in shown(opened("quality"))
        ids = bare.fill("judged", {"bridge.txt": "The bridge was opened in 1912."})
        body = {"question": "When was the bridge opened?", "document_id": ids["bridge.txt"], "start": 25, "end": 29}
        assert bare.http.post("/v1/corpora/judged/feedback", json={**body, "verdict": "right"}).is_success
        at = opened("quality")
        assert not at.code, "no command on the page"
        assert at.selectbox(key="quality_corpus").value == "judged" and at.get("download_button")
        with Client(bare.url) as asker:
            (article,) = json.loads(asker.feedback_file("judged"))["data"]
        assert article["paragraphs"][0]["qas"][0]["answers"][0]["text"] == "1912"


def test_one_run_with_its_table_plots_and_mistakes(here: Client) -> None:
    at = opened("quality", run="good")
    told = shown(at)
    assert "<b>33.3</b>" in told and "Mean of languages" in told and f"<th>{LANGUAGE}</th>" in told
    assert [one.label for one in at.expander] == ["Models and questions"] and "asked.jsonl</bdi></td>" in told
    assert 'alt="Exact match and F1 of each language' in told and "data:image/png;base64," in told
    assert "When closed the tunnel &lt;img" in told and PROBE not in told and "When opened the bridge?" not in told
    at = sound(at.button_group(key="quality_verdict").set_value("right").run())
    assert "When opened the bridge?" in shown(at) and "closed the tunnel" not in shown(at) and said(at, "show") == "right"
    at = sound(at.selectbox(key="quality_language").set_value("de").run())
    assert "Wann öffnete" in shown(at) and "When opened" not in shown(at) and said(at, "language") == "de"
    at = sound(at.selectbox(key="quality_language").set_value("ar").run())
    assert "There are none of this kind." in shown(at)


def test_a_calibration_has_a_table_of_its_own(here: Client, api: Live) -> None:
    make_calibration(api.service.home.evaluations / "calibrated")
    run = here.get_evaluation("calibrated")
    assert (run.state, run.scorer, run.exact, len(run.rows)) == ("done", "mlqa", None, 1) and run.all is not None
    told = shown(opened("quality", run="calibrated", show="right"))
    assert "<th>Error, after</th>" in told and ">2.5</td>" in told and "When opened the bridge?" in told


def test_two_runs_are_compared_by_the_scorer_that_is_chosen(here: Client) -> None:
    at = opened("quality", run="good", **{"with": "poor"})
    told = shown(at)
    assert "A: <bdi" in told and "F1 by squad1" in told and "<b>-44.4</b>" in told and "no significant difference" in told
    assert list(at.selectbox(key="quality_with").options) == ["no other run", "poor"], "runs of the same kind that are done"
    at = sound(at.selectbox(key="quality_scorer").set_value("mlqa").run())
    assert "F1 by mlqa" in shown(at) and said(at, "scorer") == "mlqa"


# -- in a browser ------------------------------------------------------------------------------------------------------


def test_a_run_is_opened_looked_through_and_shared(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at(site, "quality"))
    page.locator(".st-key-run-good").get_by_role("link", name="Open", exact=True).click()
    addressed(page, run="good")
    settled(page, ARTICLES)
    assert page.locator(ARTICLES).count() == 3
    page.get_by_text("All (6)", exact=True).click()
    addressed(page, run="good", show="all")
    page.locator(ARTICLES).nth(5).wait_for()
    arabic = page.locator(f"{ARTICLES} [lang=ar]").first
    assert arabic.evaluate("one => getComputedStyle(one).direction") == "rtl"
    assert page.locator(f"{ARTICLES} img").count() == 0
    assert page.locator(".docqa-plot img").evaluate("one => one.complete && one.naturalWidth > 100")
    page.reload()
    settled(page, ARTICLES)
    assert page.locator(ARTICLES).count() == 6
    page.locator(ARTICLES).first.click()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.matches('.docqa-judged article')")
    page.get_by_role("link", name="All evaluations").click()
    page.locator(".st-key-run-torn").wait_for()
    page.wait_for_url(lambda url: not parse_qs(urlsplit(url).query))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_read_on_a_narrow_screen(browser: Any, site: str, scheme: Any) -> None:  # noqa: F811
    context = browser.new_context(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    try:
        narrow = context.new_page()
        narrow.goto(at(site, "quality", run="open", show="all", **{"with": "good"}))
        settled(narrow, ARTICLES)
        assert narrow.evaluate("document.documentElement.scrollWidth <= innerWidth")
        wide = "[...document.querySelectorAll('.docqa-table, .docqa-plot, .docqa-judged')]"
        assert narrow.evaluate(f"{wide}.every(one => one.getBoundingClientRect().right <= innerWidth)")
    finally:
        context.close()
