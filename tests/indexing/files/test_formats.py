"""One test or more for each format: its text, headings, pages, meta and remarks; made here, in many scripts."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Callable

import docx
import openpyxl
import pptx
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from pptx.util import Emu

from indexing.files.file_text import FileLimits, Member
from indexing.files.formats import contents, plain_text
from indexing.files.markdown import markdown_headings
from tests.indexing.files.conftest import SCRIPTS, headings, one

# A picture of one point.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
    "a5f645400000000049454e44ae426082"
)


def saved(document: object) -> bytes:
    data = io.BytesIO()
    document.save(data)  # type: ignore[attr-defined]
    return data.getvalue()


# -- Markdown ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# One\n\ntext\n\n### Three ###\n", [("One", 1), ("Three", 3)]),
        ("One\r\n===\r\n\r\nTwo \r\n---\r\n", [("One", 1), ("Two", 2)]),
        ("```\n# no\n```\n# yes\n~~~ python\n# no\n```\n~~~\n## yes", [("yes", 1), ("yes", 2)]),
        ("#no\n####### no\n    # no\n# \n\\# no", []),
        ("---\ntitle: x\n---\n# yes\n", [("yes", 1)]),
        ("- item\n---\n\n> quote\n===\n\ntext\n\n---\n", []),
        ("# \u00a0One\u00a0 #\n# \u00a0\n", [("One", 1)]),
        ("# Γέφυρα 🌉\n## สะพาน", [("Γέφυρα 🌉", 1), ("สะพาน", 2)]),
    ],
)
def test_markdown_headings(text: str, expected: list[tuple[str, int]]) -> None:
    assert [(text[start:end], level) for start, end, level in markdown_headings(text)] == expected


def test_markdown_is_verbatim() -> None:
    text = plain_text(b"\xef\xbb\xbf# One\r\n\r\nText *of* it\r\n", "md")
    assert text.text == "# One\r\n\r\nText *of* it\r\n" and headings(text) == [("One", 1)]


# -- HTML --------------------------------------------------------------------------------------------------------------


def test_html_is_what_a_reader_sees() -> None:
    page = """<!doctype html><html lang="el"><head><title>A &amp;
      B</title><meta name="author" content="Me"><meta property="og:description" content="About"><style>x</style></head>
      <body><nav>no</nav><h1>Big  <b>News</b></h1><p>One <i>two</i>three<br>four &lt;&nbsp;x</p><p hidden>no</p>
      <div aria-hidden="true">no</div><div style="color:red; display : none">no</div><ul><li>a<li>b</ul>
      <table><tr><th>N<th>Y<tr><td>1<td>2</table><pre>x\n  y</pre><script>no</script><template>no</template>
      <noscript>no</noscript><footer>no</footer><!-- no --></body></html>"""
    text = one(page.encode(), "html")
    assert text.text == "Big News\n\nOne twothree\nfour <\xa0x\n\na\nb\n\nN\tY\n1\t2\n\nx\n  y"
    assert headings(text) == [("Big News", 1)]
    expected = {
        "title": "A & B",
        "lang": "el",
        "author": "Me",
        "description": "About",
        "file_type": "html",
        "encoding": "utf-8",
    }
    assert dict(text.meta) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>a<main><p>bridges are long</main><p>c", "bridges are long"),
        ("<p>a<article>bridges here</article>x<article>are very long</article>", "bridges here\n\nare very long"),
        ("<p>Boats anchor here.<main>Skip</main>", "Boats anchor here.\n\nSkip"),
        ("<p>Boats anchor here.<article>Tickets</article>", "Boats anchor here.\n\nTickets"),
        ("<main> <script>1</script></main><p>a", "a"),
        ("<main><article>b</article>c</main>", "b\n\nc"),
        ("<div hidden><main>no</main></div><p>a", "a"),
    ],
)
def test_the_main_part_is_taken_where_it_holds_text(page: str, expected: str) -> None:
    assert one(page.encode(), "html").text == expected


def test_html_in_the_encoding_it_declares() -> None:
    page = '<meta charset="windows-1251"><p>Мост'.encode("cp1251")
    text = one(page, "html")
    assert text.text == "Мост" and text.meta["encoding"] == "windows-1251"


# -- office files ------------------------------------------------------------------------------------------------------


def test_docx_in_document_order() -> None:
    document = docx.Document()
    document.core_properties.title, document.core_properties.author = "All bridges", "A. N."
    document.core_properties.modified = datetime.datetime(2020, 1, 2)
    document.sections[0].header.paragraphs[0].text = "City archive"
    document.add_heading("Bridges", 0)
    document.add_heading("Kestrel", 2)
    document.add_paragraph("Opened in 1912.")
    document.add_paragraph("one", style="List Bullet")
    table = document.add_table(2, 2)
    for at, cell in enumerate(("Name", "Year", "Kestrel", "1912")):
        table.cell(at // 2, at % 2).text = cell
    document.add_paragraph("After.").add_run().add_picture(io.BytesIO(PNG))
    text = one(saved(document), "docx")
    assert text.text == "Bridges\n\nKestrel\n\nOpened in 1912.\none\n\nName\tYear\nKestrel\t1912\n\nAfter.\n\nCity archive"
    assert headings(text) == [("Bridges", 1), ("Kestrel", 2)] and text.notes == ("1 embedded image not read",)
    assert dict(text.meta) == {"title": "All bridges", "author": "A. N.", "date": "2020-01-02", "file_type": "docx"}


def test_docx_shows_insertions_links_and_controls_but_no_deletions() -> None:
    document = docx.Document()
    body = document.element.body
    body.insert(
        0,
        parse_xml(
            f"<w:p {nsdecls('w')}><w:ins><w:r><w:t>in </w:t></w:r></w:ins>"
            "<w:del><w:r><w:delText>no</w:delText></w:r></w:del>"
            "<w:hyperlink><w:r><w:t>link</w:t><w:tab/><w:t>x</w:t><w:br/><w:t>y</w:t></w:r></w:hyperlink></w:p>"
        ),
    )
    body.insert(
        1,
        parse_xml(f"<w:sdt {nsdecls('w')}><w:sdtContent><w:p><w:r><w:t>control</w:t></w:r></w:p></w:sdtContent></w:sdt>"),
    )
    assert one(saved(document), "docx").text == "in link\tx\ny\n\ncontrol"


def test_docx_nested_tables_are_read_once() -> None:
    document = docx.Document()
    cell = document.add_table(1, 1).cell(0, 0)
    cell.text = "outer"
    cell.add_table(1, 2).cell(0, 1).text = "inner"
    assert one(saved(document), "docx").text == "outer\n\tinner"


def test_pptx_slides_are_pages() -> None:
    deck = pptx.Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.shapes.title.text, first.placeholders[1].text = "Bridges", "a\nb"
    first.notes_slide.notes_text_frame.text = "to be said"
    deck.slides.add_slide(deck.slide_layouts[6])
    third = deck.slides.add_slide(deck.slide_layouts[5])
    third.shapes.title.text = "Years"
    table = third.shapes.add_table(1, 2, Emu(0), Emu(0), Emu(9), Emu(9)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "Kestrel", "1912"
    group = third.shapes.add_group_shape()
    group.shapes.add_textbox(Emu(0), Emu(0), Emu(9), Emu(9)).text_frame.text = "grouped"
    text = one(saved(deck), "pptx")
    assert text.text == "Bridges\n\na\nb\n\nto be said\n\n\n\nYears\n\nKestrel\t1912\n\ngrouped"
    assert headings(text) == [("Bridges", 1), ("Years", 1)]
    assert [text.text[page:][:7] for page in text.pages] == ["Bridges", "\n\nYears", "Years\n\n"]


def test_xlsx_rows_stand_under_their_columns() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Bridges"
    for row in (
        ["Name", "Year", "Opened", "Length"],
        ["Kestrel", 1912, datetime.datetime(1912, 5, 4), 2.5],
        ["Orveth", None, None, 3.0],
    ):
        sheet.append(row)
    book.create_sheet("Empty")
    numbers = book.create_sheet("Numbers")
    numbers.append([1, 2])
    numbers.append([3, 4])
    text = one(saved(book), "xlsx")
    rows = "Name: Kestrel\tYear: 1912\tOpened: 1912-05-04\tLength: 2.5\nName: Orveth\tLength: 3"
    assert text.text == f"Bridges\n\n{rows}\n\nNumbers\n\n1\t2\n3\t4"
    assert headings(text) == [("Bridges", 1), ("Numbers", 1)] and text.pages == (0, text.text.index("Numbers"))


def docx_of(text: str) -> bytes:
    document = docx.Document()
    document.add_paragraph(text)
    return saved(document)


def pptx_of(text: str) -> bytes:
    deck = pptx.Presentation()
    deck.slides.add_slide(deck.slide_layouts[5]).shapes.title.text = text
    return saved(deck)


def xlsx_of(text: str) -> bytes:
    book = openpyxl.Workbook()
    book.active.append([text])
    return saved(book)


def eml_of(text: str) -> bytes:
    return b"Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode()


MAKERS: dict[str, Callable[[str], bytes]] = {
    "docx": docx_of,
    "pptx": pptx_of,
    "xlsx": xlsx_of,
    "eml": eml_of,
    "html": lambda text: f"<p>{text}".encode(),
    "csv": lambda text: f'id,text\n1,"{text}"\n'.encode(),
    "json": lambda text: json.dumps([{"text": text}]).encode(),
    "jsonl": lambda text: json.dumps({"body": text}, ensure_ascii=False).encode() + b"\n",
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_format_keeps_every_script(kind: str, script: str) -> None:
    assert SCRIPTS[script] in one(MAKERS[kind](SCRIPTS[script]), kind).text


# -- mail --------------------------------------------------------------------------------------------------------------


def test_mail_with_alternatives_and_an_attachment() -> None:
    mail = (
        b"From: =?utf-8?q?J=C3=BCrgen?= <j@x.y>\r\nTo: a@b.c\r\nSubject: =?utf-8?b?0JzQvtGB0YI=?=\r\n"
        b"Date: Mon, 3 Feb 2020 10:00:00 +0100\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n"
        b"Content-Type: multipart/alternative; boundary=r\r\n\r\n--r\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n"
        + "Мост открыт.".encode("koi8-r")
        + b"\r\n--r\r\nContent-Type: text/html\r\n\r\n<p>no</p>\r\n--r--\r\n--q\r\nContent-Type: application/pdf\r\n"
        b'Content-Disposition: attachment; filename="a.pdf"\r\n\r\nxx\r\n--q--\r\n'
    )
    text = one(mail, "eml")
    head = "From: Jürgen <j@x.y>\nTo: a@b.c\nDate: Mon, 3 Feb 2020 10:00:00 +0100"
    assert text.text == f"Мост\n\n{head}\n\nМост открыт." and headings(text) == [("Мост", 1)]
    assert text.meta["date"] == "2020-02-03"
    assert contents(mail, "eml", FileLimits()).members == [Member("a.pdf", b"xx")]


def test_mail_of_html_only_and_without_encodings() -> None:
    text = one(b"Subject: S\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<style>no</style><p>a<p>b", "eml")
    assert text.text == "S\n\na\n\nb"
    raw = one("Subject: Grüße\r\n\r\nSchöne Grüße aus Zürich".encode("cp1252"), "eml")
    assert raw.text == "Grüße\n\nSchöne Grüße aus Zürich"
