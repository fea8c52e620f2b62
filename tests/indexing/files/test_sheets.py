"""Excel: values as they are shown, merged cells, formulas without values, comments, charts, damaged styles."""

from __future__ import annotations

import pytest

from indexing.files.file_text import FileLimits, FileText
from indexing.files.file_type import kind_of
from indexing.files.number_formats import shown
from indexing.files.sheets import read_xlsx
from tests.indexing.files.office_files import DECLARED, book, row
from tests.indexing.files.test_word import CHART


def read(data: bytes) -> FileText:
    assert kind_of(data, "a.bin") == "xlsx"
    (text,) = read_xlsx(data, FileLimits())
    return text


@pytest.mark.parametrize(
    ("value", "code", "expected"),
    [
        (0.19, "0%", "19%"),
        (0.195, "0.0%", "19.5%"),
        (1234.5, '#,##0.00 "€"', "1,234.50 €"),
        (1234.5, "[$£-809]#,##0.00", "£1,234.50"),
        (-1234.5, "#,##0;(#,##0)", "(1,235)"),
        (-5, "0.00;[Red]-0.00", "-5.00"),
        (-5, "0.0", "-5.0"),
        (0, '0.00;-0.00;"-"??', "-"),
        (123, "00000", "00123"),
        (123456789, "000-00-0000", "123-45-6789"),
        (26 / 24 + 5 / 1440, "[h]:mm", "26:05"),
        (0.604166666, "h:mm", "14:30"),
        (45356, "dd/mm/yyyy", "2024-03-05"),
        (45356.5, "dd/mm/yyyy hh:mm", "2024-03-05 12:00"),
        (45356, 'yyyy"年"m"月"d"日"', "2024-03-05"),
        (45356, "mmm yyyy", "2024-03"),
        (1.75, "# ?/?", "1 3/4"),
        (12345, "0.00E+00", "1.23E+04"),
        (1_200_000, '0.0,,"M"', "1.2M"),
        (5, '0 "m"', "5 m"),
        (3.0, "General", "3"),
        (0.1 + 0.2, "General", "0.3"),
        (-1234.5, "#,##0.00;[Red]#,##0.00", "-1,234.50"),
        (-5, '0 "m";[Color10]0" †"', "-5 †"),
        (-5, '0;[Red]0" due"', "5 due"),
        (-5, "0;0", "5"),
        (-5, '[>1000]0,"k";0', "-5"),
        (-5, '[<0]"minus "0;0', "minus 5"),
        (2500, '[>1000]0.0,"k";0', "2.5k"),
        (5551234567, "[<=9999999]###-####;(###) ###-####", "(555) 123-4567"),
        (0, "0;-0;;@", ""),
        (5551234, "[<=9999999]###-####;(###) ###-####", "555-1234"),
        (5551234, "[Blue]###-####", "555-1234"),
    ],
)
def test_numbers_as_excel_shows_them(value: float, code: str, expected: str) -> None:
    assert shown(value, code) == expected


def test_cells_have_their_formats() -> None:
    rows = row("Item", "Share", "Code") + row("Pump", (0.19, 1), (123, 2))
    text = read(book(rows, formats=("0%", "00000")))
    assert text.text == "Depths\n\nItem: Pump\tShare: 19%\tCode: 00123" and dict(text.meta) == {"file_type": "xlsx"}


def test_merged_cells_and_titles() -> None:
    cells = row("Depths 2023") + row("Region", "City", "Depth") + row("North", "Ostby", 12) + row("", "Velm", 9)
    merged = '<mergeCells><mergeCell ref="A1:C1"/><mergeCell ref="A3:A4"/></mergeCells>'
    text = read(book(cells, after=merged)).text
    assert text == "Depths\n\nDepths 2023\nRegion: North\tCity: Ostby\tDepth: 12\nRegion: North\tCity: Velm\tDepth: 9"


def test_two_tables_on_a_sheet() -> None:
    cells = (
        row("City", "Depth", at=1)
        + row("Ostby", 12, at=2)
        + row("Ship", "Length", "Flag", at=5)
        + row("Ada", 80, "NO", at=6)
    )
    assert read(book(cells)).text == "Depths\n\nCity: Ostby\tDepth: 12\nShip: Ada\tLength: 80\tFlag: NO"


def test_formulas_without_values_and_hidden_sheets_are_said() -> None:
    cells = row("Item", "Sum") + "<row><c t='inlineStr'><is><t>Pump</t></is></c><c><f>1+1</f></c></row>"
    text = read(book(cells, state="hidden"))
    assert text.text == "Depths\n\nItem: Pump"
    assert text.notes == ("1 formula without a stored value", "hidden sheets read: Depths")


def test_hidden_rows_and_columns_are_read_and_said() -> None:
    cells = row("City", "Depth", "Note") + row("Ostby", 12, "deep").replace("<row", "<row hidden='1'") + row("Velm", 9)
    cells += row("").replace("<row", "<row hidden='1'")
    columns = '<cols><col min="1" max="1"/><col hidden="1" max="3" min="2"/><col min="9" max="9" hidden="1"/></cols>'
    text = read(book(cells, before=columns))
    assert text.text == "Depths\n\nCity: Ostby\tDepth: 12\tNote: deep\nCity: Velm\tDepth: 9"
    assert text.notes == ("1 hidden row read", "2 hidden columns read")
    assert read(book(cells.replace("hidden='1'", "hidden='0'"))).notes == ()


def test_struck_out_cells_and_words_are_counted_and_can_be_read() -> None:
    s = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    styles = (
        f'<styleSheet {s}><fonts><font/><font><strike/></font><font><strike val="0"/></font></fonts><cellXfs>'
        '<xf numFmtId="0" fontId="0"/><xf numFmtId="0" fontId="1"/><xf numFmtId="0" fontId="2"/></cellXfs></styleSheet>'
    )
    rich = "<c t='inlineStr'><is><r><rPr><strike/></rPr><t>old</t></r><r><t>new</t></r></is></c>"
    cells = row("Item", "Price", "Now") + f"<row><c t='inlineStr'><is><t>Pump</t></is></c><c s='1'><v>99</v></c>{rich}</row>"
    data = book(cells + row("Hose", (10, 2), 11), {"xl/styles.xml": styles})
    text = read(data)
    assert text.text == "Depths\n\nItem: Pump\tNow: new\nItem: Hose\tPrice: 10\tNow: 11"
    assert text.notes == ("5 characters of struck-out text not read",)
    (whole,) = read_xlsx(data, FileLimits(hidden_text=True))
    assert whole.text == "Depths\n\nItem: Pump\tPrice: 99\tNow: oldnew\nItem: Hose\tPrice: 10\tNow: 11"
    assert whole.notes == ("5 characters of struck-out text read",)


def test_comments_charts_and_text_boxes() -> None:
    s = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    comments = f"<comments {s}><authors><author>Ada</author></authors><commentList><comment ref='B2' authorId='0'><text>"
    comments += "<r><t>Ada:</t></r><r><t> At low tide</t></r></text></comment></commentList></comments>"
    box = "<xdr:sp><xdr:txBody><a:p><a:r><a:t>In a box</a:t></a:r></a:p></xdr:txBody></xdr:sp>"
    drawing = f"<xdr:wsDr {DECLARED}>{box}</xdr:wsDr>"
    parts = {
        "xl/comments1.xml": comments,
        "xl/drawings/drawing1.xml": drawing,
        "xl/drawings/_rels/drawing1.xml.rels": "<R><r Id='rId1' Type='x/chart' Target='../charts/chart1.xml'/></R>",
        "xl/charts/chart1.xml": CHART,
    }
    links = {"rId1": "comments ../comments1.xml", "rId2": "drawing ../drawings/drawing1.xml"}
    text = read(book(row("City", "Depth") + row("Ostby", 12), parts, links)).text
    assert text == (
        "Depths\n\nCity: Ostby\tDepth: 12\nIn a box\nDepths\nOstby\t2023: 12\nVelm\t2023: 9.5\nComment on B2: At low tide"
    )


def test_notes_beside_threads_of_comments_are_read() -> None:
    s = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    notes = f"<comments {s}><authors><author>Ada</author><author>tc={{1}}</author></authors><commentList>"
    notes += "<comment ref='A1' authorId='0'><text><t>Old note</t></text></comment>"
    notes += "<comment ref='B2' authorId='1'><text><t>[Threaded comment] Your version</t></text></comment>"
    notes += "</commentList></comments>"
    thread = "<ThreadedComments><threadedComment ref='B2'><text>At low tide</text></threadedComment></ThreadedComments>"
    parts = {"xl/comments1.xml": notes, "xl/threadedComments/t1.xml": thread}
    links = {"rId1": "comments ../comments1.xml", "rId2": "threadedComment ../threadedComments/t1.xml"}
    text = read(book(row("City", "Depth"), parts, links)).text
    assert text.split("\n")[-2:] == ["Comment on B2: At low tide", "Comment on A1: Old note"]


def test_escaped_characters_phonetics_and_booleans() -> None:
    cells = "<row><c t='inlineStr'><is><t>line1_x000D_\nline2</t><rPh><t>no</t></rPh></is></c><c t='b'><v>1</v></c></row>"
    assert read(book(cells)).text == "Depths\n\nline1 line2\tTRUE"


def test_rows_before_a_fault_are_kept() -> None:
    text = read(book(row("City", "Depth") + row("Ostby", 12) + "<row><c><v>5</c>"))
    assert text.text.startswith("Depths\n\nCity: Ostby\tDepth: 12") and "damaged XML" in text.notes[0]


def test_a_number_that_its_format_hides_is_counted() -> None:
    rows = row("Name", "Pay") + row("Ada", (4200, 1)) + row("Bo", (0, 1)) + row("Cy", (7, 0))
    text = read(book(rows, formats=(";;;",)))
    assert text.text == "Depths\n\nName: Ada\nName: Bo\nName: Cy\tPay: 7"
    assert text.notes == ("4 characters of hidden text not read",)
