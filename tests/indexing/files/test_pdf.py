"""PDF: lines become paragraphs, every character knows where it came from, and what cannot be read is reported."""

from __future__ import annotations

import pypdfium2
import pypdfium2.raw as pdfium
import pytest

from indexing.errors import UnreadableFile
from indexing.files.bidi import looks_reversed
from indexing.files.file_text import FileLimits, FileText
from indexing.files.formats import parse
from indexing.files.pdf import pdf_page_text
from tests.indexing.files.conftest import SCRIPTS, check_laws
from tests.pdfs import Placed, make_pdf, paragraph

LINES = [
    "The bridge over the Alder was built by hand in nineteen hundred",
    "and twelve, when the river was low and the harvest was already",
    "in the barns.",
]


def read(*pages: list[Placed], info: dict[str, str] | None = None, tail: str = "") -> FileText:
    (text,) = parse(make_pdf(pages, info, tail), "pdf", FileLimits())
    check_laws(text)
    return text


def visual(line: str) -> str:
    """A right-to-left line as a printer places its letters, from left to right; numbers stay as they are."""
    return " ".join(word if word.isdigit() else word[::-1] for word in reversed(line.split(" ")))


def check_origins(data: bytes) -> None:
    """The characters of a page's text are pdfium's at the indices given; what was put in is white space or a hyphen."""
    for page in pypdfium2.PdfDocument(data):
        text, origins = pdf_page_text(page)
        textpage = page.get_textpage()
        assert len(text) == len(origins) and sum(at >= 0 for at in origins) > 0.7 * len(text)
        for character, at in zip(text, origins, strict=True):
            if at < 0:
                assert character in " \n-"
            else:
                code = pdfium.FPDFText_GetUnicode(textpage.raw, at)
                assert code == ord(character) or code == 0xD800 + ((ord(character) - 0x10000) >> 10)


def test_lines_of_a_paragraph_are_joined_and_paragraphs_are_apart() -> None:
    joined = " ".join(LINES)
    assert read(paragraph(LINES)).text == joined
    assert read(paragraph(LINES) + paragraph(LINES, top=640)).text == f"{joined}\n\n{joined}"
    assert read(paragraph(LINES + LINES)).text == f"{joined}\n\n{joined}"


def test_an_indented_line_begins_a_paragraph() -> None:
    full = [line.replace("in the barns.", "in the barns and the mills of the whole valley were at work.") for line in LINES]
    lines = paragraph(full) + [(75, 664, 10, full[0]), *paragraph(full[1:], top=652)]
    assert read(lines).text == f"{' '.join(full)}\n\n{' '.join(full)}"


def test_lists_and_tables_keep_their_lines() -> None:
    assert read(paragraph(["• stone from the quarry and", "• wood from the northern forest"])).text.count("\n") == 1
    rows = [("Name", "Year"), ("Orveth", "1912"), ("Kestrel", "1937")]
    table = [
        (60.0 + 200 * column, 700.0 - 12 * at, 10.0, cell) for at, row in enumerate(rows) for column, cell in enumerate(row)
    ]
    assert read(table).text == "Name\tYear\nOrveth\t1912\nKestrel\t1937"


def test_words_cut_by_a_hyphen_are_joined() -> None:
    text = read(paragraph(["It was built with much inter-", "national help; in COVID-", "19 times it stood empty."])).text
    assert text == "It was built with much international help; in COVID-19 times it stood empty."


def test_scripts_without_spaces_are_joined_without_one() -> None:
    assert (
        read(paragraph(["这座桥于一九一二年在河边开通它很长", "造价很高"])).text
        == "这座桥于一九一二年在河边开通它很长造价很高"
    )
    thai = ["สะพานเปิดในปี 1912 ใกล้แม่น้ำมันยาวมาก", "และมีราคาแพง"]
    assert read(paragraph(thai)).text == "".join(thai)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_and_its_origins(script: str) -> None:
    line = SCRIPTS[script].replace(".", "")
    placed = visual(line) if script == "Arabic" else line
    data = make_pdf([paragraph([placed])])
    assert parse(data, "pdf", FileLimits())[0].text == line
    check_origins(data)


def test_origins_over_joined_lines() -> None:
    check_origins(make_pdf([paragraph(LINES + ["well-", "known 😀 words-", "Apart"]), paragraph(LINES)]))


def test_pages_are_mapped_and_those_without_text_are_reported() -> None:
    text = read([], paragraph(LINES[:1]), [], [], paragraph(LINES[1:2]))
    assert text.pages == (0, 2, 2 + len(LINES[0]) + 2, 2 + len(LINES[0]) + 4, 2 + len(LINES[0]) + 6)
    assert text.text[text.pages[4] :] == LINES[1]
    assert text.notes == ("no text layer on pages 1, 3–4",)


def test_larger_letters_are_headings() -> None:
    pages = [(60.0, 760.0, 20.0, "Bridges"), (60.0, 730.0, 14.0, "Kestrel"), *paragraph(LINES)]
    text = read(pages, info={"Title": "All bridges", "Author": "A. N.", "CreationDate": "D:20200102030405Z"})
    assert [(text.text[start:end], level) for start, end, level in text.headings] == [("Bridges", 1), ("Kestrel", 2)]
    meta = {"title": "All bridges", "author": "A. N.", "date": "2020-01-02", "file_type": "pdf", "page_count": 1}
    assert dict(text.meta) == meta


def test_reversed_text_is_noted_and_skipped_when_it_is_all() -> None:
    lines = ["افتتح الجسر عام 1912 بالقرب من النهر", "وكانت المدينة كبيرة في الزمن القديم"]
    right, wrong = paragraph([visual(line) for line in lines]), paragraph(lines)
    assert read(right).text == " ".join(lines)
    assert read(right, wrong).notes == ("text looks right-to-left reversed on page 2",)
    with pytest.raises(UnreadableFile, match="right-to-left reversed on all pages"):
        read(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "افتتح الجسر عام 1912 بالقرب من النهر وكانت المدينة كبيرة في الزمن القديم",
        "הגשר נפתח בשנת 1912. הדברים והזמן והדרך של העם",
        "این پل در سال ۱۳۲۰ باز شد که از همه زیباتر است و برای مردم را",
        "ﻣﺪﻳﻨﺔ ﻛﺒﻴﺮﺓ ﻓﻲ ﺍﻟﻘﺪﻳﻢ",
    ],
)
def test_reversed_words_are_distinguished_from_right_ones(text: str) -> None:
    assert not looks_reversed(text) and not looks_reversed("") and not looks_reversed("Latin text only")
    assert looks_reversed(text[::-1])


def test_an_encrypted_pdf_needs_a_password() -> None:
    zeros = "00" * 32
    locked = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{zeros}> /U <{zeros}> /P -4 >> /ID [<00> <00>]"
    with pytest.raises(UnreadableFile, match="^encrypted: a password is needed$"):
        read(paragraph(LINES), tail=locked)


def test_letters_without_a_unicode_value_are_reported() -> None:
    with pytest.raises(UnreadableFile, match="not legible"):
        read(paragraph(["\ue001\ue002\ue003\ue004\ue005 \ue006\ue007\ue008\ue009\ue00a\ue00b"]))


def test_the_same_pdf_gives_the_same_text() -> None:
    pages = paragraph(LINES) + paragraph(LINES, x=320)
    assert read(pages) == read(pages)
