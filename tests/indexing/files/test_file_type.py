"""The kind of a file is what is inside; what is refused is refused in plain words."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from indexing.files.file_type import kind_of
from indexing.files.walk import FileReader
from tests.indexing.files.conftest import archive, put, reason
from tests.pdfs import make_pdf


def ole(stream: str) -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + (stream + "\0").encode("utf-16-le") + bytes(600)


REFUSED = {
    "empty.txt": (b"", "empty (0 bytes)"),
    "blank.txt": (b" \r\n\t ", "no text in it"),
    "marked.txt": (b"\xef\xbb\xbf", "no text in it"),
    "photo.pdf": (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(90), "an image (JPEG), not a format we read"),
    "photo.txt": (b"\x89PNG\r\n\x1a\n" + bytes(90), "an image (PNG), not a format we read"),
    "anim.md": (b"GIF89a\x01\x00\x01\x00\x80\x00", "an image (GIF), not a format we read"),
    "song.txt": (b"ID3\x03\x00\x00\x00\x00", "a sound file (MP3), not a format we read"),
    "run.txt": (b"MZ\x90\x00\x03\x00\x00\x00", "a program (Windows), not a format we read"),
    "a.out": (b"\x7fELF\x02\x01\x01" + bytes(90), "a program (ELF), not a format we read"),
    "film.mp4": (b"\x00\x00\x00\x18ftypmp42" + bytes(90), "a video, sound or image file (MP4 family), not a format we read"),
    "old.txt.gz": (gzip.compress(b"text", mtime=0)[:-9], "damaged: it cannot be unpacked, or is cut off"),
    "none.zip": (archive({}), "an empty zip archive, not a format we read"),
    "app.jar": (archive({"META-INF/MANIFEST.MF": b"x"}), "a Java archive, not a format we read"),
    "book.epub": (archive({"mimetype": b"application/epub+zip"}), "no text in it"),
    "locked.epub": (archive({"mimetype": b"application/epub+zip", "META-INF/rights.xml": b""}), "encrypted: protected by"),
    "locked.odt": (
        archive({"mimetype": b"application/vnd.oasis.opendocument.text", "META-INF/manifest.xml": b"<encryption-data/>"}),
        "encrypted: a password is needed",
    ),
    "locked.docx": (ole("EncryptedPackage"), "encrypted: a password is needed"),
    "cut.docx": (archive({"word/document.xml": b"<x/>" * 99})[:60], "a zip file that is damaged or cut off"),
    "noise.txt": (bytes(range(256)) * 20, "binary data, not text"),
    "noise.pdf": (bytes(range(256)) * 20, "named .pdf but not a PDF: damaged, or another format"),
    "cut.pdf": (b"%PDF-1.7\n1 0 obj <<", "damaged, or not a PDF: it cannot be opened"),
    "bad.json": (b'{"a": ', "not valid JSON (expecting value, line 1)"),
    "bad.jsonl": (b"{\n{\n", "no line of it is valid JSON"),
    "scan.pdf": (make_pdf([[], []]), "no text layer (a scan?) on any of its 2 pages"),
    "fake.docx": (archive({"word/document.xml": b"<x/>"}), "damaged, or not a Word document"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_plain_words(reader: FileReader, tmp_path: Path, name: str) -> None:
    data, words = REFUSED[name]
    assert reason(reader, put(tmp_path, name, data)).startswith(words)


def test_the_kind_is_what_is_inside(tmp_path: Path) -> None:
    assert kind_of(make_pdf([[]]), "a.txt") == "pdf"
    assert kind_of(archive({"xl/workbook.xml": b""}), "a.docx") == "xlsx"
    assert kind_of(archive({"ppt/presentation.xml": b""}), "a.zip") == "pptx"
    assert kind_of(b"<!DOCTYPE html><p>x", "report.xls") == "html"
    assert kind_of(b"%PDF-1.7 is how such a file begins", "a.txt") == "txt"
    assert kind_of("BMW fährt über die Brücke".encode("latin-1"), "a.txt") == "txt"
    assert kind_of(b"plain", "Makefile") == kind_of(b"plain", "a.b/README") == "txt"
