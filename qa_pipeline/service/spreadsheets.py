"""Reads and writes tables as CSV, XLSX, JSON and JSON lines.

Invariants, each tested:

* A written table is read back unchanged, except for characters that no spreadsheet can hold.
* No written cell is a formula, whatever its text (no CSV injection).
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import PurePath
from typing import Any, BinaryIO

from indexing.errors import SettingError, UnreadableFile
from indexing.files.charset import decode

Record = Sequence[tuple[str, object]]
Rows = Iterator[tuple[int, list[str]]]

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
DELIMITERS = ",;\t|:~^"
NO_DELIMITER = "\x1f"
UNPACKED_BYTES = 64_000_000
SHEET_ROWS, SHEET_COLUMNS = 1_048_576, 50
BEYOND = "\0"

# The start of a cell that a spreadsheet evaluates as a formula, also after apostrophes that `_csv_cell` added.
_FORMULA = re.compile("'*[=+\\-@\t\r＝＋－＠]")
# Characters that XML and spreadsheets cannot hold.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


# -- reading -----------------------------------------------------------------------------------------------------------


def read_records(data: bytes, name: str, column: str, limit: int) -> Iterator[tuple[int, Record]]:
    """Yield (row, record) of a file in order: rows count from 1, empty rows are skipped, at most `limit` records.

    name: the file's name, whose suffix determines the format. column: lower-case name of a column that the header of a table
    must have; a JSON value that is no object becomes a record with this one column. Cells of CSV and XLSX are strings; those
    right of the header have the name BEYOND. Raises SettingError, also during iteration.
    """
    kind = SUFFIXES.get(PurePath(name).suffix.lower())
    if kind is None:
        raise SettingError(f"Tables are read from CSV, XLSX, JSON or JSON lines, not from {name[-80:]!r}.")
    if kind == "xlsx":
        return iter(_xlsx(data, column, limit))
    decoded = decode(data)
    if decoded is None:
        raise SettingError(f"The file is not text, so it is not {kind.upper()}; save it as CSV, XLSX or JSON lines.")
    return islice({"csv": _csv, "json": _json, "jsonl": _json_lines}[kind](decoded.text, column), limit)


def _json(text: str, column: str) -> Iterator[tuple[int, Record]]:
    """An array of values, or one value. A .json file with JSON lines is read too."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            return _json_lines(text, column)
        raise SettingError("The file is not valid JSON.") from None
    found = value if isinstance(value, list) else [value]
    return ((row, _record(item, column)) for row, item in enumerate(found, 1))


def _json_lines(text: str, column: str) -> Iterator[tuple[int, Record]]:
    for row, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                raise SettingError(f"Row {row:,}: it is not valid JSON.") from None
            yield row, _record(value, column)


def _record(value: object, column: str) -> Record:
    return list(value.items()) if isinstance(value, Mapping) else [(column, value)]


def _csv(text: str, column: str) -> Iterator[tuple[int, Record]]:
    """Rows of a CSV file, with Excel's `sep=;` as an optional first line. Sets the csv module's global field limit."""
    csv.field_size_limit(sys.maxsize)
    text = text.replace("\x00", "")
    told = re.match(r"sep=([^\w\s\"']|\t)\r?\n", text)
    first = 2 if told else 1
    text = text[told.end() :] if told else text
    rows = _csv_rows(text, told[1] if told else _delimiter(text, column), first)
    header = _header(rows, column)
    if header is None:
        raise SettingError(f"No column is named `{column}` in the first row of the file.")
    return _below(header, rows)


def _csv_rows(text: str, delimiter: str, first: int = 1) -> Rows:
    try:
        for row, cells in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), first):
            yield row, [_unguarded(cell) for cell in cells]
    except csv.Error as error:
        raise SettingError(f"The table cannot be read ({error}).") from None


def _delimiter(text: str, column: str) -> str:
    """The delimiter that gives the first row a cell `column`. For a single column, a character that never occurs.

    >>> _delimiter('id;"question"', "question"), _delimiter("question", "question")
    (';', '\\x1f')
    """
    for delimiter in DELIMITERS:
        names = next((cells for _, cells in _csv_rows(text, delimiter) if any(cells)), [])
        if len(names) > 1 and column in map(_name, names):
            return delimiter
    return NO_DELIMITER


def _xlsx(data: bytes, column: str, limit: int) -> list[tuple[int, Record]]:
    """Rows of the first sheet whose header names the column."""
    try:
        for sheet in _sheets(data):
            rows = _sheet_rows(sheet)
            header = _header(rows, column)
            if header is not None:
                return list(islice(_below(header, rows), limit))
    except SettingError:
        raise
    except UnreadableFile as error:
        raise SettingError(f"The workbook cannot be read: {error}.") from None
    except Exception as error:
        raise SettingError(f"The workbook cannot be read ({type(error).__name__}); save it again as XLSX or CSV.") from error
    raise SettingError(f"No sheet of the workbook has a column named `{column}` in its first row.")


def _sheets(data: bytes) -> Iterator[Any]:
    """The sheets of a workbook. Bounds its unpacked size first, as openpyxl holds all strings in memory."""
    import openpyxl

    from indexing.files.zip_guard import guard_zip

    with guard_zip(data) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > UNPACKED_BYTES:
        raise SettingError(f"The workbook unpacks to {unpacked:,} bytes; {UNPACKED_BYTES:,} are the most that are read.")
    yield from openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True).worksheets


def _sheet_rows(sheet: Any) -> Rows:
    sheet.reset_dimensions()
    for row, cells in enumerate(sheet.iter_rows(max_row=SHEET_ROWS, max_col=SHEET_COLUMNS, values_only=True), 1):
        if any(cell is not None for cell in cells):
            yield row, [_shown(cell) for cell in cells]


def _shown(value: object) -> str:
    """A cell's value as text, whole numbers without ".0"."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)


def _header(rows: Rows, column: str) -> list[str] | None:
    """The lower-case names in the first non-empty row; None if `column` is not among them."""
    names = next(([_name(cell) for cell in cells] for _, cells in rows if any(map(str.strip, cells))), [])
    return names if column in names else None


def _name(cell: str) -> str:
    return cell.strip().lower()


def _below(header: Sequence[str], rows: Rows) -> Iterator[tuple[int, Record]]:
    """The non-empty rows as records."""
    for row, cells in rows:
        if any(map(str.strip, cells)):
            beyond = [(BEYOND, cell) for cell in cells[len(header) :] if cell.strip()]
            yield row, [*zip(header, cells, strict=False), *beyond]


# -- writing -----------------------------------------------------------------------------------------------------------


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]], out: BinaryIO) -> None:
    """Write CSV in UTF-8 with a byte order mark, which spreadsheets need to detect UTF-8. `out` stays open."""
    text = io.TextIOWrapper(out, "utf-8-sig", newline="", write_through=True)
    try:
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_csv_cell(value) for value in row])
    finally:
        text.detach()


def write_xlsx(columns: Sequence[str], rows: Iterable[Sequence[Any]], out: BinaryIO, title: str = "answers") -> None:
    """Write one sheet. Strings become text cells, also those that look like formulas; numbers stay numbers."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    for row in (columns, *rows):
        sheet.append([_xlsx_cell(sheet, value) for value in row])
    book.save(out)


def write_json_lines(columns: Sequence[str], rows: Iterable[Sequence[Any]], out: BinaryIO) -> None:
    """Write JSON lines with unchanged values, except that lone surrogates, which UTF-8 cannot hold, become "?"."""
    for row in rows:
        line = json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False)
        out.write(line.encode("utf-8", "replace") + b"\n")


WRITERS = {"csv": write_csv, "xlsx": write_xlsx, "jsonl": write_json_lines}


def _xlsx_cell(sheet: Any, value: object) -> Any:
    from openpyxl.cell import WriteOnlyCell

    if not isinstance(value, str):
        return value
    cell = WriteOnlyCell(sheet, _writable(value).replace("\r\n", "\n").replace("\r", "\n"))
    cell.data_type = "s"
    return cell


def _csv_cell(value: object) -> str:
    """A value as text, with an apostrophe before a text that a spreadsheet would evaluate.

    >>> _csv_cell("=1+1"), _csv_cell("'=1+1"), _csv_cell(True), _csv_cell(None)
    ("'=1+1", "''=1+1", 'true', '')
    """
    if not isinstance(value, str):
        return "" if value is None else json.dumps(value)
    return f"'{_writable(value)}" if _FORMULA.match(value) else _writable(value)


def _unguarded(cell: str) -> str:
    """The inverse of `_csv_cell` for texts."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _writable(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
