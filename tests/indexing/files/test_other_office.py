"""OpenDocument, e-books, RTF and Outlook messages."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from indexing.files.file_text import FileLimits, FileText
from indexing.files.file_type import kind_of
from indexing.files.formats import contents, parse
from indexing.files.walk import FileReader
from tests.indexing.files.conftest import archive, check_laws, put
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


LISTS = (
    "<text:list-style style:name='L'><text:list-level-style-number text:level='1' style:num-format='1'"
    " style:num-suffix='.'/><text:list-level-style-number text:level='2'"
    " style:num-format='a' style:num-suffix=')' text:display-levels='2'/>"
    "<text:list-level-style-bullet text:level='3' text:bullet-char='•'/></text:list-style><text:list-style style:name='B'>"
    "<text:list-level-style-bullet text:level='1' text:bullet-char='☑'/></text:list-style><text:list-style style:name='J'>"
    "<text:list-level-style-number text:level='1' style:num-prefix='第' style:num-suffix='条'"
    " style:num-format='一, 二, 三, ...' text:start-value='11'/></text:list-style>"
)


def item(*inner: str) -> str:
    parts = "".join(part if part.startswith("<") else f"<text:p>{part}</text:p>" for part in inner)
    return f"<text:list-item>{parts}</text:list-item>"


def listing(style: str, *items: str, more: str = "") -> str:
    named = f" text:style-name='{style}'" if style else ""
    return f"<text:list{named}{more}>{''.join(items)}</text:list>"


def test_numbers_of_open_document_lists_are_text() -> None:
    deep = listing("", item("Under", listing("", item("Dot"))), item("Next"))
    body = listing("L", item("First", "its rest", deep), item("Second", listing("", item("Again"))))
    body += "<text:p>Between</text:p>" + listing("L", item("Third"), more=" text:continue-numbering='true'")
    body += listing("L", item("Anew")) + listing("B", item("Done")) + listing("J", item("Scope"), item("Law"))
    table = f"<table:table><table:table-row><table:table-cell>{listing('L', item('a'), item('b'))}</table:table-cell>"
    body += f"{table}</table:table-row></table:table>"
    text = read(open_document("odt", body, styles=LISTS), "odt").text
    assert [line for line in text.split("\n") if line] == [
        "1. First", "its rest", "1.a) Under", "Dot", "1.b) Next", "2. Second", "2.a) Again", "Between", "3. Third",
        "1. Anew", "☑ Done", "第十一条 Scope", "第十二条 Law", "1. a 2. b",
    ]  # fmt: skip


def test_numbers_of_open_document_headings_are_text() -> None:
    outline = "<text:outline-style><text:outline-level-style text:level='1' style:num-format='I' style:num-suffix='.'/>"
    outline += "<text:outline-level-style text:level='2' style:num-format='1' text:display-levels='2'/></text:outline-style>"
    styles = f"<office:document-styles {SPACES}><office:styles>{outline}</office:styles></office:document-styles>".encode()
    heads = [(1, "Piers"), (2, "Old"), (2, "New"), (1, "Boats"), (2, "Few")]
    body = "".join(f"<text:h text:outline-level='{level}'>{words}</text:h>" for level, words in heads)
    text = read(open_document("odt", body, {"styles.xml": styles}), "odt")
    shown = [text.text[start:end] for start, end, _ in text.headings]
    assert shown == ["I. Piers", "I.1 Old", "I.2 New", "II. Boats", "II.1 Few"]


def test_shapes_of_open_documents_stand_apart() -> None:
    shape = "<draw:custom-shape><text:p>One</text:p><text:p>two</text:p></draw:custom-shape>"
    group = "<draw:g><draw:frame><draw:text-box><text:p>in</text:p></draw:text-box></draw:frame></draw:g>"
    text = read(open_document("odt", f"<text:p>Be{shape}{group}gin</text:p>"), "odt").text
    assert text == "Begin\n\nOne\ntwo\n\nin"
    kinds = ("line", "connector", "polygon", "circle", "caption", "path")
    slide = "".join(f"<draw:{kind}><text:p>{kind}</text:p></draw:{kind}>" for kind in kinds)
    text = read(open_document("odp", f"<draw:page>{slide}</draw:page>"), "odp").text
    assert text.split() == list(kinds)
    cells = f"<table:table-cell><text:p>12</text:p>{shape}</table:table-cell>"
    row = f"<table:table-row>{cells}</table:table-row>"
    sheet = f"<table:table table:name='T'><table:shapes>{group}</table:shapes>{row}</table:table>"
    assert read(open_document("ods", sheet), "ods").text == "T\n\n12\nOne\ntwo\nin"


def test_charts_of_open_documents_are_text() -> None:
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
    rows = "".join(
        f"<table:table-row>{''.join(cell.format(words) for words in row)}</table:table-row>"
        for row in (("", "Depth"), ("Ostby", "12"))
    )
    chart = f"<chart:chart><chart:title><text:p>Depths</text:p></chart:title><table:table>{rows}</table:table></chart:chart>"
    space = "xmlns:chart='urn:oasis:names:tc:opendocument:xmlns:chart:1.0'"
    root = f"<office:document-content {SPACES} {space}><office:body>{chart}</office:body></office:document-content>".encode()
    frame = "<draw:frame><draw:object xlink:href='./Object 1'/></draw:frame>"
    wraps = {
        "odt": f"<text:p>{frame}</text:p>",
        "odp": f"<draw:page>{frame}</draw:page>",
        "ods": f"<table:table table:name='T'><table:shapes>{frame}</table:shapes></table:table>",
    }
    for kind, body in wraps.items():
        text = read(open_document(kind, body, {"Object 1/content.xml": root}), kind)
        assert text.text.endswith("Depths\n\tDepth\nOstby\t12") and not text.notes


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


def test_a_minus_that_only_a_colour_says_is_written() -> None:
    cell = "<table:table-cell office:value-type='float' office:value='{}'><text:p>{}</text:p></table:table-cell>".format
    row = cell("-5.5", "5.5 €") + cell("-6", "(6)") + cell("-7", "7 due") + cell("8", "8") + cell("-0.001", "0.0")
    body = f"<table:table table:name='T'><table:table-row>{row}</table:table-row></table:table>"
    assert read(open_document("ods", body), "ods").text == "T\n\n-5.5 €\t(6)\t7 due\t8\t0.0"


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
