"""Parsers of CSV and TSV: the delimiter that makes most columns; rows as lines, or as documents if they hold long texts."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from indexing.files.charset import DecodedText, decode_text
from indexing.files.file_text import FileLimits, FileText, TextBuilder
from indexing.files.records import NAME_FIELDS, TEXT_FIELDS, Records
from indexing.files.tables import table_lines

LONG_TEXT = 80
_SAMPLE_ROWS = 200
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?")
_DELIMITERS = ",;\t|"
_SEPARATOR = re.compile(r"sep=(.)\r?\n", re.I)
_SINGLE = re.compile(r"\s*'[^'\n]*'\s*(?:[,;\t|]|$)")
_SINGLE_QUOTED = re.compile(r"'[^'\n]*'")
_QUOTED = re.compile(r'"[^"]*"')
_ESCAPED_QUOTE = re.compile(r'\\"[^\s,;|]')
_SWALLOWED_LINES = 5


def read_csv(data: bytes, limits: FileLimits) -> list[FileText]:
    """A table separated by commas, semicolons, tabs or bars: whichever its lines agree on."""
    decoded = decode_text(data, "a CSV table")
    named = _SEPARATOR.match(decoded.text)
    text = decoded.text[named.end() :] if named else decoded.text
    return _table(decoded, text, named[1] if named else delimiter_of(text), "csv", limits)


def read_tsv(data: bytes, limits: FileLimits) -> list[FileText]:
    """A table separated by tabs."""
    decoded = decode_text(data, "a TSV table")
    return _table(decoded, decoded.text, "\t", "tsv", limits)


def _table(decoded: DecodedText, text: str, delimiter: str, kind: str, limits: FileLimits) -> list[FileText]:
    """One document for each row if a text column holds long texts; else one document with a line for each row."""
    rows = _Rows(text.replace("\x00", ""), delimiter)
    numbered = iter(rows)
    sample = list(islice(numbered, _SAMPLE_ROWS))
    full = [row for _, row in sample if any(row)]
    names = [name.strip() for name in full[0]] if full else []
    if len(full) > 1 and _has_long_column(names, full[1:]):
        records = Records(decoded, kind, limits.max_chars)
        begun = False
        for line, row in chain(sample, numbered):
            if begun and any(row):
                records.add(_typed(_named(names, row)), line)
            begun = begun or any(row)
        records.notes += rows.notes()
        return records.result()
    builder = TextBuilder(limits.max_chars)
    cells = ([" ".join(cell.split()) for cell in row] for _, row in chain(sample, numbered))
    for words in table_lines(cells):
        builder.add(words, "\n")
    meta = {"file_type": kind, "encoding": decoded.encoding}
    return [FileText(builder.text(), (), meta, (), (*decoded.notes, *rows.notes()))]


def _has_long_column(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the median cell of a text column has LONG_TEXT characters or more."""
    for at, name in enumerate(names if len(names) > 1 else ()):
        lengths = sorted(len(row[at]) for row in rows if at < len(row) and row[at].strip())
        if name.lower() in TEXT_FIELDS and lengths and lengths[len(lengths) // 2] >= LONG_TEXT:
            return True
    return False


def _named(names: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    """A row by its column names. Repeated names, and cells without one, are numbered."""
    named: dict[str, str] = {}
    for at, cell in enumerate(row):
        name = names[at] if at < len(names) and names[at] else f"column {at + 1}"
        named[name if name not in named else f"{name} {at + 1}"] = cell
    return {name: cell for name, cell in named.items() if cell.strip() or name in names}


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


class _Rows:
    """(line number, cells) of each row; [] for an empty one. A quote that is never closed is taken for a character."""

    def __init__(self, text: str, delimiter: str) -> None:
        self._text = text
        self._delimiter = delimiter
        self._unclosed = 0
        self._single = _in_single_quotes(text)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        csv.field_size_limit(sys.maxsize)
        yield from self._parsed(self._text, 0, csv.QUOTE_MINIMAL)

    def _parsed(self, text: str, before: int, quoting: int) -> Iterator[tuple[int, list[str]]]:
        escape = "\\" if _ESCAPED_QUOTE.search(text[:200_000]) and '""' not in text[:200_000] else None
        reader = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=self._delimiter,
            quotechar="'" if self._single else '"',
            quoting=quoting,  # type: ignore[arg-type]
            escapechar=escape if quoting == csv.QUOTE_MINIMAL else None,
            doublequote=escape is None,
            skipinitialspace=self._delimiter not in "\t ",
        )
        odd = text.count('"') % 2 and quoting == csv.QUOTE_MINIMAL
        lines = list(io.StringIO(text, newline="")) if odd else []  # The lines that `reader` counts.
        while True:
            line = reader.line_num
            try:
                row = next(reader)
            except StopIteration:
                return
            if lines and reader.line_num >= len(lines) - 1 and reader.line_num - line > _SWALLOWED_LINES:
                self._unclosed = before + line + 1
                yield from self._parsed("".join(lines[line:]), before + line, csv.QUOTE_NONE)
                return
            yield before + line + 1, row if any(cell.strip() for cell in row) else []

    def notes(self) -> list[str]:
        """A remark on a quote that is never closed."""
        return [f"a quote opened in line {self._unclosed:,} is not closed"] if self._unclosed else []


def _in_single_quotes(text: str) -> bool:
    """Whether cells stand in single quotes: no double ones, and most of the first lines begin with a cell in them."""
    if '"' in text[:200_000]:
        return False
    lines = [line for line in text[:20_000].splitlines() if line.strip()][:20]
    return bool(lines) and sum(bool(_SINGLE.match(line)) for line in lines) * 4 >= 3 * len(lines)


def delimiter_of(text: str) -> str:
    """The delimiter whose number agrees in most of the first lines; of several, the one that makes most columns.

    Commas between digits count only if there is no other delimiter.

    >>> delimiter_of("name;height\\nOrveth;2,314\\n"), delimiter_of("April 9, 2023;7;x\\nApril 10, 2023;8;y\\n")
    (';', ';')
    """
    quoted = _SINGLE_QUOTED if _in_single_quotes(text) else _QUOTED
    sample = [line for line in quoted.sub("", text[:20_000]).splitlines() if line.strip()][:20]
    plain = [re.sub(r"(?<=\d),(?=\d)", "", line) for line in sample]
    return _agreed(plain) or _agreed(sample) or ","


def _agreed(lines: Sequence[str]) -> str:
    found: list[tuple[float, int, str]] = []
    for delimiter in _DELIMITERS:
        counts = [count for line in lines if (count := line.count(delimiter))]
        if counts:
            columns, agreeing = Counter(counts).most_common(1)[0]
            found.append((agreeing / len(lines), columns, delimiter))
    best = max((agreeing for agreeing, _, _ in found), default=0.0)
    near = [(columns, agreeing, delimiter) for agreeing, columns, delimiter in found if agreeing >= 0.75 * best]
    return max(near, key=lambda item: (item[0] * (item[1] >= 0.75 * best), item[1]))[2] if near else ""
