"""The service over HTTP, as programs meet it: a real server on a free port, with models whose behaviour is known."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from indexing import errors
from qa_pipeline import errors as own_errors
from qa_pipeline.api.app import ROUTES
from qa_pipeline.api.problems import MEDIA_TYPE, STATUSES, status_of
from qa_pipeline.reading.readings import Reading
from tests.known import SCRIPTS, WordReader
from tests.live import BRIDGE, MINE, Live, known_models, live
from tests.pdfs import make_pdf, paragraph

ROOT = Path(__file__).resolve().parents[3]
DOCS = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")
PDF = make_pdf([paragraph(["The tower was built in 1731."]), paragraph(["The second page says 1999."])])
FORM = "multipart/form-data; boundary=x"
ASKED = {"question": "When was the bridge opened in?"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("api") / "home", body_bytes=100_000, file_bytes=50_000, upload_bytes=200_000) as api:
        yield api


@pytest.fixture(scope="module")
def ids(api: Live) -> dict[str, str]:
    """A corpus `a` of files of different kinds and scripts: source -> document id."""
    files: dict[str, bytes | str] = {"reports/bridge.txt": BRIDGE, "reports/mine.txt": MINE, "tower.pdf": PDF}
    files |= {f"script-{code}.txt": text.encode() for code, text in SCRIPTS.items()}
    files["many.jsonl"] = '{"id": "x", "text": "The first of many is 1."}\n{"id": "y", "text": "The second is 2."}\n'
    files["lines.txt"] = "Before\u2028the line\u0085separator stands 1654 and after.\n"
    files["photo.jpg"] = b"\xff\xd8\xff\xe0" + b"\0" * 50
    return api.fill("a", files)


def problem(answer: httpx.Response, status: int, kind: str) -> str:
    """The detail of a problem, which must be this one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    found = answer.json()
    assert found["status"] == status and found["type"] == f"urn:docqa:problem:{kind}" and found["title"]
    detail: str = found["detail"]
    return detail


def holds(api: Live, corpus: str, value: Any) -> int:
    """The law, from outside: each thing with a document and a span is that text. How many there were."""
    if isinstance(value, list):
        return sum(holds(api, corpus, item) for item in value)
    if not isinstance(value, dict):
        return 0
    count = 0
    if {"document_id", "start", "end", "text"} <= value.keys():
        path = f"/v1/corpora/{corpus}/documents/{value['document_id']}"
        piece = api.http.get(path, params={"start": value["start"], "end": value["end"]}).json()
        assert piece["text"] == value["text"] != ""
        count = 1
    return count + sum(holds(api, corpus, item) for item in value.values())


def events(text: str) -> list[tuple[str, Any]]:
    found = re.findall(r"event: (\w+)\ndata: ([^\n]*)\n\n", text)
    return [(name, json.loads(data)) for name, data in found]


# -- questions ---------------------------------------------------------------------------------------------------------


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


# -- documents ---------------------------------------------------------------------------------------------------------


def test_documents_are_listed_with_facets_and_given_by_piece(api: Live, ids: dict[str, str]) -> None:
    found = api.http.get("/v1/corpora/a/documents", params={"limit": 3}).json()
    assert found["total"] == len(ids) and len(found["documents"]) == 3
    assert found["facets"]["folder"] == {"": len(ids) - 2, "reports": 2} and found["facets"]["type"]["pdf"] == 1
    pdfs = api.http.get("/v1/corpora/a/documents", params={"type": "pdf"}).json()
    assert pdfs["total"] == 1 and pdfs["documents"][0]["pages"] == 2 and len(pdfs["facets"]["type"]) > 1
    assert pdfs["facets"]["language"] == {"en": 1}
    reports = api.http.get("/v1/corpora/a/documents", params={"source": "reports/*", "offset": 1}).json()
    assert reports["total"] == 2 and [d["source"] for d in reports["documents"]] == ["reports/mine.txt"]
    assert api.http.get("/v1/corpora/a/documents", params={"language": "xx"}).json()["total"] == 0
    path = f"/v1/corpora/a/documents/{ids['reports/bridge.txt']}"
    whole, piece = api.http.get(path).json(), api.http.get(path, params={"start": 21, "end": 25}).json()
    assert whole["text"] == BRIDGE and whole["characters"] == len(BRIDGE) and piece["text"] == "1912"
    for query in ({"start": 5, "end": 4}, {"end": len(BRIDGE) + 1}, {"start": -1}, {"start": "x"}):
        problem(api.http.get(path, params=query), 422, "SettingError")
    problem(api.http.get("/v1/corpora/a/documents/" + "0" * 32), 404, "DocumentMissing")


def test_status_tells_what_could_not_be_read(api: Live, ids: dict[str, str]) -> None:
    found = api.http.get("/v1/corpora/a").json()
    assert [skipped["source"] for skipped in found["skipped"]] == ["photo.jpg"] and "JPEG" in found["skipped"][0]["reason"]
    assert found["documents"] == len(ids) and found["generation"] > 0 and found["bytes"] > 0
    assert found["languages"]["en"]["documents"] >= 3
    assert {corpus["name"] for corpus in api.http.get("/v1/corpora").json()} >= {"a"}


def test_an_original_comes_as_it_was_and_cannot_run_in_a_browser(api: Live, ids: dict[str, str]) -> None:
    answer = api.http.get(f"/v1/corpora/a/documents/{ids['tower.pdf']}/original")
    assert answer.content == PDF and answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert answer.headers["x-content-type-options"] == "nosniff" and "sandbox" in answer.headers["content-security-policy"]
    other = api.fill("names", {'Bericht "März"; x.html': "<script>alert(1)</script><p>Of the tower 1731</p>"})
    (id,) = other.values()
    answer = api.http.get(f"/v1/corpora/names/documents/{id}/original")
    assert "filename*=UTF-8''Bericht" in answer.headers["content-disposition"]
    assert "\n" not in answer.headers["content-disposition"] and answer.headers["x-content-type-options"] == "nosniff"


def test_a_page_of_a_pdf_with_its_span_boxed(api: Live, ids: dict[str, str]) -> None:
    text = api.http.get(f"/v1/corpora/a/documents/{ids['tower.pdf']}").json()["text"]
    start = text.index("1999")
    path = f"/v1/corpora/a/documents/{ids['tower.pdf']}/pages"
    page = api.http.get(f"{path}/2", params={"start": start, "end": start + 4}).json()
    assert page["exact"] and page["image"].startswith("data:image/png;base64,") and len(page["boxes"]) == 1
    left, top, right, bottom = page["boxes"][0]
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    assert api.http.get(f"{path}/1", params={"start": start, "end": start + 4}).json()["boxes"] == []
    problem(api.http.get(f"{path}/3"), 404, "DocumentMissing")
    problem(api.http.get(f"{path}/1", params={"scale": 100}), 422, "SettingError")
    problem(api.http.get(f"/v1/corpora/a/documents/{ids['lines.txt']}/pages/1"), 404, "DocumentMissing")


# -- uploads -----------------------------------------------------------------------------------------------------------


def zipped(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def test_an_upload_tells_of_each_file_and_writes_nothing_outside(api: Live) -> None:
    api.http.post("/v1/corpora", json={"name": "up"})
    archive = zipped({"in/a.txt": "In the zip 1.", "../../evil.txt": "out", "/etc/evil.txt": "out", "b.txt": "Two 2."})
    sent = [
        ("files", ("pack.zip", archive)),
        ("files", ("../../evil.txt", b"out")),
        ("files", ("c.txt", b"Three 3.")),
    ]
    sent += [("files", ("big.txt", b"x" * 50_001)), ("files", ("..", b"x"))]
    answer = api.http.post("/v1/corpora/up/documents", files=sent)
    assert answer.status_code == 202
    found = {file["name"]: file for file in answer.json()["files"]}
    stored = {file["source"] for file in found.values() if file["status"] == "stored"}
    assert {"in/a.txt", "b.txt", "c.txt"} <= stored and not [name for name in stored if ".." in name]
    assert found["../../evil.txt"]["status"] == "refused" and "50,000" in found["big.txt"]["reason"]
    done = api.wait(answer.json()["job"]["id"])
    assert done["state"] == "done" and done["result"]["counts"] == {"indexed": len(stored)}
    home = api.service.home.path
    assert not list(home.parent.rglob("evil.txt")) and not Path("/etc/evil.txt").exists()
    assert list(home.joinpath("uploads").iterdir()) == []
    again = api.http.post("/v1/corpora/up/documents", files=[("files", ("c.txt", b"Three is 33 now."))])
    assert api.wait(again.json()["job"]["id"])["result"]["counts"] == {"unchanged": len(stored) - 1, "updated": 1}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"no multipart", "text/plain"),
        (b"x", "multipart/form-data"),
        (b"", FORM),
        (b"--x", FORM),
        (b"--x--\r\n", FORM),
        (b"--x\r\n\r\nno name\r\n--x--\r\n", FORM),
        (b"--x\r\n" + b"a" * 10_000, FORM),
        (b"--x\r\nContent-Disposition: form-data; name=files; filename=a\r\n\r\ncut", FORM),
    ],
)
def test_a_bad_upload_is_told_why_and_leaves_nothing(api: Live, ids: dict[str, str], content: bytes, kind: str) -> None:
    for way in ("documents", "questions"):
        answer = api.http.post(f"/v1/corpora/a/{way}", content=content, headers={"Content-Type": kind})
        assert answer.status_code in (400, 422) and answer.headers["content-type"] == MEDIA_TYPE, answer.text
    assert list((api.service.home.path / "uploads").iterdir()) == []


def test_bodies_over_the_limit_are_refused_before_they_are_read(api: Live, ids: dict[str, str]) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"question": "'
        for _ in range(1_000):
            yield b"x" * 1_000

    for way, content in (
        ("ask", b"x" * 100_001),
        ("ask", endless()),
        ("documents", b"x" * 200_001),
        ("documents", endless()),
    ):
        headers = {"Content-Type": "multipart/form-data; boundary=y"}
        try:
            answer = api.http.post(f"/v1/corpora/a/{way}", content=content, headers=headers)
        except httpx.TransportError:
            continue
        assert answer.status_code == 413, answer.text
    assert api.http.get("/health").json() == {"status": "up", "precision": "", "instruction_set": ""}


def test_a_document_of_a_file_with_others_goes_only_with_all_of_them(api: Live) -> None:
    lines = "".join(f'{{"id": "{n}", "text": "Number {n} is here."}}\n' for n in range(3))
    ids = api.fill("many", {"many.jsonl": lines, "one.txt": "One 1."})
    path = f"/v1/corpora/many/documents/{ids['many.jsonl#1']}"
    assert "3 documents" in problem(api.http.delete(path), 422, "SettingError")
    job = api.http.delete(path, params={"whole_file": "true"})
    assert job.status_code == 202 and api.wait(job.json()["job"]["id"])["result"]["counts"]["removed"] == 1
    assert api.http.get("/v1/corpora/many").json()["documents"] == 1
    problem(api.http.delete(path), 404, "DocumentMissing")
    last = api.http.delete("/v1/corpora/many/files", params={"source": "one.txt"})
    assert api.wait(last.json()["job"]["id"])["state"] == "done"
    assert api.http.get("/v1/corpora/many").json()["documents"] == 0
    assert api.http.post("/v1/corpora/many/ask", json=ASKED).json()["passages"] == []
    problem(api.http.delete("/v1/corpora/many/files", params={"source": "../../keys.json"}), 404, "DocumentMissing")


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


# -- jobs --------------------------------------------------------------------------------------------------------------


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


# -- feedback and saved questions --------------------------------------------------------------------------------------


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


# -- what holds for all ------------------------------------------------------------------------------------------------


def test_every_response_has_the_headers(api: Live) -> None:
    for path in ("/health", "/v1/corpora", "/nothing", "/metrics", "/schema"):
        headers = api.http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'none'") and "server" not in headers
        assert "access-control-allow-origin" not in headers


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")


def test_a_method_that_is_not_there_is_told_which_are(api: Live) -> None:
    described = api.http.get("/schema/openapi.json").json()
    assert "405" in described["info"]["description"] and "`Allow`" in described["info"]["description"]
    has = {path: {method.upper() for method in of} for path, of in described["paths"].items()}
    for path, methods in {**has, "/schema": {"GET"}, "/schema/openapi.json": {"GET"}}.items():
        there = re.sub(r"{[^}]*}", "1", path)
        for method in set(METHODS) - methods - {"OPTIONS"}:
            answer = api.http.request(method, there)
            assert answer.status_code == 405, (method, path)
            assert answer.headers["allow"] == ", ".join(sorted({*methods, "OPTIONS"})), (method, path)
            if method != "HEAD":
                assert answer.headers["allow"] in problem(answer, 405, "MethodNotAllowed")
        assert api.http.request("OPTIONS", there).headers["allow"] == ", ".join(sorted({*methods, "OPTIONS"}))


def test_other_names_and_other_pages_are_refused_without_keys(api: Live) -> None:
    assert api.http.get("/v1/corpora", headers={"Host": "evil.example"}).status_code == 403
    assert api.http.get("/v1/corpora", headers={"Host": "localhost:1"}).status_code == 200
    page = {"Origin": "http://evil.example"}
    problem(api.http.post("/v1/corpora", json={"name": "evil"}, headers=page), 403, "NotAllowed")
    assert api.http.post("/v1/read", json={"question": "q", "context": "c"}, headers={"Origin": api.url}).status_code == 200


def test_only_pages_that_are_named_may_call(tmp_path: Path) -> None:
    with live(tmp_path / "h", cors_origins=("https://search.example.org",)) as api:
        good, bad = {"Origin": "https://search.example.org"}, {"Origin": "https://evil.example"}
        allowed = api.http.get("/v1/corpora", headers=good).headers
        assert allowed["access-control-allow-origin"] == "https://search.example.org"
        assert "access-control-allow-origin" not in api.http.get("/v1/corpora", headers=bad).headers
        assert api.http.post("/v1/corpora", json={"name": "x"}, headers=good).status_code == 201
        assert api.http.post("/v1/corpora", json={"name": "y"}, headers=bad).status_code == 403


def test_every_error_has_a_status_and_is_in_the_docs() -> None:
    every = [*vars(errors).values(), *vars(own_errors).values()]
    kinds = [kind for kind in every if isinstance(kind, type) and issubclass(kind, errors.DocqaError)]
    assert all(400 <= status_of(kind.__new__(kind)) < 600 for kind in kinds)
    assert all(kind.__name__ in DOCS for kind in STATUSES)
    for status in {*STATUSES.values(), 400, 405}:
        assert f"| {status} |" in DOCS


def test_every_route_is_in_the_docs_and_no_other(api: Live) -> None:
    paths = api.http.get("/schema/openapi.json").json()["paths"]
    described = {f"{method.upper()} {path}" for path, of in paths.items() for method in of}
    told = set(re.findall(r"`((?:GET|POST|DELETE|PUT) /[^ `]*)`", DOCS)) - {"GET /schema/openapi.json", "GET /schema"}
    assert described == told and len(described) == len(ROUTES)


VERBS = set(
    "Add Answer Cancel Check Compare Create Delete Download Export Get List Render Run Save Search Stream Upload".split()
)


def test_the_description_is_openapi_3_1_with_every_error_as_a_problem(api: Live) -> None:
    described = api.http.get("/schema/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                if status >= "400" and path != "/ready":
                    assert list(response["content"]) == [MEDIA_TYPE], (method, path, status)
            assert operation["description"] and len(operation["summary"].split()) <= 5
            assert operation["summary"].split()[0] in VERBS, (method, path)
    assert described["components"]["schemas"]["AskBody"]["additionalProperties"] is False
    page = api.http.get("/schema")
    assert page.headers["content-type"].startswith("text/html") and "http://" not in page.text


def test_metrics_tell_of_requests_and_corpora_but_no_question(api: Live, ids: dict[str, str]) -> None:
    api.http.post("/v1/corpora/a/ask", json={"question": "secretquestion?"})
    text = api.http.get("/metrics").text
    assert 'docqa_requests_total{method="POST",route="/v1/corpora/{corpus}/ask",status="200"}' in text
    assert 'docqa_corpus_generation{corpus="a"}' in text and 'docqa_stage_seconds_count{stage="read"}' in text
    assert "secretquestion" not in text


class BrokenReader(WordReader):
    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        raise RuntimeError(f"broken over {question}")


@pytest.mark.parametrize("log_questions", [False, True])
def test_a_defect_is_told_as_one_and_the_log_keeps_the_question(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, log_questions: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    with live(tmp_path / "h", known_models(BrokenReader()), log_questions=log_questions) as api:
        api.fill("a", {"bridge.txt": BRIDGE})
        body = {"question": "secretquestion of the bridge"}
        assert "log" in problem(api.http.post("/v1/corpora/a/ask", json=body), 500, "Defect")
        found = events(api.http.post("/v1/corpora/a/ask/stream", json=body).text)
        assert [name for name, _ in found] == ["passages", "error"] and found[-1][1]["status"] == 500
        ready = api.http.get("/ready")
        assert ready.status_code == 503 and not ready.json()["ready"] and ready.json()["reason"]
        assert api.http.get("/health").status_code == 200
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith(("docqa", "qa_pipeline")))
    assert "a request failed: RuntimeError" in ours and ("secretquestion" in ours) == log_questions


class SlowReader(WordReader):
    """Reads when it is let; tells how many read at once at most."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.now = self.most = 0
        self.guard = threading.Lock()

    def read(self, question: str, texts: Sequence[str]) -> list[Reading]:
        with self.guard:
            self.now += 1
            self.most = max(self.most, self.now)
        self.go.wait(120)
        with self.guard:
            self.now -= 1
        return super().read(question, texts)


def test_beyond_the_queue_a_question_is_refused_and_told_when_to_come_back(tmp_path: Path) -> None:
    reader = SlowReader()
    with live(tmp_path / "h", known_models(reader), concurrency=2, queue=2) as api:
        api.fill("a", {"bridge.txt": BRIDGE})
        while not api.http.get("/ready").json()["ready"]:
            time.sleep(0.05)
        reader.go.clear()
        answers: list[httpx.Response] = []
        ask = lambda: answers.append(api.http.post("/v1/corpora/a/ask", json=ASKED))  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 120
        while (len(answers) < 4 or reader.now < 2) and time.monotonic() < until:
            time.sleep(0.02)
        assert api.http.get("/health").status_code == 200
        assert [answer.status_code for answer in answers] == [429] * 4
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
        assert problem(api.http.post("/v1/corpora/a/ask/stream", json=ASKED), 429, "TooBusy")
        reader.go.set()
        for thread in threads:
            thread.join(120)
        assert sorted(answer.status_code for answer in answers) == [200] * 4 + [429] * 4 and reader.most == 2


def test_questions_are_answered_while_files_are_indexed(tmp_path: Path) -> None:
    with live(tmp_path / "h") as api:
        api.fill("a", {"bridge.txt": BRIDGE})
        uploads, generations = [], []
        for number in range(6):
            files = [
                ("files", (f"{number}-{n}.txt", f"The bridge number {n} of {number} opened in {1900 + n}."))
                for n in range(5)
            ]
            uploads.append(api.http.post("/v1/corpora/a/documents", files=files).json()["job"]["id"])
            for _ in range(5):
                reply = api.http.post("/v1/corpora/a/ask", json=ASKED).json()
                generations.append(reply["generation"])
                assert reply["answers"] and holds(api, "a", reply["answers"][0])
        assert all(api.wait(job)["state"] == "done" for job in uploads) and generations == sorted(generations)
        assert api.http.get("/v1/corpora/a").json()["documents"] == 31


def test_two_processes_serve_one_home(tmp_path: Path) -> None:
    with live(tmp_path / "h") as one, live(tmp_path / "h") as two:
        one.fill("a", {"bridge.txt": BRIDGE})
        assert two.http.post("/v1/corpora/a/ask", json=ASKED).json()["answers"][0]["text"] == "1912"
        two.fill("a", {"bridge.txt": "The bridge opened in 1913."})
        assert one.http.post("/v1/corpora/a/ask", json=ASKED).json()["answers"][0]["text"] == "1913"
        one.http.delete("/v1/corpora/a")
        problem(two.http.post("/v1/corpora/a/ask", json=ASKED), 404, "CorpusMissing")


def test_what_was_taken_is_finished_when_it_is_stopped(tmp_path: Path) -> None:
    reader, answers = SlowReader(), []
    with live(tmp_path / "h", known_models(reader)) as api:
        api.fill("a", {"bridge.txt": BRIDGE})
        reader.go.clear()
        thread = threading.Thread(target=lambda: answers.append(httpx.post(f"{api.url}/v1/corpora/a/ask", json=ASKED)))
        thread.start()
        while not reader.now:
            time.sleep(0.01)
        threading.Timer(0.5, reader.go.set).start()
    thread.join(120)
    assert answers[0].status_code == 200 and answers[0].json()["answers"][0]["text"] == "1912"


def test_the_examples_of_the_docs_run(tmp_path: Path) -> None:
    import shutil

    if not (shutil.which("curl") and shutil.which("bash")):
        pytest.skip("curl or bash is not installed")
    script = DOCS.split("```sh\n", 1)[1].split("```", 1)[0]
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    with live(tmp_path / "h") as api:
        script = script.replace("http://127.0.0.1:8080", api.url)
        safe = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; echo; }\nexport PATH="$PWD/bin:$PATH"\n'
        run = subprocess.run(["bash", "-c", safe + script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stdout[-2_000:] + run.stderr
        assert (tmp_path / "answers.csv").stat().st_size > 100 and "event: reply" in run.stdout
        assert (tmp_path / "original.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--host", "0.0.0.0"], "there is no key"),
        (["--port", "x"], "port is 'x'"),
        (["--reader", "no-such"], "no reader"),
        (["--log-questions", "maybe"], "log_questions is 'maybe'"),
        (["--cors-origins", "*"], "cors_origins"),
    ],
)
def test_a_wrong_start_is_one_sentence(tmp_path: Path, arguments: list[str], told: str) -> None:
    command = [sys.executable, "-m", "qa_pipeline.cli", "serve", "--home", str(tmp_path / "h"), "--port", "0", *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 2 and run.stdout == "" and run.stderr.startswith("docqa: ") and run.stderr.count("\n") == 1
    assert told in run.stderr
