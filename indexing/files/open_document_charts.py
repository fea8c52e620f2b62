"""Charts of OpenDocument: their titles, and the table of their values."""

from __future__ import annotations

from typing import Any

from indexing.files.xml_parts import local

_TITLES = frozenset(("title", "subtitle", "footer"))


def chart_lines(root: Any) -> list[str]:
    """The titles of a chart with its axes, then a line for each row of its values; [] for other objects."""
    chart = next((element for element in root.iter() if local(element) == "chart" and len(element)), None)
    if chart is None:
        return []
    titles = [" ".join("".join(element.itertext()).split()) for element in chart.iter() if local(element) in _TITLES]
    rows = ["\t".join(_cells(row)).rstrip() for row in chart.iter() if local(row) == "table-row"]
    return [line for line in (*titles, *rows) if line.strip()]


def _cells(row: Any) -> list[str]:
    cells = [element for element in row if local(element) == "table-cell"]
    return [" ".join(" ".join(_paragraphs(cell)).split()) for cell in cells]


def _paragraphs(cell: Any) -> list[str]:
    """The paragraphs of a cell, without the addresses that LibreOffice keeps beside them."""
    return ["".join(child.itertext()) for child in cell if local(child) == "p"]
