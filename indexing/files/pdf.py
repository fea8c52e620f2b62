"""PDF text extraction with pdfium: lines joined into paragraphs, and each character's position on its page.

pdfium returns characters in reading order, with a line break after each printed line. The layout shows whether a line
break ends a paragraph: the distance to the next line, its indentation and size, and whether its first word would still
have fitted. This is arithmetic over boxes, so a page always yields the same text.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from indexing.errors import UnreadableFile
from indexing.files.bidi import looks_reversed
from indexing.files.file_text import FileLimits, FileText, Heading, TextBuilder, check_pages, clean_meta, ranges

_MARKERS = (0x02, 0xFFFE)
_HYPHEN = "\ufffe"
_SOFT_HYPHEN = "\u00ad"
_LINE_END = 10
_INSERTED = -1
_ENDS = ".!?:;。！？：；…।॥؟۔።፧»”\"')]）」』"
_BULLET = re.compile(r"(?:[•‣◦▪●○■□–—*\-\uf0b7]|\(?\d{1,3}[.)]|[a-z][.)])\s")
_SOUTH_EAST = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_IDEOGRAPHS = "\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\uff00-\uff9f\U00020000-\U0003ffff"
_UNSPACED = re.compile(f"[{_SOUTH_EAST}{_IDEOGRAPHS}]")
_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
_MANY = 10


@dataclass(slots=True)
class _Line:
    """A printed line: its characters, their pdfium indices, and its box in points from the left and the bottom."""

    text: str
    origins: list[int]
    left: float = 0.0
    right: float = 0.0
    bottom: float = 0.0
    size: float = 0.0

    @property
    def letter(self) -> float:
        """Mean width of a character."""
        return (self.right - self.left) / max(1, len(self.text))


@dataclass(frozen=True, slots=True)
class _Page:
    """A page's text, the pdfium index of each character, and (start, end, size) of each block of one font size."""

    text: str
    origins: list[int]
    blocks: list[tuple[int, int, float]]


def read_pdf(data: bytes, limits: FileLimits) -> list[FileText]:
    """The text of a PDF with its page map. Raises UnreadableFile if it is encrypted or has no text."""
    document = _opened(data)
    check_pages(len(document), limits.max_pages)
    builder = TextBuilder(limits.max_chars)
    empty: list[int] = []
    broken: list[int] = []
    blocks: list[tuple[int, int, float]] = []
    for number in range(1, len(document) + 1):
        builder.page()
        page = _page_or_none(document, number - 1)
        if page is None:
            broken.append(number)
        elif not page.text.strip():
            empty.append(number)
        else:
            start = builder.length
            builder.write(page.text)
            blocks += [(start + first, start + last, size) for first, last, size in page.blocks]
    text, pages = builder.text(), tuple(builder.pages)
    if len(empty) + len(broken) == len(document):
        raise UnreadableFile(_nothing(empty, broken))
    notes = (*_missing(empty, broken), *_strange(text, pages))
    return [FileText(text, pages, _meta(document), _headings(text, blocks), notes)]


def _opened(data: bytes) -> Any:
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise UnreadableFile("encrypted: a password is needed") from None
        if "security" in str(error).lower():
            raise UnreadableFile("encrypted in a way that cannot be opened here") from None
        raise UnreadableFile("damaged, or not a PDF: it cannot be opened") from None


def _page_or_none(document: Any, index: int) -> _Page | None:
    """The text of a page, or None if the page is damaged."""
    try:
        page = document[index]
    except pypdfium2.PdfiumError:
        return None
    try:
        return _page(page)
    except pypdfium2.PdfiumError:
        return None
    finally:
        page.close()


def pdf_page_text(page: Any) -> tuple[str, list[int]]:
    """The text of a `pypdfium2.PdfPage` as `read_pdf` extracts it, and the pdfium index of each character, or -1.

    Invariant: where the index is not -1, pdfium has the same character at that index (for a surrogate pair, at its first
    half). -1 marks characters inserted between lines: spaces and newlines.
    """
    read = _page(page)
    return read.text, read.origins


# -- lines -------------------------------------------------------------------------------------------------------------


def _page(page: Any) -> _Page:
    textpage = page.get_textpage()
    try:
        lines = [_measured(line, textpage.raw) for line in _lines(textpage.raw)]
    finally:
        textpage.close()
    return _joined(lines)


def _lines(raw: Any) -> Iterator[_Line]:
    """The printed lines of a page, stripped of white space; empty lines are skipped.

    At a hyphenated line end, pdfium returns a marker character instead of a line break.
    """
    characters: list[str] = []
    origins: list[int] = []
    get = pdfium.FPDFText_GetUnicode
    for index in range(pdfium.FPDFText_CountChars(raw)):
        code = get(raw, index)
        if code == _LINE_END:
            yield from _line(characters, origins)
            characters, origins = [], []
        elif code in _MARKERS:
            yield from _line([*characters, _HYPHEN], [*origins, index])
            characters, origins = [], []
        elif 0xDC00 <= code <= 0xDFFF:
            if characters and "\ud800" <= characters[-1] <= "\udbff":
                characters[-1] = chr(0x10000 + ((ord(characters[-1]) - 0xD800) << 10) + code - 0xDC00)
        elif 32 <= code <= 0x10FFFF or code == 9:
            characters.append(chr(code))
            origins.append(index)
    yield from _line(characters, origins)


def _line(characters: list[str], origins: list[int]) -> Iterator[_Line]:
    first, last = 0, len(characters)
    while first < last and characters[first].isspace():
        first += 1
    while last > first and characters[last - 1].isspace():
        last -= 1
    if first < last:
        yield _Line("".join(characters[first:last]).translate(_LONE), origins[first:last])


_LONE = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def _measured(line: _Line, raw: Any) -> _Line:
    """Set the line's box from the boxes of its first, middle and last characters."""
    box = pdfium.FS_RECTF()
    boxes = []
    for origin in {line.origins[0], line.origins[len(line.origins) // 2], line.origins[-1]}:
        if pdfium.FPDFText_GetLooseCharBox(raw, origin, ctypes.byref(box)):
            boxes.append((box.left, box.right, min(box.bottom, box.top), abs(box.top - box.bottom)))
    if boxes:
        line.left, line.right = min(b[0] for b in boxes), max(b[1] for b in boxes)
        line.bottom, line.size = median(b[2] for b in boxes), median(b[3] for b in boxes)
    return line


# -- paragraphs --------------------------------------------------------------------------------------------------------


def _joined(lines: Sequence[_Line]) -> _Page:
    """Join lines into one text: by nothing, a space, a newline or a blank line."""
    pieces: list[str] = []
    origins: list[int] = []
    blocks: list[tuple[int, int, float]] = []
    edges, gap = _edges(lines), _usual_gap(lines)
    for at, line in enumerate(lines):
        between = _between(lines[at - 1], line, edges[at - 1], gap) if at else ""
        if at and not between and pieces[-1].endswith((_HYPHEN, _SOFT_HYPHEN)):
            _join_word(pieces, origins, line.text)
            blocks[-1] = (blocks[-1][0], len(origins), blocks[-1][2])
            between = ""
        start = len(origins) + len(between)
        text = line.text
        pieces += (between, text)
        origins += [_INSERTED] * len(between) + line.origins
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


def _cleaned(text: str, origins: list[int], blocks: list[tuple[int, int, float]]) -> _Page:
    """Turn the remaining hyphen markers into '-'. They are not characters of the page, so their index is -1."""
    if _HYPHEN in text:
        origins = [_INSERTED if character == _HYPHEN else at for character, at in zip(text, origins, strict=True)]
        text = text.replace(_HYPHEN, "-")
    return _Page(text, origins, [block for block in blocks if block[1] <= len(text)])


def _usual_gap(lines: Sequence[_Line]) -> float:
    """The usual line distance of the page in points (33rd percentile), or that of single spacing if unknown."""
    gaps = [a.bottom - b.bottom for a, b in zip(lines, lines[1:], strict=False) if _below(a, b)]
    sizes = [line.size for line in lines] or [0.0]
    if not gaps:
        return 1.3 * median(sizes)
    gaps.sort()
    return gaps[(len(gaps) - 1) // 3]


def _below(first: _Line, second: _Line) -> bool:
    """Whether the second line is directly below the first, in the same size."""
    gap = first.bottom - second.bottom
    return 0.3 * first.size < gap < 3 * first.size and _same_size(first, second)


def _same_size(first: _Line, second: _Line) -> bool:
    return abs(first.size - second.size) <= 0.12 * max(first.size, second.size)


def _edges(lines: Sequence[_Line]) -> list[tuple[float, float]]:
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


def _between(line: _Line, following: _Line, edges: tuple[float, float], usual: float) -> str:
    """The separator of two lines: "" or " " inside a paragraph, "\\n" after a deliberate break, else a blank line."""
    if line.text[-1] in (_HYPHEN, _SOFT_HYPHEN):
        return ""
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


def _rightward(line: _Line) -> bool:
    """Whether a line is right-to-left."""
    return len(_RTL.findall(line.text)) * 2 > sum(character.isalpha() for character in line.text)


def _deliberate(line: _Line, following: _Line, edges: tuple[float, float]) -> bool:
    """Whether a line ends early on purpose: the next line's first word would have fitted with space to spare."""
    left, right = edges
    room = line.left - left if _rightward(line) else right - line.right
    word = following.text.split(None, 1)[0]
    if _UNSPACED.match(word):
        word = word[: 14 if re.match(f"[{_SOUTH_EAST}]", word) else 2]
    return room > 1.25 * (len(word) + 1) * max(line.letter, following.letter) + 0.5 * line.size


def _spread(line: _Line) -> bool:
    """Whether a line has wide gaps, as between the cells of a table."""
    return line.letter > (1.5 if _UNSPACED.search(line.text) else 0.85) * line.size


def _indented(line: _Line, following: _Line) -> bool:
    """Whether the next line is indented, as the first line of a paragraph is."""
    further = line.right - following.right if _rightward(line) else following.left - line.left
    return further > 0.8 * line.size


# -- headings, remarks, metadata ---------------------------------------------------------------------------------------


def _headings(text: str, blocks: Sequence[tuple[int, int, float]]) -> tuple[Heading, ...]:
    """Blocks with a font clearly larger than the body's; the largest size is level 1."""
    sizes: Counter[float] = Counter()
    for start, end, size in blocks:
        sizes[round(size * 2) / 2] += end - start
    if not sizes:
        return ()
    body = max(sizes, key=lambda size: (sizes[size], -size))
    larger = sorted((size for size in sizes if size >= 1.12 * body and size > body), reverse=True)
    levels = {size: min(level, 6) for level, size in enumerate(larger, 1)}
    return tuple(
        (start, end, levels[size])
        for start, end, raw in blocks
        if (size := round(raw * 2) / 2) in levels and end - start <= 250 and any(map(str.isalpha, text[start:end]))
    )


def _nothing(empty: Sequence[int], broken: Sequence[int]) -> str:
    total = len(empty) + len(broken)
    if not total:
        return "a PDF without pages"
    if not empty:
        return f"damaged: none of its {total:,} pages can be opened"
    where = f"any of its {total:,} pages" if total > 1 else "its one page"
    return f"no text layer (a scan?) on {where}"


def _missing(empty: Sequence[int], broken: Sequence[int]) -> Iterator[str]:
    for numbers, words in ((empty, "no text layer"), (broken, "damaged and not read:")):
        if numbers:
            yield f"{words} {'on ' if words.startswith('no') else ''}page{'s' * (len(numbers) > 1)} {ranges(numbers)}"


def _strange(text: str, pages: tuple[int, ...]) -> Iterator[str]:
    """Remarks on reversed and illegible pages. Raises UnreadableFile if that affects all pages with text."""
    ends = (*pages[1:], len(text))
    parts = [text[start:end] for start, end in zip(pages, ends, strict=True)]
    backward = [number for number, part in enumerate(parts, 1) if looks_reversed(part)]
    garbled = [number for number, part in enumerate(parts, 1) if _garbled(part)]
    full = sum(bool(part.strip()) for part in parts)
    for numbers, words in (
        (backward, "text looks right-to-left reversed"),
        (garbled, "text is not legible (fonts without Unicode map)"),
    ):
        if len(numbers) == full:
            raise UnreadableFile(f"{words} on all pages")
        if numbers:
            yield f"{words} on page{'s' * (len(numbers) > 1)} {ranges(numbers)}"


def _garbled(text: str) -> bool:
    """Whether much of a text consists of private-use, replacement or control characters."""
    odd = sum("\ue000" <= c <= "\uf8ff" or c == "\ufffd" or "\x7f" <= c < "\xa0" for c in text)
    return odd * 4 > len(text) and odd > 10


def _meta(document: Any) -> dict[str, str | int | float | bool]:
    try:
        info = document.get_metadata_dict(skip_empty=True)
    except (pypdfium2.PdfiumError, UnicodeDecodeError, ValueError):
        info = {}
    date = re.match(r"D:(\d{4})(\d\d)(\d\d)", info.get("CreationDate", ""))
    return clean_meta(
        [
            ("title", info.get("Title")),
            ("author", info.get("Author")),
            ("subject", info.get("Subject")),
            ("date", "-".join(date.groups()) if date else ""),
            ("file_type", "pdf"),
            ("page_count", len(document)),
        ]
    )
