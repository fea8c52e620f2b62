"""Tables as lines: each row as "Column: value", with the header found by the types of the cells below it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

LOOKAHEAD = 12
LONGEST_NAME = 80
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d$")
_PERCENT = re.compile(r"[-+−]?\d+(?:[.,]\d+)?\s?%$")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T]\d{1,2}:\d{2}.*)?$|\d{1,2}:\d{2}(?::\d{2})?$")
_NUMBER = re.compile(r"[(\[]?[-+−<>≤≥~]?\s?[$€£¥₹]?\s?\d[\d.,' \u00a0\u202f]*(?:[eE][-+]?\d+)?\s?[$€£¥₹]?[)\]]?$")

Row = Sequence[str]


def table_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Each row as a line. An empty row separates tables: the next one may have a header of its own.

    >>> list(table_lines([["Depths 2023"], ["City", "Depth"], ["Ostby", "12"]]))
    ['Depths 2023', 'City: Ostby\\tDepth: 12']
    """
    rest = iter(rows)
    header: list[str] = []
    while (first := next((row for row in rest if any(row)), None)) is not None:
        block = chain([first], _until_empty(rest))
        head = list(islice(block, LOOKAHEAD))
        at, used, names = find_header(head)
        yield from (row_line(row, []) for row in head[:at])
        if names:
            header = names
        elif len(head) == 1 and sum(map(bool, first)) == 1:
            yield row_line(first, [])
            continue
        elif len(first) != len(header):
            header = []
        if names and len(head) == at + used:
            yield from (row_line(row, []) for row in head[at:])
        yield from (row_line(row, header) for row in chain(head[at + used :], block))


def _until_empty(rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        if not any(row):
            return
        yield row


def find_header(rows: Sequence[Row]) -> tuple[int, int, list[str]]:
    """(rows above the header, rows of the header, column names) of a table's first rows; (0, 0, []) without a header.

    Rows above are titles: they fill half of the columns at most. Names differ in type from the cells below them, such as
    words above numbers or years above other numbers. In a table of words only, distinct short names are a header.

    >>> find_header([["Country", "2019", "2020"], ["Orveth", "83.1", "84.5"]])
    (0, 1, ['Country', '2019', '2020'])
    >>> find_header([["Ada", "1912"], ["Bo", "1913"]])
    (0, 0, [])
    """
    width = max((_filled(row) for row in rows), default=0)
    for at, row in enumerate(rows[:-1]):
        if _filled(row) * 2 <= width and width > 2 or (_filled(row) == 1 and width == 2):
            continue
        below = rows[at + 1 :]
        if _is_header(row, below):
            names = [" ".join(cell.split()) for cell in row]
            if len(below) > 1 and _is_second_header(row, below[0], below[1:]):
                return at, 2, _joined(names, below[0])
            return at, 1, names
        break
    return 0, 0, []


def row_line(row: Row, header: Row) -> str:
    """A row as one line, with column names if there are any.

    >>> row_line(["Ada", "", "1912"], ["Name", "Town", "Year"])
    'Name: Ada\\tYear: 1912'
    """
    if not header:
        return "\t".join(row).rstrip("\t")
    names = [*header, *[""] * max(0, len(row) - len(header))]
    return "\t".join(f"{name}: {cell}" if name else cell for name, cell in zip(names, row, strict=False) if cell)


def _filled(row: Row) -> int:
    return sum(bool(cell.strip()) for cell in row)


def kind_of_cell(cell: str) -> str:
    """year, percent, date, number or text; "" for an empty cell.

    >>> [kind_of_cell(cell) for cell in ("2019", "50%", "4.5.2021", "1,234.50 €", "12 m")]
    ['year', 'percent', 'date', 'number', 'text']
    """
    cell = cell.strip()
    if not cell:
        return ""
    for kind, pattern in (("year", _YEAR), ("percent", _PERCENT), ("date", _DATE), ("number", _NUMBER)):
        if pattern.match(cell):
            return kind
    return "text"


def _is_header(row: Row, below: Sequence[Row]) -> bool:
    names = [" ".join(cell.split()) for cell in row]
    full = [name for name in names if name]
    typical = sorted(map(_filled, below))[len(below) // 2]
    if len(full) < 2 or len(full) * 2 < typical:
        return False
    score = sum(_evidence(name, [other[at] for other in below if at < len(other)]) for at, name in enumerate(names))
    if score:
        return score > 0
    plain = all(kind_of_cell(name) == "text" and len(name) <= LONGEST_NAME for name in full)
    return plain and len(set(full)) == len(full) and len(full) >= _filled(below[0])


def _evidence(name: str, cells: Sequence[str]) -> float:
    """How much a column's types say that its first cell is a name: above 0 for, below 0 against."""
    kinds = Counter(kind for cell in cells if (kind := kind_of_cell(cell)))
    own = kind_of_cell(name)
    if not kinds or not own:
        return 0.0
    if kinds["number"] and kinds["year"]:
        kinds["number"] += kinds.pop("year")
    common = kinds.most_common(1)[0][0]
    if own == "text":
        return 1.0 if common != "text" else -0.5 if name in cells else 0.0
    if own == common:
        return -1.0
    return -0.5 if own == "number" else 0.5


def _is_second_header(first: Row, second: Row, below: Sequence[Row]) -> bool:
    """Whether a second row of names stands under one whose names repeat or span columns."""
    names = [cell.strip() for cell in first]
    words = [cell for cell in second if cell.strip()]
    spans = len(set(names)) < len(names) or "" in names
    if not spans or not words or any(kind_of_cell(cell) not in ("text", "year") for cell in words):
        return False
    numbers = {at for row in below for at, cell in enumerate(row) if kind_of_cell(cell) not in ("", "text")}
    return any(at in numbers for at, cell in enumerate(second) if cell.strip())


def _joined(names: Sequence[str], second: Row) -> list[str]:
    """The names of two header rows as one; a name reaches over the empty ones right of it."""
    joined: list[str] = []
    above = ""
    for at in range(max(len(names), len(second))):
        name = names[at] if at < len(names) else ""
        under = " ".join(second[at].split()) if at < len(second) else ""
        above = name or (above if under else "")
        joined.append(above if above == under or not under else f"{above} {under}".strip())
    return joined
