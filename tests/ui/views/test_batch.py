"""The page Batch over a real service with known models: a file of questions in, answers with their places out."""

from __future__ import annotations

import datetime
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import openpyxl
import pytest
from streamlit.testing.v1 import AppTest

from tests.known import WordReader
from tests.live import BRIDGE, MINE, Live, known_models, live
from tests.ui.views.test_corpora import PROBE, opened, press, runs, said, settled, shown, sound
from ui.client.schemas import ApiError
from ui.render.batch_rows import Preview, Row, answers, counts, preview

QUESTIONS = (
    "id;question;corpus;filters\n"
    f"{PROBE};When was the bridge opened in?;;\n"
    "2;When was the mine closed in?;;source=none*\n"
    f"3;nothing shared {PROBE};;\n"
).encode()


class PatientReader(WordReader):
    """Takes its time, so that there is something to cancel."""

    def read(self, question: str, texts: Sequence[str]) -> Any:
        time.sleep(0.3)
        return super().read(question, texts)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("batch") / "home") as api:
        api.fill("c", {"bridge.txt": BRIDGE, "mine.txt": MINE})
        api.fill("other", {"bridge.txt": BRIDGE})
        yield api


@pytest.fixture(autouse=True)
def _here(api: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCQA_API_URL", api.url)


def chosen(name: str, data: bytes, corpus: str = "c") -> AppTest:
    """The page with a file of questions put into it."""
    at = opened("batch", corpus=corpus)
    at.file_uploader[0].set_value((name, data, "application/octet-stream"))
    return sound(at.run())


def asked(api: Live, name: str, data: bytes) -> AppTest:
    return settled(api, press(chosen(name, data), "Ask these questions"))


def workbook(rows: list[list[object]]) -> bytes:
    book, out = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)  # type: ignore[union-attr]
    book.save(out)
    return out.getvalue()


# -- the page ----------------------------------------------------------------------------------------------------------


def test_a_file_is_looked_at_asked_and_answered_with_places(api: Live) -> None:
    at = chosen("q.csv", QUESTIONS)
    before = shown(at)
    assert "When was the bridge opened in?" in before and "source=none*" in before and not runs(before)
    at = settled(api, press(at, "Ask these questions"))
    told = shown(at)
    assert "<b>1912</b>" in told and "No answer in the" in told and not runs(told)
    buttons: Any = at.get("download_button")
    assert [button.label for button in buttons] == [f"Download {x}" for x in ("CSV", "Excel", "JSON lines")]
    place = parse_qs(told.partition('href="document?')[2].partition('"')[0].replace("&amp;", "&"))
    document = api.http.get(f"/v1/corpora/c/documents/{place['document'][0]}").json()
    assert document["text"][int(place["start"][0]) : int(place["end"][0])] == "1912" and place["corpus"] == ["c"]


def test_one_kind_of_answers_at_a_time(api: Live) -> None:
    job = said(asked(api, "q.csv", QUESTIONS), "job")
    none = shown(opened("batch", corpus="c", job=job, show="none"))
    assert "No answer in the" in none and "<b>1912</b>" not in none
    assert "none of this kind" in shown(opened("batch", corpus="c", job=job, show="failed"))
    at = opened("batch", corpus="c", job=job)
    group: Any = at.get("button_group")[0]
    at = sound(group.set_value("answered").run())
    assert said(at, "show") == "answered" and "<em>No answer in" not in shown(at)


def test_many_answers_come_in_pages(api: Live) -> None:
    lines = "\n".join(json.dumps({"question": f"When was the bridge {number} opened in?"}) for number in range(60))
    job = said(asked(api, "q.jsonl", lines.encode()), "job")
    first, second = (shown(opened("batch", corpus="c", job=job, at=at)) for at in ("1", "2"))
    assert "bridge 0 opened" in first and "bridge 59" not in first and "Page 1 of 2, 60 questions" in first
    assert "bridge 59 opened" in second and "bridge 0 opened" not in second


def test_a_file_with_mistakes_is_refused_with_its_rows(api: Live) -> None:
    at = press(chosen("q.csv", b"question;filters\nWho?;no sign\n;\n"), "Ask these questions")
    assert len(at.error) == 1 and "Row 2" in at.error[0].value and not said(at, "job")


def test_batches_before_are_listed_each_with_its_corpus(api: Live) -> None:
    job = said(asked(api, "q.xlsx", workbook([["question"], ["When was the bridge opened in?"]])), "job")
    links = [link.proto.query_string for link in opened("batch", corpus="c").get("page_link")]
    assert any(job in link for link in links)
    assert "another collection" in shown(opened("batch", corpus="other", job=job))
    assert len(opened("batch", corpus="c", job="none").error) == 1


def test_a_failed_batch_says_why(api: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    job = api.service.jobs.add("c", "questions", {"folder": "gone", "name": "q.csv", "format": "csv", "corpora": ["c"]})
    api.service._worker.wake()
    assert api.wait(job.id)["state"] == "failed"
    assert len(opened("batch", corpus="c", job=job.id).error) == 1


def test_a_batch_that_runs_is_shown_and_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with live(tmp_path / "home", known_models(PatientReader())) as slow:
        slow.fill("c", {"bridge.txt": BRIDGE})
        monkeypatch.setenv("DOCQA_API_URL", slow.url)
        lines = "\n".join(f'{{"question": "When was the bridge {number} opened in?"}}' for number in range(50))
        at = press(chosen("q.jsonl", lines.encode()), "Ask these questions")
        assert "Waiting" in progress(at) or "Reading" in progress(at) or "of 50 questions" in progress(at)
        at = press(at, "Cancel")
        ended = slow.wait(said(at, "job"))
        assert ended["state"] == "cancelled"
        at = sound(at.run())
        if ended["done"]:
            assert f"This was cancelled after {ended['done']} of 50 questions." in [warning.value for warning in at.warning]
        else:
            assert "cancelled before a question was answered" in at.error[0].value


def test_the_answers_of_a_cancelled_batch_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with live(tmp_path / "home", known_models(PatientReader())) as slow:
        slow.fill("c", {"bridge.txt": BRIDGE})
        monkeypatch.setenv("DOCQA_API_URL", slow.url)
        lines = "\n".join(f'{{"question": "When was the bridge {number} opened in?"}}' for number in range(50))
        job = slow.http.post("/v1/corpora/c/questions", files={"file": ("q.jsonl", lines)}).json()["job"]
        while slow.http.get(f"/v1/jobs/{job['id']}").json()["done"] < 2:
            time.sleep(0.05)
        slow.http.delete(f"/v1/jobs/{job['id']}")
        ended = slow.wait(job["id"])
        rows = slow.http.get(f"/v1/jobs/{job['id']}/result", params={"format": "jsonl"}).text.strip().split("\n")
        assert ended["state"] == "cancelled" and ended["name"] == "q.jsonl" and 2 <= len(rows) < 50
        asked = [json.loads(row)["question"] for row in rows]
        assert asked == [f"When was the bridge {number} opened in?" for number in range(len(rows))]
        told = shown(opened("batch", corpus="c", job=job["id"]))
        assert asked[0] in told and asked[1] in told and "jsonl" in told
        assert f"This was cancelled after {ended['done']} of 50 questions." in told


def test_questions_are_pasted(api: Live) -> None:
    at = opened("batch", corpus="c")
    at.text_area[0].set_value("When was the bridge opened in?\n\nWhen was the mine closed in?\n\n")
    at = settled(api, press(at, "Ask the pasted questions"))
    told = shown(at)
    assert "<b>1912</b>" in told and "<b>1974</b>" in told and "Row 2 has no question." in told and "Row 4" not in told
    alone = parse_qs(told.partition('href="./?')[2].partition('"')[0].replace("&amp;", "&"))
    assert alone == {"corpus": ["c"], "q": ["When was the bridge opened in?"]}
    empty = press(opened("batch", corpus="c"), "Ask the pasted questions")
    assert "There is no question yet" in empty.warning[0].value and not said(empty, "job")


def progress(at: AppTest) -> str:
    return str(at.get("progress")[0].proto.text)


def test_without_a_corpus_there_is_a_way_to_one(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live(tmp_path_factory.mktemp("none") / "home") as empty:
        monkeypatch.setenv("DOCQA_API_URL", empty.url)
        at = opened("batch")
        assert "no collection yet" in shown(at) and len(at.get("page_link")) == 1


# -- a look at a file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, data",
    [
        ("q.csv", b"id;question\n1;Who?\n"),
        ("q.tsv", b"\xef\xbb\xbfid\tquestion\r\n\r\n1\tWho?\r\n"),
        ("q.csv", "id,question\n1,Who?".encode("utf-16")),
        ("q.csv", b"sep=;\nid;question\n1;Who?"),
        ("q.json", b'[{"id": 1, "question": "Who?"}]'),
        ("q.jsonl", b'{"id": 1, "question": "Who?"}\n\n'),
        ("q.xlsx", workbook([[], ["id", "question"], [1, "Who?"]])),
    ],
)
def test_the_first_rows_of_any_kind_of_file(name: str, data: bytes) -> None:
    assert preview(name, data) == Preview(("id", "question"), (("1", "Who?"),))


@pytest.mark.parametrize("name", ["q.csv", "q.xlsx", "q.json", "q.jsonl", "q"])
@pytest.mark.parametrize("data", [b"", b"\0\0", b"[", b"[1]", b"PK\x03\x04", b"\xff\xfe\xff", b"\n\n", b'"', b"{}" * 9])
def test_no_file_breaks_the_look_at_it(name: str, data: bytes) -> None:
    found = preview(name, data)
    assert found is None or all(len(row) == len(found.columns) for row in found.rows)


def with_sheet(change: Callable[[bytes], bytes]) -> bytes:
    """A workbook with its sheet's XML changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook([["question"], ["Who?"]]))) as held, zipfile.ZipFile(out, "w", 8) as book:
        for name in held.namelist():
            book.writestr(name, change(held.read(name)) if "sheet1" in name else held.read(name))
    return out.getvalue()


def test_cells_are_shown_as_people_write_them() -> None:
    day = datetime.datetime(2024, 5, 1, 12, 30)
    rows: list[list[object]] = [["question", "a", "b", "c", "d"], ["=1+1", 7.0, 0.5, day, True], [None, "é\n"]]
    found = preview("q.xlsx", workbook(rows))
    assert found is not None and found.rows[0] == ("", "7", "0.5", "2024-05-01 12:30:00", "TRUE")
    assert found.rows[1] == ("", "é\n", "", "", "")


def test_a_workbook_is_looked_at_within_bounds() -> None:
    assert preview("q.xlsx", with_sheet(lambda sheet: sheet)) == Preview(("question",), (("Who?",),))
    assert preview("q.xlsx", with_sheet(lambda sheet: sheet + b" " * 50_000_000)) is None
    assert preview("q.xlsx", with_sheet(lambda sheet: b'<!DOCTYPE a [<!ENTITY b "c">]>' + sheet)) is None
    wide = workbook([[f"c{number}" for number in range(40)], ["x" * 1_000]])
    found = preview("q.xlsx", wide)
    assert found is not None and len(found.columns) == 8 and len(found.rows[0][0]) == 300


def test_rows_of_answers() -> None:
    rows = [
        Row("1", "c", "q", answer="a", no_answer=False),
        Row("2", "c", "q", no_answer=True),
        Row("3", "c", "q", error="x"),
    ]
    assert counts(rows) == {"all": 3, "answered": 1, "none": 1, "failed": 1}
    line = json.dumps({"id": "1", "corpus": "c", "question": "q\u2028r", "score": None, "newer": 1}, ensure_ascii=False)
    assert answers(line.encode() + b"\n") == [Row("1", "c", "q\u2028r")]
    with pytest.raises(ApiError):
        answers(b"[1]")
