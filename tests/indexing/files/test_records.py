"""Tables, JSON and notebooks: rows and records with a text are documents, others are lines; nothing of them is lost."""

from __future__ import annotations

import json

import pytest

from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits
from indexing.files.formats import parse
from tests.indexing.files.conftest import headings, many, one

LONG = "The harbour master writes down each ship that enters with its flag and draught and cargo." * 2


def test_csv_with_long_texts_is_many_documents() -> None:
    rows = f"id,Title,text,year,code\na,First,{LONG},1912,007\na,,{LONG},x,1.50\n,,,3,4\n"
    texts = many(rows.encode(), "csv")
    assert [text.record for text in texts] == ["a", "a (3)", "4"]
    assert texts[0].text == f"First\n\n{LONG}\n\nyear: 1912\ncode: 007" and headings(texts[0]) == [("First", 1)]
    assert texts[2].text == "year: 3\ncode: 4"
    expected = {"id": "a", "Title": "First", "year": 1912, "code": "007", "file_type": "csv", "encoding": "utf-8"}
    assert dict(texts[0].meta) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            "Model,Body,Doors\nT1,steel,4\nT2,aluminium,2\n",
            "Model: T1\tBody: steel\tDoors: 4\nModel: T2\tBody: aluminium\tDoors: 2",
        ),
        ("id,customer,text\n1,Ada,It leaks.\n2,Bo,\n", "id: 1\tcustomer: Ada\ttext: It leaks.\nid: 2\tcustomer: Bo"),
    ],
)
def test_a_short_column_called_text_is_no_document(data: str, expected: str) -> None:
    assert one(data.encode(), "csv").text == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("Name;Höhe\nOrveth;2.314\nNord;\n", "Name: Orveth\tHöhe: 2.314\nName: Nord"),
        ("1,2\n3,4\n", "1\t2\n3\t4"),
        ('Name,Note\nA,"two\nlines, ""quoted"""\n', 'Name: A\tNote: two lines, "quoted"'),
        ("Name|Year\nA|1\n", "Name: A\tYear: 1"),
        ("just a line\n", "just a line"),
        ("Name,Year\n", "Name\tYear"),
        ("a\0b,c\n1,2\n", "ab: 1\tc: 2"),
    ],
)
def test_csv_rows_can_be_asked(data: str, expected: str) -> None:
    assert one(data.encode(), "csv").text == expected


def test_tsv() -> None:
    assert one(b"Name\tYear\nA, B\t1912\n", "tsv").text == "Name: A, B\tYear: 1912"


def test_json_records_and_other_json() -> None:
    texts = many(b'[{"title":"T","text":"body","n":3,"big":1e999,"x":[1]},{"text":""},5,{"name":"N","content":"c"}]', "json")
    expected = [("1", "T\n\nbody\n\nn: 3\nbig: 1e999\nx[0]: 1"), ("3", "value: 5"), ("N", "c\n\nname: N")]
    assert [(text.record, text.text) for text in texts] == expected
    assert texts[0].notes == ("1 record without text left out",)
    assert dict(texts[0].meta) == {"title": "T", "n": 3, "file_type": "json", "encoding": "utf-8"}
    other = one(b'{"a":{"b":["x",1,null,true,{"c":"d"}]},"e":"\\ud800"}', "json")
    assert other.text == "a.b[0]: x\na.b[1]: 1\na.b[2]: null\na.b[3]: true\na.b[4].c: d\ne: \ufffd"


def test_json_records_lose_no_field() -> None:
    record = b'[{"title":"Pier","text":"Teaser","content":"It is deep.","tags":["a"],"open":true,"author":{"name":"Ada"}}]'
    (text,) = many(record, "json")
    assert text.text == "Pier\n\nTeaser\n\nIt is deep.\n\ntags[0]: a\nopen: true\nauthor.name: Ada"
    (chat,) = many(b'{"text":[{"type":"bold","text":"Pier"}," is deep"],"from":"Ada"}\n', "jsonl")
    assert chat.text == "Pier is deep\n\nfrom: Ada"
    (page,) = many(b'[{"body":"<p>It is <b>12</b> m deep.</p>"}]', "json")
    assert page.text == "It is 12 m deep."


@pytest.mark.parametrize(
    ("pages", "headings"),
    [
        ([5], []),
        ([0, 9, 4], []),
        ([0, 99], []),
        ([], [[0, 0, 1]]),
        ([], [[0, 4, 1]]),
        ([], [[0, 8, 1], [4, 8, 2]]),
        ([], [[0, 3, 0]]),
        ([], [[0, 3, 10**30]]),
        ([], [[0, 3, True]]),
    ],
)
def test_places_of_an_export_that_do_not_fit_its_text_are_left_out(pages: list[object], headings: list[object]) -> None:
    record = {"docqa_export": 1, "id": "a", "text": "The pier is deep.", "pages": pages, "headings": headings}
    (text,) = many(json.dumps(record).encode(), "jsonl")
    assert (text.text, text.pages, text.headings) == ("The pier is deep.", (), ())
    (text,) = many(json.dumps({**record, "pages": [0, 4], "headings": [[0, 3, 1], [4, 8, 2]]}).encode(), "jsonl")
    assert text.pages == (0, 4) and text.headings == ((0, 3, 1), (4, 8, 2))


def test_jsonl_keeps_what_is_good() -> None:
    texts = many(b'{"text":"a"}\n{bad\n\n{"contents":"b","_id":"q"}\r\n', "jsonl")
    assert [(text.record, text.text) for text in texts] == [("1", "a"), ("q", "b")]
    assert texts[0].notes == ("1 line not valid JSON, left out: 2",)
    assert one(b'{"a":1}\n{"a":2}\n', "jsonl").text == "a: 1\n\na: 2"


def test_names_of_records_are_unique() -> None:
    names = [text.record for text in many(b"[%s]" % b",".join([b'{"id":"2","text":"x"}', b'{"text":"y"}'] * 50), "json")]
    assert len(set(names)) == 100


def test_json_that_is_too_deep() -> None:
    with pytest.raises(UnreadableFile, match="nested too deeply"):
        parse(b"[" * 200_000, "json", FileLimits())


def test_notebooks_are_their_cells_in_order() -> None:
    image = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo=", "text/plain": ["<Figure>"]}}
    cells = [
        {"cell_type": "markdown", "source": ["# Depths\n", "Of *piers* & boats."]},
        {"cell_type": "code", "source": "depth(12)", "outputs": [{"output_type": "stream", "text": ["12 m\n"]}, image]},
        {
            "cell_type": "code",
            "source": [],
            "outputs": [{"output_type": "error", "ename": "ValueError", "evalue": "too deep"}],
        },
        5,
    ]
    (text,) = many(json.dumps({"cells": cells, "nbformat": 4}).encode(), "ipynb")
    assert text.text == "# Depths\nOf *piers* & boats.\n\ndepth(12)\n\n12 m\n\n<Figure>\n\nValueError: too deep"
    assert [text.text[start:end] for start, end, _ in text.headings] == ["Depths"]
    assert text.notes == ("1 embedded image not read",)
    old = {"worksheets": [{"cells": [{"cell_type": "heading", "level": 2, "source": "Old"}, {"input": "x = 1"}]}]}
    assert many(json.dumps(old).encode(), "ipynb")[0].text == "## Old\n\nx = 1"
    with pytest.raises(UnreadableFile, match="notebook"):
        many(b"[1]", "ipynb")
