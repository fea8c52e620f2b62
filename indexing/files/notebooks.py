"""Parser of Jupyter notebooks: their Markdown, code and text outputs in order."""

from __future__ import annotations

import json
from typing import Any

from indexing.errors import UnreadableFile
from indexing.files.charset import decode_text
from indexing.files.file_text import FileLimits, FileText, TextBuilder, clean_meta, counted
from indexing.files.markdown import markdown_headings

_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/svg+xml")


def read_notebook(data: bytes, limits: FileLimits) -> list[FileText]:
    """The cells of a notebook as one Markdown text; pictures are counted. Raises UnreadableFile for other files."""
    decoded = decode_text(data, "a notebook")
    try:
        book = json.loads(decoded.text)
    except ValueError:
        raise UnreadableFile("damaged, or not a notebook (not valid JSON)") from None
    if not isinstance(book, dict):
        raise UnreadableFile("not a notebook")
    sheets = [sheet for sheet in _list(book.get("worksheets")) if isinstance(sheet, dict)]
    builder = TextBuilder(limits.max_chars)
    pictures = 0
    for cell in [*_list(book.get("cells")), *(cell for sheet in sheets for cell in _list(sheet.get("cells")))]:
        if not isinstance(cell, dict):
            continue
        source = _joined(cell.get("source") or cell.get("input")).strip("\n")
        if cell.get("cell_type") == "heading" and cell.get("level") in (1, 2, 3, 4, 5, 6):
            source = f"{'#' * cell['level']} {source}"
        builder.add(source)
        for output in _list(cell.get("outputs")):
            if isinstance(output, dict):
                text, picture = _output(output)
                pictures += picture
                builder.add(text.strip("\n"))
    text = builder.text()
    meta = clean_meta([("file_type", "ipynb"), ("encoding", decoded.encoding)])
    notes = (*decoded.notes, *counted(pictures, "embedded image", "not read"))
    return [FileText(text, (), meta, tuple(markdown_headings(text)), notes)]


def _output(output: dict[str, Any]) -> tuple[str, bool]:
    """The text of an output, and whether it is a picture."""
    inner = output.get("data")
    data = inner if isinstance(inner, dict) else output
    picture = any(kind in data or kind.partition("/")[2] in data for kind in _PICTURES)
    if output.get("output_type") in ("error", "pyerr"):
        return f"{output.get('ename') or ''}: {output.get('evalue') or ''}", False
    return _joined(data.get("text/markdown") or data.get("text/plain") or data.get("text")), picture


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _joined(value: Any) -> str:
    """A text, or lines that keep their ends."""
    return value if isinstance(value, str) else "".join(line for line in _list(value) if isinstance(line, str))
