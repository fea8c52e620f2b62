"""Damaged files of every format give a text that keeps the laws, or one plain reason (as in `benchmarks.mutations`)."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
from pathlib import Path

import pytest

from benchmarks.mutations import breaks, mutated
from indexing.errors import UnreadableFile
from indexing.files.file_text import FileText
from indexing.files.file_type import kind_of
from indexing.files.walk import FileReader
from tests.indexing.files.conftest import archive
from tests.indexing.files.office_files import book, paragraph, row, run, shape, slides, word
from tests.indexing.files.ole_files import make_msg
from tests.indexing.files.test_archives import tar
from tests.indexing.files.test_old_office import old_word
from tests.indexing.files.test_other_office import open_document
from tests.pdfs import make_pdf
from tests.pdfs import paragraph as printed

MAIL = b"From: ada@x.org\nTo: bo@x.org\nDate: Mon, 02 Jan 2023 10:00:00 +0000\nSubject: Pier\nMIME-Version: 1.0\n"
MAIL += (
    b'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/html\n\n<p>It is <s>9</s> 12 m deep.</p>\n--b\n'
)
MAIL += b'Content-Type: text/csv; name="a.csv"\nContent-Transfer-Encoding: base64\n\nQ2l0eSxEZXB0aApPc3RieSwxMgo=\n--b--\n'
CHAPTER = b"<html><body><h1>One</h1><p>The pier is deep.</p></body></html>"
BOOK = b'<package><manifest><item id="a" href="a.xhtml"/></manifest><spine><itemref idref="a"/></spine></package>'
FILES = {
    "txt": "Der Pier ist 12 m tief, größer als gedacht. 倉庫".encode(),
    "md": b"# Depths\n\n| City | Depth |\n|--|--|\n| Ostby | 12 |\n",
    "html": b"<html><h1>Pier</h1><table><tr><td rowspan=2>a<td colspan=2>b<tr><td>c</table><p hidden>no</p>",
    "pdf": make_pdf([printed(["The pier is 12 metres deep.", "It is long."]), printed(["Second page."])]),
    "docx": word(paragraph(run("Price ") + run("99", "<w:strike/>") + run("10"))),
    "pptx": slides(shape("<a:r><a:t>Harbour</a:t></a:r>", "title") + shape("<a:r><a:t>Boats anchor.</a:t></a:r>")),
    "xlsx": book(row("City", "Depth") + row("Ostby", 12), formats=("0%",)),
    "odt": open_document(
        "odt", '<text:h text:outline-level="1">Depths</text:h><text:p>It is<text:s text:c="2"/>12.</text:p>'
    ),
    "ods": open_document("ods", '<table:table><table:table-row table:number-rows-repeated="2"/></table:table>'),
    "epub": archive(
        {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": b'<c><rootfile full-path="c.opf"/></c>',
            "c.opf": BOOK,
            "a.xhtml": CHAPTER,
        }
    ),
    "rtf": rb"{\rtf1\ansi\ansicpg1252\f0 The b\'f6rse {\b is} deep.\par\u8364? \trowd a\cell b\cell\row }",
    "doc": old_word(b"The pier is 12 metres deep.\r"),
    "csv": b'City;Depth\nOstby;12\n"Ve""lm";9\n',
    "json": b'{"city": "Ostby", "depths": [1, 2.5, null, {"a": true}]}',
    "jsonl": b'{"text": "The bridge is old.", "n": 1}\n{"title": "x", "text": "The mine is deep."}\n',
    "eml": MAIL,
    "msg": make_msg({0x0037: "Größe", 0x1000: "See the report.", 0x0C1A: "Ada"}, [("a.csv", b"City,Depth\nOstby,12\n")]),
    "ics": b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Pier\r\nDTSTART;TZID=Europe/Oslo:20230502T100000\r\nEND:VEVENT\r\n",
    "mbox": b"From ada@x.org Mon Jan  2 10:00:00 2023\n" + MAIL + b"\nFrom bo@x.org Mon Jan  2 10:00:00 2023\n" + MAIL,
    "zip": archive({"a.txt": b"First words.", "m.eml": MAIL}),
    "tar": tar({"a.txt": b"First words.", "m.eml": MAIL}),
    "gz": gzip.compress(tar({"a.txt": b"First words."}), mtime=0),
    "bz2": bz2.compress(tar({"a.txt": b"First words."})),
    "xz": lzma.compress(tar({"a.txt": b"First words."})),
}
EACH = 20
EACH_BY_PROGRAMS = 3  # catdoc, where it is installed, hangs on some until it is ended


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_is_a_text_or_a_reason(reader: FileReader, kind: str) -> None:
    whole, name = FILES[kind], f"a.{kind}"
    assert kind_of(whole, name) == kind
    rng = random.Random(f"damaged {kind}")
    for number in range(EACH_BY_PROGRAMS if kind == "doc" else EACH):
        data = mutated(whole, rng)
        outcome: list[FileText] | str
        try:
            outcome = reader.parse(data, name)
        except UnreadableFile as error:
            outcome = str(error)
        assert breaks(outcome, 0.0) == "", (number, data[:200])


def test_damage_is_the_same_for_a_seed_and_differs_from_the_file(tmp_path: Path) -> None:
    first, again = ([mutated(FILES["docx"], random.Random(seed)) for seed in range(50)] for _ in range(2))
    assert first == again and sum(data != FILES["docx"] for data in first) >= 45


def test_what_breaks_a_law_is_noticed() -> None:
    assert breaks("a <lxml object at 0x7f> failed", 0.0) and breaks("", 0.0) and breaks([], 0.0) and breaks("fine", 99.0)
    assert breaks([FileText("ab", pages=(0, 5))], 0.0) and breaks([FileText("ab", headings=((1, 1, 1),))], 0.0)
    assert breaks([FileText("ab", pages=(0, 1), headings=((0, 1, 1),))], 0.0) == "" == breaks("damaged", 0.0)
