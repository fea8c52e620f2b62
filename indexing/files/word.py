"""Parser of Word documents: paragraphs, tables, notes, comments, headers and footers in document order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from indexing.files.charset import decode
from indexing.files.drawings import ON, R, children, equation, linked
from indexing.files.equations import script
from indexing.files.file_text import FileLimits, FileText, TextBuilder, counted
from indexing.files.left_out import HIDDEN, STRUCK, LeftOut
from indexing.files.numbering import Numbering, W
from indexing.files.ooxml import Package
from indexing.files.symbol_fonts import plain_text, symbol
from indexing.files.word_styles import Styles, heading_level
from indexing.files.xml_parts import local, whole

_SKIPPED = frozenset(
    f"{W}{name}"
    for name in ("del", "moveFrom", "instrText", "delText", "rPr", "pPr", "tblPr", "trPr", "tcPr", "sdtPr", "txbxContent")
)
_AS_TEXT = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "softHyphen": ""}
_LONGEST_REPEATED = 200
# In half points, the least that a run is moved up or down to be raised or lowered.
_MOVED = 4
_DEEPEST = 3


class _Run(NamedTuple):
    """How the words of a run are shown."""

    font: str = ""
    script: str = ""
    left_out: str = ""


def read_docx(data: bytes, limits: FileLimits) -> list[FileText]:
    """The text of a Word document: body, foot- and endnotes, comments, page headers and footers."""
    package = Package(data, LeftOut(limits.hidden_text))
    document = _Word(package, package.main("word", "document"), limits)
    document.read()
    notes = (*package.notes, *document.remarks(), *package.image_note())
    builder = document.builder
    return [FileText(builder.text(), (), package.meta("docx"), tuple(builder.headings), notes)]


class _Word:
    """One document while it is read."""

    def __init__(self, package: Package, name: str, limits: FileLimits, depth: int = 0) -> None:
        self.package, self.name, self.limits, self.depth = package, name, limits, depth
        self.root = package.xml(name)
        self.builder = TextBuilder(limits.max_chars)
        styles = next((package.xml(part) for part in package.related(name, "styles")), None)
        self.styles = Styles(styles)
        self.numbering = Numbering(next((package.xml(part) for part in package.related(name, "numbering")), None), styles)
        self.left_out = package.left_out
        self.unread: dict[str, int] = {}
        self._held = ""

    def read(self) -> None:
        """Write the whole document to the builder."""
        body = self.root.find(f"{W}body") if self.root is not None else None
        for block in () if body is None else _blocks(body):
            self._block(block)
        self.builder.add(self._held)
        for kinds, begin in ((("footnotes", "endnotes"), ""), (("comments",), "Comment")):
            for part in self.package.related(self.name, *kinds):
                for note in _notes(self.package.xml(part)):
                    self._note(note, begin)
        seen: set[str] = set()
        for part in self.package.related(self.name, "header", "footer"):
            self._edge_of_pages(part, seen)

    def remarks(self) -> list[str]:
        """Remarks on what is left out."""
        found = counted(len(self.package.related(self.name, "oleObject", "package")), "embedded object", "not read")
        return [*found, *self.left_out.remarks()] + [f"{count:,} {name} not read" for name, count in self.unread.items()]

    # -- blocks ------------------------------------------------------------------------------------------------------

    def _block(self, block: Any) -> None:
        if block.tag != f"{W}p":
            self.builder.add(self._held)
            self._held = ""
        if block.tag == f"{W}tbl":
            self.builder.add("\n".join(self._rows(block)))
        elif block.tag == f"{W}altChunk":
            self._chunk(block.get(f"{R}id"))
        elif _goes_on(block):
            self._held += self._line(block).strip("\n")
        elif text := (self._held + self._line(block)).strip("\n"):
            self._held = ""
            level = heading_level(block, self.styles)
            if level:
                self.builder.heading(text, level)
            else:
                self.builder.add(text, "\n" if self._in_list(block) else "\n\n")
        for text in linked(self.package, self.name, block) if block.tag == f"{W}p" else ():
            self.builder.add(text)

    def _line(self, paragraph: Any) -> str:
        """A paragraph with its automatic number."""
        number = self.numbering.number(paragraph)
        text = self._words(paragraph)
        return f"{number} {text.lstrip()}" if number and text.strip() else text

    def _in_list(self, paragraph: Any) -> bool:
        """Whether a paragraph is a list item that does not directly follow a heading."""
        properties = paragraph.find(f"{W}pPr")
        style = properties.find(f"{W}pStyle") if properties is not None else None
        styled = style is not None and (style.get(f"{W}val") or "").startswith("List")
        listed = styled or (properties is not None and properties.find(f"{W}numPr") is not None)
        builder = self.builder
        return listed and not (builder.headings and builder.headings[-1][1] == builder.length)

    def _rows(self, table: Any) -> Iterator[str]:
        """Each row of a table, cells separated by tabs. Merged cells are repeated; one-column tables keep paragraphs."""
        above: dict[int, str] = {}
        for row in table.iter(f"{W}tr"):
            if next(row.iterancestors(f"{W}tbl")) is not table or row.find(f"{W}trPr/{W}del") is not None:
                continue
            cells = [cell for cell in row.iter(f"{W}tc") if next(cell.iterancestors(f"{W}tr")) is row]
            apart = "\n" if len(cells) == 1 else " "
            words: list[str] = []
            for cell in cells:
                text = apart.join(filter(None, self._cell(cell)))
                merge = cell.find(f"{W}tcPr/{W}vMerge")
                if merge is not None and merge.get(f"{W}val") != "restart":
                    text = text or above.get(len(words), "")
                short = text if len(text) <= _LONGEST_REPEATED else ""
                above[len(words)] = short if merge is not None else ""
                words += [text, *[short] * (_span(cell) - 1 if len(cells) > 1 else 0)]
            if any(word.strip() for word in words):
                yield "\t".join(words)

    def _cell(self, cell: Any) -> Iterator[str]:
        for block in _blocks(cell):
            if block.tag == f"{W}tbl":
                yield from self._rows(block)
            elif block.tag == f"{W}p":
                yield self._line(block).strip()
                yield from linked(self.package, self.name, block)

    def _note(self, note: Any, begin: str) -> None:
        text = " ".join(filter(None, (self._words(block).strip() for block in _blocks(note) if block.tag == f"{W}p")))
        author = note.get(f"{W}author") or ""
        if text:
            self.builder.add(f"{begin} ({author}): {text}" if begin and author else f"{begin}: {text}" if begin else text)

    def _edge_of_pages(self, part: str, seen: set[str]) -> None:
        """The paragraphs of a page header or footer that no other one has, without mere page numbers."""
        root = self.package.xml(part)
        for block in () if root is None else _blocks(root):
            lines = self._rows(block) if block.tag == f"{W}tbl" else [self._words(block).strip()]
            for line in lines:
                if line not in seen and any(character.isalpha() for character in line):
                    seen.add(line)
                    self.builder.add(line)

    def _chunk(self, id: str | None) -> None:
        """Another file inside the document: HTML, text, or a Word document."""
        name = next((relation.target for relation in self.package.relations(self.name) if relation.id == id), "")
        data = self.package.part(name) if name else None
        if not data:
            return
        if data.startswith(b"PK\x03\x04") and self.depth < _DEEPEST:
            inner = Package(data, self.left_out)
            document = _Word(inner, inner.main("word", "document"), self.limits, self.depth + 1)
            document.read()
            self.builder.add(document.builder.text().strip())
        elif (decoded := decode(data)) is not None and not data.startswith(b"{\\rtf"):
            self.builder.add(_chunk_text(decoded.text, self.limits.max_chars, self.left_out).strip())
        else:
            self.unread["embedded part"] = self.unread.get("embedded part", 0) + 1

    # -- words -------------------------------------------------------------------------------------------------------

    def _words(self, paragraph: Any) -> str:
        """The displayed text of a paragraph: with insertions, without deletions, hidden text, field codes, text boxes."""
        base = self._run(paragraph.find(f"{W}pPr/{W}pStyle"), None)
        text = ""
        stack = [(child, base) for child in reversed(children(paragraph))]
        while stack:
            element, run = stack.pop()
            name = local(element)
            if element.tag in _SKIPPED or not name:
                continue
            piece = self._piece(element, name, run)
            if piece is None:
                inner = self._of_run(element, base) if element.tag == f"{W}r" else run
                stack.extend((child, inner) for child in reversed(children(element)))
            elif not self.left_out.omits(run.left_out, piece):
                text += script(piece, text[-1:], run.script == "superscript") if run.script else piece
        return text

    def _piece(self, element: Any, name: str, run: _Run) -> str | None:
        """The text that an element stands for; None if its children do."""
        if name == "oMath":
            return equation(element)
        if not element.tag.startswith(W):
            return None
        if name == "t":
            return plain_text(element.text or "", run.font)
        if name == "sym":
            return _symbol(element)
        if name == "ruby":
            return self._ruby(element)
        if name == "fldChar":
            return _form_field(element)
        return _AS_TEXT.get(name)

    def _ruby(self, element: Any) -> str:
        """The base text, then its reading in parentheses."""
        base, reading = (
            "".join(text.text or "" for part in element.iterchildren(f"{W}{tag}") for text in part.iter(f"{W}t"))
            for tag in ("rubyBase", "rt")
        )
        return f"{base}（{reading}）" if reading else base

    def _of_run(self, element: Any, base: _Run) -> _Run:
        properties = element.find(f"{W}rPr")
        if properties is None:
            return base
        return self._run(properties.find(f"{W}rStyle"), properties, base)

    def _run(self, style: Any, properties: Any, base: _Run | None = None) -> _Run:
        base = base or _Run()
        flags = self.styles.flags(style.get(f"{W}val") or "") if style is not None else {}
        flags = {how: base.left_out == how for how in (HIDDEN, STRUCK)} | flags
        if properties is None:
            return base._replace(left_out=next((how for how in (HIDDEN, STRUCK) if flags.get(how)), ""))
        flags |= self.styles.own_flags(properties)
        fonts = properties.find(f"{W}rFonts")
        return _Run(
            (fonts.get(f"{W}ascii") or fonts.get(f"{W}hAnsi") or "") if fonts is not None else base.font,
            _raised_or_lowered(properties, base.script),
            next((how for how in (HIDDEN, STRUCK) if flags.get(how)), ""),
        )


def _goes_on(paragraph: Any) -> bool:
    """Whether the next paragraph goes on with this one: after a drop cap, or where its mark is deleted."""
    frame = paragraph.find(f"{W}pPr/{W}framePr")
    dropped = frame is not None and frame.get(f"{W}dropCap") in ("drop", "margin")
    return dropped or paragraph.find(f"{W}pPr/{W}rPr/{W}del") is not None


def _raised_or_lowered(properties: Any, base: str) -> str:
    """superscript, subscript or "", by the alignment of a run, or by two points and more of its position."""
    align, position = properties.find(f"{W}vertAlign"), properties.find(f"{W}position")
    if align is not None:
        moved = align.get(f"{W}val") or ""
        return moved if moved in ("superscript", "subscript") else ""
    moved = position.get(f"{W}val") or "" if position is not None else ""
    if whole(moved.lstrip("-")) < _MOVED:
        return "" if position is not None else base
    return "subscript" if moved.startswith("-") else "superscript"


def _blocks(body: Any) -> Iterator[Any]:
    """All paragraphs, tables and inserted files below an element once, in order, with controls and text boxes."""
    stack = list(reversed(children(body)))
    while stack:
        element = stack.pop()
        if element.tag in _SKIPPED - {f"{W}txbxContent"} or not isinstance(element.tag, str):
            continue
        if element.tag in (f"{W}p", f"{W}tbl", f"{W}altChunk"):
            yield element
            inner = list(_text_boxes(element)) if element.tag == f"{W}p" else []
            stack.extend(reversed(inner))
        else:
            stack.extend(reversed(children(element)))


def _text_boxes(paragraph: Any) -> Iterator[Any]:
    """The text boxes anchored in a paragraph. Of alternatives for old and new programs, only one counts."""
    stack = list(reversed(children(paragraph)))
    while stack:
        element = stack.pop()
        if element.tag == f"{W}txbxContent":
            yield element
        elif isinstance(element.tag, str) and element.tag not in _SKIPPED:
            stack.extend(reversed(children(element)))


def _notes(root: Any) -> Iterator[Any]:
    """The notes or comments of a part, without separators."""
    for note in () if root is None else root:
        if isinstance(note.tag, str) and note.get(f"{W}type") in (None, "normal"):
            yield note


def _span(cell: Any) -> int:
    """The columns that a cell spans, at most 100."""
    span = cell.find(f"{W}tcPr/{W}gridSpan")
    return min(whole(span.get(f"{W}val")), 100) or 1 if span is not None else 1


def _symbol(element: Any) -> str:
    try:
        return symbol(element.get(f"{W}font") or "", int(element.get(f"{W}char") or "", 16))
    except ValueError:
        return ""


def _form_field(element: Any) -> str:
    """The state of a check box, or the chosen entry of a list; "" for other fields, whose result is text."""
    data = element.find(f"{W}ffData")
    if data is None or element.get(f"{W}fldCharType") != "begin":
        return ""
    box = data.find(f"{W}checkBox")
    if box is not None:
        states = {child.tag: child.get(f"{W}val") in ON for child in box}
        return "☒" if states.get(f"{W}checked", states.get(f"{W}default", False)) else "☐"
    entries = [entry.get(f"{W}val") or "" for entry in data.iter(f"{W}listEntry")]
    chosen = next((found.get(f"{W}val") or "0" for tag in ("result", "default") for found in data.iter(f"{W}{tag}")), "0")
    at = whole(chosen, len(entries))
    return entries[at] if at < len(entries) else ""


def _chunk_text(text: str, max_chars: int, left_out: LeftOut) -> str:
    """The text of an inserted file: of HTML what is visible."""
    if "<" not in text or ">" not in text:
        return text
    from indexing.files.html import html_text

    return html_text(text, max_chars, left_out)[0]
