"""Rows of question files and answer files for display."""

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

import openpyxl

from ui.client.schemas import value

SUFFIXES = ("csv", "tsv", "txt", "xlsx", "xlsm", "json", "jsonl", "ndjson")
SHOWN, CELL, COLUMNS = 10, 300, 8
UNPACKED = 40_000_000
DELIMITERS = ",;\t|:~^"
KINDS = {"All": "all", "Answered": "answered", "No answer found": "none", "Failed": "failed"}

ORDERS = {"": "As asked", "best": "Best score first", "lowest": "Lowest score first"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an answer file. no_answer: None if the question failed; `error` then gives the reason."""

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
    passages_read: int | None = None

    @property
    def kind(self) -> str:
        return "failed" if self.error else "none" if self.no_answer else "answered"


def answers(lines: bytes) -> list[Row]:
    """Parses an answer file in JSON lines. Raises ApiError for another file."""
    return [value(Row, json.loads(line)) for line in lines.decode("utf-8").split("\n") if line.strip()]


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """Number of rows of each kind, with the kinds of KINDS."""
    found = dict.fromkeys(KINDS.values(), 0)
    for row in rows:
        found["all"] += 1
        found[row.kind] += 1
    return found


def in_order(rows: list[Row], order: str) -> list[Row]:
    """Rows in one of ORDERS; those without a score are last, in the order of the file.

    >>> rows = [Row("1", "c", "q", score=0.2), Row("2", "c", "q"), Row("3", "c", "q", score=0.9)]
    >>> [row.id for row in in_order(rows, "best")]
    ['3', '1', '2']
    """
    if not order:
        return rows
    sign = -1 if order == "best" else 1
    return sorted(rows, key=lambda row: (row.score is None, sign * (row.score or 0.0)))


# -- preview of a question file ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Preview:
    """The first rows of a file, and its column names if any."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def preview(name: str, data: bytes) -> Preview | None:
    """The first rows of a question file, None if they cannot be shown; only the service validates the file.

    >>> preview("q.csv", b"id;question\\n1;Who?\\n")
    Preview(columns=('id', 'question'), rows=(('1', 'Who?'),))
    """
    suffix = PurePath(name).suffix.lower().lstrip(".")
    try:
        if suffix in ("xlsx", "xlsm"):
            return _table(_sheet(data) or [])
        text = _decoded(data)
        return _objects(text) if suffix in ("json", "jsonl", "ndjson") else _table(_rows(text))
    except (ValueError, RecursionError, csv.Error):
        return None


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _table(rows: Iterable[Sequence[str]]) -> Preview | None:
    """A table whose first non-empty row is the header."""
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
    """Objects of a JSON array or of JSON lines, as a table over the fields of the first ones."""
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


# -- workbooks -----------------------------------------------------------------------------------------------------------


def _sheet(data: bytes) -> list[list[str]] | None:
    """The first rows of a workbook's first sheet, None if it cannot be shown."""
    try:
        _check_parts(data)
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()
        rows = list(sheet.iter_rows(max_row=4 * SHOWN, values_only=True))
    except Exception:  # A damaged workbook can raise anything in openpyxl.
        return None
    return [[_cell(value) for value in row[:COLUMNS]] for row in rows]


def _check_parts(data: bytes) -> None:
    """Raises ValueError for a workbook that decompresses to too much, or whose XML defines entities."""
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        if sum(part.file_size for part in book.infolist()) > UNPACKED:
            raise ValueError("too large")
        if any(b"<!DOCTYPE" in book.read(part) for part in book.infolist()):
            raise ValueError("a DOCTYPE")


def _cell(value: object) -> str:
    """A cell's value as text: whole numbers without ".0", dates as ISO 8601.

    >>> _cell(None), _cell(2.0), _cell(True)
    ('', '2', 'TRUE')
    """
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
