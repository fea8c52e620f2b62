"""Jobs over HTTP: a file of questions comes back with answers."""

from __future__ import annotations

import json

from tests.live import Live, problem


def test_a_file_of_questions_comes_back_with_answers(api: Live, ids: dict[str, str]) -> None:
    table = "question,id\nWhen was the bridge opened in?,q1\nzebra quantum?,q2\n"
    job = api.http.post("/v1/corpora/a/questions", files={"file": ("q.csv", table)}, data={"format": "jsonl"}).json()["job"]
    done = api.wait(job["id"])
    assert done["result"] == {"questions": 2, "answered": 1, "no_answer": 1, "failed": 0, "format": "jsonl"}
    answer = api.http.get(f"/v1/jobs/{job['id']}/result")
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert [(row["id"], row["answer"]) for row in rows] == [("q1", "1912"), ("q2", "")]
    assert api.http.get(rows[0]["link"]).json()["text"] == "1912"
    csv = api.http.get(f"/v1/jobs/{job['id']}/result", params={"format": "csv"})
    assert csv.headers["content-type"] == "text/csv; charset=utf-8" and "1912" in csv.text
    assert api.http.get(f"/v1/jobs/{job['id']}/result", params={"format": "xlsx"}).content[:2] == b"PK"
    problem(api.http.get(f"/v1/jobs/{job['id']}/result", params={"format": "pdf"}), 422, "SettingError")
    refused = api.http.post("/v1/corpora/a/questions", files={"file": ("q.csv", 'question\n""\nok\n,\n')})
    assert refused.status_code == 422 or refused.status_code == 202
    problem(api.http.post("/v1/corpora/a/questions", files={"file": ("q.csv", "other\n1\n")}), 422, "SettingError")
    elsewhere = api.http.post("/v1/corpora/a/questions", files={"file": ("q.csv", "question,corpus\nwhy,nowhere\n")})
    problem(elsewhere, 404, "CorpusMissing")
    index = next(job for job in api.http.get("/v1/jobs", params={"corpus": "a"}).json() if job["kind"] == "index")
    problem(api.http.get(f"/v1/jobs/{index['id']}/result"), 409, "JobNotDone")
    assert api.http.delete(f"/v1/jobs/{index['id']}").json()["state"] == "done"
    problem(api.http.get("/v1/jobs/none"), 404, "JobMissing")
    problem(api.http.delete("/v1/jobs/none"), 404, "JobMissing")
