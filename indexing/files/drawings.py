"""DrawingML of all Office formats: paragraphs of shapes, tables, charts, SmartArt and equations as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from indexing.files.equations import Element, linear, script
from indexing.files.ooxml import Package
from indexing.files.slide_numbers import numbers_of
from indexing.files.tables import row_line
from indexing.files.xml_parts import local, whole

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
DGM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
ON = frozenset((None, "1", "true", "on"))
_MOST_POINTS = 10_000


def children(element: Any) -> list[Any]:
    """The child elements; of alternatives for new and old programs, those of the first that holds any."""
    found: list[Any] = []
    for child in element:
        found.extend(_alternative(child) if child.tag == f"{MC}AlternateContent" else (child,))
    return found


def _alternative(element: Any) -> list[Any]:
    for tag in (f"{MC}Choice", f"{MC}Fallback"):
        for option in element.iterchildren(tag):
            if len(option):
                return children(option)
    return []


def equation(element: Any) -> str:
    """An Office equation (m:oMath) on one line."""
    return linear(_tree(element, 0))


def _tree(element: Any, depth: int) -> Element:
    values = {name.rpartition("}")[2]: str(value) for name, value in element.attrib.items()}
    inner = [_tree(child, depth + 1) for child in element if isinstance(child.tag, str)] if depth < 150 else []
    return Element(local(element), values, (element.text or "") if element.tag == f"{M}t" else "", inner)


def paragraph(element: Any) -> str:
    """The text of a DrawingML paragraph (a:p). `Package` has removed struck-out runs."""
    text = ""
    for child in children(element):
        name = local(child)
        if name in ("r", "fld"):
            properties = child.find(f"{A}rPr")
            words = "".join(run.text or "" for run in child.iterchildren(f"{A}t"))
            baseline = properties.get("baseline") if properties is not None else None
            if baseline and baseline.lstrip("-").rstrip("%").isdigit() and baseline != "0":
                words = script(words, text[-1:], not baseline.startswith("-"))
            text += words
        elif name == "br":
            text += "\n"
        elif name in ("m", "oMathPara"):  # a14:m, around an equation
            text += " ".join(equation(inner) for inner in child.iter(f"{M}oMath"))
        elif name == "oMath":
            text += equation(child)
    return text.replace("\v", "\n").strip()


def body(element: Any, apart: str = "\n") -> str:
    """The paragraphs of a text body with their numbers, joined by `apart`; empty ones are left out."""
    paragraphs = list(element.iter(f"{A}p"))
    lines = [(number, paragraph(child)) for number, child in zip(numbers_of(paragraphs), paragraphs, strict=True)]
    return apart.join(f"{number} {text}" if number else text for number, text in lines if text)


def table_rows(table: Any) -> Iterator[str]:
    """Each row of a DrawingML table, cells separated by tabs; merged cells are repeated."""
    above: dict[int, str] = {}
    for row in table.iterchildren(f"{A}tr"):
        words: list[str] = []
        cells = list(row.iterchildren(f"{A}tc"))
        for column, cell in enumerate(cells):
            text = body(cell, " ")
            if not text and cell.get("hMerge") in ("1", "true") and words and _spans(cells) < len(cells):
                text = words[-1]
            if cell.get("vMerge") in ("1", "true"):
                text = text or above.get(column, "")
            above[column] = text
            words.append(text)
        if any(words):
            yield "\t".join(words).rstrip("\t")


def _spans(cells: list[Any]) -> int:
    """The columns that the widest cell of a row spans."""
    return max((whole(cell.get("gridSpan"), 1) for cell in cells), default=1)


def linked(package: Package, name: str, element: Any) -> list[str]:
    """The texts of the charts and SmartArt diagrams that an element of the part `name` shows."""
    ids = [chart.get(f"{R}id") for chart in element.iter() if local(chart) == "chart" and chart.get(f"{R}id")]
    ids += [diagram.get(f"{R}dm") for diagram in element.iter(f"{DGM}relIds")]
    if not ids:
        return []
    targets = {relation.id: relation.target for relation in package.relations(name)}
    return [text for target in ids if target in targets and (text := drawn(package, targets[target]))]


def drawn(package: Package, name: str) -> str:
    """The text of a chart or diagram part."""
    root = package.xml(name)
    if root is None:
        return ""
    if root.tag == f"{C}chartSpace":
        return "\n".join(_chart(root))
    if local(root) == "dataModel":
        return body(root)
    return "\n".join(filter(None, (" ".join("".join(found.itertext()).split()) for found in root.iter() if _leaf(found))))


def _leaf(element: Any) -> bool:
    """Whether an element of a newer chart (chartex) holds words: a title's run or a point."""
    return local(element) in ("pt", "t", "v", "f") and len(element) == 0


def _chart(root: Any) -> Iterator[str]:
    """Titles, then a row for each category with the values of all series, as "Series: value"."""
    for title in root.iter(f"{C}title"):
        if text := body(title, " ") or " ".join(_points(title)):
            yield text
    names: list[str] = []
    categories: dict[str, str] = {}
    values: list[dict[str, str]] = []
    for series in root.iter(f"{C}ser"):
        names.append(" ".join(_points(series.find(f"{C}tx"))))
        for tag in ("cat", "xVal"):
            for at, text in _indexed(series.find(f"{C}{tag}")):
                categories.setdefault(at, text)
        values.append(dict(_first(series, "val", "yVal")))
    order = sorted({*categories, *(at for column in values for at in column)}, key=whole)
    for at in order[:_MOST_POINTS]:
        yield row_line([categories.get(at, ""), *(column.get(at, "") for column in values)], ["", *names])


def _first(series: Any, *tags: str) -> Iterable[tuple[str, str]]:
    return next((found for tag in tags if (found := _indexed(series.find(f"{C}{tag}")))), [])


def _points(element: Any) -> list[str]:
    return [text for _, text in _indexed(element)]


def _indexed(element: Any) -> list[tuple[str, str]]:
    """(index, text) of the stored values of a reference or literal. Labels of several levels stand side by side."""
    if element is None:
        return []
    found: dict[str, str] = {}
    levels = list(element.iter(f"{C}lvl"))[::-1] or [element]
    for level in levels:
        for point in level.iter(f"{C}pt"):
            text = "".join(value.text or "" for value in point.iter(f"{C}v")).strip()
            at = point.get("idx") or "0"
            found[at] = f"{found[at]} {text}" if at in found else text
    if not found and (text := "".join(value.text or "" for value in element.iterchildren(f"{C}v")).strip()):
        found["0"] = text
    return [(at, _short(text)) for at, text in found.items()]


def _short(text: str) -> str:
    """A stored number without the noise of binary fractions."""
    try:
        return f"{float(text):.15g}" if "." in text and len(text) > 15 else text
    except ValueError:
        return text
