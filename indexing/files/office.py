"""Parsers of Word, PowerPoint and Excel files: the unpacked size is bounded first, then text is read in document order."""

from __future__ import annotations

import datetime
import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

from indexing.errors import UnreadableFile
from indexing.files.file_text import FileLimits, FileText, TextBuilder, check_pages, clean_meta
from indexing.files.tables import table_lines

UNPACKED_BYTES = 500_000_000
UNPACKED_RATIO = 200
FREE_BYTES = 20_000_000
MEMBERS = 50_000

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_SKIPPED = frozenset(
    f"{_W}{name}" for name in ("del", "moveFrom", "instrText", "delText", "rPr", "pPr", "tblPr", "trPr", "tcPr", "sdtPr")
) | {"{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"}
_AS_TEXT = {
    f"{_W}tab": "\t",
    f"{_W}br": "\n",
    f"{_W}cr": "\n",
    f"{_W}noBreakHyphen": "-",
    f"{_W}softHyphen": "",
}
_HEADING = re.compile(r"heading\s*(\d)$", re.I)
_IMAGE = re.compile(r"(?:word|ppt|xl)/media/[^/]+\.(?:png|jpe?g|gif|bmp|tiff?|emf|wmf|svg|webp)$", re.I)


def guard_zip(data: bytes) -> zipfile.ZipFile:
    """Open a zip after checking its declared and its actual unpacked size. Raises UnreadableFile."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise UnreadableFile("damaged: its zip container cannot be opened") from None
    members = archive.infolist()
    if len(members) > MEMBERS:
        raise UnreadableFile(f"holds {len(members):,} parts, more than {MEMBERS:,}")
    limit = min(UNPACKED_BYTES, max(FREE_BYTES, UNPACKED_RATIO * len(data)))
    total = sum(member.file_size for member in members)
    if total <= limit:
        total = sum(_real_size(archive, member, limit) for member in members)
    if total > limit:
        raise UnreadableFile(f"would unpack to more than {limit:,} bytes from {len(data):,} (a zip bomb?)")
    return archive


def _real_size(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> int:
    """The actual unpacked size of a member, counted to just above the limit."""
    if member.flag_bits & 1:
        raise UnreadableFile("encrypted: a password is needed")
    size = 0
    try:
        with archive.open(member) as stream:
            while size <= limit and (piece := stream.read(1 << 20)):
                size += len(piece)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError) as error:
        raise UnreadableFile(f"damaged: a part of it cannot be unpacked ({type(error).__name__})") from None
    return size


def _notes(archive: zipfile.ZipFile) -> tuple[str, ...]:
    """A remark on embedded images, which are not read."""
    count = sum(bool(_IMAGE.match(name)) for name in archive.namelist())
    return (f"{count:,} embedded image{'s' * (count > 1)} not read",) if count else ()


def _core(properties: Any, kind: str) -> list[tuple[str, object]]:
    """Title, author, subject, keywords and date of an office file's properties."""
    date = properties.modified or properties.created
    author = getattr(properties, "author", None) or getattr(properties, "creator", None)
    return [
        ("title", properties.title),
        ("author", author),
        ("subject", properties.subject),
        ("keywords", properties.keywords),
        ("date", date.date().isoformat() if isinstance(date, datetime.datetime) else ""),
        ("file_type", kind),
    ]


# -- Word --------------------------------------------------------------------------------------------------------------


def read_docx(data: bytes, limits: FileLimits) -> list[FileText]:
    """Paragraphs, tables and footnotes of a Word document in order; headers and footers are left out."""
    import docx

    archive = guard_zip(data)
    document = docx.Document(io.BytesIO(data))
    levels = _style_levels(document.styles)
    builder = TextBuilder(limits.max_chars)
    for block in _blocks(document.element.body):
        if block.tag == f"{_W}tbl":
            builder.add("\n".join(_rows(block)))
        elif text := _words(block).strip("\n"):
            level = _level(block, levels)
            builder.heading(text, level) if level else builder.add(text, "\n" if _in_list(block, builder) else "\n\n")
    for note in _footnotes(document.part):
        builder.add(note)
    meta = clean_meta(_core(document.core_properties, "docx"))
    return [FileText(builder.text(), (), meta, tuple(builder.headings), _notes(archive))]


def _blocks(body: Any) -> Iterator[Any]:
    """All paragraphs and tables below an element once, in order, including content controls and text boxes."""
    stack = list(reversed(body))
    while stack:
        element = stack.pop()
        if element.tag in _SKIPPED or not isinstance(element.tag, str):
            continue
        if element.tag in (f"{_W}p", f"{_W}tbl"):
            yield element
            inner = [] if element.tag == f"{_W}tbl" else list(_text_boxes(element))
            stack.extend(reversed(inner))
        else:
            stack.extend(reversed(element))


def _text_boxes(paragraph: Any) -> Iterator[Any]:
    """The text boxes anchored in a paragraph. Of alternatives for old and new programs, only the new one counts."""
    for box in paragraph.iter(f"{_W}txbxContent"):
        above = [element.tag for element in box.iterancestors()]
        inside = above[: above.index(f"{_W}p")] if f"{_W}p" in above else above
        if not _SKIPPED.intersection(inside):
            yield box


def _words(paragraph: Any) -> str:
    """The displayed text of a paragraph: with insertions, without deletions, field codes and text boxes."""
    pieces: list[str] = []
    stack = list(reversed(paragraph))
    while stack:
        element = stack.pop()
        if element.tag == f"{_W}t":
            pieces.append(element.text or "")
        elif element.tag in _AS_TEXT:
            pieces.append(_AS_TEXT[element.tag])
        elif element.tag not in _SKIPPED and element.tag != f"{_W}txbxContent":
            stack.extend(reversed(element))
    return "".join(pieces)


def _rows(table: Any) -> Iterator[str]:
    """Each row of a table, cells separated by tabs. One-column tables keep their paragraphs; nested tables become rows."""
    for row in table.iter(f"{_W}tr"):
        if next(row.iterancestors(f"{_W}tbl")) is not table:
            continue
        cells = [cell for cell in row.iter(f"{_W}tc") if next(cell.iterancestors(f"{_W}tr")) is row]
        apart = "\n" if len(cells) == 1 else " "
        words = [apart.join(filter(None, _cell(cell))) for cell in cells]
        if any(word.strip() for word in words):
            yield "\t".join(words)


def _cell(cell: Any) -> Iterator[str]:
    for block in _blocks(cell):
        if block.tag == f"{_W}tbl":
            yield from _rows(block)
        else:
            yield _words(block).strip()


def _style_levels(styles: Any) -> dict[str, int]:
    """Heading level by style id, from the style's name, its outline level, or the style it is based on."""
    own: dict[str, tuple[int, str]] = {}
    for style in styles.element.iter(f"{_W}style"):
        name = style.find(f"{_W}name")
        title = (name.get(f"{_W}val") or "") if name is not None else ""
        match = _HEADING.match(title)
        level = int(match[1]) if match else 1 if title.lower() == "title" else _outline(style.find(f"{_W}pPr"))
        based = style.find(f"{_W}basedOn")
        own[style.get(f"{_W}styleId") or ""] = (level, based.get(f"{_W}val") if based is not None else "")
    return {name: level for name in own if (level := _inherited(own, name))}


def _inherited(own: dict[str, tuple[int, str]], name: str) -> int:
    for _ in range(20):
        level, based = own.get(name, (0, ""))
        if level or not based:
            return level
        name = based
    return 0


def _outline(properties: Any) -> int:
    """The heading level (from 1) of paragraph properties with an outline level; 0 without one."""
    outline = properties.find(f"{_W}outlineLvl") if properties is not None else None
    value = (outline.get(f"{_W}val") or "") if outline is not None else ""
    return int(value) + 1 if value.isdigit() and int(value) < 9 else 0


def _level(paragraph: Any, levels: dict[str, int]) -> int:
    """The heading level of a paragraph; 0 for body text."""
    properties = paragraph.find(f"{_W}pPr")
    style = properties.find(f"{_W}pStyle") if properties is not None else None
    return _outline(properties) or (levels.get(style.get(f"{_W}val") or "", 0) if style is not None else 0)


def _in_list(paragraph: Any, builder: TextBuilder) -> bool:
    """Whether a paragraph is a list item that does not directly follow a heading."""
    properties = paragraph.find(f"{_W}pPr")
    style = properties.find(f"{_W}pStyle") if properties is not None else None
    styled = style is not None and (style.get(f"{_W}val") or "").startswith("List")
    listed = styled or (properties is not None and properties.find(f"{_W}numPr") is not None)
    return listed and not (builder.headings and builder.headings[-1][1] == builder.length)


def _footnotes(part: Any) -> Iterator[str]:
    """The text of each footnote and endnote, in order."""
    from docx.oxml.parser import parse_xml

    for relation in part.rels.values():
        if not relation.is_external and relation.reltype.endswith(("/footnotes", "/endnotes")):
            for note in parse_xml(relation.target_part.blob):
                if note.get(f"{_W}type") is None:
                    text = " ".join(filter(None, (_words(block).strip() for block in _blocks(note))))
                    yield text


# -- PowerPoint --------------------------------------------------------------------------------------------------------


def read_pptx(data: bytes, limits: FileLimits) -> list[FileText]:
    """One page for each slide: its title as a heading, its text and tables, its speaker notes."""
    import pptx

    archive = guard_zip(data)
    presentation = pptx.Presentation(io.BytesIO(data))
    check_pages(len(presentation.slides), limits.max_pages, "slides")
    builder = TextBuilder(limits.max_chars)
    for slide in presentation.slides:
        builder.page()
        _slide(slide, builder)
    meta = clean_meta(_core(presentation.core_properties, "pptx"))
    return [FileText(builder.text(), tuple(builder.pages), meta, tuple(builder.headings), _notes(archive))]


def _slide(slide: Any, builder: TextBuilder) -> None:
    """Write one slide to the builder."""
    start = builder.pages[-1]
    title = slide.shapes.title
    if title is not None and title.has_text_frame and (words := _frame(title.text_frame)):
        builder.heading(words, 1, "")
    others = (shape for shape in _shapes(slide.shapes) if title is None or shape.shape_id != title.shape_id)
    blocks = [block for shape in others for block in _shape(shape)]
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        blocks.append(_frame(slide.notes_slide.notes_text_frame))
    for block in filter(None, blocks):
        builder.add(block, "" if builder.length == start else "\n\n")


def _shapes(shapes: Iterable[Any]) -> Iterator[Any]:
    """All shapes in order, including those in groups."""
    stack = list(shapes)[::-1]
    while stack:
        shape = stack.pop()
        if shape.shape_type == 6:
            stack.extend(list(shape.shapes)[::-1])
        else:
            yield shape


def _shape(shape: Any) -> Iterator[str]:
    if shape.has_text_frame and not (shape.is_placeholder and shape.placeholder_format.type in (13, 15, 16)):
        yield _frame(shape.text_frame)
    elif getattr(shape, "has_table", False):
        yield "\n".join("\t".join(_frame(cell.text_frame, " ") for cell in row.cells) for row in shape.table.rows)


def _frame(frame: Any, apart: str = "\n") -> str:
    """The paragraphs of a text frame, joined by `apart`; a line break inside a paragraph becomes a newline."""
    lines = (paragraph.text.replace("\v", "\n").strip() for paragraph in frame.paragraphs)
    return apart.join(line for line in lines if line)


# -- Excel -------------------------------------------------------------------------------------------------------------


def read_xlsx(data: bytes, limits: FileLimits) -> list[FileText]:
    """One page for each sheet: its name as a heading, each row as tab-separated "Column: value"."""
    import openpyxl

    archive = guard_zip(data)
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    check_pages(len(book.worksheets), limits.max_pages, "sheets")
    builder = TextBuilder(limits.max_chars)
    for sheet in book.worksheets:
        sheet.reset_dimensions()
        rows = ([_shown(value) for value in row] for row in sheet.iter_rows(values_only=True))
        lines = table_lines(rows)
        first = next(lines, "")
        if first:
            builder.page()
            builder.heading(sheet.title, 1, "")
            builder.add(first)
            for line in lines:
                builder.add(line, "\n")
    meta = clean_meta(_core(book.properties, "xlsx"))
    return [FileText(builder.text(), tuple(builder.pages), meta, tuple(builder.headings), _notes(archive))]


def _shown(value: object) -> str:
    """A cell value as text: ISO 8601 dates, without the time if it is midnight; whole numbers without ".0"."""
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ", "seconds")
    if isinstance(value, float):
        return f"{value:.15g}" if not value.is_integer() or abs(value) >= 1e15 else str(int(value))
    return " ".join(str(value).split())
