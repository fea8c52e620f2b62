"""Tables: the delimiter, the header by the types of cells, and nothing swallowed by quotes."""

from __future__ import annotations

import pytest

from indexing.files.delimited import delimiter_of, read_csv
from indexing.files.file_text import FileLimits
from indexing.files.json_files import read_json
from indexing.files.tables import find_header, table_lines


def csv_text(data: str) -> str:
    (text,) = read_csv(data.encode(), FileLimits())
    return text.text


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("Land;2019;2020\nOrveth;83,1;84,5\n", "Land: Orveth\t2019: 83,1\t2020: 84,5"),
        ("Metric,100%,50%\nVisitors,100,120\n", "Metric: Visitors\t100%: 100\t50%: 120"),
        ("Name,Amount,Amount\nA,1,2\n", "Name: A\tAmount: 1\tAmount: 2"),
        (",Depth,Tide\nOstby,12,3\n", "Ostby\tDepth: 12\tTide: 3"),
        ("Name,Depth\nAda,1,extra\nBo\n", "Name: Ada\tDepth: 1\textra\nName: Bo"),
        (f"Name,{'How deep ' * 12}?\nAda,5\n", f"Name: Ada\t{'How deep ' * 12}?: 5"),
        ("Depths 2023\nSource: survey\n\nCity,Depth\nOstby,12\n", "Depths 2023\nSource: survey\nCity: Ostby\tDepth: 12"),
        ("都市,人口\n東京,1400\n大阪,270\n", "都市: 東京\t人口: 1400\n都市: 大阪\t人口: 270"),
        ("Ada,1912\nBo,1913\n", "Ada\t1912\nBo\t1913"),
        ("Orveth,2019,83.1\nTarn,2020,12\n", "Orveth\t2019\t83.1\nTarn\t2020\t12"),
        ("sep=;\nName;Preis\nMüller;12,50\n", "Name: Müller\tPreis: 12,50"),
        ('Name, Depth\nBo, "7, about"\n', "Name: Bo\tDepth: 7, about"),
        ("A,B\nx,1\n\nCity,Tide\nOstby,3\n", "A: x\tB: 1\nCity: Ostby\tTide: 3"),
    ],
)
def test_rows_stand_under_their_names(data: str, expected: str) -> None:
    assert csv_text(data) == expected


@pytest.mark.parametrize(
    ("data", "delimiter"),
    [
        ("April 9, 2023;402;x\nApril 10, 2023;403;y\n", ";"),
        ("Müller;12,50\nMeier;13,70\n", ";"),
        ("Müller;Berlin, Mitte;12\nMeier;Köln, Nord;13\n", ";"),
        ("Name\tDepth, m\nAda\t1,2\nBo\t3,4\n", "\t"),
        ("1,2,3\n4,5,6\n", ","),
        ("a|b, c|d\ne|f, g|h\n", "|"),
        ("one line\n", ","),
        ("Title\n\nName;Depth;Tide\nA;1;2\nB;3;4\n", ";"),
    ],
)
def test_the_delimiter_makes_most_columns(data: str, delimiter: str) -> None:
    assert delimiter_of(data) == delimiter


def test_two_header_rows_are_joined() -> None:
    rows = [["Quarter", "Sales", "Sales"], ["", "North", "South"], ["Q1", "10", "20"], ["Q2", "30", "40"]]
    assert find_header(rows) == (0, 2, ["Quarter", "Sales North", "Sales South"])
    assert list(table_lines(rows))[0] == "Quarter: Q1\tSales North: 10\tSales South: 20"


def test_a_quote_that_is_not_closed_swallows_nothing() -> None:
    data = 'Name,Note\nA,"open\n' + "".join(f"B{number},{number}\n" for number in range(40))
    (text,) = read_csv(data.encode(), FileLimits())
    assert text.text.endswith("Name: B39\tNote: 39") and 'Note: "open' in text.text
    assert text.notes == ("a quote opened in line 2 is not closed",)


def test_backslashes_escape_quotes() -> None:
    assert csv_text('Name,Note\nA,"the \\"deep\\" pier, north"\n') == 'Name: A\tNote: the "deep" pier, north'


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\x0b", "\x1e"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_after_an_open_quote_no_row_is_read_twice(mark: str, end: str) -> None:
    """Characters that Unicode takes for line ends stand inside a cell, and end no row."""
    rows = ["Name,Depth", *(f"Ost{mark}by {at},{at}" for at in range(9)), '"open,7', *(f"Tarn {at},{at}" for at in range(9))]
    (text,) = read_csv(end.join(rows).encode(), FileLimits())
    names = [*(f"Ost by {at}" for at in range(9)), '"open', *(f"Tarn {at}" for at in range(9))]
    assert [line.partition("\t")[0] for line in text.text.split("\n")] == [f"Name: {name}" for name in names]
    assert text.notes == ("a quote opened in line 11 is not closed",)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("'Name','City'\n'Lund, Ada','Ostby'\n'Bo','Velm'\n", "Name: Lund, Ada\tCity: Ostby\nName: Bo\tCity: Velm"),
        ("'id';'text'\n'1';'a;b'\n'2';'it''s'\n", "id: 1\ttext: a;b\nid: 2\ttext: it's"),
        ("Name,Note\nAda,'tis late\nBo,rock 'n' roll\n", "Name: Ada\tNote: 'tis late\nName: Bo\tNote: rock 'n' roll"),
    ],
)
def test_cells_in_single_quotes(data: str, expected: str) -> None:
    assert csv_text(data) == expected


def test_numbers_of_json_stay_as_they_are_written() -> None:
    long = "7" * 5_000
    (text,) = read_json(f'{{"price": 0.10, "mass": 1e3, "id": {long}, "none": NaN, "low": -5}}'.encode(), FileLimits())
    assert text.text == f"price: 0.10\nmass: 1e3\nid: {long}\nnone: NaN\nlow: -5"
    words = "The pier is deep. " * 20
    (record,) = read_json(f'[{{"text": "{words}", "price": 0.10}}]'.encode(), FileLimits())
    assert record.meta["price"] == 0.1 and type(record.meta["price"]) is float and "0.10" in record.text
