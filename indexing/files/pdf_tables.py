"""Rows of a PDF page that stand in columns: the cells of a table are separated by tabs, columns of prose follow each other.

Neighbouring rows with wide gaps at the same places form a block. If the lines of each column go on as prose does, the
columns are read one after the other; else the block is a table, and an empty cell keeps its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from indexing.files.pdf_rows import INSERTED, Row, Word, text_of

_ALIGNED = 0.8
_NARROW = 0.2
_PROSE_LETTERS = 12
_FAR = 3.0
_LONE = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_ENDS = ".!?:;。！？：；…।॥؟۔።"


@dataclass(slots=True)
class Line:
    """A printed line: its characters, their indices, and its box in points from the left and the bottom.

    table: the number of the table that it is a row of, or 0.
    """

    text: str
    origins: list[int]
    left: float = 0.0
    right: float = 0.0
    bottom: float = 0.0
    size: float = 0.0
    table: int = 0

    @property
    def letter(self) -> float:
        """Mean width of a character."""
        return (self.right - self.left) / max(1, len(self.text))


@dataclass(slots=True)
class _Cell:
    """Words of one row in one column."""

    row: Row
    words: list[Word]

    @property
    def left(self) -> float:
        return self.words[0].left

    @property
    def right(self) -> float:
        return max(word.right for word in self.words)


def lines_of(rows: Sequence[Row]) -> list[Line]:
    """The lines of a page in reading order."""
    lines: list[Line] = []
    blocks = _blocks(rows)
    at = 0
    while at < len(blocks):
        block = blocks[at]
        at += 1
        cells = _cells(block) if len(block) > 1 else []
        columns = _columns(cells)
        if len(columns) < 2:
            lines += [line for row in block if (line := _line([_Cell(row, row.words)]))]
            continue
        longer, end = _with_short_columns(blocks, at, columns)
        if prose := _prose(_cells(longer), columns):
            lines += prose
            at = end
        else:
            lines += _prose(cells, columns) or _table(cells, columns, at)
    return lines


def _with_short_columns(
    blocks: Sequence[list[Row]], at: int, columns: Sequence[tuple[float, float]]
) -> tuple[list[Row], int]:
    """The block before `at` with the rows below it that lie in its columns, and the place of the next block.

    Columns of prose end at different heights, and have gaps between paragraphs.
    """
    rows = list(blocks[at - 1])
    while at < len(blocks) and _follows(rows[-1], blocks[at][0]) and all(_inside(row, columns) for row in blocks[at]):
        rows += blocks[at]
        at += 1
    return rows, at


def _inside(row: Row, columns: Sequence[tuple[float, float]]) -> bool:
    """Whether each cell of a row lies in one of the columns, up to the next one."""
    slack = 0.5 * row.size
    ends = [*(left - slack for left, _ in columns[1:]), columns[-1][1] + slack]
    (cells,) = _cells([row])
    places = [(left - slack, end) for (left, _), end in zip(columns, ends, strict=True)]
    return row.level and all(any(left <= cell.left and cell.right <= end for left, end in places) for cell in cells)


def _blocks(rows: Sequence[Row]) -> list[list[Row]]:
    """Runs of rows with wide gaps, one below the other in the same size; every other row is a run of its own."""
    blocks: list[list[Row]] = []
    for row in rows:
        if blocks and _has_gap(row) and _has_gap(blocks[-1][-1]) and _follows(blocks[-1][-1], row):
            blocks[-1].append(row)
        else:
            blocks.append([row])
    return _with_full_rows(blocks)


def _with_full_rows(blocks: Sequence[list[Row]]) -> list[list[Row]]:
    """Add rows without a wide gap to the block above or below if their words begin where its columns do."""
    found: list[list[Row]] = []
    for block in blocks:
        above = found[-1] if found else []
        if above and len(above) > 1 and len(block) == 1 and _follows(above[-1], block[0]) and _fits(block[0], above):
            above += block
        elif above and len(above) == 1 and len(block) > 1 and _follows(above[0], block[0]) and _fits(above[0], block):
            found[-1] = above + block
        elif above and len(above) > 1 and _has_gap(block[0]) and _has_gap(above[0]) and _follows(above[-1], block[0]):
            above += block
        else:
            found.append(block)
    return found


def _fits(row: Row, block: Sequence[Row]) -> bool:
    """Whether a row has words at two or more edges, besides the first, where rows of the block have them."""
    if not row.level or row.rtl:
        return False
    starts, edges = _edges([*block, row])
    pairs = zip(row.words, row.words[1:], strict=False)
    return sum(b.left - a.right > _NARROW * row.size and _aligned(b, row, starts, edges) for a, b in pairs) > 1


def _has_gap(row: Row) -> bool:
    return row.level and any(word.wide for word in row.words)


def _follows(row: Row, following: Row) -> bool:
    down = row.baseline - following.baseline
    return 0 < down < _FAR * row.size and abs(row.size - following.size) <= 0.2 * row.size


def _cells(block: Sequence[Row]) -> list[list[_Cell]]:
    """The cells of each row: words after a wide gap, and words at the edge of another row's cell."""
    starts, edges = _edges(block)
    rows: list[list[_Cell]] = []
    for row in block:
        cells = [_Cell(row, [row.words[0]])]
        for last, word in zip(row.words, row.words[1:], strict=False):
            if word.wide or (word.left - last.right > _NARROW * row.size and _aligned(word, row, starts, edges)):
                cells.append(_Cell(row, [word]))
            else:
                cells[-1].words.append(word)
        rows.append(cells)
    return rows


def _edges(block: Sequence[Row]) -> tuple[Counter[int], Counter[int]]:
    """How many rows have a cell after a wide gap, and a word, that begins at each place."""
    starts: Counter[int] = Counter()
    edges: Counter[int] = Counter()
    for row in block:
        starts.update({round(word.left / _ALIGNED) for word in row.words[1:] if word.wide})
        edges.update({round(word.left / _ALIGNED) for word in row.words[1:]})
    return starts, edges


def _aligned(word: Word, row: Row, starts: Counter[int], edges: Counter[int]) -> bool:
    """Whether a word begins a cell without a wide gap. One edge is enough where the row's other spaces are characters.

    Not in right-to-left rows, where every space parts words, so that many begin at one place by chance.
    """
    if row.rtl:
        return False
    at = round(word.left / _ALIGNED)
    often = sum(starts[edge] + edges[edge] for edge in (at - 1, at, at + 1))
    written = any(" " in other.text.strip() for other in row.words)
    return often >= (3 if written and word.before else 4) or sum(edges[edge] for edge in (at - 1, at, at + 1)) > 2


def _columns(rows: Sequence[Sequence[_Cell]]) -> list[tuple[float, float]]:
    """The left and right edges of the columns, ascending. A cell over two columns belongs to the first of them."""
    columns: list[tuple[float, float]] = []
    for row in sorted(rows, key=len, reverse=True):
        for cell in row:
            under = [column for column in columns if _over(cell, column)]
            if not under:
                columns.append((cell.left, cell.right))
            elif len(under) == 1:
                columns.remove(under[0])
                columns.append((min(under[0][0], cell.left), max(under[0][1], cell.right)))
        columns.sort()
    return _merged(columns, rows)


def _merged(columns: list[tuple[float, float]], rows: Sequence[Sequence[_Cell]]) -> list[tuple[float, float]]:
    """Merge neighbours that no row has both of, if a cell lies over both or one of them is that of a heading only."""
    at = 0
    while at + 1 < len(columns):
        first = {number for number, row in enumerate(rows) if any(_column_of(cell, columns) == at for cell in row)}
        second = {number for number, row in enumerate(rows) if any(_column_of(cell, columns) == at + 1 for cell in row)}
        over = any(_over(cell, columns[at]) and _over(cell, columns[at + 1]) for row in rows for cell in row)
        if not first & second and (over or {0} in (first, second)):
            columns[at : at + 2] = [(columns[at][0], columns[at + 1][1])]
            at = max(0, at - 1)
        else:
            at += 1
    return columns


def _over(cell: _Cell, column: tuple[float, float]) -> bool:
    return min(column[1], cell.right) - max(column[0], cell.left) > 0


def _column_of(cell: _Cell, columns: Sequence[tuple[float, float]]) -> int:
    return max(range(len(columns)), key=lambda at: (min(columns[at][1], cell.right) - max(columns[at][0], cell.left), -at))


# -- columns of prose --------------------------------------------------------------------------------------------------


def _prose(rows: Sequence[Sequence[_Cell]], columns: Sequence[tuple[float, float]]) -> list[Line]:
    """The lines of a block column by column, or [] if it is a table."""
    found: list[list[Line]] = [[] for _ in columns]
    for row in rows:
        for cell in row:
            if line := _line([cell]):
                found[_column_of(cell, columns)].append(line)
    if len(rows) < 3 or not all(_goes_on(lines, column) for lines, column in zip(found, columns, strict=True)):
        return []
    if _is_rtl(rows):
        found.reverse()
    return [line for lines in found for line in lines]


def _goes_on(lines: Sequence[Line], column: tuple[float, float]) -> bool:
    """Whether the lines of a column read as prose: long, filling the column, and ending inside sentences."""
    if len(lines) < 3 or mean(len(line.text) for line in lines) < _PROSE_LETTERS:
        return False
    on = 0
    for line, following in zip(lines, lines[1:], strict=False):
        first = next((letter for letter in following.text if letter.isalnum()), "")
        inside = line.text[-1] not in _ENDS and bool(first) and not first.isupper() and not first.isdigit()
        on += inside and line.right - line.left > 0.6 * (column[1] - column[0]) and " " in line.text
    return on * 2 >= len(lines) - 1


# -- tables ------------------------------------------------------------------------------------------------------------


def _table(rows: Sequence[Sequence[_Cell]], columns: Sequence[tuple[float, float]], number: int) -> list[Line]:
    """Each row as a line, its cells separated by tabs."""
    rtl = _is_rtl(rows)
    lines: list[Line] = []
    for row in rows:
        places: list[list[_Cell]] = [[] for _ in columns]
        for cell in row:
            places[_column_of(cell, columns)].append(cell)
        ordered = places[::-1] if rtl else places
        while ordered and not ordered[-1]:
            ordered.pop()
        text: list[str] = []
        origins: list[int] = []
        for at, cells in enumerate(ordered):
            letters, indices = _cell_text(cells[::-1] if rtl else cells)
            text += ["\t"] * (at > 0) + letters
            origins += [INSERTED] * (at > 0) + indices
        lines.append(_framed("".join(text), origins, row[0].row, row, number))
    return lines


def _cell_text(cells: Sequence[_Cell]) -> tuple[list[str], list[int]]:
    text: list[str] = []
    origins: list[int] = []
    for cell in cells:
        letters, indices = _stripped(*text_of(cell.words, cell.row.rtl))
        text += [" "] * bool(text) + letters
        origins += [INSERTED] * bool(origins) + indices
    return text, origins


def _is_rtl(rows: Sequence[Sequence[_Cell]]) -> bool:
    return sum(row[0].row.rtl for row in rows) * 2 > len(rows)


# -- lines -------------------------------------------------------------------------------------------------------------


def _line(cells: Sequence[_Cell]) -> Line | None:
    """The line of a row, or of its words in one column; None if it is blank."""
    (cell,) = cells
    letters, origins = _stripped(*text_of(cell.words, cell.row.rtl))
    return _framed("".join(letters), origins, cell.row, cells, 0) if letters else None


def _stripped(letters: list[str], origins: list[int]) -> tuple[list[str], list[int]]:
    first, last = 0, len(letters)
    while first < last and letters[first].isspace():
        first += 1
    while last > first and letters[last - 1].isspace():
        last -= 1
    return letters[first:last], origins[first:last]


def _framed(text: str, origins: list[int], row: Row, cells: Sequence[_Cell], table: int) -> Line:
    left, right = min(cell.left for cell in cells), max(cell.right for cell in cells)
    return Line(text.translate(_LONE), origins, left, right, row.baseline, row.size, table)
