"""Feedback and saved questions over HTTP."""

from __future__ import annotations

from tests.live import ASKED, Live, problem


def test_feedback_is_checked_kept_exported_and_taken_back(api: Live, ids: dict[str, str]) -> None:
    span = {"document_id": ids["reports/bridge.txt"], "start": 21, "end": 25}
    said = api.http.post("/v1/corpora/a/feedback", json={**ASKED, "verdict": "right", **span, "text": "1912"})
    assert said.status_code == 201 and said.json()["text"] == "1912"
    problem(
        api.http.post("/v1/corpora/a/feedback", json={**ASKED, "verdict": "right", **span, "text": "1913"}),
        422,
        "SettingError",
    )
    problem(api.http.post("/v1/corpora/a/feedback", json={**ASKED, "verdict": "maybe"}), 422, "SettingError")
    missing = {**ASKED, "verdict": "right", **span, "document_id": "none"}
    problem(api.http.post("/v1/corpora/a/feedback", json=missing), 404, "DocumentMissing")
    squad = api.http.get("/v1/corpora/a/feedback/export").json()
    paragraph = squad["data"][0]["paragraphs"][0]
    answer = paragraph["qas"][0]["answers"][0]
    assert squad["version"] == "v2.0" and paragraph["context"][answer["answer_start"] :].startswith(answer["text"])
    id = said.json()["id"]
    assert id in [one["id"] for one in api.http.get("/v1/corpora/a/feedback").json()]
    assert api.http.delete(f"/v1/corpora/a/feedback/{id}").status_code == 204
    problem(api.http.delete(f"/v1/corpora/a/feedback/{id}"), 404, "DocumentMissing")


def test_a_saved_question_tells_only_what_changed(api: Live) -> None:
    api.fill("watch", {"mill.txt": "The mill opened in 1801."})
    body = {"question": "When was the mill opened in?", "settings": {"top_k": 3}, "filters": {"language": "en"}}
    saved = api.http.post("/v1/corpora/watch/saved", json=body)
    assert saved.status_code == 201 and saved.json()["settings"] == {"top_k": 3}
    path = f"/v1/corpora/watch/saved/{saved.json()['id']}"
    first = api.http.post(f"{path}/run").json()
    assert [answer["text"] for answer in first["new"]] == ["1801"] and first["same"] == 0
    api.fill("watch", {"mill.txt": "The mill opened in 1802."})
    second = api.http.post(f"{path}/run").json()
    assert [answer["text"] for answer in second["new"]] == ["1802"]
    assert [answer["text"] for answer in second["gone"]] == ["1801"] and second["reply"]["answers"]
    assert [one["id"] for one in api.http.get("/v1/corpora/watch/saved").json()] == [saved.json()["id"]]
    problem(api.http.post("/v1/corpora/watch/saved", json={"question": "q", "settings": {"depth": 3}}), 422, "SettingError")
    assert api.http.delete(path).status_code == 204
    problem(api.http.post(f"{path}/run"), 404, "DocumentMissing")
