"""Parser of PowerPoint presentations: each slide is a page with its title, text, tables, charts, notes and comments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from indexing.files.drawings import A, R, body, children, linked, paragraph, table_rows
from indexing.files.file_text import FileLimits, FileText, TextBuilder, check_pages, counted
from indexing.files.left_out import HIDDEN, LeftOut
from indexing.files.ooxml import Package
from indexing.files.xml_parts import local

P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_LEFT_OUT = frozenset(("sldNum", "dt", "ftr", "hdr"))
_EDGES = frozenset(("ftr", "hdr"))


def read_pptx(data: bytes, limits: FileLimits) -> list[FileText]:
    """One page for each slide: its title as a heading, its text and tables, its speaker notes and comments."""
    package = Package(data, LeftOut(limits.hidden_text))
    main = package.main("ppt", "presentation")
    slides = list(_slides(package, main))
    check_pages(len(slides), limits.max_pages, "slides")
    builder = TextBuilder(limits.max_chars)
    hidden = 0
    authors, seen = _authors(package, main), set[str]()
    for name in slides:
        builder.page()
        root = package.xml(name)
        if root is not None:
            hidden += root.get("show") in ("0", "false")
            _slide(package, name, root, builder, authors)
            for block in _backdrop(package, name, root):
                if block not in seen and any(map(str.isalpha, block)):
                    seen.add(block)
                    builder.add(block, "" if builder.length == builder.pages[-1] else "\n\n")
    objects = sum("/embeddings/" in name for name in package.names()) - sum(_with_workbook(name) for name in package.names())
    notes = (
        *package.notes,
        *counted(hidden, "hidden slide", "read"),
        *package.left_out.remarks(),
        *counted(objects, "embedded object", "not read"),
        *package.image_note(),
    )
    return [FileText(builder.text(), tuple(builder.pages), package.meta("pptx"), tuple(builder.headings), notes)]


def _with_workbook(name: str) -> bool:
    """Whether a part is the workbook behind a chart, whose values the chart itself holds."""
    return "/embeddings/microsoft_excel" in name and name.endswith((".xlsx", ".xlsb"))


def _slides(package: Package, main: str) -> Iterator[str]:
    """The parts of the slides, in the order of the show."""
    root = package.xml(main)
    targets = {relation.id: relation.target for relation in package.relations(main) if relation.kind == "slide"}
    ids = [] if root is None else [slide.get(f"{R}id") for slide in root.iter(f"{P}sldId")]
    yield from (targets[id] for id in ids if id in targets)


def _slide(package: Package, name: str, root: Any, builder: TextBuilder, authors: dict[str, str]) -> None:
    """Write one slide to the builder."""
    start = builder.pages[-1]
    shapes = [shape for shape in _shapes(root) if not (_hidden(shape) and package.left_out.omits(HIDDEN, body(shape)))]
    title = next((shape for shape in shapes if _placeholder(shape) in ("title", "ctrTitle") and body(shape)), None)
    if title is not None:
        builder.heading(body(title), 1, "")
    blocks = [text for shape in shapes if shape is not title for text in _shape(package, name, shape)]
    for part in package.related(name, "notesSlide"):
        notes = package.xml(part)
        shown = [] if notes is None else [shape for shape in _shapes(notes) if _placeholder(shape) == "body"]
        blocks += [body(shape) for shape in shown]
    for part in package.related(name, "comments"):
        blocks += _comments(package.xml(part), authors)
    for block in filter(None, blocks):
        builder.add(block, "" if builder.length == start else "\n\n")


def _backdrop(package: Package, name: str, root: Any) -> Iterator[str]:
    """The footer of a slide, and the texts that its layout and master show on it."""
    yield from (body(shape) for shape in _shapes(root) if _placeholder(shape) in _EDGES and not _hidden(shape))
    above, part = root, name
    for kind in ("slideLayout", "slideMaster"):
        if above.get("showMasterSp") in ("0", "false"):
            return
        part = next(iter(package.related(part, kind)), "")
        above = package.xml(part) if part else None
        if above is None:
            return
        yield from (body(shape) for shape in _shapes(above) if not _placeholder(shape) and not _hidden(shape))


def _shapes(root: Any) -> Iterator[Any]:
    """All shapes in order, including those in groups; a hidden group as a whole."""
    tree = root.find(f"{P}cSld/{P}spTree")
    stack = list(reversed(children(tree))) if tree is not None else []
    while stack:
        shape = stack.pop()
        if shape.tag == f"{P}grpSp" and not _hidden(shape):
            stack.extend(reversed(children(shape)))
        elif shape.tag in (f"{P}sp", f"{P}graphicFrame", f"{P}cxnSp", f"{P}grpSp"):
            yield shape


def _hidden(shape: Any) -> bool:
    """Whether a slide does not show a shape."""
    properties = next(shape.iter(f"{P}cNvPr"), None)
    return properties is not None and properties.get("hidden") in ("1", "true")


def _placeholder(shape: Any) -> str:
    """The type of a placeholder, `obj` if it has none; "" for other shapes."""
    mark = next(shape.iter(f"{P}ph"), None)
    return "" if mark is None else mark.get("type") or "obj"


def _shape(package: Package, name: str, shape: Any) -> Iterator[str]:
    if shape.tag == f"{P}graphicFrame":
        for table in shape.iter(f"{A}tbl"):
            yield "\n".join(table_rows(table))
        yield from linked(package, name, shape)
    elif _placeholder(shape) not in _LEFT_OUT:
        yield body(shape)


def _authors(package: Package, main: str) -> dict[str, str]:
    """The names of those who comment, by their ids."""
    found: dict[str, str] = {}
    for part in package.related(main, "commentAuthors", "authors"):
        root = package.xml(part)
        for author in () if root is None else root:
            found[author.get("id") or ""] = author.get("name") or ""
    return found


def _comments(root: Any, authors: dict[str, str]) -> Iterator[str]:
    """The comments of a slide, of older and newer programs."""
    for comment in () if root is None else root.iter():
        if local(comment) not in ("cm", "reply"):
            continue
        author = authors.get(comment.get("authorId") or "", "")
        texts = [" ".join((text.text or "").split()) for text in comment.iterchildren(f"{P}text")]
        for inner in comment:
            if local(inner) == "txBody":
                texts += [paragraph(found) for found in inner.iter(f"{A}p")]
        text = " ".join(filter(None, texts))
        if text:
            yield f"Comment ({author}): {text}" if author else f"Comment: {text}"
