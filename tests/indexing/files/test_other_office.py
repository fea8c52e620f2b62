"""OpenDocument, e-books, RTF and Outlook messages."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from indexing.files.file_text import FileLimits, FileText
from indexing.files.file_type import kind_of
from indexing.files.formats import contents, parse
from indexing.files.rtf import decompressed_rtf
from indexing.files.walk import FileReader
from tests.indexing.files.conftest import SCRIPTS, archive, check_laws, put
from tests.indexing.files.ole_files import make_msg

SPACES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in (("office", "office"), ("text", "text"), ("table", "table"), ("draw", "drawing"), ("style", "style"))
)
SPACES += ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:m="http://www.w3.org/1998/Math/MathML"'
SPACES += (
    ' xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"'
)


def open_document(kind: str, body: str, parts: dict[str, bytes] | None = None, styles: str = "") -> bytes:
    names = {"odt": "text", "ods": "spreadsheet", "odp": "presentation"}
    content = (
        f"<office:document-content {SPACES}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:{names[kind]}>{body}</office:{names[kind]}></office:body></office:document-content>"
    )
    meta = f"<office:document-meta {SPACES}><office:meta><dc:title>Piers</dc:title><dc:creator>Ada</dc:creator>"
    meta += "<dc:date>2023-05-02T10:00:00</dc:date></office:meta></office:document-meta>"
    mime = f"application/vnd.oasis.opendocument.{names[kind]}".encode()
    return archive({"mimetype": mime, "content.xml": content.encode(), "meta.xml": meta.encode(), **(parts or {})})


def read(data: bytes, kind: str) -> FileText:
    assert kind_of(data, "a.bin") == kind
    (text,) = parse(data, kind, FileLimits())
    check_laws(text)
    return text


def test_hidden_and_struck_text_of_open_documents_is_counted_and_can_be_read() -> None:
    styles = (
        '<style:style style:name="T1"><style:text-properties style:text-line-through-style="solid"/></style:style>'
        '<style:style style:name="T2"><style:text-properties text:display="none"/></style:style>'
        '<style:style style:name="T3" style:parent-style-name="T1">'
        '<style:text-properties style:text-line-through-type="none"/></style:style>'
        '<style:style style:name="P1" style:parent-style-name="Struck"/>'
    )
    shared = f'<s {SPACES}><style:style style:name="Struck"><style:text-properties style:text-line-through-type="single"/>'
    body = (
        '<text:p>Price <text:span text:style-name="T1">99</text:span><text:span text:style-name="T3">10</text:span>'
        '<text:span text:style-name="T2"> secret</text:span></text:p><text:p text:style-name="P1">no longer</text:p>'
        '<text:section text:display="none"><text:p>draft</text:p></text:section>'
    )
    data = open_document("odt", body, {"styles.xml": f"{shared}</style:style></s>".encode()}, styles)
    text = read(data, "odt")
    assert text.text == "Price 10"
    assert text.notes == ("12 characters of hidden text not read", "11 characters of struck-out text not read")
    (whole,) = parse(data, "odt", FileLimits(hidden_text=True))
    assert whole.text == "Price 9910 secret\n\nno longer\n\ndraft"
    assert whole.notes == ("12 characters of hidden text read", "11 characters of struck-out text read")


def test_odt_in_document_order() -> None:
    styles = '<style:style style:name="T1"><style:text-properties style:text-position="super 58%"/></style:style>'
    body = (
        '<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes><text:h text:outline-level="2">Depths</text:h>'
        '<text:p>It holds<text:s text:c="2"/>10<text:span text:style-name="T1">6</text:span> litres<text:line-break/>or so.'
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>At low tide.</text:p></text:note-body>"
        "</text:note></text:p><text:list><text:list-item><text:p>one</text:p></text:list-item><text:list-item><text:p>two"
        "<office:annotation><dc:creator>Bo</dc:creator><text:p>Check.</text:p></office:annotation></text:p></text:list-item>"
        '</text:list><table:table><table:table-row><table:table-cell table:number-rows-spanned="2"><text:p>North</text:p>'
        "</table:table-cell><table:table-cell><text:p>Ostby</text:p></table:table-cell></table:table-row><table:table-row>"
        "<table:covered-table-cell/><table:table-cell><text:p>Velm</text:p></table:table-cell></table:table-row>"
        '</table:table><text:p>So <draw:frame><draw:object xlink:href="./Object 1"/></draw:frame>.</text:p>'
    )
    formula = b'<math xmlns="http://www.w3.org/1998/Math/MathML"><msup><mi>r</mi><mn>2</mn></msup></math>'
    footer = f"<s {SPACES}><style:footer><text:p>Port authority</text:p><text:p>7</text:p></style:footer></s>"
    parts = {"Object 1/content.xml": formula, "styles.xml": footer.encode(), "Pictures/a.png": b"x"}
    text = read(open_document("odt", body, parts, styles), "odt")
    assert text.text == (
        "Depths\n\nIt holds  10⁶ litres\nor so.\n\nAt low tide.\none\ntwo\n\nComment (Bo): Check.\n\nNorth\tOstby\n"
        "North\tVelm\n\nSo r².\n\nPort authority"
    )
    assert text.headings == ((0, 6, 2),) and text.notes == ("1 embedded image not read",)
    assert dict(text.meta) == {"title": "Piers", "author": "Ada", "date": "2023-05-02", "file_type": "odt"}


def test_headings_keep_their_invariants_whatever_the_file_states() -> None:
    levels = "".join(f'<text:h text:outline-level="{level}">Level {level}</text:h>' for level in (0, 9, 10))
    assert [level for _, _, level in read(open_document("odt", levels), "odt").headings] == [1, 9, 9]
    sheet = "<table:table-row><table:table-cell><text:p>12</text:p></table:table-cell></table:table-row>"
    text = read(open_document("ods", f'<table:table table:name=" Depths ">{sheet}</table:table>'), "ods")
    check_laws(text)
    assert [text.text[start:end] for start, end, _ in text.headings] == ["Depths"]


def test_ods_rows_stand_under_their_columns() -> None:
    def row(*cells: str) -> str:
        made = "".join(f"<table:table-cell><text:p>{cell}</text:p></table:table-cell>" for cell in cells)
        return f"<table:table-row>{made}</table:table-row>"

    rest = '<table:table-row table:number-rows-repeated="1048570"><table:table-cell table:number-columns-repeated="16384"/>'
    sheet = (
        f'<table:table table:name="Tides">{row("City", "Share")}{row("Ostby", "19 %")}{rest}</table:table-row></table:table>'
    )
    text = read(open_document("ods", sheet), "ods")
    assert text.text == "Tides\n\nCity: Ostby\tShare: 19 %" and text.pages == (0,) and text.headings == ((0, 5, 1),)


def test_odp_slides_are_pages() -> None:
    def slide(title: str, words: str) -> str:
        frame = "<draw:frame{}><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>"
        head = frame.format(' presentation:class="title"', title)
        return f"<draw:page>{frame.format('', words)}{head}</draw:page>"

    text = read(open_document("odp", slide("Piers", "Pier 7 is deep.") + slide("Boats", "They anchor.")), "odp")
    assert text.text == "Piers\n\nPier 7 is deep.\n\nBoats\n\nThey anchor." and text.pages == (0, 24)


def test_epub_chapters_are_pages_in_reading_order() -> None:
    container = b'<container><rootfiles><rootfile full-path="OPS/p.opf"/></rootfiles></container>'
    package = (
        b'<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>Piers</dc:title></metadata><manifest>'
        b'<item id="a" href="a.xhtml"/><item id="b" href="in/b%20c.xhtml"/></manifest>'
        b'<spine><itemref idref="b"/><itemref idref="a"/></spine></package>'
    )
    chapter = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body><h1>{}</h1></body></html>'
    data = archive(
        {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": container,
            "OPS/p.opf": package,
            "OPS/a.xhtml": chapter.format("Second").encode(),
            "OPS/in/b c.xhtml": chapter.format("First").encode(),
        }
    )
    text = read(data, "epub")
    assert text.text == "First\n\nSecond" and text.pages == (0, 7) and text.headings == ((0, 5, 1), (7, 13, 1))
    assert dict(text.meta) == {"title": "Piers", "file_type": "epub"}


def rtf(text: str) -> bytes:
    """RTF in which every character beyond ASCII is \\u, as Word writes it."""
    units = text.encode("utf-16-le")
    codes = [int.from_bytes(units[at : at + 2], "little", signed=True) for at in range(0, len(units), 2)]
    return ("{\\rtf1\\ansi " + "".join(f"\\u{code}?" if not 0 < code < 128 else chr(code) for code in codes) + "}").encode()


@pytest.mark.parametrize("script", SCRIPTS)
def test_rtf_keeps_every_script(script: str) -> None:
    assert read(rtf(SCRIPTS[script]), "rtf").text == SCRIPTS[script]


def test_rtf_encodings_tables_and_pictures() -> None:
    russian = "".join(f"\\'{byte:02x}" for byte in "Мост".encode("cp1251"))
    head = "{\\rtf1\\ansi\\ansicpg1251{\\fonttbl{\\f0 Arial;}}{\\info{\\title Piers}}"
    data = head + f"\\b {russian}\\b0\\par Next\\par"
    data += "\\trowd a\\cell b\\cell\\row{\\pict\\pngblip 89504e47}}"
    text = read(data.encode(), "rtf")
    assert [line for line in text.text.split("\n") if line.strip()][:2] == ["Мост", "Next"]
    assert "a" in text.text and "89504e47" not in text.text
    assert text.meta["title"] == "Piers" and text.notes == ("1 embedded image not read",)


FONTS = (
    "{\\fonttbl{\\f0\\fcharset0 Arial;}{\\f1\\fcharset204 Arial Cyr{\\*\\falt Arial};}{\\f2\\fcharset128 MS Mincho;}"
    "{\\f3\\fcharset2 Symbol;}{\\f4\\fcharset178 Arabic;}}{\\stylesheet{\\s1\\outlinelevel0 heading 1;}}"
)


def rtf_of(body: str, limits: FileLimits | None = None) -> FileText:
    """What is read of a body, after fonts of several scripts."""
    data = ("{\\rtf1\\ansi\\ansicpg1252\\deff0" + FONTS + body + "}").encode()
    return contents(data, "rtf", limits or FileLimits()).texts[0]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (r"\f1 \'ca\'eb\'fe\'f7 {\f0 key}", "Ключ key"),
        (r"\f2 \'8c\'ae\'82\'cd\'8eO\'8aK", "鍵は三階"),
        (r"\loch\af0\hich\af0\dbch\f2 \'8c\'ae", "鍵"),
        (r"\rtlch\af4 \'c7\'e1\'cc\'d3\'d1\ltrch\f0  A", "الجسر A"),
        (r"{\f3\'b3} 5 mm, {\f3 a}", "≥ 5 mm, α"),
        (r"\uc2\u28023\'8a\'43\uc1\u-10179?\u-8704?", "海😀"),
        (r"10{\super 5} m{\super 2} and x{\sub 2}", "10⁵ m² and x2"),
        (r"{\upr{?}{\*\ud{\u945?}}}{\xe index}{\*\unknown x}{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}", "αlink"),
        (r"{\*\ffdata\fftype1\ffres25\ffdefres1}yes {\*\ffdata\fftype1\ffres0}no", "☒yes ☐no"),
        (r"{\*\ffdata\fftype2\ffres1{\*\ffl red}{\*\ffl blue}}", "blue"),
        (r"{\mmath{\*\moMath{\mr E=mc}}{\mmathPict{\pict 00}}}", "E=mc"),
        (r"{\deleted old}{\revised new}\bin3 {{{ end", "new end"),
        ("caf\\'e9\\~5\\_7 soft\\-ware\0", "café\u00a05-7 software"),
    ],
)
def test_rtf_words_are_what_a_word_processor_shows(body: str, text: str) -> None:
    assert rtf_of(body).text == text


def test_rtf_notes_comments_boxes_and_edges_of_pages_are_read() -> None:
    body = r"{\header Report of the port}{\footerl Report of the port}{\footer 3}"
    body += r"\pard Depth{\super\chftn}{\footnote\pard {\super\chftn}"
    body += r" At low tide.} is 12 m.\par{\*\atnid A}{\*\atnauthor Ada}{\*\annotation\pard Checked.}"
    body += r"{\shp{\*\shpinst{\sp{\sn x}{\sv 1}}{\shptxt\pard Box.\par}}{\shprslt Box again}}Last\par"
    text = rtf_of(body).text
    assert text.split("\n\n") == [
        "Depth is 12 m.",
        "Box.",
        "Last",
        "At low tide.",
        "Comment (Ada): Checked.",
        "Report of the port",
    ]


def test_rtf_hidden_and_struck_out_text_is_left_out_and_counted() -> None:
    body = r"Price {\strike 500 }400{\v  secret}{\v0  EUR}"
    found = rtf_of(body)
    assert found.text == "Price 400 EUR"
    assert found.notes == ("7 characters of hidden text not read", "4 characters of struck-out text not read")
    assert rtf_of(body, FileLimits(hidden_text=True)).text == "Price 500 400 secret EUR"


def test_rtf_headings_lists_tables_and_objects() -> None:
    body = r"{\info{\title Tiefe\'fc}{\author \u1040?\u1076?\u1072?}}\pard\s1 Piers{\footnote\pard Old.}\par\pard"
    body += r"{\listtext\pard 1.\tab}First\par{\listtext 2.\tab}Second\par{\pntext\f3\'b7\tab}Third\par"
    body += (
        r"\trowd\pard\intbl Name\cell Long\par words\cell\row\trowd\intbl\cell in {\pard\intbl\itap2 a\nestcell b\nestcell"
    )
    body += r"{\*\nesttableprops\nestrow}{\nonesttables\par no}}\cell\row\pard After {\object{\*\objdata 01}{\result R}}\par"
    found = rtf_of(body)
    assert found.text == "Piers\n\n1. First\n2. Second\nThird\n\nName\tLong words\n\tin a b\n\nAfter R\n\nOld."
    assert found.headings == ((0, 5, 1),) and found.notes == ("1 embedded object not read",)
    assert found.meta["title"] == "Tiefeü" and found.meta["author"] == "Ада"


def test_rtf_that_ends_too_early_keeps_what_is_there() -> None:
    assert rtf_of(r"\trowd\intbl a\cell b").text.split() == ["a", "b"]
    assert rtf_of(r"}}} x {\b{\i y").text == "x y"


def test_compressed_rtf_of_outlook() -> None:
    sample = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232 0af32068656c090020627705b06c647d0a800fa0".replace(
            " ", ""
        )
    )
    assert decompressed_rtf(sample) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"


def test_outlook_messages(reader: FileReader, tmp_path: Path) -> None:
    inner = make_msg({0x0037: "Tiefen", 0x1000: "Der Pier ist 12 Meter tief."})
    data = make_msg(
        {0x0037: "Größe 倉庫", 0x1000: "See the report.", 0x0C1A: "Ada", 0x5D01: "ada@example.org", 0x0E04: "Bo"},
        [("depths.csv", b"City,Depth\nOstby,12\n")],
        [("Tiefen", {0x0037: "Tiefen", 0x1000: "Der Pier ist 12 Meter tief."})],
    )
    assert kind_of(data, "a.msg") == kind_of(inner, "b") == "msg"
    texts, _ = reader.read(put(tmp_path, "a.msg", data))
    assert [text.member for text in texts] == ["", "depths.csv", "Tiefen.eml"]
    assert texts[0].text == "Größe 倉庫\n\nFrom: Ada <ada@example.org>\nTo: Bo\n\nSee the report."
    assert texts[0].meta["file_type"] == "msg" and texts[0].meta["from"] == "Ada <ada@example.org>"
    assert texts[1].text == "City: Ostby\tDepth: 12" and texts[2].text == "Tiefen\n\nDer Pier ist 12 Meter tief."


def test_a_cut_outlook_message_is_damaged() -> None:
    data = make_msg({0x0037: "Subject", 0x1000: "Words."})
    with pytest.raises(Exception, match="damaged|no text"):
        contents(data[:700], "msg", FileLimits())


def test_a_cell_spans_no_more_columns_than_a_sheet_has() -> None:
    """The file says any number; memory for each of them would stop the parser, and lose the file."""
    cell = '<table:table-cell table:number-columns-spanned="99999999" table:number-rows-spanned="2"><text:p>Piers</text:p>'
    rows = f"<table:table-row>{cell}</table:table-cell></table:table-row><table:table-row><table:covered-table-cell/>"
    rows += "<table:table-cell><text:p>Ostby</text:p></table:table-cell></table:table-row>"
    data = open_document("ods", f'<table:table table:name="A">{rows}</table:table>')
    tracemalloc.start()
    text = read(data, "ods")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "Piers" in text.text and "Ostby" in text.text and peak < 20_000_000
