"""Small whole files of each format, which tests and `benchmarks.mutations` change at random."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
from pathlib import Path

from tests.indexing.files.binary_mail import attached, attribute, packed, properties, signed, tnef
from tests.indexing.files.conftest import archive
from tests.indexing.files.office_files import book, paragraph, row, run, shape, slides, word
from tests.indexing.files.ole_files import make_msg
from tests.indexing.files.test_archives import tar
from tests.indexing.files.test_old_office import old_word
from tests.indexing.files.test_other_office import open_document
from tests.pdfs import make_pdf
from tests.pdfs import paragraph as printed

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "corpus"

MAIL = (
    b"From: ada@x.org\nTo: bo@x.org\nDate: Mon, 02 Jan 2023 10:00:00 +0000\nSubject: =?utf-8?q?Pier?=\nMIME-Version: 1.0\n"
)
MIXED = MAIL + (
    b'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/plain; charset=utf-8\n\nThe pier\n'
    b"--b\nContent-Type: text/html\n\n<p>It is <s>9</s> 12 m deep.</p>\n"
    b'--b\nContent-Type: text/csv; name="a.csv"\nContent-Transfer-Encoding: base64\n\nQ2l0eSxEZXB0aApPc3RieSwxMgo=\n--b--\n'
)
SEPARATOR = b"From ada@x.org Mon Jan  2 10:00:00 2023\n"
CHAPTER = b"<html xmlns='http://www.w3.org/1999/xhtml'><body><h1>One</h1><p>The pier is deep.</p></body></html>"
BOOK = b'<package><manifest><item id="a" href="a.xhtml"/></manifest><spine><itemref idref="a"/></spine></package>'
TEXT = "Der Pier ist 12 m tief, größer als gedacht. 倉庫"
SPACED = '<text:p>It is<text:s text:c="2"/>12.</text:p>'
CELLS = '<table:table-cell table:number-columns-repeated="2"><text:p>12</text:p></table:table-cell>'
ROWS = f'<table:table-row table:number-rows-repeated="2"/><table:table-row>{CELLS}</table:table-row>'


def seeds() -> dict[str, list[bytes]]:
    """Files by format. They are the same in every run."""
    made = {
        "txt": [TEXT.encode()],
        "md": [b"# Depths\n\n| City | Depth |\n|--|--|\n| Ostby | 12 |\n"],
        "html": [b"<html><h1>Pier</h1><table><tr><td rowspan=2>a<td colspan=2>b<tr><td>c</table><p hidden>no</p>"],
        "pdf": [make_pdf([printed(["The pier is 12 metres deep.", "It is long."]), printed(["Second page."])])],
        "docx": [word(paragraph(run("Price ") + run("99", "<w:strike/>") + run("10")))],
        "pptx": [slides(shape("<a:r><a:t>Harbour</a:t></a:r>", "title") + shape("<a:r><a:t>Boats anchor.</a:t></a:r>"))],
        "xlsx": [book(row("City", "Depth") + row("Ostby", 12), formats=("0%",))],
        "odt": [open_document("odt", f'<text:h text:outline-level="1">A</text:h>{SPACED}')],
        "ods": [open_document("ods", f'<table:table table:name="T">{ROWS}</table:table>')],
        "odp": [open_document("odp", "<draw:page><draw:frame><text:p>A slide</text:p></draw:frame></draw:page>")],
        "epub": [archive({
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": b'<c><rootfile full-path="c.opf"/></c>',
            "c.opf": BOOK,
            "a.xhtml": CHAPTER,
        })],
        "rtf": [rb"{\rtf1\ansi\ansicpg1252\f0 The b\'f6rse {\b is} deep.\par\u8364? {\*\x y}\trowd a\cell b\cell\row }"],
        "doc": [old_word(b"The pier is 12 metres deep.\r")],
        "csv": [
            b'City;Depth\nOstby;12\n"Ve""lm";9\n',
            b'name,year\n"Pier, old",1912\nMine,"19\n74"\n',
            "ä;1,5\nÄ;2\n".encode("latin-1"),
        ],
        "tsv": [b"name\tyear\nPier\t1912\n"],
        "json": [b'{"city": "Ostby", "depths": [1, 2.5, null, {"a": true}]}'],
        "jsonl": [b'{"text": "The pier is old.", "n": 1}\n{"title": "x", "text": "The mine is deep.", "meta": {"a": 1}}\n'],
        "eml": [MAIL + b"Content-Type: text/plain; charset=utf-8\n\nThe pier opened.\n", MIXED],
        "msg": [make_msg({0x0037: "Größe", 0x1000: "It is deep.", 0x0C1A: "Ada"}, [("a.csv", b"City,Depth\nOstby,12\n")])],
        "ics": [b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nSUMMARY:Pier\r\n"
                b"DTSTART;TZID=Europe/Oslo:20230502T100000\r\nDESCRIPTION:A\\, b\r\n c\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"],
        "vcf": [b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada Aust\r\nTEL:+47 12\r\n"
                b"NOTE;ENCODING=QUOTED-PRINTABLE:=C3=84\r\nEND:VCARD\r\n"],
        "tnef": [tnef(
            attribute(1, 0x8004, b"Pier\0"),
            attribute(1, 0x9003, properties((3, 0x8002, bytes(4)), (0x102, 0x1009, packed(rb"{\rtf1 It is deep.}")))),
            *attached("a.csv", b"City,Depth\nOstby,12\n"),
        )],
        "p7m": [signed(b"City;Depth\nOstby;12\n"), signed(MIXED, known=False), base64.b64encode(signed(MIXED))],
        "ipynb": [b'{"cells": [{"cell_type": "markdown", "source": ["# Pier"]}, {"cell_type": "code", "source": "d = 12",'
                  b' "outputs": [{"output_type": "stream", "text": ["12"]}]}], "nbformat": 4, "metadata": {}}'],
        "mbox": [SEPARATOR + MIXED + b"\n" + SEPARATOR + MIXED],
        "zip": [archive({"a.txt": b"First words.", "m.eml": MIXED})],
        "tar": [tar({"a.txt": b"First words.", "m.eml": MIXED})],
        "gz": [gzip.compress(TEXT.encode(), mtime=0), gzip.compress(tar({"a.txt": b"First words."}), mtime=0)],
        "bz2": [bz2.compress(TEXT.encode()), bz2.compress(tar({"a.txt": b"First words."}))],
        "xz": [lzma.compress(TEXT.encode()), lzma.compress(tar({"a.txt": b"First words."}))],
    }  # fmt: skip
    for path in sorted(EXAMPLES.rglob("*.*")):
        made[path.suffix[1:]].append(path.read_bytes())
    return made
