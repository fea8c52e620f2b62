"""Parser of Excel workbooks: each sheet is a page of rows as "Column: value", with charts, text boxes and comments."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from indexing.files.drawings import ON, R, body, drawn
from indexing.files.file_text import FileLimits, FileText, TextBuilder, check_pages, counted
from indexing.files.left_out import HIDDEN, STRUCK, LeftOut
from indexing.files.number_formats import BUILT_IN, general, shown
from indexing.files.ooxml import Package
from indexing.files.tables import table_lines
from indexing.files.xml_parts import local, whole

S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
XDR = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"
_MERGE = re.compile(rb"""<(?:\w+:)?mergeCell\s[^>]*?ref\s*=\s*["']\$?([A-Z]{1,3})\$?(\d{1,7}):\$?([A-Z]{1,3})\$?(\d{1,7})""")
_ATTRIBUTE = re.compile(rb"""\b(hidden|min|max)\s*=\s*["'](\w{1,7})["']""")
_COL = re.compile(rb"<(?:\w+:)?col\s[^>]*>")
_PLACE = re.compile(r"([A-Z]{1,3})(\d{1,7})$")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_MOST_COLUMNS = 16_384
_MOST_MERGED = 200_000


def read_xlsx(data: bytes, limits: FileLimits) -> list[FileText]:
    """One page for each sheet: its name as a heading, each row as tab-separated "Column: value"."""
    book = _Workbook(Package(data, LeftOut(limits.hidden_text)))
    check_pages(len(book.sheets), limits.max_pages, "sheets")
    builder = TextBuilder(limits.max_chars)
    hidden: list[str] = []
    for title, name, state in book.sheets:
        lines = book.lines(name)
        first = next(lines, "")
        if not first:
            continue
        if state in ("hidden", "veryHidden"):
            hidden.append(title)
        builder.page()
        builder.heading(title, 1, "")
        builder.add(first)
        for line in lines:
            builder.add(line, "\n")
    package = book.package
    notes = [*package.notes, *counted(book.unstored, "formula", "without a stored value")]
    notes += [f"hidden sheets read: {', '.join(hidden[:10])}"] if hidden else []
    notes += counted(book.hidden_rows, "hidden row", "read")
    notes += counted(book.hidden_columns, "hidden column", "read")
    notes += package.left_out.remarks()
    notes += counted(sum("/embeddings/" in part for part in package.names()), "embedded object", "not read")
    notes += package.image_note()
    return [FileText(builder.text(), tuple(builder.pages), package.meta("xlsx"), tuple(builder.headings), tuple(notes))]


class _Workbook:
    """A workbook with its shared strings and number formats."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.main = package.main("xl", "workbook")
        root = package.xml(self.main)
        self.unstored = self.hidden_rows = self.hidden_columns = 0
        targets = {relation.id: relation.target for relation in package.relations(self.main)}
        found = [] if root is None else [sheet for sheet in root.iter(f"{S}sheet") if sheet.get(f"{R}id") in targets]
        self.sheets = [
            (sheet.get("name") or "", targets[sheet.get(f"{R}id")], sheet.get("state") or "visible") for sheet in found
        ]
        setting = None if root is None else root.find(f"{S}workbookPr")
        self.epoch_1904 = setting is not None and setting.get("date1904") in ("1", "true")
        self.strings = self._strings()
        self.formats, self.struck = self._styles()

    def _strings(self) -> list[str]:
        parts = self.package.related(self.main, "sharedStrings")
        root = self.package.xml(parts[0]) if parts else None
        return [] if root is None else [_rich(item, self.package.left_out) for item in root.iterchildren(f"{S}si")]

    def _styles(self) -> tuple[list[str], frozenset[int]]:
        """The format code of each cell style, and the styles whose font is struck out."""
        parts = self.package.related(self.main, "styles")
        root = self.package.xml(parts[0]) if parts else None
        if root is None:
            return [], frozenset()
        codes = dict(BUILT_IN)
        for element in root.iter(f"{S}numFmt"):
            codes[whole(element.get("numFmtId"))] = element.get("formatCode") or "General"
        styles = root.find(f"{S}cellXfs")
        fonts = {at for at, font in enumerate(next(root.iterchildren(f"{S}fonts"), ())) if _is_struck(font)}
        found = list(() if styles is None else styles)
        struck = frozenset(at for at, style in enumerate(found) if whole(style.get("fontId")) in fonts)
        return [codes.get(whole(style.get("numFmtId")), "General") for style in found], struck

    def lines(self, name: str) -> Iterator[str]:
        """The rows of a sheet as lines, then its charts, text boxes and comments."""
        data = self.package.part(name) or b""
        yield from table_lines(self._rows(data, name))
        for part in self.package.related(name, "drawing"):
            yield from self._drawing(part)
        threads = self.package.related(name, "threadedComment")
        for part in (*threads, *self.package.related(name, "comments")):
            yield from _comments(self.package.xml(part), self.package.left_out, bool(threads))

    def _drawing(self, part: str) -> Iterator[str]:
        root = self.package.xml(part)
        for shape in () if root is None else root.iter(f"{XDR}sp"):
            if text := body(shape):
                yield text
        for target in self.package.related(part, "chart", "chartEx", "diagramData"):
            if text := drawn(self.package, target):
                yield text

    def _rows(self, data: bytes, name: str) -> Iterator[list[str]]:
        """The cells of each row, merged ones repeated; [] where rows are left out."""
        merged = _Merged(data)
        before = 0
        for number, cells in self._cells(data, name):
            if number > before + 1 and not merged.reaches(before + 1):
                yield []
            before = number
            yield merged.filled(number, cells)

    def _cells(self, data: bytes, name: str) -> Iterator[tuple[int, dict[int, str]]]:
        """(row, text by column) of each stored row; both count from 1."""
        number, hidden, seen = 0, _hidden_columns(data), set[int]()
        for row in _elements(self.package, data, name, "row"):
            number = whole(row.get("r")) or number + 1
            cells: dict[int, str] = {}
            column = 0
            for cell in row.iterchildren(f"{S}c"):
                column = _column(cell.get("r")) or column + 1
                text = self._shown(cell)
                how = STRUCK if self.struck and whole(cell.get("s")) in self.struck else ""
                if text and column <= _MOST_COLUMNS and not self.package.left_out.omits(how, text):
                    cells[column] = text
            self.hidden_rows += bool(cells) and _is_set(row.get("hidden"))
            seen |= hidden & cells.keys() if hidden else hidden
            yield number, cells
        self.hidden_columns += len(seen)

    def _shown(self, cell: Any) -> str:
        """The text of a cell as Excel shows it."""
        kind = cell.get("t") or "n"
        value = cell.find(f"{S}v")
        raw = (value.text or "") if value is not None else ""
        if kind == "inlineStr":
            inner = cell.find(f"{S}is")
            return "" if inner is None else _rich(inner, self.package.left_out)
        if not raw:
            self.unstored += cell.find(f"{S}f") is not None and kind != "str"
            return ""
        if kind == "s":
            at = whole(raw)
            return self.strings[at] if at < len(self.strings) else ""
        if kind == "b":
            return "TRUE" if raw in ("1", "true") else "FALSE"
        if kind == "n":
            return self._number(raw, whole(cell.get("s")))
        return raw[:10] if kind == "d" and raw.endswith(("T00:00:00", "T00:00:00.000")) else _line(raw)

    def _number(self, raw: str, style: int) -> str:
        try:
            value = float(raw)
        except ValueError:
            return raw
        code = self.formats[style] if style < len(self.formats) else "General"
        try:
            text = shown(value, code, self.epoch_1904)
            hidden = general(value) if value and not text else ""
            return hidden if hidden and not self.package.left_out.omits(HIDDEN, hidden) else text
        except (ValueError, ArithmeticError, IndexError):
            return general(value)


def _hidden_columns(data: bytes) -> set[int]:
    """The numbers of a sheet's hidden columns, from 1."""
    found = set[int]()
    for element in _COL.findall(data, 0, max(0, data.find(b"sheetData"))):
        facts = {name.decode(): value.decode() for name, value in _ATTRIBUTE.findall(element)}
        if _is_set(facts.get("hidden")):
            first, last = whole(facts.get("min")), whole(facts.get("max"))
            found.update(range(max(1, first), min(last, _MOST_COLUMNS) + 1))
    return found


def _is_set(value: str | None) -> bool:
    return value in ("1", "true")


class _Merged:
    """The merged ranges of a sheet. Their text stands in the first cell, and is repeated in the others."""

    def __init__(self, data: bytes) -> None:
        self._first: dict[int, list[tuple[int, int, int, int]]] = {}
        self._down: dict[int, dict[int, str]] = {}
        total = 0
        for match in _MERGE.finditer(data):
            left, right = _column(match[1].decode() + "1"), _column(match[3].decode() + "1")
            top, bottom = int(match[2]), int(match[4])
            total += (right - left + 1) * (bottom - top + 1)
            if total > _MOST_MERGED or right < left or bottom < top:
                break
            self._first.setdefault(top, []).append((left, right, top, bottom))

    def reaches(self, row: int) -> bool:
        """Whether a range above reaches into a row."""
        return row in self._down

    def filled(self, row: int, cells: dict[int, str]) -> list[str]:
        """The cells of a row from the first column on, with the texts of merged ranges."""
        found = {**self._down.pop(row, {}), **cells}
        for left, right, top, bottom in self._first.get(row, ()):
            text = cells.get(left, "")
            alone = not any(column < left or column > right for column in found)
            for column in range(left, right + 1):
                if text and not alone:
                    found[column] = text
                for below in range(top + 1, bottom + 1) if text and (not alone or column == left) else ():
                    self._down.setdefault(below, {})[column] = text
        return [found.get(column, "") for column in range(1, max(found, default=0) + 1)]


def _elements(package: Package, data: bytes, name: str, tag: str) -> Iterator[Any]:
    """The elements of a tag as they are parsed, each cleared afterwards, so that a large sheet takes little memory."""
    if b"purl.oclc.org" in data[:2_000]:
        root = package.parsed(data, name)
        yield from () if root is None else root.iter(f"{S}{tag}")
        return
    parser = etree.iterparse(io.BytesIO(data), tag=f"{S}{tag}", resolve_entities=False, no_network=True, huge_tree=True)
    last = None
    try:
        for _, element in parser:
            yield element
            element.clear()
            last = element
            while last.getprevious() is not None:
                del last.getparent()[0]
    except etree.XMLSyntaxError:
        package.notes.append(f"damaged XML in {name.rpartition('/')[2]}: rows after the fault are missing")


def _is_struck(properties: Any) -> bool:
    """Whether the properties of a font or run strike its text out."""
    strike = properties.find(f"{S}strike") if properties is not None else None
    return strike is not None and strike.get("val") in ON


def _rich(element: Any, left_out: LeftOut) -> str:
    """The text of a string item without its phonetic reading, on one line."""
    pieces: list[str] = []
    for child in element:
        if child.tag == f"{S}t":
            pieces.append(child.text or "")
        elif child.tag == f"{S}r":
            words = "".join(text.text or "" for text in child.iterchildren(f"{S}t"))
            if not left_out.omits(STRUCK if _is_struck(child.find(f"{S}rPr")) else "", words):
                pieces.append(words)
    return _line("".join(pieces))


def _line(text: str) -> str:
    """A text on one line. Excel writes characters that XML cannot hold as _x000D_."""
    return " ".join(_ESCAPED.sub(lambda match: chr(int(match[1], 16)), text).replace("\x00", "").split())


def _comments(root: Any, left_out: LeftOut, threaded: bool) -> Iterator[str]:
    """The comments of a sheet, with the cells they belong to. threaded: whether threads are read beside their copies."""
    if root is None:
        return
    names = [" ".join((author.text or "").split()) for author in root.iter(f"{S}author")]
    for comment in root.iter():
        if local(comment) not in ("comment", "threadedComment"):
            continue
        texts = [_rich(inner, left_out) if local(inner) == "text" and len(inner) else "" for inner in comment]
        plain = " ".join(filter(None, texts)) or " ".join("".join(comment.itertext()).split())
        author = names[whole(comment.get("authorId"))] if whole(comment.get("authorId")) < len(names) else ""
        if threaded and author.startswith("tc={"):
            continue
        begin = f"{author}:"
        plain = plain[len(begin) :].strip() if author and plain.startswith(begin) else plain
        if plain:
            where = f" on {comment.get('ref')}" if comment.get("ref") else ""
            yield f"Comment{where}: {plain}"


def _column(place: str | None) -> int:
    """The number of the column of a cell such as "B3", from 1; 0 if it has none.

    >>> _column("B3"), _column("AA1"), _column(None)
    (2, 27, 0)
    """
    match = _PLACE.match(place or "")
    number = 0
    for letter in match[1] if match else "":
        number = number * 26 + ord(letter) - 64
    return number
