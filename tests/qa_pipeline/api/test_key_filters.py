"""A key with a filter sees what it allows by every route, and nothing else; keys expire, rotate, and open no service."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.key_filters import run
from indexing.errors import FilterError, SettingError
from indexing.store.corpus_db import IndexFolder
from qa_pipeline.service.api_keys import KeyStore
from qa_pipeline.service.home import Home
from tests.key_filters import (
    QUESTION,
    Route,
    allowed_sources,
    drawn,
    fill,
    marker,
    number_of,
    own_filter,
    routes_of_corpus,
    routes_of_document,
)
from tests.live import Live, known_models, live, problem

FILTERS = int(os.environ.get("DOCQA_FILTERS", "60"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, KeyStore, dict[str, str]]]:
    """A corpus of DOCUMENTS documents with different meta: the service, its keys, source -> id."""
    home = Home.open(tmp_path_factory.mktemp("filters") / "h", create=True, embedder=known_models().embedder)
    keys = KeyStore(home.keys)
    _, secret = keys.add("writer", write=True)
    with live(home.path, key=secret) as api:
        ids, _ = fill(api, "a")
        until = time.monotonic() + 60
        while not httpx.get(f"{api.url}/ready").json()["ready"]:
            assert time.monotonic() < until
            time.sleep(0.02)
        yield api, keys, ids


def allowed_by(api: Live, chosen: dict[str, Any]) -> set[str]:
    with IndexFolder.open(api.service.home.corpus("a").index) as folder:
        return allowed_sources(folder, chosen)


def reading_routes(api: Live, ids: dict[str, str], own: dict[str, Any] | None) -> list[Route]:
    """Every way to read something of the corpus."""
    feedback = [one["id"] for one in api.http.get("/v1/corpora/a/feedback").json()]
    routes = routes_of_corpus("a", own) + [("GET", f"/v1/corpora/a/feedback/{id}", {}) for id in feedback]
    return routes + [route for id in ids.values() for route in routes_of_document("a", id)]


@pytest.mark.parametrize("part", range(4))
def test_no_route_shows_what_the_filter_of_a_key_does_not_allow(
    served: tuple[Live, KeyStore, dict[str, str]], part: int
) -> None:
    """The bytes of every response are searched. DOCQA_FILTERS draws more; `benchmarks.key_filters` draws 100,000."""
    api, keys, ids = served
    chance = random.Random(part)
    seen = 0
    for _ in range(max(1, FILTERS // 20)):
        chosen = drawn(chance, list(ids))
        allowed = allowed_by(api, chosen)
        key, secret = keys.add("filtered", filter=chosen)
        forbidden = [marker(number_of(s)).encode() for s in ids if s not in allowed]
        for method, path, sent in reading_routes(api, ids, own_filter(chance)):
            headers = {"Authorization": f"Bearer {secret}", **sent.get("headers", {})}
            answer = api.http.request(method, path, **{**sent, "headers": headers})
            assert answer.status_code in (200, 304, 403, 404), (path, answer.text)
            if answer.status_code == 304:
                assert any(f"/{ids[source]}" in path for source in allowed), (chosen, path)
            assert not [word for word in forbidden if word in answer.content], (chosen, path)
            seen += sum(marker(number_of(s)).encode() in answer.content for s in allowed)
        total = api.http.get("/v1/corpora/a/documents", headers={"Authorization": f"Bearer {secret}"}).json()["total"]
        status = api.http.get("/v1/corpora/a", headers={"Authorization": f"Bearer {secret}"}).json()
        assert total == status["documents"] == len(allowed) and status["skipped"] == []
        keys.remove(key.id)
    assert seen, "what is allowed is shown"


def test_a_filtered_key_learns_no_other_place_of_a_text(served: tuple[Live, KeyStore, dict[str, str]]) -> None:
    """Copies of a file: a reply to a key names those that its filter allows, by every route of a corpus."""
    api, keys, _ = served
    ids = api.fill("copies", {name: "The bridge was opened in 1912." for name in ("a/1.txt", "a/2.txt", "b/secret.txt")})
    named = {}
    for glob in ("*", "a/*", "b/*"):
        key, secret = keys.add("filtered", filter={"source": {"$glob": glob}})
        head = {"Authorization": f"Bearer {secret}"}
        reply = api.http.post("/v1/corpora/copies/ask", json={"question": QUESTION}, headers=head).json()
        (passage,) = reply["passages"]
        named[glob] = [passage["source"], *(other["source"] for other in passage["also_in"])]
        document = api.http.get(f"/v1/corpora/copies/documents/{passage['document_id']}", headers=head).json()
        assert document["also_in"] == passage["also_in"]
        for method, path, sent in routes_of_corpus("copies", None):
            answer = api.http.request(method, path, headers=head, **sent)
            hidden = [part for part in ("secret", ids["b/secret.txt"]) if glob == "a/*" and part.encode() in answer.content]
            assert answer.status_code in (200, 403, 404) and not hidden, (path, hidden)
        keys.remove(key.id)
    assert named == {"*": ["a/1.txt", "a/2.txt", "b/secret.txt"], "a/*": ["a/1.txt", "a/2.txt"], "b/*": ["b/secret.txt"]}


def test_a_filtered_key_changes_nothing(served: tuple[Live, KeyStore, dict[str, str]]) -> None:
    api, keys, ids = served
    with pytest.raises(SettingError, match="only read"):
        keys.add("x", write=True, filter={"team": "a"})
    for bad in ({"language": "en"}, {"page": 1}, {"$or": [{"team": "a"}, {"$not": {"language": "en"}}]}):
        with pytest.raises(FilterError, match="fields of documents"):
            keys.add("x", filter=bad)
    _, secret = keys.add("filtered", filter={"team": "a"})
    for method, path in (("DELETE", "/v1/corpora/a"), ("POST", "/v1/corpora/a/questions"), ("GET", "/v1/jobs")):
        headers = {"Authorization": f"Bearer {secret}"}
        assert problem(api.http.request(method, path, headers=headers), 403, "NotAllowed")
    assert len(api.http.get("/v1/corpora/a/documents").json()["documents"]) == len(ids)


def test_a_job_shows_nothing_of_corpora_the_key_may_not_see(served: tuple[Live, KeyStore, dict[str, str]]) -> None:
    api, keys, _ = served
    api.fill("b", {"tower.txt": "The tower was opened in 1777."})
    file = f"question,corpus\n{QUESTION},a\n{QUESTION},b\n".encode()
    job = api.http.post("/v1/corpora/a/questions", files={"file": ("q.csv", file)}).json()["job"]["id"]
    api.wait(job)
    _, only_a = keys.add("a", corpora=["a"])
    _, both = keys.add("both", corpora=["a", "b"])
    for secret, status in ((only_a, 404), (both, 200)):
        headers = {"Authorization": f"Bearer {secret}"}
        for path in (f"/v1/jobs/{job}", f"/v1/jobs/{job}/result"):
            assert api.http.get(path, headers=headers).status_code == status
        listed = [one["id"] for one in api.http.get("/v1/jobs", headers=headers).json()]
        assert (job in listed) == (status == 200)


def test_a_key_expires_and_rotates(served: tuple[Live, KeyStore, dict[str, str]]) -> None:
    api, keys, _ = served
    _, old = keys.add("old", expires="2020-01-31")
    key, new = keys.add("new", expires="2999-01-31T12:00:00+02:00")
    assert key.expires == "2999-01-31T10:00:00.000+00:00"
    get = lambda secret: api.http.get("/v1/corpora", headers={"Authorization": f"Bearer {secret}"})  # noqa: E731
    assert "expired" in problem(get(old), 401, "KeyNeeded") and get(new).status_code == 200
    _, rotated = keys.rotate(key.id)
    assert get(new).status_code == 401 and get(rotated).status_code == 200
    with pytest.raises(SettingError, match="2027-01-31"):
        keys.add("x", expires="soon")
    with pytest.raises(SettingError, match="no key"):
        keys.rotate("none")


def test_no_loss_of_keys_opens_a_service(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "h", create=True, embedder=known_models().embedder)
    with live(home.path) as api:
        assert api.http.get("/v1/corpora").status_code == 200, "a service that never had a key"
        keys = KeyStore(home.keys)
        key, secret = keys.add("one")
        keys.remove(key.id)
        problem(api.http.get("/v1/corpora"), 401, "KeyNeeded")
        _, secret = keys.add("two")
        assert api.http.get("/v1/corpora", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
        home.keys.unlink()
        problem(api.http.get("/v1/corpora"), 401, "KeyNeeded")
    with live(home.path) as api:
        problem(api.http.get("/v1/corpora"), 401, "KeyNeeded")
    with live(home.path, no_keys=True) as api:
        assert api.http.get("/v1/corpora").status_code == 200
    with pytest.raises(SettingError, match="no_keys"), live(home.path, no_keys=True, host="0.0.0.0"):
        pass


def test_a_parameter_that_is_not_there_is_refused(served: tuple[Live, KeyStore, dict[str, str]]) -> None:
    api, _, ids = served
    for path in (
        "/v1/corpora/a/documents?langauge=de",
        f"/v1/corpora/a/documents/{next(iter(ids.values()))}?begin=1",
        "/v1/jobs?x",
    ):
        assert "There is no parameter" in problem(api.http.get(path), 422, "SettingError")
    assert api.http.get("/v1/corpora/a/documents?source~=*&type=json&id=x&fields=true").status_code == 200


def test_a_name_given_twice_is_refused(served: tuple[Live, KeyStore, dict[str, str]]) -> None:
    api, _, _ = served
    for body in ('{"question": "a?", "question": "b?"}', '{"question": "a?", "filters": {"team": "a", "team": "b"}}'):
        answer = api.http.post("/v1/corpora/a/search", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400 and "twice" in answer.json()["detail"]


def logged(caplog: pytest.LogCaptureFixture, text: str) -> str:
    """The log line with a text; it is written after the response was sent."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        found = [record.getMessage() for record in list(caplog.records) if text in record.getMessage()]
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"no log line has {text}")


def test_the_log_has_key_route_status_and_request_but_no_text(
    served: tuple[Live, KeyStore, dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    api, keys, _ = served
    _, secret = keys.add("anna of sales")
    caplog.set_level(logging.INFO, "docqa.api")
    headers = {"Authorization": f"Bearer {secret}", "X-Request-ID": "abc-123"}
    answer = api.http.get("/v1/corpora/a/documents", params={"source": "privateword"}, headers=headers)
    assert answer.headers["x-request-id"] == "abc-123"
    line = logged(caplog, "abc-123")
    assert line.startswith("GET /v1/corpora/{corpus}/documents 200 ") and "(anna of sales)" in line
    api.http.get("/v1/corpora/privateword", headers={"X-Request-ID": "two words"})
    assert "privateword" not in caplog.text and "two words" not in caplog.text


def test_many_draws_leak_nothing_and_a_leak_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `benchmarks.key_filters` does 100,000 times."""
    with live(tmp_path / "h") as api:
        found = asyncio.run(run(api, 400, 1))
        assert (found.leaks, found.unchanged()) == ([], True)
        assert found.shown and all(found.statuses[status] for status in (200, 304, 403, 404))
    monkeypatch.setattr("qa_pipeline.api.routes.documents.filter_of", lambda request: None)
    with live(tmp_path / "leaky") as api:
        whys = {leak.partition(":")[0] for leak in asyncio.run(run(api, 200, 1)).leaks}
        assert whys == {"a hidden document is shown", "a hidden document is there"}
