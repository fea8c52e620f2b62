"""Parser of OpenDocument texts, spreadsheets and presentations (LibreOffice), also of their older form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any
from zipfile import ZipFile

from indexing.errors import UnreadableFile
from indexing.files.equations import Element, linear, script
from indexing.files.file_text import FileLimits, FileText, Scalar, TextBuilder, check_pages, clean_meta, counted
from indexing.files.left_out import HIDDEN, STRUCK, LeftOut
from indexing.files.number_formats import SAYS_MINUS
from indexing.files.open_document_charts import chart_lines
from indexing.files.open_document_lists import numbers_of
from indexing.files.tables import table_lines
from indexing.files.xml_parts import attribute, local, parsed, whole
from indexing.files.zip_guard import guard_zip, read_member

_BLOCKS = frozenset(("p", "h", "table", "list"))
_SKIPPED = frozenset(
    ("tracked-changes", "sequence-decls", "variable-decls", "forms", "annotation-end", "bookmark", "note-citation", "shapes")
)
_SHAPES = frozenset(
    ("custom-shape", "rect", "ellipse", "circle", "line", "connector", "polygon", "polyline", "path", "regular-polygon")
) | {"caption", "measure", "g"}
_DEEPEST = 20
_MOST_REPEATED = 1_000
_MOST_COLUMNS = 16_384
_META = {"title": "title", "creator": "author", "initial-creator": "author", "subject": "subject", "date": "date"}


def read_open_document(data: bytes, limits: FileLimits, kind: str) -> list[FileText]:
    """One OpenDocument file: paragraphs and tables of a text, sheets of a spreadsheet, slides of a presentation."""
    archive = guard_zip(data)
    _refuse_encrypted(archive)
    root = _parsed(archive, "content.xml")
    if root is None:
        raise UnreadableFile("damaged: its content is missing")
    document = _Document(archive, root, limits)
    body = next((child for child in root if local(child) == "body"), root)
    inner = body[0] if len(body) and local(body[0]) in ("text", "spreadsheet", "presentation", "drawing") else body
    if kind == "ods":
        document.sheets(inner)
    elif kind == "odp":
        document.slides(inner)
    else:
        document.blocks(inner)
        document.page_edges()
    builder = document.builder
    meta = _meta(archive, kind)
    notes = tuple(document.remarks())
    return [FileText(builder.text(), tuple(builder.pages), meta, tuple(builder.headings), notes)]


def _refuse_encrypted(archive: ZipFile) -> None:
    if b"encryption-data" in (read_member(archive, "META-INF/manifest.xml") or b""):
        raise UnreadableFile("encrypted: a password is needed")


def _parsed(archive: ZipFile, name: str) -> Any:
    """The root element of a part; None if it is missing or holds no XML."""
    data = read_member(archive, name)
    return None if data is None else parsed(data)[0]


def _count(element: Any, name: str) -> int:
    """The number that an attribute states; 1 without one."""
    return whole(attribute(element, name), 1)


def _meta(archive: ZipFile, kind: str) -> dict[str, Scalar]:
    root = _parsed(archive, "meta.xml")
    values: dict[str, object] = {}
    for element in () if root is None else root.iter():
        name = _META.get(local(element))
        if name and (text := (element.text or "").strip()):
            values.setdefault(name, text[:10] if name == "date" else text)
    return clean_meta((values | {"file_type": kind}).items())


class _Document:
    """One document while it is read."""

    def __init__(self, archive: ZipFile, root: Any, limits: FileLimits) -> None:
        self.archive, self.root, self.limits = archive, root, limits
        self.builder = TextBuilder(limits.max_chars)
        self.positions = _positions(root)
        self.left_out = LeftOut(limits.hidden_text)
        styles = _parsed(archive, "styles.xml")
        self.styles = _left_out_styles([root, styles])
        self.numbers = numbers_of([root, styles])
        self.objects = 0
        self.after: list[str] = []

    def remarks(self) -> Iterator[str]:
        count = sum(name.startswith("Pictures/") and not name.endswith("/") for name in self.archive.namelist())
        yield from counted(count, "embedded image", "not read")
        yield from counted(self.objects, "embedded object", "not read")
        yield from self.left_out.remarks()

    # -- texts -------------------------------------------------------------------------------------------------------

    def blocks(self, parent: Any, gap: str = "\n\n") -> None:
        """Write the paragraphs, headings, lists and tables below an element, in order."""
        for element in parent:
            name = local(element)
            if name == "h":
                self.builder.heading(self.line(element), _count(element, "outline-level"))
            elif name == "p":
                self.builder.add(self.line(element), gap)
            elif name == "table":
                self.builder.add("\n".join(self.rows(element)))
            elif name == "list":
                for item in element:
                    self.blocks(item, "\n")
            elif name == "section" and self._omits(_hidden_section(element), element):
                continue
            elif name and name not in _SKIPPED:
                self.blocks(element, gap)
            while self.after:
                self.builder.add(self.after.pop(0))

    def page_edges(self) -> None:
        """Page headers and footers, each once."""
        styles = _parsed(self.archive, "styles.xml")
        seen: set[str] = set()
        for element in () if styles is None else styles.iter():
            if local(element) in ("header", "footer", "header-first", "footer-first", "header-left", "footer-left"):
                for paragraph in element.iter():
                    text = self.words(paragraph).strip() if local(paragraph) in ("p", "h") else ""
                    if text not in seen and any(character.isalpha() for character in text):
                        seen.add(text)
                        self.builder.add(text)

    def line(self, paragraph: Any) -> str:
        """A paragraph with its automatic number."""
        text, number = self.words(paragraph).strip(), self.numbers.get(paragraph, "")
        return f"{number} {text}" if number and text else text

    def words(self, paragraph: Any) -> str:
        """The text of a paragraph: spaces, tabs and line ends; notes, comments and text boxes follow it."""
        if self._omits(self.styles.get(attribute(paragraph, "style-name"), ""), paragraph):
            return ""
        text = paragraph.text or ""
        for child in paragraph:
            name = local(child)
            if name == "s":
                text += " " * min(_count(child, "c"), _MOST_REPEATED)
            elif name == "tab":
                text += "\t"
            elif name == "line-break":
                text += "\n"
            elif name == "annotation":
                self.after.append(_comment(child))
            elif name == "note":
                self.after += [
                    inner for inner in (self._inner(part) for part in child if local(part) == "note-body") if inner
                ]
            elif name == "ruby":
                text += _ruby(child)
            elif name == "frame":
                text += self._frame(child)
            elif name in _SHAPES:
                self.after += filter(None, [self._inner(child)])
            elif name == "span":
                text += self._span(child, text[-1:])
            elif name in ("hidden-text", "hidden-paragraph"):
                hidden = (child.text or "") if name == "hidden-text" else ""
                text += "" if self.left_out.omits(HIDDEN, hidden or attribute(child, "string-value")) else hidden
            elif name and name not in _SKIPPED:
                text += self.words(child)
            text += child.tail or ""
        return text

    def _omits(self, how: str, element: Any) -> bool:
        """Whether an element's text is left out. how: HIDDEN, STRUCK or ""."""
        return bool(how) and self.left_out.omits(how, "".join(element.itertext()))

    def _span(self, element: Any, before: str) -> str:
        words = self.words(element)
        position = self.positions.get(attribute(element, "style-name"), "")
        return script(words, before, position == "super") if position else words

    def _frame(self, frame: Any) -> str:
        """What a frame shows: an equation in the line, a text box or table after the paragraph."""
        for child in frame:
            name = local(child)
            if name == "object":
                return self._object(child)
            if name in ("text-box", "table"):
                self.after.append(self._inner(frame))
                return ""
        return ""

    def _object(self, element: Any) -> str:
        """An equation (MathML) in the document or beside it; other objects are counted."""
        root: Any = next((child for child in element if local(child) == "math"), None)
        if root is None:
            folder = attribute(element, "href").removeprefix("./").strip("/")
            root = _parsed(self.archive, f"{folder}/content.xml") if folder else None
        lines = [] if root is None or local(root) == "math" else chart_lines(root)
        self.after += filter(None, ["\n".join(lines)])
        if root is None or (local(root) != "math" and not lines):
            self.objects += 1
        return "" if root is None or local(root) != "math" else linear(_equation(root, 0))

    def _inner(self, element: Any) -> str:
        """The paragraphs and tables below an element as one text."""
        lines: list[str] = []
        for child in element.iter():
            name = local(child)
            above = {local(parent) for parent in takewhile(lambda parent: parent is not element, child.iterancestors())}
            if name in ("p", "h") and not above & {"table", "p", "h"}:
                lines.append(self.line(child))
            elif name == "table" and "table" not in above:
                lines += self.rows(child)
        return "\n".join(filter(None, lines))

    # -- tables ------------------------------------------------------------------------------------------------------

    def rows(self, table: Any) -> Iterator[str]:
        for cells in self.cells(table):
            if any(cell.strip() for cell in cells):
                yield "\t".join(cells).rstrip("\t")

    def cells(self, table: Any) -> Iterator[list[str]]:
        """The cells of each row. Merged ones are repeated; [] stands for rows without text."""
        down: dict[int, tuple[int, str]] = {}
        for row in table.iter():
            if local(row) != "table-row" or next(_tables(row)) is not table:
                continue
            cells = self._row(row, down)
            for _ in range(min(_count(row, "number-rows-repeated"), _MOST_REPEATED) if any(cells) else 1):
                yield cells

    def _row(self, row: Any, down: dict[int, tuple[int, str]]) -> list[str]:
        cells: list[str] = []
        stored = [cell for cell in row if local(cell) in ("table-cell", "covered-table-cell")]
        alone = sum(local(cell) == "table-cell" and bool(len(cell)) for cell in stored) < 2
        across, text = 0, ""
        for cell in stored:
            covered = local(cell) == "covered-table-cell"
            own = self._cell(cell)
            times = _count(cell, "number-columns-repeated")
            for _ in range(min(times, _MOST_REPEATED) if own or covered else min(times, 100)):
                column = len(cells)
                left, above = down.pop(column, (0, ""))
                if covered:
                    shown = own or (above if left else text if across > 0 and not alone else "")
                    across -= 1
                    if left > 1:
                        down[column] = (left - 1, above)
                else:
                    shown = text = own
                    across = min(_count(cell, "number-columns-spanned"), _MOST_COLUMNS) - 1
                    rows = _count(cell, "number-rows-spanned")
                    for at in range(column, column + across + 1) if rows > 1 else ():
                        down[at] = (rows - 1, own)
                cells.append(shown)
        return cells

    def _cell(self, cell: Any) -> str:
        lines = [
            self.line(child) if local(child) in ("p", "h") else self._inner(child)
            for child in cell
            if local(child) in (*_BLOCKS, "section")
        ]
        text = " ".join(" ".join(filter(None, lines)).split())
        self.after += [_comment(child) for child in cell if local(child) == "annotation"]
        self._shapes(cell)
        stored = attribute(cell, "value")
        if stored.startswith("-") and text and not SAYS_MINUS.search(text) and any(map("123456789".__contains__, text)):
            return f"-{text}"
        return text or (stored if not lines else "")

    def _shapes(self, parent: Any) -> None:
        """The texts and charts of the shapes in a cell or on a sheet."""
        for child in parent:
            if local(child) in _SHAPES:
                self.after += filter(None, [self._inner(child)])
            elif local(child) == "frame":
                self.after += filter(None, [self._frame(child)])

    # -- spreadsheets and presentations --------------------------------------------------------------------------------

    def sheets(self, body: Any) -> None:
        """One page for each sheet, with its name as a heading."""
        tables = [table for table in body if local(table) == "table"]
        check_pages(len(tables), self.limits.max_pages, "sheets")
        for table in tables:
            lines = [*table_lines(self.cells(table))]
            for shapes in (child for child in table if local(child) == "shapes"):
                self._shapes(shapes)
            lines, self.after = lines + self.after, []
            if lines:
                self.builder.page()
                self.builder.heading(attribute(table, "name"), 1, "")
                self.builder.add(lines[0])
                for line in lines[1:]:
                    self.builder.add(line, "\n")

    def slides(self, body: Any) -> None:
        """One page for each slide: its title as a heading, its text, its notes."""
        pages = [page for page in body if local(page) == "page"]
        check_pages(len(pages), self.limits.max_pages, "slides")
        for page in pages:
            self.builder.page()
            start = self.builder.length
            frames = [child for child in page.iter() if local(child) == "frame" or local(child) in _SHAPES - {"g"}]
            titles = [frame for frame in frames if attribute(frame, "class") == "title"]
            for frame in [*titles, *(frame for frame in frames if frame not in titles)]:
                text = self._inner(frame) or self._frame(frame)
                gap = "" if self.builder.length == start else "\n\n"
                if frame in titles and text:
                    self.builder.heading(text, 1, gap)
                else:
                    self.builder.add(text, gap)
            while self.after:
                self.builder.add(self.after.pop(0), "" if self.builder.length == start else "\n\n")


def _tables(row: Any) -> Iterator[Any]:
    yield from (element for element in row.iterancestors() if local(element) == "table")
    yield None


def _positions(root: Any) -> dict[str, str]:
    """Which text styles raise or lower their text."""
    found = {}
    for style in root.iter():
        if local(style) == "style":
            position = next((at for child in style if (at := attribute(child, "text-position"))), "")
            kind = position.split(" ")[0]
            up = kind == "super" or (kind.rstrip("%").isdigit() and kind != "0%")
            if up or kind == "sub" or kind.startswith("-"):
                found[attribute(style, "name")] = "super" if up else "sub"
    return found


def _hidden_section(section: Any) -> str:
    """HIDDEN for a section that is not shown, else ""."""
    return HIDDEN if attribute(section, "display") == "none" or attribute(section, "is-hidden") == "true" else ""


def _left_out_styles(roots: Sequence[Any]) -> dict[str, str]:
    """Which styles hide their text or strike it out. What a style does not state, the one above it does."""
    own: dict[str, dict[str, bool]] = {}
    above: dict[str, str] = {}
    for style in (style for root in roots if root is not None for style in root.iter() if local(style) == "style"):
        name, stated = attribute(style, "name"), own.setdefault(attribute(style, "name"), {})
        above.setdefault(name, attribute(style, "parent-style-name"))
        for properties in style:
            if display := attribute(properties, "display"):
                stated[HIDDEN] = display == "none"
            lines = [attribute(properties, f"text-line-through-{what}") for what in ("style", "type")]
            if any(lines):
                stated[STRUCK] = not set(filter(None, lines)) & {"none"}
    found: dict[str, str] = {}
    for name in own:
        stated, at = {}, name
        for _ in range(_DEEPEST):
            stated, at = own.get(at, {}) | stated, above.get(at, "")
        found[name] = next((how for how in (HIDDEN, STRUCK) if stated.get(how)), "")
    return {name: how for name, how in found.items() if how}


def _comment(element: Any) -> str:
    """A comment with its author."""
    author = next(("".join(child.itertext()) for child in element if local(child) == "creator"), "")
    text = " ".join(" ".join(child.itertext()) for child in element if local(child) in ("p", "list"))
    return f"Comment ({author}): {text}" if author else f"Comment: {text}"


def _ruby(element: Any) -> str:
    base, reading = (
        "".join("".join(child.itertext()) for child in element if local(child) == name)
        for name in ("ruby-base", "ruby-text")
    )
    return f"{base}（{reading}）" if reading else base


def _equation(element: Any, depth: int) -> Element:
    children = [_equation(child, depth + 1) for child in element if isinstance(child.tag, str)] if depth < 100 else []
    text = "" if children else " ".join("".join(element.itertext()).split())
    return Element(
        local(element), {key.rpartition("}")[2]: str(value) for key, value in element.attrib.items()}, text, children
    )
