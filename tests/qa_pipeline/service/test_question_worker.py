"""Question files are parsed in a process of their own, with limits on time and memory."""

from __future__ import annotations

import io
import os
import threading
import zipfile
from pathlib import Path

import httpx
import openpyxl
import pytest

from indexing.errors import SettingError
from indexing.files.file_text import FileLimits
from qa_pipeline.errors import TooBusy
from qa_pipeline.service import question_worker
from qa_pipeline.service.question_files import read_questions
from qa_pipeline.service.question_worker import parse_questions
from tests.live import BRIDGE, live, problem


def workbook(rows: int) -> bytes:
    book = openpyxl.Workbook()
    book.active.append(["question", "corpus", "filters"])
    for number in range(rows):
        book.active.append([f"When was bridge {number} opened?", "a", "language=en"])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def bomb() -> bytes:
    """A small workbook whose sheet has a hundred million cells' bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook(1))) as book, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name in book.namelist():
            if name != "xl/worksheets/sheet1.xml":
                made.writestr(name, book.read(name))
        with made.open("xl/worksheets/sheet1.xml", "w") as sheet:
            sheet.write(
                b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1">'
            )
            for _ in range(300):
                sheet.write(b'<c t="inlineStr"><is><t>question</t></is></c>' * 20_000)
            sheet.write(b"</row></sheetData></worksheet>")
    return out.getvalue()


@pytest.mark.parametrize("name", ["q.csv", "q.xlsx", "q.jsonl"])
def test_it_reads_what_the_service_itself_would(tmp_path: Path, name: str) -> None:
    content = {
        "q.csv": b"question;filters;id\nWhen?;year>=1912; 7\nWho\xe9?;;\n",
        "q.xlsx": workbook(5),
        "q.jsonl": b'{"question": "When?", "filters": {"year": [1, 2.5]}}\n{"question": "\xe6\x98\xaf?"}\n',
    }[name]
    (tmp_path / "0").write_bytes(content)
    found = parse_questions(tmp_path / "0", name, 10, corpus="a")
    assert found == read_questions(tmp_path / "0", name, 10, corpus="a") and found


def test_a_mistake_is_the_same_sentence(tmp_path: Path) -> None:
    (tmp_path / "0").write_bytes(b"question,filters\nWhen?,nosign\n")
    with pytest.raises(SettingError) as here:
        read_questions(tmp_path / "0", "q.csv", 10)
    with pytest.raises(SettingError) as there:
        parse_questions(tmp_path / "0", "q.csv", 10)
    assert str(here.value) == str(there.value)


@pytest.mark.parametrize("limits", [FileLimits(seconds=1, memory_mb=4_000), FileLimits(seconds=60, memory_mb=64)])
def test_a_file_that_takes_too_much_is_refused(tmp_path: Path, limits: FileLimits) -> None:
    (tmp_path / "0").write_bytes(bomb())
    with pytest.raises(SettingError, match="seconds|memory|cells|columns|zip bomb"):
        parse_questions(tmp_path / "0", "q.xlsx", 10, limits=limits)


def test_few_files_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question_worker, "_places", threading.BoundedSemaphore(1))
    (tmp_path / "0").write_bytes(b"question\nWhen?\n")
    with question_worker._places, pytest.raises(TooBusy):
        parse_questions(tmp_path / "0", "q.csv", 10)
    assert parse_questions(tmp_path / "0", "q.csv", 10)


def test_uploads_have_a_quota_and_are_swept(tmp_path: Path) -> None:
    with live(tmp_path / "h", uploads_bytes=1_000) as api:
        api.fill("a", {"bridge.txt": BRIDGE})

        def send() -> httpx.Response:
            return api.http.post("/v1/corpora/a/questions", files={"file": ("q.csv", b"question\n" + b"When?\n" * 300)})

        assert api.wait(send().json()["job"]["id"])["state"] == "done"
        assert "--uploads-bytes" in problem(send(), 507, "DiskFull")
        for folder in api.service.home.uploads.iterdir():
            os.utime(folder, (1, 1))
        api.service._sweep()
        assert send().status_code == 202
