"""Corpora over HTTP: their status, their names, and what is gone when one is deleted."""

from __future__ import annotations

from tests.live import ASKED, Live, problem


def test_status_tells_what_could_not_be_read(api: Live, ids: dict[str, str]) -> None:
    found = api.http.get("/v1/corpora/a").json()
    assert [skipped["source"] for skipped in found["skipped"]] == ["photo.jpg"] and "JPEG" in found["skipped"][0]["reason"]
    assert found["documents"] == len(ids) and found["generation"] > 0 and found["bytes"] > 0
    assert found["languages"]["en"]["documents"] >= 3
    assert {corpus["name"] for corpus in api.http.get("/v1/corpora").json()} >= {"a"}


def test_a_deleted_corpus_is_gone_and_one_made_anew_is_another(api: Live) -> None:
    for text, year in (("The mill opened in 1801.", "1801"), ("The mill opened in 1802.", "1802")):
        api.fill("again", {"mill.txt": text})
        api.http.post("/v1/corpora/again/feedback", json={"question": "q", "verdict": "wrong"})
        reply = api.http.post("/v1/corpora/again/ask", json={"question": "When was the mill opened in?"}).json()
        assert [answer["text"] for answer in reply["answers"]] == [year]
        assert len(api.http.get("/v1/corpora/again/feedback").json()) == 1
        assert api.http.delete("/v1/corpora/again").status_code == 204
        problem(api.http.post("/v1/corpora/again/ask", json=ASKED), 404, "CorpusMissing")
    problem(api.http.delete("/v1/corpora/again"), 404, "CorpusMissing")


def test_names_that_are_none_are_refused(api: Live) -> None:
    for name in ("", "A", "a b", "../x", "-a", "a" * 64, "é", 5):
        problem(api.http.post("/v1/corpora", json={"name": name}), 422, "SettingError")
    assert api.http.post("/v1/corpora", json={"name": "twice"}).status_code == 201
    problem(api.http.post("/v1/corpora", json={"name": "twice"}), 409, "CorpusExists")
    for path in ("/v1/corpora/..%2f..%2fetc", "/v1/corpora/%00", "/v1/corpora/A", "/v1/corpora/" + "a" * 5_000, "/nothing"):
        assert api.http.get(path).status_code == 404, path
