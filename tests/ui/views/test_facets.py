"""What can be chosen by, counted over the whole of a large corpus: through the API, and as the page shows it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from streamlit.testing.v1 import AppTest

from tests.browser import addressed, browser, chips, counted, page, site  # noqa: F401
from tests.browser import at as at_site
from tests.live import Live, live
from ui.state.query import Query

if TYPE_CHECKING:
    from playwright.sync_api import Page

APP = Path(__file__).resolve().parents[3] / "ui" / "app.py"
MANY = 1_200
RECORDS: list[dict[str, Any]] = [
    {
        "text": f"Bridge {n} opened in {1000 + n}.",
        "author": ("Ada", "Bo", "Cy")[n % 3],
        "ok": n % 2 == 0,
        "level": n % 5,
        "number": n,
        "date": f"{2000 + n % 20}-07",
        "same": "x",
        "list": [1],
        "title": f"Title {n}",
        "page_count": 2,
        "half": 0.5 + n % 2,
        **({"rare": "here"} if n in (3, 1_150) else {}),
    }
    for n in range(MANY)
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    lines = [json.dumps(record) for record in RECORDS]
    files: dict[str, bytes | str] = {"a/first.jsonl": "\n".join(lines[:700]), "b/second.jsonl": "\n".join(lines[700:])}
    files["zz.txt"] = "The last bridge has no author and no date.\n"
    with live(tmp_path_factory.mktemp("home")) as service:
        service.fill("many", files)
        service.http.post("/v1/corpora", json={"name": "bare"})
        yield service


def listed(api: Live, **query: Any) -> dict[str, Any]:
    answer = api.http.get("/v1/corpora/many/documents", params={"fields": True, "limit": 1, **query})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def counts(name: str, records: list[dict[str, Any]] = RECORDS) -> dict[str, int]:
    written = [str(r[name]).lower() if isinstance(r[name], bool) else str(r[name]) for r in records if name in r]
    return dict(Counter(written))


def test_all_documents_are_counted(api: Live) -> None:
    found = listed(api)
    assert found["total"] == MANY + 1 and len(found["documents"]) == 1
    assert found["facets"]["folder"] == {"a": 700, "b": MANY - 700, "": 1}
    assert found["facets"]["type"] == {"jsonl": MANY, "txt": 1}
    assert sum(found["facets"]["language"].values()) == MANY + 1
    meta = found["meta"]
    for name in ("author", "ok", "level", "same", "rare", "half"):
        assert meta[name] == counts(name)
        assert list(meta[name].values()) == sorted(meta[name].values(), reverse=True)
    assert "number" not in meta and "title" not in meta and "list" not in meta
    assert found["fields"]["number"] == found["fields"]["date"] == MANY and found["fields"]["rare"] == 2


def test_what_is_chosen_leaves_the_rest(api: Live) -> None:
    found = listed(api, meta=["author=Ada", "author=Bo", "ok=true"], folder="a")
    chosen = [r for r in RECORDS[:700] if r["author"] in ("Ada", "Bo") and r["ok"]]
    assert found["total"] == len(chosen) and found["meta"]["level"] == counts("level", chosen)
    assert found["meta"]["author"] == counts("author", [r for r in RECORDS[:700] if r["ok"]])
    assert found["meta"]["ok"] == counts("ok", [r for r in RECORDS[:700] if r["author"] in ("Ada", "Bo")])
    everywhere = [r for r in RECORDS if r["author"] in ("Ada", "Bo") and r["ok"]]
    assert sum(found["facets"]["folder"].values()) == len(everywhere)


def test_several_values_are_any_of_them(api: Live) -> None:
    assert listed(api, folder=["b", ""])["total"] == MANY - 700 + 1
    assert listed(api, type=["txt", "pdf"])["total"] == 1 and listed(api, folder=[""])["total"] == 1
    assert listed(api, meta=["level=1", "level=2"])["total"] == sum(r["level"] in (1, 2) for r in RECORDS)
    assert listed(api, meta=["half=0.5"])["total"] == MANY // 2
    ids = [
        d["id"] for d in api.http.get("/v1/corpora/many/documents", params={"limit": 3, "offset": 1_100}).json()["documents"]
    ]
    assert listed(api, id=[*ids, "none"])["total"] == 3 and listed(api, id="none")["total"] == 0


@pytest.mark.parametrize(
    ("since", "until", "years"),
    [("2010", "", range(2010, 2020)), ("", "2004", range(2000, 2005)), ("2003", "2003-07", (2003,)), ("2021", "", ())],
)
def test_dates_are_counted_too(api: Live, since: str, until: str, years: Any) -> None:
    assert listed(api, since=since, until=until)["total"] == sum(2000 + n % 20 in years for n in range(MANY))


def test_the_counts_are_those_of_the_answers(api: Live) -> None:
    """What the page asks with its choices finds passages of as many documents as were counted."""
    filters = {"$and": [{"$or": [{"rare": "here"}]}]}
    reply = api.http.post("/v1/corpora/many/search", json={"question": "bridge", "filters": filters, "retrieve": 50}).json()
    assert len({p["document_id"] for p in reply["passages"]}) == listed(api, meta="rare=here")["total"] == 2


@pytest.mark.parametrize("meta", ["", "author", "=x", "'; DROP TABLE documents; --", 'a"b=c', "a\0=b", "x" * 5_000 + "=y"])
def test_nonsense_is_refused_or_finds_nothing(api: Live, meta: str) -> None:
    answer: httpx.Response = api.http.get("/v1/corpora/many/documents", params={"meta": meta})
    assert answer.status_code == 422 or answer.json()["total"] == 0
    assert listed(api)["total"] == MANY + 1


def test_values_are_excluded(api: Live) -> None:
    found = listed(api, not_meta=["author=Ada", "level=0"], not_folder="", not_year=["2003", ""])
    kept = [r for r in RECORDS if r["author"] != "Ada" and r["level"] != 0 and r["date"] != "2003-07"]
    assert found["total"] == len(kept)
    # What could be chosen instead: the counts of a facet ignore its own exclusion.
    shown = [r for r in RECORDS if r["level"] != 0 and r["date"] != "2003-07"]
    assert found["meta"]["author"] == counts("author", shown)
    assert found["facets"]["year"]["2003"] == sum(
        r["author"] != "Ada" and r["level"] != 0 for r in RECORDS if "2003" in r["date"]
    )
    assert listed(api, year=["2001", "2002"])["total"] == sum(r["date"][:4] in ("2001", "2002") for r in RECORDS)
    assert listed(api, year="")["total"] == 1 and listed(api, not_type="jsonl")["total"] == 1
    assert listed(api, not_language=["en", "de"], language="en")["total"] == 0


@pytest.mark.parametrize(
    "asked",
    [
        Query("bridge", excluded=(("folder", "a"), ("year", "2003"), ("meta", "author=Ada"))),
        Query("bridge", years=("2001", ""), excluded=(("meta", "level=1"), ("folder", "b"))),
        Query("bridge", excluded=(("type", "jsonl"),)),
        Query("bridge", excluded=(("folder", ""), ("folder", "a"), ("year", ""))),
    ],
)
def test_an_excluded_value_counts_and_filters_alike(asked: Query, api: Live) -> None:
    """The count of the listing is the number of documents that the filter leaves."""
    params = {name: value for name, value in asked.query().items() if name != "q"}
    params = {name: ["" if one == "." else one for one in value] for name, value in params.items()}
    words = api.http.post("/v1/corpora/many/words", json={"words": "bridge", "filters": asked.filters(), "limit": 1}).json()
    assert words["documents"] == listed(api, **params)["total"] > 0


def test_the_page_shows_these_counts(api: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_API_URL", api.url)
    at = AppTest.from_file(str(APP), default_timeout=120).run()
    at.query_params.update({"corpus": "many", "q": "When was bridge 1190 opened?", "meta": ["author=Ada"], "read": "50"})
    at = at.run()
    assert not at.exception
    assert {one.key for one in at.text_input} >= {"since", "until"}
    at.query_params["find"] = "zz"
    found = at.switch_page("views/document.py").run()
    assert "1 of 1 documents" in " ".join(one.value for one in found.caption)


def test_a_citation_beyond_the_first_thousand_has_its_title(api: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_API_URL", api.url)
    at = AppTest.from_file(str(APP), default_timeout=120).run()
    at.query_params.update(
        {"corpus": "many", "q": "When was bridge opened?", "meta": ["rare=here", "level=0"], "folder": "b"}
    )
    shown = " ".join(str(one.proto.body) for one in at.run().get("html"))
    assert "Title 1150" in shown and "2010-07" in shown


# -- in a browser ------------------------------------------------------------------------------------------------------


def told(page: Page, label: str) -> str:  # noqa: F811
    return page.locator("#facets section", has_text=label).first.inner_text()


def test_a_click_includes_and_a_second_control_excludes(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at_site(site, corpus="many", mode="words", q="bridge"))
    counted(page, "1,201 passages")
    page.get_by_role("heading", name="Folder").wait_for()
    assert told(page, "Folder").split() == ["Folder", "a", "700", "−", "b", "500", "−", "(no", "folder)", "1", "−"]
    page.get_by_role("button", name="Ada 400", exact=True).click()
    addressed(page, meta="author=Ada")
    counted(page, "400 passages")
    page.get_by_role("button", name="Exclude a", exact=True).click()
    counted(page, "166 passages")
    addressed(page, meta="author=Ada", not_folder="a")
    pressed = page.locator("#facets [aria-pressed=true]")
    assert [one.get_attribute("aria-label") or one.inner_text() for one in pressed.all()] == ["Exclude a", "Ada\n166"]
    page.reload()
    counted(page, "166 passages")
    assert chips(page) == ["Author: Ada", "Folder: not a", "Clear all"]
    page.get_by_role("button", name="Exclude a", exact=True).click()
    counted(page, "400 passages")
    page.locator(".st-key-chips button", has_text="Author: Ada").click()
    counted(page, "1,201 passages")


def test_years_are_a_histogram_and_a_list(page: Page, site: str) -> None:  # noqa: F811
    page.goto(at_site(site, corpus="many", mode="words", q="bridge"))
    counted(page, "1,201 passages")
    page.get_by_role("heading", name="Year").wait_for()
    assert page.locator("#facets .histogram button").count() == 20
    page.get_by_role("button", name="2007: 60", exact=True).click()
    addressed(page, year="2007")
    counted(page, "60 passages")
    year = page.locator("#facets section", has_text="Year")
    year.get_by_role("button", name="Show all 21: Year").click()
    year.get_by_role("button", name="(no date) 1", exact=True).click()
    counted(page, "61 passages")
    addressed(page, year=["2007", ""])
    assert year.locator("li").count() == 21, "an opened list stays open"
