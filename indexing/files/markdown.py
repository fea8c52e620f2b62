"""Parser of plain text and Markdown: keeps the text verbatim and finds Markdown headings."""

from __future__ import annotations

import re
from collections.abc import Iterator

from indexing.files.file_text import Heading

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NO_PARAGRAPH = re.compile(r" {0,3}(?:[-+*>|]|\d{1,9}[.)])|    |\t|\s*$| {0,3}#{1,6}(?:\s|$)|---")


def markdown_headings(text: str) -> tuple[Heading, ...]:
    """(start, end, level) of the words of every heading, without marks; fences and front matter are skipped.

    >>> markdown_headings("# One\\n\\nTwo\\n---\\n")
    ((2, 5, 1), (7, 10, 2))
    """
    found: list[Heading] = []
    fence, before = "", (0, "")
    for start, line in _lines(text, _front_matter(text)):
        if fence:
            fence = "" if _closes(line, fence) else fence
            before = (start, "")
            continue
        opening = _FENCE.match(line)
        if opening and not (opening[1][0] == "`" and "`" in opening[2]):
            fence, before = opening[1], (start, "")
        elif atx := _ATX.match(line):
            if (atx[2] or "").strip():
                found.append((*_stripped(start + atx.start(2), atx[2]), len(atx[1])))
            before = (start, "")
        elif before[1] and (under := _SETEXT.match(line)):
            found.append((*_stripped(*before), 1 if under[1][0] == "=" else 2))
            before = (start, "")
        else:
            before = (start, "" if _NO_PARAGRAPH.match(line) or before[1] else line)
    return tuple(found)


def _stripped(start: int, line: str) -> tuple[int, int]:
    """The start and end of a line's text without surrounding white space."""
    bare = line.strip()
    start += line.index(bare)
    return start, start + len(bare)


def _closes(line: str, fence: str) -> bool:
    bare = line.strip()
    return bare.startswith(fence) and not bare.strip(fence[0]) and not line.startswith("    ")


def _front_matter(text: str) -> int:
    """The offset after YAML front matter (between two lines of three dashes); 0 without it."""
    match = re.match(r"---[ \t]*\r?\n(?:(?!---)[^\n]*\n){0,200}?---[ \t]*(?:\r?\n|$)", text)
    return match.end() if match else 0


def _lines(text: str, start: int) -> Iterator[tuple[int, str]]:
    """The start and text of each line, without its line end (LF or CRLF)."""
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, text[start : end - 1] if end > start and text[end - 1] == "\r" else text[start:end]
        start = end + 1
