"""Questions over HTTP: answers, streams and batches, and why a question cannot be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qa_pipeline.api.problems import MEDIA_TYPE
from tests.known import SCRIPTS
from tests.live import ASKED, BRIDGE, MINE, Live, events, holds, live, problem


def test_an_answer_is_a_quotation_with_its_place(api: Live, ids: dict[str, str]) -> None:
    reply = api.http.post("/v1/corpora/a/ask", json=ASKED).json()
    best = reply["answers"][0]
    assert best["text"] == "1912" and best["document_id"] == ids["reports/bridge.txt"]
    assert reply["models"] == {"embedder": "words", "reader": "words"} and not reply["no_answer"]["is_no_answer"]
    assert holds(api, "a", reply) > 3


@pytest.mark.parametrize("code", SCRIPTS)
def test_the_law_in_every_script_and_every_way_of_asking(api: Live, ids: dict[str, str], code: str) -> None:
    body = {"question": SCRIPTS[code][:30], "no_answer_threshold": 1.0, "top_k": 50, "retrieve": 50}
    asked = api.http.post("/v1/corpora/a/ask", json=body).json()
    search = api.http.post("/v1/corpora/a/search", json={"question": body["question"]}).json()
    stream = events(api.http.post("/v1/corpora/a/ask/stream", json=body).text)
    assert search["answers"] == [] and search["passages"]
    assert holds(api, "a", [asked, search, [data for _, data in stream]])


def test_no_answer_is_a_reply_with_the_closest_passages(api: Live, ids: dict[str, str]) -> None:
    reply = api.http.post("/v1/corpora/a/ask", json={"question": "zebra quantum?"}).json()
    assert reply["answers"] == [] and reply["no_answer"]["is_no_answer"] and reply["passages"]


def test_filters_bound_what_is_seen(api: Live, ids: dict[str, str]) -> None:
    body = {"question": "the in", "filters": {"source": {"$glob": "reports/*"}}}
    for way in ("ask", "search"):
        found = api.http.post(f"/v1/corpora/a/{way}", json=body).json()["passages"]
        assert {passage["source"] for passage in found} == {"reports/bridge.txt", "reports/mine.txt"}
    nothing = api.http.post("/v1/corpora/a/ask", json={"question": "the", "filters": {"language": []}}).json()
    assert nothing["passages"] == []
    refused = api.http.post("/v1/corpora/a/ask", json={"question": "the", "filters": {"source": {"$regex": "."}}})
    assert "$regex" in problem(refused, 422, "FilterError")
    misspelled = api.http.post("/v1/corpora/a/ask", json={"question": "the", "filter": {"language": "de"}})
    assert "filter" in problem(misspelled, 422, "SettingError")


def test_a_stream_gives_passages_first_and_ends_with_what_ask_gives(api: Live, ids: dict[str, str]) -> None:
    body = {**ASKED, "retrieve": 10, "no_answer_threshold": 1.0, "thorough": True}
    with api.http.stream("POST", "/v1/corpora/a/ask/stream", json=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = events(answer.read().decode())
    names = [name for name, _ in found]
    assert names[0] == "passages" and names[-1] == "reply" and set(names[1:-1]) == {"answers"}
    steps = [(data["read"], data["of"]) for name, data in found if name == "answers"]
    assert steps == [(read, 10) for read in range(1, 11)]
    streamed, asked = found[-1][1], api.http.post("/v1/corpora/a/ask", json=body).json()
    for reply in (streamed, asked):
        del reply["timings_ms"]
    assert streamed == asked and found[0][1]["passages"] == asked["passages"] and found[-2][1]["answers"] == asked["answers"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"question": ""}, 422),
        ({"question": " \n"}, 422),
        ({"question": "x" * 513}, 422),
        ({"question": 5}, 422),
        ({}, 422),
        ({"question": "q", "top_k": 0}, 422),
        ({"question": "q", "top_k": 101}, 422),
        ({"question": "q", "retrieve": 101}, 422),
        ({"question": "q", "no_answer_threshold": 1.5}, 422),
        ({"question": "q", "top_k": "5"}, 422),
        ({"question": "q", "thorough": 1}, 422),
        ({"question": "q", "filters": []}, 422),
        ([], 422),
        (None, 422),
        ({"question": "q", "filters": {"": "x"}}, 422),
    ],
)
def test_a_question_that_cannot_be_asked_is_told_why(api: Live, ids: dict[str, str], body: Any, status: int) -> None:
    for way in ("ask", "ask/stream"):
        answer = api.http.post(f"/v1/corpora/a/{way}", json=body)
        assert answer.status_code == status and answer.json()["detail"], answer.text


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe", b'{"question": "\\ud800"}', b"[" * 5_000])
def test_what_is_not_json_is_refused(api: Live, ids: dict[str, str], data: bytes) -> None:
    answer = api.http.post("/v1/corpora/a/ask", content=data)
    assert answer.status_code in (400, 422) and answer.headers["content-type"] == MEDIA_TYPE


def test_a_small_body_cannot_become_a_large_one_in_memory(tmp_path: Path) -> None:
    with live(tmp_path / "h") as api:
        many = b'{"question": "q", "filters": {"x": [' + b"[]," * 1_000_000 + b"[]]}}"
        assert "values" in problem(api.http.post("/v1/corpora/a/ask", content=many), 413, "TooLarge")


def test_a_batch_has_each_reply_or_error_in_its_place(api: Live, ids: dict[str, str]) -> None:
    questions = [ASKED, {"question": "q", "filters": {"source": 5}}, {"question": "When was the mine closed?"}]
    replies = api.http.post("/v1/corpora/a/ask/batch", json={"questions": questions}).json()["replies"]
    assert replies[0]["answers"][0]["text"] == "1912" and replies[2]["answers"][0]["text"] == "1974"
    assert replies[1].keys() == {"question", "error"} and "source" in replies[1]["error"]
    found = api.http.post("/v1/corpora/a/search/batch", json={"questions": [ASKED] * 2}).json()["replies"]
    assert len(found) == 2 and found[0]["passages"] == found[1]["passages"] != []
    assert api.http.post("/v1/corpora/a/ask/batch", json={"questions": []}).json() == {"replies": []}
    many = api.http.post("/v1/corpora/a/ask/batch", json={"questions": [{"question": "q"}] * 1_001})
    assert "1,000" in problem(many, 422, "SettingError")
    problem(api.http.post("/v1/corpora/none/ask/batch", json={"questions": [ASKED]}), 404, "CorpusMissing")


def test_one_text_is_read_without_a_corpus(api: Live) -> None:
    found = api.http.post("/v1/read", json={"question": "When did the mine close?", "context": MINE}).json()
    assert found["answer"] == MINE[found["start"] : found["end"]] == "1974"
    body = {"items": [{"question": "When?", "context": "No number."}, {"question": "the mine", "context": MINE}]}
    answers = api.http.post("/v1/read/batch", json=body).json()["answers"]
    assert [answer["answer"] for answer in answers] == ["", "1974"]
    problem(api.http.post("/v1/read", json={"question": "q", "context": " "}), 422, "SettingError")


# -- search by words ---------------------------------------------------------------------------------------------------


def test_words_are_searched_counted_and_a_condition(api: Live) -> None:
    api.fill("words", {"a.txt": BRIDGE, "b.txt": "The bridge was painted in 1977.\n", "c.txt": MINE})
    path = "/v1/corpora/words"
    found = api.http.post(f"{path}/words", json={"words": 'bridge "opened in"', "limit": 5}).json()
    assert (found["passages"], found["documents"], found["hits"][0]["source"]) == (1, 1, "a.txt")
    assert holds(api, "words", found["hits"]) == 1
    text = found["hits"][0]["text"]
    assert [text[start:end] for start, end in found["hits"][0]["marks"]] == ["bridge", "opened in"]
    many = api.http.post(f"{path}/words", json={"words": "bridge OR mine", "limit": 1, "offset": 2}).json()
    assert (many["passages"], len(many["hits"])) == (3, 1)
    assert sum(one["passages"] for one in many["by_document"]) == 3
    reply = api.http.post(f"{path}/ask", json={**ASKED, "words": "painted"}).json()
    assert {passage["source"] for passage in reply["passages"]} == {"b.txt"}
    reply = api.http.post(f"{path}/search", json={**ASKED, "words": "bridge", "filters": {"source": "a.txt"}}).json()
    assert {passage["source"] for passage in reply["passages"]} == {"a.txt"}
    told = api.http.post(f"{path}/ask/stream", json={**ASKED, "words": "closed"})
    assert {passage["source"] for passage in events(told.text)[-1][1]["passages"]} == {"c.txt"}


@pytest.mark.parametrize("route", ["words", "ask", "search", "ask/stream"])
def test_words_that_are_no_query_are_refused(api: Live, route: str) -> None:
    api.fill("refused", {"a.txt": BRIDGE})
    body = {"words": "(bridge"} if route == "words" else {**ASKED, "words": "(bridge"}
    assert "bracket" in problem(api.http.post(f"/v1/corpora/refused/{route}", json=body), 422, "SettingError")
