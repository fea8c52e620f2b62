"""A folder with scans: read last, counted first, kept by page, deleted with their words; with a stand-in for tesseract."""

from __future__ import annotations

import json
import os
from email.message import EmailMessage
from pathlib import Path

import pytest

from indexing.build import build_index
from indexing.ocr.page_cache import FOLDER
from indexing.ocr.settings import OcrSettings
from indexing.report import FileReport, Report
from indexing.scans import RecognitionProgress
from indexing.store.corpus_db import IndexFolder
from indexing.store.page_words import page_words
from tests.known import WordEmbedder
from tests.scans import LIMITS, PAGE, FakeTesseract, drawing, installed, no_engine, png, scanned_pdf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "scan.pdf").write_bytes(scanned_pdf(drawing(1), drawing(2)))
    (documents / "picture.png").write_bytes(png(drawing(3)))
    (documents / "text.txt").write_text("The mill of Orsund grinds rye.", encoding="utf-8")
    for file in documents.iterdir():
        os.utime(file, (1e9, 1e9))  # a file that was changed just now is read again
    return documents


def build(folder: Path, **options: object) -> Report:
    return build_index(folder, folder.parent / "index", embedder=WordEmbedder(), limits=LIMITS, **options)  # type: ignore[arg-type]


def report_of(report: Report, source: str) -> FileReport:
    return next(file for file in report.files if file.source == source)


def documents_of(folder: Path) -> dict[str, tuple[str, str]]:
    """Id and text of each document by source."""
    with IndexFolder.open(folder.parent / "index") as index:
        return {source: (id, index.document(id).text) for id, source, *_ in index.document_rows()}


def words_of(folder: Path, source: str, page: int) -> list[str] | None:
    """The words of a recognised page, as they stand in its document's text."""
    with IndexFolder.open(folder.parent / "index") as index:
        document = index.document(documents_of(folder)[source][0])
        start = document.pages[page - 1]
        stop = document.pages[page] - 2 if page < len(document.pages) else len(document.text)
        words = page_words(index, document.id, page, stop - start)
        return None if words is None else [document.text[start + word.start : start + word.end] for word in words]


def rows_of_words(folder: Path) -> int:
    with IndexFolder.open(folder.parent / "index") as index:
        return int(index.connection().execute("SELECT count(*) FROM page_words").fetchone()[0])


def test_scans_come_after_the_other_files_and_their_pages_are_reported_before(fake: FakeTesseract, folder: Path) -> None:
    order: list[object] = []
    report = build(
        folder,
        progress=lambda file, done, total: order.append(file.source),
        recognising=order.append,
    )
    assert [file.status for file in report.files] == ["indexed"] * 3
    assert order[0] == "text.txt" and order[1] == RecognitionProgress(0, 3, order[1].workers)  # type: ignore[attr-defined]
    last = [one for one in order if isinstance(one, RecognitionProgress)][-1]
    assert (last.done, last.total, last.seconds_left) == (3, 3, 0) and last.seconds_a_page
    assert {source: text for source, (_, text) in documents_of(folder).items()} == {
        "scan.pdf": f"{PAGE.format(1)}\n\n{PAGE.format(2)}",
        "picture.png": PAGE.format(3),
        "text.txt": "The mill of Orsund grinds rye.",
    }
    assert words_of(folder, "scan.pdf", 2) == PAGE.format(2).split()
    assert report_of(report, "scan.pdf").notes == ("text recognised on pages 1–2 by tesseract eng, mean confidence 96%",)
    assert not (folder.parent / "index" / FOLDER).exists()


def test_passages_of_recognised_pages_are_marked(fake: FakeTesseract, folder: Path) -> None:
    build(folder)
    with IndexFolder.open(folder.parent / "index") as index:
        chunks = index.chunks(index.chunk_ids().tolist())
    assert {chunk.source: chunk.recognised for chunk in chunks} == {"scan.pdf": True, "picture.png": True, "text.txt": False}


def test_a_second_run_recognises_nothing(fake: FakeTesseract, folder: Path) -> None:
    build(folder)
    calls = len(fake.calls)
    assert {file.status for file in build(folder).files} == {"unchanged"} and len(fake.calls) == calls
    assert {file.status for file in build(folder, everything=True).files} == {"unchanged"} and len(fake.calls) == calls


def test_a_stopped_run_reads_no_page_again(fake: FakeTesseract, folder: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(progress: RecognitionProgress) -> None:
        if progress.done:
            raise Stopped

    with pytest.raises(Stopped):
        build(folder, recognising=stop)
    kept = sorted((folder.parent / "index" / FOLDER).rglob("*.json"))
    read = fake.reads()
    assert kept and "text.txt" in documents_of(folder), "what was written before stays"
    told: list[RecognitionProgress] = []
    build(folder, recognising=told.append)
    assert len(fake.reads()) == len(read) + 3 - len(kept), "only pages that were not finished are read"
    assert documents_of(folder)["scan.pdf"][1] == f"{PAGE.format(1)}\n\n{PAGE.format(2)}"
    assert not (folder.parent / "index" / FOLDER).exists()


def test_what_is_deleted_takes_its_words_and_kept_pages_with_it(fake: FakeTesseract, folder: Path) -> None:
    build(folder)
    assert rows_of_words(folder) == 3
    (folder / "scan.pdf").unlink()
    kept = folder.parent / "index" / FOLDER / "hash"
    kept.mkdir(parents=True)
    (kept / "1-x.json").write_text(json.dumps({"text": "secret"}), encoding="utf-8")
    report = build(folder)
    assert report.erased and rows_of_words(folder) == 1 and not kept.exists()
    assert b"page 2 was" not in (folder.parent / "index" / "corpus.db").read_bytes()


def test_a_moved_scan_keeps_its_words(fake: FakeTesseract, folder: Path) -> None:
    build(folder)
    calls = len(fake.calls)
    (folder / "scan.pdf").rename(folder / "moved.pdf")
    report = build(folder)
    assert report_of(report, "moved.pdf").notes[-1] == "moved from scan.pdf" and len(fake.calls) == calls
    assert words_of(folder, "moved.pdf", 1) == PAGE.format(1).split()


def test_other_settings_read_scans_again_and_nothing_else(fake: FakeTesseract, folder: Path) -> None:
    off = build(folder, ocr=OcrSettings("off"))
    assert report_of(off, "picture.png").reason == "an image (PNG); --ocr auto recognises its text"
    assert report_of(off, "scan.pdf").reason.endswith("any of its 2 pages; --ocr auto recognises its text")
    on = build(folder)
    assert {file.source: file.status for file in on.files} == {
        "scan.pdf": "indexed",
        "picture.png": "indexed",
        "text.txt": "unchanged",
    }
    fake.say({"rus": ["Башня страницы @"]}, script="Cyrillic")
    russian = build(folder, ocr=OcrSettings(languages=("ru",)))
    assert {file.source: file.status for file in russian.files}["scan.pdf"] == "updated"
    assert documents_of(folder)["picture.png"][1] == "Башня страницы 3"
    off_again = build(folder, ocr=OcrSettings("off"))
    assert {file.status for file in off_again.files} == {"unchanged"}, "off reads nothing, and takes nothing away"


def test_an_engine_that_is_installed_later_reads_what_was_skipped(folder: Path) -> None:
    with no_engine(folder.parent / "empty"):
        before = build(folder)
    assert before.count("skipped") == 2
    assert report_of(before, "picture.png").reason.startswith("an image (PNG); to recognise its text, install docqa[ocr]")
    with installed(folder.parent / "bin"):
        assert build(folder).count("indexed") == 2


def test_damaged_words_are_no_words(fake: FakeTesseract, folder: Path) -> None:
    build(folder)
    with (
        IndexFolder.open(folder.parent / "index", writable=True) as index,
        index.writer(),
        index.writing() as (connection, _),
    ):
        connection.execute("UPDATE page_words SET words = ? WHERE page = 1", (b"no zlib",))
    assert words_of(folder, "scan.pdf", 1) is None and words_of(folder, "scan.pdf", 2)


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (RecognitionProgress(0, 1, 2), "recognising text on 1 page"),
        (RecognitionProgress(1, 1_200, 2), "recognising text: page 1 of 1,200"),
        (RecognitionProgress(3, 9, 2, 2.04, 6.1), "recognising text: page 3 of 9, 2.0 s a page, about 6 s left"),
    ],
)
def test_progress_in_words(progress: RecognitionProgress, words: str) -> None:
    assert progress.words() == words


def test_pictures_in_a_mailbox_are_recognised_with_their_messages(fake: FakeTesseract, folder: Path) -> None:
    mail = EmailMessage()
    mail["From"], mail["Subject"], mail["Date"] = "Ada <ada@example.org>", "Fax", "Mon, 02 Mar 2020 10:00:00 +0000"
    mail.set_content("See the fax.")
    mail.add_attachment(png(drawing(4)), maintype="image", subtype="png", filename="fax.png")
    (folder / "in.mbox").write_bytes(b"From ada@example.org Mon Mar  2 10:00:00 2020\n" + mail.as_bytes())
    assert report_of(build(folder), "in.mbox").status == "indexed"
    (text,) = [text for source, (_, text) in documents_of(folder).items() if source.endswith("fax.png")]
    assert text == PAGE.format(4)
