"""Parsers of CSV, JSON and JSON lines. A record with a text field becomes a document; other records become lines.

A text field is a column or key named text, content, contents or body. The record's other scalar fields become meta, and
its title becomes a heading before the text. Tables without a text column become one line for each row, "Column: value".
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from indexing.errors import UnreadableFile
from indexing.files.charset import DecodedText, decode
from indexing.files.file_text import FileLimits, FileText, Heading, Scalar, TextBuilder, check_chars, clean_meta

TEXT_FIELDS = ("text", "content", "contents", "body")
NAME_FIELDS = ("id", "_id", "name")
_NUMBER = re.compile(r"[-+]?[\d.,]*\d[\d.,]*%?$|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}$")
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?")
_DELIMITERS = ",;\t|"


def _decoded(data: bytes, kind: str) -> DecodedText:
    decoded = decode(data)
    if decoded is None:
        raise UnreadableFile(f"not {kind}: binary data")
    return decoded


# -- records -----------------------------------------------------------------------------------------------------------


class _Records:
    """Turns records into documents, with names unique in the file."""

    def __init__(self, decoded: DecodedText, kind: str, max_chars: int) -> None:
        self.facts: dict[str, Scalar] = {"file_type": kind, "encoding": decoded.encoding}
        self.notes = list(decoded.notes)
        self.texts: list[FileText] = []
        self.without = 0
        self._left = self._allowed = max_chars
        self._names: set[str] = set()

    def add(self, record: Mapping[str, object], number: int) -> None:
        """Add one record; `number` is its position in the file, from 1."""
        fields = {str(name).strip().lower(): name for name in reversed(list(record))}
        key = next(
            (fields[name] for name in TEXT_FIELDS if name in fields and isinstance(record[fields[name]], str)),
            None,
        )
        body = str(record[key]) if key is not None else ""
        if not body.strip():
            self.without += 1
            return
        title = record.get(fields.get("title", ""), "")
        text, headings = _titled(title if isinstance(title, str) else "", body)
        self._left -= len(text)
        check_chars(self._allowed - self._left, self._allowed)
        meta = clean_meta((name, value) for name, value in record.items() if name != key)
        self.texts.append(FileText(text, (), {**meta, **self.facts}, headings, (), self._name(record, fields, number)))

    def _name(self, record: Mapping[str, object], fields: Mapping[str, str], number: int) -> str:
        """The record's own name, else its number; a duplicate name gets the number appended."""
        values = (record[fields[name]] for name in NAME_FIELDS if name in fields)
        scalars = (str(value).strip() for value in values if isinstance(value, (str, int, float)))
        wanted = " ".join(next((value for value in scalars if value), str(number)).split())[:200]
        name, count = wanted, number
        while name in self._names:
            name, count = f"{wanted} ({count})", count + 1
        self._names.add(name)
        return name

    def result(self) -> list[FileText]:
        """All documents; remarks about the whole file are attached to the first."""
        if self.without:
            self.notes.append(f"{self.without:,} record{'s' * (self.without > 1)} without text left out")
        if not self.texts:
            return [FileText("", notes=tuple(self.notes))]
        first = self.texts[0]
        noted = FileText(first.text, first.pages, first.meta, first.headings, tuple(self.notes), first.record)
        return [noted, *self.texts[1:]]


def _titled(title: str, body: str) -> tuple[str, tuple[Heading, ...]]:
    """Join a title and a text, unless the text already begins with the title."""
    title = title.strip()
    if not title:
        return body, ()
    if body.startswith((title + "\n", title + "\r\n")):
        return body, ((0, len(title), 1),)
    return f"{title}\n\n{body}", ((0, len(title), 1),)


def _has_text(record: object) -> bool:
    """Whether a record has a text field whose value is a string."""
    return isinstance(record, dict) and any(
        str(name).strip().lower() in TEXT_FIELDS and isinstance(value, str) for name, value in record.items()
    )


# -- tables ------------------------------------------------------------------------------------------------------------


def read_csv(data: bytes, limits: FileLimits) -> list[FileText]:
    """A table separated by commas, semicolons, tabs or bars, whichever its lines agree on."""
    decoded = _decoded(data, "a CSV table")
    return _table(decoded, delimiter_of(decoded.text), "csv", limits)


def read_tsv(data: bytes, limits: FileLimits) -> list[FileText]:
    """A table separated by tabs."""
    return _table(_decoded(data, "a TSV table"), "\t", "tsv", limits)


def _table(decoded: DecodedText, delimiter: str, kind: str, limits: FileLimits) -> list[FileText]:
    """One document for each row if there is a text column; else one document with a line for each row."""
    rows = _rows(decoded.text, delimiter)
    first, second = next(rows, (0, [])), next(rows, (0, []))
    following = _chain(second, rows)
    header = header_of(first[1], second[1])
    names = [name.strip() for name in first[1]]
    if second[1] and len(names) > 1 and {name.lower() for name in names} & set(TEXT_FIELDS):
        records = _Records(decoded, kind, limits.max_chars)
        for line, row in following:
            records.add(_typed(dict(zip(names, row, strict=False))), line)
        return records.result()
    builder = TextBuilder(limits.max_chars)
    for _, row in following if header and second[1] else _chain(first, following):
        builder.add(row_line([" ".join(cell.split()) for cell in row], header if second[1] else []), "\n")
    return [FileText(builder.text(), (), {"file_type": kind, "encoding": decoded.encoding}, (), decoded.notes)]


def _typed(row: dict[str, str]) -> dict[str, object]:
    """Convert the numbers of a row, except in the columns of its text and name.

    >>> _typed({"id": "7", "year": "1912", "code": "007"})
    {'id': '7', 'year': 1912, 'code': '007'}
    """
    kept = {*TEXT_FIELDS, *NAME_FIELDS, "title"}
    return {name: cell if name.lower() in kept else _number(cell) for name, cell in row.items()}


def _number(cell: str) -> str | int | float:
    if _PLAIN_NUMBER.fullmatch(cell.strip()):
        return float(cell) if "." in cell else int(cell)
    return cell


def _chain(first: tuple[int, list[str]], rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    if first[1]:
        yield first
    yield from rows


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each row that is not empty. Drops NULs. Sets the csv module's global field size limit."""
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text.replace("\x00", ""), newline=""), delimiter=delimiter)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        if any(cell.strip() for cell in row):
            yield line, row


def delimiter_of(text: str) -> str:
    """The delimiter that splits most of the first lines into the same number of cells (over one); else a comma.

    >>> delimiter_of("name;height\\nOrveth;2,314\\n")
    ';'
    """
    sample = [line for line in re.sub(r'"[^"]*"', "", text[:20_000]).splitlines() if line.strip()][:20]
    best, chosen = 0.0, ","
    for delimiter in _DELIMITERS:
        counts = [line.count(delimiter) for line in sample]
        agreeing = counts.count(counts[0]) / len(counts) if counts and counts[0] else 0.0
        if agreeing > best:
            best, chosen = agreeing, delimiter
    return chosen


def header_of(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """The column names, or [] if the first row is not a header: names are distinct, short and not numbers.

    >>> header_of(["Name", "Year"], ["Ada", "1912"]), header_of(["Ada", "1912"], ["Bo", "1913"])
    (['Name', 'Year'], [])
    """
    names = [" ".join(cell.split()) for cell in first]
    full = [name for name in names if name]
    plain = full and len(set(full)) == len(full) and not any(_NUMBER.match(name) or len(name) > 80 for name in full)
    wide = len(full) > 1 and len(full) >= sum(bool(cell.strip()) for cell in second)
    return names if plain and wide else []


def row_line(row: Sequence[str], header: Sequence[str]) -> str:
    """A row as one line, with column names if there are any.

    >>> row_line(["Ada", "", "1912"], ["Name", "Town", "Year"])
    'Name: Ada\\tYear: 1912'
    """
    if not header:
        return "\t".join(row).rstrip("\t")
    names = [*header, *[""] * max(0, len(row) - len(header))]
    return "\t".join(f"{name}: {cell}" if name else cell for name, cell in zip(names, row, strict=False) if cell)


# -- JSON --------------------------------------------------------------------------------------------------------------


def read_json(data: bytes, limits: FileLimits) -> list[FileText]:
    """Documents from an array of records with texts, or from one such record; any other JSON as lines "path: value"."""
    decoded = _decoded(data, "JSON")
    try:
        value = json.loads(decoded.text)
    except ValueError as error:
        lines = [line for line in decoded.text.splitlines() if line.strip()]
        if len(lines) > 1 and _is_json(lines[0]):
            return _json_lines(decoded, "json", limits)
        raise UnreadableFile(f"not valid JSON ({_where(error)})") from None
    found = value if isinstance(value, list) else [value]
    if any(map(_has_text, found)):
        records = _Records(decoded, "json", limits.max_chars)
        for number, record in enumerate(found, 1):
            records.add(record if isinstance(record, dict) else {}, number)
        return records.result()
    return [_as_lines([value], decoded, "json", limits)]


def read_jsonl(data: bytes, limits: FileLimits) -> list[FileText]:
    """Documents from one JSON value per line: records with texts, else lines "path: value"."""
    return _json_lines(_decoded(data, "JSON lines"), "jsonl", limits)


def _json_lines(decoded: DecodedText, kind: str, limits: FileLimits) -> list[FileText]:
    values: list[tuple[int, Any]] = []
    bad: list[int] = []
    for number, line in enumerate(decoded.text.split("\n"), 1):
        if line.strip():
            try:
                values.append((number, json.loads(line)))
            except (ValueError, RecursionError):
                bad.append(number)
    if not values:
        raise UnreadableFile("no line of it is valid JSON" if bad else "no text in it")
    notes = _bad_lines(bad)
    if any(_has_text(value) for _, value in values):
        records = _Records(decoded, kind, limits.max_chars)
        records.notes += notes
        for number, record in values:
            records.add(record if isinstance(record, dict) else {}, number)
        return records.result()
    return [_as_lines((value for _, value in values), decoded, kind, limits, notes)]


def _bad_lines(bad: Sequence[int]) -> tuple[str, ...]:
    if not bad:
        return ()
    shown = ", ".join(map(str, bad[:5])) + (", …" if len(bad) > 5 else "")
    return (f"{len(bad):,} line{'s' * (len(bad) > 1)} not valid JSON, left out: {shown}",)


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), (dict, list))
    except ValueError:
        return False


def _where(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower()}, line {error.lineno:,}"
    return "a number is too long"


def _as_lines(
    values: Iterable[Any], decoded: DecodedText, kind: str, limits: FileLimits, notes: tuple[str, ...] = ()
) -> FileText:
    """One document with each leaf value on a line, and a blank line between the given values."""
    builder = TextBuilder(limits.max_chars)
    for value in values:
        gap = "\n\n"
        for path, leaf in _leaves(value):
            builder.add(f"{path}: {leaf}" if path else leaf, gap)
            gap = "\n"
    return FileText(builder.text(), (), {"file_type": kind, "encoding": decoded.encoding}, (), decoded.notes + notes)


def _leaves(value: Any) -> Iterator[tuple[str, str]]:
    """(path, value) of each string and number, in order, without recursion. Paths look like `a.b[0]`."""
    stack: list[tuple[str, Any]] = [("", value)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict):
            stack.extend((f"{path}.{name}" if path else str(name), inner) for name, inner in reversed(value.items()))
        elif isinstance(value, list):
            stack.extend((f"{path}[{at}]", inner) for at, inner in reversed(list(enumerate(value))))
        elif isinstance(value, str) and value.strip():
            yield path, value
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield path, str(value)
