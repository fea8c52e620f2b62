"""The page Saved questions over a real service with known models: asked again, only what changed is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.live import BRIDGE, Live, live
from tests.ui.views.test_corpora import PROBE, opened, press, runs, shown, sound
from ui.state.query import Query
from ui.state.saved_filters import filter_words, query_of

QUESTION = "When was the bridge opened in?"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("saved") / "home") as api:
        yield api


@pytest.fixture(autouse=True)
def _here(api: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_API_URL", api.url)


def save(api: Live, corpus: str, question: str, **more: Any) -> str:
    answer = api.http.post(f"/v1/corpora/{corpus}/saved", json={"question": question, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def put(api: Live, corpus: str, name: str, text: str) -> None:
    sent = api.http.post(f"/v1/corpora/{corpus}/documents", files=[("files", (name, text))])
    api.wait(sent.json()["job"]["id"])


# -- the page ----------------------------------------------------------------------------------------------------------


def test_only_what_changed_is_shown(api: Live) -> None:
    api.fill("c", {"bridge.txt": BRIDGE})
    id = save(api, "c", QUESTION, filters={"language": ["en"]}, settings={"top_k": 5})
    at = opened("saved", corpus="c")
    assert "language English" in shown(at) and "top k 5" in shown(at) and "not asked yet" in shown(at)
    at = sound(at.button(key=f"run-{id}").click().run())
    assert "Asked for the first time: 1 answer." in shown(at) and ">1912<" in shown(at)
    at = sound(at.button(key=f"run-{id}").click().run())
    assert (
        "Nothing changed since" in shown(at) and "1 answer as before" in shown(at) and 'class="docqa-said"' not in shown(at)
    )
    put(api, "c", "bridge.txt", "The bridge opened in 1921. It is long.\n")
    put(api, "c", "second.txt", "A second bridge was opened in 1933 they say.\n")
    at = sound(at.run())
    assert "documents changed since" in shown(at) and "this was" in shown(at).replace("of these was", "this was")
    at = press(at, "Ask all again")
    told = shown(at)
    assert "2 new, 1 gone" in told and 'docqa-gone"><bdi class="docqa-name">1912' in told
    assert ">1921<" in told and ">1933<" in told and "documents changed since" not in told
    places = [link.proto.query_string for link in at.get("page_link") if "start=" in link.proto.query_string]
    assert len(places) == 2 and all("document=" in place for place in places)
    at = opened("saved", corpus="c")
    told = shown(at)
    assert "Changed: 2 new, 1 gone" in told and 'docqa-gone"><bdi class="docqa-name">1912' in told and "1933" in told
    (seen,) = [button for button in at.button if button.label == "Seen"]
    at = sound(seen.click().run())
    assert "Changed:" not in shown(at) and "1933" in shown(opened("saved", corpus="c"))


def test_no_answer_is_said_and_no_probe_runs(api: Live) -> None:
    api.fill("hostile", {"a.txt": f"The tower {PROBE} was built in 1654 {PROBE}.\n"})
    save(api, "hostile", f"tower built {PROBE}", filters={"author": PROBE})
    id = save(api, "hostile", f"the tower was built in {PROBE}")
    at = press(opened("saved", corpus="hostile"), "Ask all again")
    assert "No answer in the" in shown(at) and "1654" in shown(at) and not runs(shown(at))
    at = sound(at.button(key=f"forget-{id}").click().run())
    assert [one["question"] for one in api.http.get("/v1/corpora/hostile/saved").json()] == [f"tower built {PROBE}"]
    assert "1654" not in shown(at)


def test_a_question_that_is_gone_meanwhile_and_a_corpus_without_any(api: Live) -> None:
    api.fill("empty", {"bridge.txt": BRIDGE})
    assert "No question is saved" in shown(opened("saved", corpus="empty"))
    id = save(api, "empty", QUESTION)
    at = opened("saved", corpus="empty")
    api.http.delete(f"/v1/corpora/empty/saved/{id}")
    at = sound(at.button(key=f"run-{id}").click().run())
    assert len(at.error) <= 1 and not at.exception


# -- filters -----------------------------------------------------------------------------------------------------------

NAMES = st.text("ab[*]?/ é", min_size=1, max_size=6)
ASKED = st.builds(
    Query,
    question=st.just("q"),
    languages=st.lists(st.sampled_from(["de", "ar"]), unique=True).map(tuple),
    types=st.lists(st.sampled_from(["pdf", "txt"]), unique=True).map(tuple),
    folders=st.lists(st.just("") | NAMES, unique=True, max_size=3).map(tuple),
    since=st.sampled_from(["", "2019"]),
    until=st.sampled_from(["", "2020-07"]),
    thorough=st.booleans(),
    top_k=st.integers(1, 100),
)


@given(ASKED, st.sampled_from(["", "de"]), st.lists(st.sampled_from(["x", "1", "2.5", "true"]), unique=True))
def test_choices_come_back_from_their_filter(asked: Query, own: str, values: list[str]) -> None:
    from dataclasses import replace

    asked = replace(asked, crosslingual=not own, meta=tuple(("year", value) for value in values))
    filters = asked.filters(own)
    back = query_of("q", filters, asked.settings())
    assert back is not None and back.filters(own) == filters
    assert back == asked


@pytest.mark.parametrize(
    "filters, words",
    [
        (None, ""),
        ({"language": "de", "page": 3}, "language German; page 3"),
        ({"$or": [{"a": 1}, {"$not": {"b": 2}}]}, "a 1 or not (b 2)"),
        ({"year": {"$gte": 2019, "$lt": 2024}}, "year from 2019, below 2024"),
        ({"source": {"$glob": "x/*"}}, "file like x/*"),
        ({"a": []}, "a nothing"),
        ({"$or": []}, "nothing"),
        ({"a": {"$nin": ["x", "y"], "$ne": 1}}, "a none of x or y, not 1"),
        ({"$not": [{"a": 1}, {"b": 2}]}, "not (a 1; b 2)"),
    ],
)
def test_any_filter_in_words(filters: Any, words: str) -> None:
    assert filter_words(filters) == words


@pytest.mark.parametrize(
    "filters", [{"language": "de"}, {"$and": [{"year": {"$gte": 3}}]}, {"$and": [{"$or": [{"$and": []}]}]}]
)
def test_a_filter_that_no_choice_makes_has_no_way_back(filters: Any) -> None:
    assert query_of("q", filters, {}) is None
