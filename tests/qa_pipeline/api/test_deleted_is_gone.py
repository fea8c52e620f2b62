"""Deleted is gone: no byte of a deleted text stays in the home, whatever quoted it, while the service runs and after."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from indexing.atomic_files import store
from indexing.errors import DiskFull
from tests.live import Live, live, problem

SECRET = "Zanzibarine"
TEXT = f"The {SECRET} bridge opened in 1912. " * 40
ASKED = {"question": "When was the bridge opened in?"}


def holding(home: Path, word: str = SECRET) -> set[str]:
    """The files of the home in whose bytes the word stands."""
    found = set()
    for path in home.rglob("*"):
        try:
            if path.is_file() and word.encode() in path.read_bytes():
                found.add(str(path.relative_to(home)))
        except FileNotFoundError:
            continue
    return found


def answer_of(text: str) -> str:
    """A sentence around the first number of a text, which is marked as an answer."""
    return text[: text.index("1912") + 4]


def use(api: Live, corpus: str, document: str, other: str) -> list[str]:
    """Quote the document in everything that quotes: feedback, a saved question, answers to files of two corpora."""
    said = {"document_id": document, "start": 0, "end": len(answer_of(TEXT)), "text": answer_of(TEXT)}
    feedback = api.http.post(f"/v1/corpora/{corpus}/feedback", json={**ASKED, "verdict": "corrected", **said})
    assert feedback.status_code == 201, feedback.text
    saved = api.http.post(f"/v1/corpora/{corpus}/saved", json=ASKED).json()["id"]
    assert api.http.post(f"/v1/corpora/{corpus}/saved/{saved}/run").json()["new"]
    jobs = []
    for name in (corpus, other):
        file = f"question,corpus\n{ASKED['question']},{corpus}\n".encode()
        job = api.http.post(f"/v1/corpora/{name}/questions", files={"file": ("q.csv", file)}).json()["job"]["id"]
        assert api.wait(job)["result"]["answered"] == 1
        jobs.append(job)
    return jobs


def replace_number_by_secret(api: Live) -> None:
    """Make the stored answers as long as a real reader's: the tests' reader quotes a number only."""
    database = api.service.saved._database
    with database.transaction() as connection:
        connection.execute("UPDATE saved SET answers = replace(answers, '\"1912\"', ?)", (f'"{SECRET} 1912"',))
    for path in api.service.home.uploads.glob("*/answers.jsonl"):
        path.write_text(path.read_text().replace('"1912"', f'"{SECRET} 1912"'))


def gone(home: Path, seconds: float = 20) -> set[str]:
    """The files that still hold the text, after the time the service takes to try again."""
    until = time.monotonic() + seconds
    while (found := holding(home)) and time.monotonic() < until:
        time.sleep(0.2)
    return found


@pytest.mark.parametrize("how", ["document", "file", "replaced", "corpus"])
def test_no_byte_of_a_deleted_text_stays(tmp_path: Path, how: str) -> None:
    home = tmp_path / "h"
    with live(home) as api:
        ids = api.fill("a", {"secret.txt": TEXT, "mine.txt": "The mine closed in 1974."})
        api.fill("other", {"mine.txt": "The mine closed in 1974."})
        jobs = use(api, "a", ids["secret.txt"], "other")
        replace_number_by_secret(api)
        kept = holding(home)
        assert {name.partition("/")[0] for name in kept} >= {"corpora", "uploads", "service.db"} or "service.db-wal" in kept
        if how == "document":
            api.wait(api.http.delete(f"/v1/corpora/a/documents/{ids['secret.txt']}").json()["job"]["id"])
        elif how == "file":
            api.wait(api.http.delete("/v1/corpora/a/files", params={"source": "secret.txt"}).json()["job"]["id"])
        elif how == "replaced":
            api.fill("a", {"secret.txt": "Another text of 1950."})
        else:
            assert api.http.delete("/v1/corpora/a").status_code == 204
        if how == "replaced":
            assert all(name.startswith("service.db") for name in gone(home, 5)), (
                "the next run of a saved question tells of it"
            )
            saved = api.http.get("/v1/corpora/a/saved").json()[0]["id"]
            assert SECRET in str(api.http.post(f"/v1/corpora/a/saved/{saved}/run").json()["gone"])
            api.service.texts.erase()
        assert gone(home) == set()
        rows = api.http.get(f"/v1/jobs/{jobs[1]}/result", params={"format": "jsonl"}).text
        assert "deleted" in rows and ASKED["question"] in rows
        if how == "corpus":
            problem(api.http.get(f"/v1/jobs/{jobs[0]}"), 404, "JobMissing")
            api.http.post("/v1/corpora", json={"name": "a"})
            assert api.http.get("/v1/corpora/a").json()["documents"] == 0
            for what in ("feedback", "saved"):
                assert SECRET not in api.http.get(f"/v1/corpora/a/{what}").text
            assert api.http.get("/v1/jobs", params={"corpus": "a"}).json() == []
        else:
            feedback = api.http.get("/v1/corpora/a/feedback").json()
            assert SECRET not in str(feedback) and "corrected" in str(feedback), "the judgement stays"
            if how == "replaced":
                return
            saved = api.http.get("/v1/corpora/a/saved").json()[0]["id"]
            change = api.http.post(f"/v1/corpora/a/saved/{saved}/run").json()
            assert change["gone"] and {answer["text"] for answer in change["gone"]} == {""}
    assert holding(home) == set()


def test_what_a_reader_kept_is_erased_at_a_clean_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexing.store.sqlite.ERASE_WAIT_S", 0.05)
    home = tmp_path / "h"
    with live(home) as api:
        api.fill("a", {"secret.txt": TEXT, "mine.txt": "The mine closed in 1974."})
        with api.service.using("a") as opened, opened.folder.reading() as connection:
            connection.execute("SELECT count(*) FROM chunks").fetchone()
            api.wait(api.http.delete("/v1/corpora/a/files", params={"source": "secret.txt"}).json()["job"]["id"])
            assert holding(home), "a question still reads the older generation"
    assert holding(home) == set()


def test_what_another_process_kept_in_the_log_of_the_database_is_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process of the home reads while feedback is deleted, and stays connected afterwards."""
    monkeypatch.setattr("qa_pipeline.service.service.TIDY_S", 0.1)
    home = tmp_path / "h"
    with live(home) as api, closing(sqlite3.connect(home / "service.db", isolation_level=None)) as other:
        ids = api.fill("a", {"secret.txt": TEXT})
        span = {"document_id": ids["secret.txt"], "start": 0, "end": len(answer_of(TEXT))}
        said = api.http.post("/v1/corpora/a/feedback", json={**ASKED, "verdict": "corrected", **span}).json()["id"]
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM feedback").fetchone()
        assert api.http.delete(f"/v1/corpora/a/feedback/{said}").status_code == 204
        assert any(name.startswith("service.db") for name in holding(home))
        other.execute("COMMIT")
        until = time.monotonic() + 60
        while found := {name for name in holding(home) if name.startswith("service.db")}:
            assert time.monotonic() < until, found
            time.sleep(0.05)


@pytest.mark.parametrize("what", ["saved", "feedback"])
def test_what_quotes_a_document_while_it_is_deleted_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The deletion ends after the document was read, and before its quotation is stored."""
    home = tmp_path / "h"
    with live(home) as api:
        ids = api.fill("a", {"secret.txt": TEXT, "mine.txt": "The mine closed in 1974."})

        def delete() -> None:
            monkeypatch.undo()
            api.wait(api.http.delete("/v1/corpora/a/files", params={"source": "secret.txt"}).json()["job"]["id"])

        if what == "saved":
            saved = api.http.post("/v1/corpora/a/saved", json=ASKED).json()["id"]
            ask = api.service.ask

            def ask_and_delete(*given: Any) -> Any:
                reply = ask(*given)
                delete()
                return reply

            monkeypatch.setattr(api.service, "ask", ask_and_delete)
            assert api.http.post(f"/v1/corpora/a/saved/{saved}/run").json()["new"]
            stored = api.http.get("/v1/corpora/a/saved").json()[0]["answers"]
        else:
            span = {"document_id": ids["secret.txt"], "start": 0, "end": len(answer_of(TEXT))}
            database = api.service.feedback._database
            transaction = database.transaction

            def delete_first() -> Any:
                delete()
                return transaction()

            monkeypatch.setattr(database, "transaction", delete_first)
            assert api.http.post("/v1/corpora/a/feedback", json={**ASKED, "verdict": "right", **span}).status_code == 201
            stored = api.http.get("/v1/corpora/a/feedback").json()
        quoted = [one for one in stored if one["document_id"] == ids["secret.txt"]]
        assert quoted and not any(one["text"] for one in quoted)
        assert gone(home) == set()


def test_a_question_saved_while_its_corpus_is_deleted_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with live(tmp_path / "h") as api:
        api.http.post("/v1/corpora", json={"name": "a"})
        add = api.service.saved.add

        def delete_first(*given: Any) -> Any:
            assert api.http.delete("/v1/corpora/a").status_code == 204
            return add(*given)

        monkeypatch.setattr(api.service.saved, "add", delete_first)
        problem(api.http.post("/v1/corpora/a/saved", json={"question": SECRET}), 404, "CorpusMissing")
        api.http.post("/v1/corpora", json={"name": "a"})
        assert api.http.get("/v1/corpora/a/saved").json() == []


def test_two_that_forget_rows_of_one_file_forget_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"corpus": name, "document_id": "d", "answer": f"{SECRET} {name}", "question": "q"} for name in "ab"]
    with live(tmp_path / "h") as api:
        texts = api.service.texts
        path = texts.uploads / "1" / "answers.jsonl"
        path.parent.mkdir()
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        second = threading.Thread(target=lambda: texts.forget_corpus("b"))

        def store_late(*given: object) -> None:
            if second.ident is None:
                second.start()
                second.join(1)  # Without a lock, it ends in between, and its change is lost.
            store(*given)  # type: ignore[arg-type]

        monkeypatch.setattr("qa_pipeline.service.forgetting.store", store_late)
        texts.forget_corpus("a")
        second.join()
        kept = path.read_text()
        assert SECRET not in kept and kept.count('"q"') == 2


def test_answers_that_were_not_written_whole_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else they could be read, and rewritten without what still is to come."""

    def write_half(rows: Any, kind: str, out: Any) -> None:
        out.write(b'{"corpus": "a"')
        out.flush()
        raise DiskFull("The disk is full.")

    monkeypatch.setattr("qa_pipeline.service.job_handlers.write_answers", write_half)
    with live(tmp_path / "h") as api:
        api.fill("a", {"mine.txt": "The mine closed in 1974."})
        job = api.http.post("/v1/corpora/a/questions", files={"file": ("q.csv", b"question\nWhen?\n")}).json()["job"]["id"]
        assert api.wait(job)["state"] == "failed"
        assert [path.name for path in api.service.home.uploads.rglob("*") if path.is_file()] == ["0"]


def test_an_upload_of_no_job_is_swept_after_two_days(tmp_path: Path) -> None:
    with live(tmp_path / "h") as api:
        api.fill("a", {"mine.txt": "The mine closed in 1974."})
        job = api.http.post("/v1/corpora/a/questions", files={"file": ("q.csv", b"question\nWhen?\n")}).json()["job"]["id"]
        api.wait(job)
        left = api.service.home.uploads / ("0" * 32)
        left.mkdir()
        (left / "0").write_text(SECRET)
        for folder in api.service.home.uploads.iterdir():
            os.utime(folder, (time.time() - 3 * 86_400,) * 2)
        api.service._sweep()
        assert not left.exists()
        assert api.http.get(f"/v1/jobs/{job}/result").status_code == 200, "results are kept for `keep_days`"
