"""What clients may expect of HTTP: HEAD, Location, entity tags, pages of lists, and a description that says so."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from qa_pipeline.api.paging import page_of
from tests.live import BRIDGE, Live, problem
from tests.qa_pipeline.api.routes.test_documents import zipped
from ui.client.http import Client

READ = "/v1/corpora/a"


# -- HEAD --------------------------------------------------------------------------------------------------------------


def test_head_is_get_without_the_body(api: Live, ids: dict[str, str]) -> None:
    document = f"{READ}/documents/{ids['reports/bridge.txt']}"
    for path in (
        "/health",
        "/v1/corpora",
        "/schema/openapi.json",
        document,
        f"{document}/original",
        "/nothing",
        f"{READ}/ask",
    ):
        get, head = api.http.get(path), api.http.head(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        varying = ("date", "x-request-id")
        told = [{name: value for name, value in sent.headers.items() if name not in varying} for sent in (get, head)]
        assert told[0] == told[1], path
    assert api.http.get("/v1/corpora").status_code == 200, "the connection can be used again"


def test_where_get_is_allowed_head_is_named(api: Live) -> None:
    assert api.http.put("/v1/corpora").headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert api.http.put("/v1/read").headers["allow"] == "OPTIONS, POST"
    assert api.http.options("/v1/jobs").headers["allow"] == "GET, HEAD, OPTIONS"


# -- Location ----------------------------------------------------------------------------------------------------------


def test_what_is_created_says_where_it_is(api: Live, ids: dict[str, str]) -> None:
    http, document = api.http, ids["reports/bridge.txt"]
    said = {"question": "When?", "verdict": "wrong", "document_id": document}
    http.post("/v1/corpora", json={"name": "gone"})
    http.post("/v1/corpora/gone/documents", files=[("files", ("x.txt", BRIDGE))])
    answers = [
        (http.post("/v1/corpora", json={"name": "new"}), "name"),
        (http.post(f"{READ}/feedback", json=said), "id"),
        (http.post(f"{READ}/saved", json={"question": "When?"}), "id"),
        (http.post("/v1/corpora/new/documents", files=[("files", ("x.txt", BRIDGE))]), "job"),
        (http.post(f"{READ}/questions", files={"file": ("q.csv", "question\nWhen?\n")}), "job"),
        (http.delete("/v1/corpora/gone/files", params={"source": "x.txt"}), "job"),
    ]
    for answer, name in answers:
        assert answer.status_code in (201, 202), answer.text
        found = http.get(answer.headers["location"])
        wanted = answer.json()["job"]["id"] if name == "job" else answer.json()[name]
        assert found.json()["id" if name == "job" else name] == wanted
    for answer, _ in answers[1:3]:
        where = answer.headers["location"]
        problem(http.get(where.replace("/a/", "/new/")), 404, "DocumentMissing")
        http.delete(where)
        problem(http.get(where), 404, "DocumentMissing")


# -- entity tags -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["", "/original"])
def test_a_version_that_the_client_has_is_not_sent_again(api: Live, part: str) -> None:
    (id,) = api.fill(f"tags{len(part)}", {"bridge.txt": BRIDGE}).values()
    path = f"/v1/corpora/tags{len(part)}/documents/{id}{part}"
    first = api.http.get(path)
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    for given in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        again = api.http.get(path, headers={"If-None-Match": given})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag), given
    assert api.http.get(path, headers={"If-None-Match": '"x"'}).content == first.content
    changed = api.fill(f"tags{len(part)}", {"bridge.txt": BRIDGE.replace("1912", "1921")})
    path = f"/v1/corpora/tags{len(part)}/documents/{changed['bridge.txt']}{part}"
    assert b"1921" in api.http.get(path, headers={"If-None-Match": etag}).content


def test_a_span_has_a_tag_of_its_own(api: Live, ids: dict[str, str]) -> None:
    path = f"{READ}/documents/{ids['reports/bridge.txt']}"
    whole = api.http.get(path).headers["etag"]
    assert api.http.get(path, params={"end": 3}, headers={"If-None-Match": whole}).json()["text"] == BRIDGE[:3]


def test_another_heading_is_another_version_of_the_same_text(api: Live) -> None:
    tags, levels = [], []
    for level in (1, 2):
        page = f"<h{level}>Bridge</h{level}><p>It was opened in 1912.</p>"
        (id,) = api.fill("headings", {"bridge.html": page}).values()
        answer = api.http.get(f"/v1/corpora/headings/documents/{id}")
        tags.append((answer.json()["content_hash"], answer.headers["etag"]))
        levels.append(answer.json()["headings"][0][2])
    assert levels == [1, 2] and tags[0][0] == tags[1][0] and tags[0][1] != tags[1][1]


# -- pages -------------------------------------------------------------------------------------------------------------


def walked(http: httpx.Client, path: str, between: Any = lambda: None, **query: Any) -> list[list[dict[str, Any]]]:
    """Each page of a list."""
    answer = http.get(path, params=query)
    pages = [answer.json()]
    while (following := answer.links.get("next")) is not None:
        between()
        answer = http.get(following["url"])
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
    return pages


def test_every_list_comes_in_pages(api: Live) -> None:
    http = api.http
    for number in range(5):
        http.post("/v1/corpora", json={"name": f"page{number}"})
        http.post("/v1/corpora/page0/saved", json={"question": f"When {number}?"})
    (id,) = api.fill("page0", {"bridge.txt": BRIDGE}).values()
    for number in range(5):
        said = {"question": f"When {number}?", "verdict": "wrong", "document_id": id}
        assert http.post("/v1/corpora/page0/feedback", json=said).status_code == 201
        api.wait(http.post("/v1/corpora/page0/documents", files=[("files", ("x.txt", f"{number}"))]).json()["job"]["id"])
    for path, query in (
        ("/v1/corpora", {}),
        ("/v1/corpora/page0/saved", {}),
        ("/v1/corpora/page0/feedback", {}),
        ("/v1/jobs", {"corpus": "page0"}),
    ):
        answer = http.get(path, params=query)
        whole = [one.get("id", one.get("name")) for one in answer.json()]
        assert len(whole) >= 5 and not answer.links, path
        pages = walked(http, path, limit=2, **query)
        assert [one.get("id", one.get("name")) for page in pages for one in page] == whole
        assert {len(page) for page in pages[:-1]} == {2}
    with Client(api.url) as client:
        assert len(client.list_jobs("page0", limit=3)) == 3
        assert [one.question for one in client.list_saved_questions("page0")] == [f"When {n}?" for n in (4, 3, 2, 1, 0)]


def test_the_client_follows_the_pages(api: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        api.http.post("/v1/corpora", json={"name": f"follow{number}"})
    monkeypatch.setattr("ui.client.http.PAGE", 2)
    with Client(api.url) as client:
        assert [one.name for one in client.list_corpora()] == [one["name"] for one in api.http.get("/v1/corpora").json()]
        assert client.list_evaluations() == ()


def test_a_page_stays_right_when_items_come_and_go(api: Live) -> None:
    http = api.http
    http.post("/v1/corpora", json={"name": "moving"})
    path = "/v1/corpora/moving/saved"
    ids = [http.post(path, json={"question": f"When {number}?"}).json()["id"] for number in range(6)]
    steps = iter([lambda: http.delete(f"{path}/{ids[4]}"), lambda: http.post(path, json={"question": "New?"})])
    pages = walked(http, path, lambda: next(steps)(), limit=2)
    assert [[one["question"] for one in page] for page in pages] == [
        ["When 5?", "When 4?"],
        ["When 3?", "When 2?"],
        ["When 1?", "When 0?"],
    ]


@pytest.mark.parametrize("ascending", [True, False])
def test_no_item_of_the_time_of_a_deleted_one_is_left_out(ascending: bool) -> None:
    """Items stored within one millisecond have no other order than that of their list."""
    items = [("2026-11-30T12:00:00.000", id) for id in "abcd"]
    first, after = page_of(items, lambda item: item, None, 2, ascending=ascending)
    left = [item for item in items if item[1] != "b"]
    second, _ = page_of(left, lambda item: item, after, 10, ascending=ascending)
    assert {*first, *second} == set(items)


@pytest.mark.parametrize("query", ["cursor=x", "cursor=W10", "cursor=%7B", "limit=0", "limit=1001", "cursor=bnVsbA"])
def test_a_page_that_is_none_is_refused(api: Live, query: str) -> None:
    problem(api.http.get(f"/v1/corpora?{query}"), 422, "SettingError")


# -- uploads whose names would become one ------------------------------------------------------------------------------


def test_names_that_would_become_one_are_refused_with_both(api: Live) -> None:
    http = api.http
    http.post("/v1/corpora", json={"name": "names"})
    sent = ["a?b.txt", "a*b.txt", "A_B.TXT", "e\u0301.txt", "\u00e9.txt", "same.txt", "same.txt"]
    files: list[Any] = [("files", (name, f"text {number} is here")) for number, name in enumerate(sent)]
    files.append(("files", ("more.zip", zipped({"same.TXT": "in the zip", "own.txt": "its own"}))))
    receipt = http.post("/v1/corpora/names/documents", files=files).json()
    api.wait(receipt["job"]["id"])
    stored = [file["source"] for file in receipt["files"] if file["status"] == "stored"]
    listed = http.get("/v1/corpora/names/documents").json()["documents"]
    assert sorted(stored) == sorted(document["source"] for document in listed) and len(stored) == 4
    refused = [(file["name"], file["reason"]) for file in receipt["files"] if file["status"] == "refused"]
    assert len(refused) == 5
    firsts = ("a?b.txt", "a?b.txt", "e\u0301.txt", "same.txt", "same.txt")
    assert all(repr(first) in reason for (_, reason), first in zip(refused, firsts, strict=True)), refused
    assert http.get(f"/v1/corpora/names/documents/{listed[0]['id']}").json()["text"].startswith("text 0")


# -- the description ---------------------------------------------------------------------------------------------------


def test_the_description_names_headers_and_status_500(api: Live) -> None:
    described = api.http.get("/schema/openapi.json").json()
    named = set(described["components"]["headers"])
    assert named == {"X-Request-ID", "Retry-After", "WWW-Authenticate", "Location"}
    for path, operations in described["paths"].items():
        for operation in operations.values():
            responses = operation["responses"]
            assert path in ("/health", "/ready") or "500" in responses, path
            for status, response in responses.items():
                wanted = {"X-Request-ID"} | {
                    name
                    for name, statuses in (
                        ("Retry-After", ("429",)),
                        ("WWW-Authenticate", ("401",)),
                        ("Location", ("201", "202")),
                    )
                    if status in statuses
                }
                assert wanted <= set(response["headers"]), (path, status)
    lists = ["/v1/corpora", "/v1/jobs", "/v1/evaluations", "/v1/corpora/{corpus}/feedback", "/v1/corpora/{corpus}/saved"]
    assert all("Link" in described["paths"][path]["get"]["responses"]["200"]["headers"] for path in lists)
    document = described["paths"]["/v1/corpora/{corpus}/documents/{document}"]["get"]["responses"]
    assert "ETag" in document["200"]["headers"] and "304" in document
