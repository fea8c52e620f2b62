"""Joins the printed lines of a PDF page into paragraphs.

The layout shows whether a line break ends a paragraph: the distance to the next line, its indentation and size, and whether
its first word would still have fitted. This is arithmetic over boxes, so a page always yields the same text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from indexing.files.pdf_pieces import HYPHEN
from indexing.files.pdf_rows import INSERTED
from indexing.files.pdf_tables import Line

_SOFT_HYPHEN = "\u00ad"
_ENDS = ".!?:;。！？：；…।॥؟۔።፧»”\"')]）」』"
_BULLET = re.compile(r"(?:[•‣◦▪●○■□–—*\-\uf0b7]|\(?\d{1,3}[.)]|[a-z][.)])\s")
_SOUTH_EAST = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_IDEOGRAPHS = "\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\uff00-\uff9f\U00020000-\U0003ffff"
_UNSPACED = re.compile(f"[{_SOUTH_EAST}{_IDEOGRAPHS}]")
_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
_MANY = 10


@dataclass(frozen=True, slots=True)
class PageLayout:
    """A page's text, the pdfium index of each character, and (start, end, size) of each block of one font size.

    unmapped: characters whose font has no Unicode map. images: pictures of some size.
    """

    text: str
    origins: list[int]
    blocks: list[tuple[int, int, float]]
    unmapped: int = 0
    images: int = 0


def joined(lines: Sequence[Line]) -> PageLayout:
    """Join lines into one text: by nothing, a space, a newline or a blank line."""
    pieces: list[str] = []
    origins: list[int] = []
    blocks: list[tuple[int, int, float]] = []
    edges, gap = _edges(lines), _usual_gap(lines)
    for at, line in enumerate(lines):
        between = _between(lines[at - 1], line, edges[at - 1], gap) if at else ""
        if at and not between and pieces[-1].endswith((HYPHEN, _SOFT_HYPHEN)):
            _join_word(pieces, origins, line.text)
            blocks[-1] = (blocks[-1][0], len(origins), blocks[-1][2])
            between = ""
        start = len(origins) + len(between)
        text = line.text
        pieces += (between, text)
        origins += [INSERTED] * len(between) + line.origins
        if blocks and between != "\n\n" and abs(blocks[-1][2] - line.size) < 0.5:
            blocks[-1] = (blocks[-1][0], start + len(text), blocks[-1][2])
        else:
            blocks.append((start, start + len(text), line.size))
    text = "".join(pieces)
    return _cleaned(text, origins, blocks)


def _join_word(pieces: list[str], origins: list[int], following: str) -> None:
    """Remove the hyphen that splits a word: soft ones always, others between a letter and a small letter."""
    if pieces[-1].endswith(_SOFT_HYPHEN) or (following[:1].islower() and pieces[-1][-2:-1].isalpha()):
        pieces[-1] = pieces[-1][:-1]
        origins.pop()


def _cleaned(text: str, origins: list[int], blocks: list[tuple[int, int, float]]) -> PageLayout:
    """Turn the remaining hyphen markers into '-'. They are not characters of the page, so their index is -1."""
    if HYPHEN in text:
        origins = [INSERTED if character == HYPHEN else at for character, at in zip(text, origins, strict=True)]
        text = text.replace(HYPHEN, "-")
    return PageLayout(text, origins, [block for block in blocks if block[1] <= len(text)])


def _usual_gap(lines: Sequence[Line]) -> float:
    """The usual line distance of the page in points (33rd percentile), or that of single spacing if unknown."""
    gaps = [a.bottom - b.bottom for a, b in zip(lines, lines[1:], strict=False) if _below(a, b)]
    sizes = [line.size for line in lines] or [0.0]
    if not gaps:
        return 1.3 * median(sizes)
    gaps.sort()
    return gaps[(len(gaps) - 1) // 3]


def _below(first: Line, second: Line) -> bool:
    """Whether the second line is directly below the first, in the same size."""
    gap = first.bottom - second.bottom
    return 0.3 * first.size < gap < 3 * first.size and _same_size(first, second)


def _same_size(first: Line, second: Line) -> bool:
    return abs(first.size - second.size) <= 0.12 * max(first.size, second.size)


def _edges(lines: Sequence[Line]) -> list[tuple[float, float]]:
    """The left and right edge of each line's column, from its neighbours at most _MANY lines away."""
    edges: list[tuple[float, float]] = []
    for at, line in enumerate(lines):
        left, right = line.left, line.right
        for step in (-1, 1):
            other = at + step
            while 0 <= other < len(lines) and abs(other - at) <= _MANY:
                upper, lower = (lines[other], lines[other - step])[::-step]
                if not _below(upper, lower) or lines[other].left > line.right or lines[other].right < line.left:
                    break
                left, right = min(left, lines[other].left), max(right, lines[other].right)
                other += step
        edges.append((left, right))
    return edges


def _between(line: Line, following: Line, edges: tuple[float, float], usual: float) -> str:
    """The separator of two lines: "" or " " inside a paragraph, "\\n" after a deliberate break, else a blank line."""
    if line.text[-1] in (HYPHEN, _SOFT_HYPHEN):
        return ""
    if line.table and line.table == following.table:
        return "\n"
    gap = line.bottom - following.bottom
    soft = "" if _glued(line.text, following.text) else " "
    if abs(gap) <= 0.3 * line.size:
        return " " if _same_size(line, following) else "\n\n"
    if not _same_size(line, following):
        return "\n\n"
    ended = line.text[-1] in _ENDS
    if gap < 0 or gap > 3 * line.size:
        return soft if not ended and _goes_on(following.text) and gap < 0 else "\n\n"
    if gap > 1.3 * usual:
        return "\n\n"
    if _BULLET.match(following.text):
        return "\n"
    if _spread(line) or _spread(following):
        return "\n"
    if _deliberate(line, following, edges):
        return "\n\n" if ended else "\n"
    return "\n\n" if ended and _indented(line, following) else soft


def _goes_on(text: str) -> bool:
    return text[:1].islower() or bool(_UNSPACED.match(text))


def _glued(text: str, following: str) -> bool:
    """Whether two lines of a paragraph join without a space: in scripts without spaces, or after a hyphen."""
    if text[-1] == "-" and text[-2:-1].isalnum():
        return True
    return bool(_UNSPACED.match(text[-1]) and _UNSPACED.match(following))


def _rightward(line: Line) -> bool:
    """Whether a line is right-to-left."""
    return len(_RTL.findall(line.text)) * 2 > sum(character.isalpha() for character in line.text)


def _deliberate(line: Line, following: Line, edges: tuple[float, float]) -> bool:
    """Whether a line ends early on purpose: the next line's first word would have fitted with space to spare."""
    left, right = edges
    room = line.left - left if _rightward(line) else right - line.right
    word = following.text.split(None, 1)[0]
    if _UNSPACED.match(word):
        word = word[: 14 if re.match(f"[{_SOUTH_EAST}]", word) else 2]
    return room > 1.25 * (len(word) + 1) * max(line.letter, following.letter) + 0.5 * line.size


def _spread(line: Line) -> bool:
    """Whether a line has wide gaps, as between the cells of a table."""
    return line.letter > (1.5 if _UNSPACED.search(line.text) else 0.85) * line.size


def _indented(line: Line, following: Line) -> bool:
    """Whether the next line is indented, as the first line of a paragraph is."""
    further = line.right - following.right if _rightward(line) else following.left - line.left
    return further > 0.8 * line.size
