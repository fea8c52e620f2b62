"""Rows of question files and answer files, as the page shows them."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath
from typing import Any
from xml.etree import ElementTree

from ui.client.schemas import value

SUFFIXES = ("csv", "tsv", "txt", "xlsx", "xlsm", "json", "jsonl", "ndjson")
SHOWN, CELL, COLUMNS = 10, 300, 8
UNPACKED = 20_000_000
DELIMITERS = ",;\t|:~^"
KINDS = {"All": "all", "Answered": "answered", "Not in the documents": "none", "Failed": "failed"}


@dataclass(frozen=True, slots=True)
class Row:
    """One answered question of a file of answers. no_answer: None where the question failed, then `error` says why."""

    id: str
    corpus: str
    question: str
    language: str = ""
    answer: str = ""
    score: float | None = None
    no_answer: bool | None = None
    no_answer_score: float | None = None
    source: str = ""
    page: int | None = None
    start: int | None = None
    end: int | None = None
    document_id: str = ""
    link: str = ""
    error: str = ""

    @property
    def kind(self) -> str:
        return "failed" if self.error else "none" if self.no_answer else "answered"


def answers(lines: bytes) -> list[Row]:
    """The rows of a file of answers in JSON lines. Raises ApiError for another file."""
    return [value(Row, json.loads(line)) for line in lines.decode("utf-8").split("\n") if line.strip()]


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows of each kind there are, the kinds as in KINDS."""
    found = dict.fromkeys(KINDS.values(), 0)
    for row in rows:
        found["all"] += 1
        found[row.kind] += 1
    return found


# -- a look at a file of questions -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Preview:
    """The first rows of a file; its columns where it has names for them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def preview(name: str, data: bytes) -> Preview | None:
    """The first rows of a file of questions, None where they cannot be shown; the service alone judges the file.

    >>> preview("q.csv", b"id;question\\n1;Who?\\n")
    Preview(columns=('id', 'question'), rows=(('1', 'Who?'),))
    """
    suffix = PurePath(name).suffix.lower().lstrip(".")
    try:
        if suffix in ("xlsx", "xlsm"):
            return _table(_sheet(data))
        text = _decoded(data)
        return _objects(text) if suffix in ("json", "jsonl", "ndjson") else _table(_rows(text))
    except (ValueError, KeyError, IndexError, RecursionError, csv.Error, zipfile.BadZipFile, ElementTree.ParseError):
        return None
    except (EOFError, OSError, NotImplementedError, RuntimeError):
        return None


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _table(rows: Iterable[Sequence[str]]) -> Preview | None:
    """The first row that is not empty names the columns."""
    held = [[_short(cell) for cell in row[:COLUMNS]] for row in islice(_filled(rows), SHOWN + 1)]
    if not held:
        return None
    width = len(held[0])
    return Preview(tuple(held[0]), tuple(tuple((row + [""] * width)[:width]) for row in held[1:]))


def _filled(rows: Iterable[Sequence[str]]) -> Iterable[Sequence[str]]:
    return (row for row in rows if any(cell.strip() for cell in row))


def _short(cell: str) -> str:
    return cell if len(cell) <= CELL else cell[: CELL - 1] + "…"


def _rows(text: str) -> Iterable[Sequence[str]]:
    told = re.match(r"sep=(.)\r?\n", text)
    text = text[told.end() :] if told else text
    head = text[:2_000].lstrip().split("\n", 1)[0]
    cuts = told[1] if told else next((sign for sign in DELIMITERS if sign in head), ",")
    return csv.reader(io.StringIO(text, newline=""), delimiter=cuts)


def _objects(text: str) -> Preview | None:
    """Objects of a JSON array or of lines, as a table over the fields of the first ones."""
    try:
        whole = json.loads(text)
        items = whole if isinstance(whole, list) else [whole]
    except ValueError:
        items = [json.loads(line) for line in islice((line for line in text.split("\n") if line.strip()), SHOWN)]
    records = [item if isinstance(item, dict) else {"question": item} for item in items[:SHOWN]]
    columns = list(dict.fromkeys(name for record in records for name in record))[:COLUMNS]
    rows = tuple(tuple(_short(_written(record.get(name))) for name in columns) for record in records)
    return Preview(tuple(columns), rows) if columns else None


def _written(item: Any) -> str:
    return "" if item is None else item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)


# -- workbooks: only what a look at the first sheet needs, as this page has no reader of documents ---------------------

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def _sheet(data: bytes) -> list[list[str]]:
    """The first rows of a workbook's first sheet."""
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        shared = _strings(_part(book, "xl/sharedStrings.xml")) if "xl/sharedStrings.xml" in book.namelist() else []
        first = min(name for name in book.namelist() if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", name))
        sheet = _part(book, first)
    rows = islice(ElementTree.fromstring(sheet).iter(f"{_MAIN}row"), 4 * SHOWN)
    return [_row(row, shared) for row in rows]


def _part(book: zipfile.ZipFile, name: str) -> bytes:
    with book.open(name) as part:
        data = part.read(UNPACKED + 1)
    if len(data) > UNPACKED or b"<!DOCTYPE" in data:
        raise ValueError(name)
    return data


def _strings(data: bytes) -> list[str]:
    return [_texts(item) for item in ElementTree.fromstring(data).iter(f"{_MAIN}si")]


def _texts(item: ElementTree.Element) -> str:
    return "".join(part.text or "" for part in item.iter(f"{_MAIN}t"))


def _row(row: ElementTree.Element, shared: Sequence[str]) -> list[str]:
    cells: list[str] = []
    for item in row.iter(f"{_MAIN}c"):
        at = _column(item.get("r") or "") if item.get("r") else len(cells)
        if at >= COLUMNS:
            break
        cells += [""] * (at - len(cells))
        cells.append(_cell(item, shared))
    return cells


def _cell(item: ElementTree.Element, shared: Sequence[str]) -> str:
    held = item.find(f"{_MAIN}v")
    inner = (held.text or "") if held is not None else ""
    if item.get("t") == "s":
        return shared[int(inner)]
    return _texts(item) if item.get("t") == "inlineStr" else inner


def _column(place: str) -> int:
    """
    >>> _column("A1"), _column("AB12")
    (0, 27)
    """
    number = 0
    for letter in re.match("[A-Z]*", place)[0]:  # type: ignore[index]
        number = 26 * number + ord(letter) - 64
    return max(0, number - 1)
