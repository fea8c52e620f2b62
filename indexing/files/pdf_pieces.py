"""The characters of a PDF page, as pdfium gives them, in pieces of one text object with their place on the page.

pdfium puts spaces and line ends between objects by rules that suit Latin text with ordinary widths. They are kept beside the
pieces as hints; `indexing.files.pdf_rows` decides. Two marks of the page's content are needed for browsers' PDFs:

- `/ActualText` gives the text of a group of objects, which pdfium repeats for each of them.
- pdfium reverses right-to-left lines, also inside a glyph that stands for two letters (lam-alef).
"""

from __future__ import annotations

import ctypes
import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pypdfium2.raw as pdfium

HYPHEN = "\ufffe"
LINE_END, SPACE = "\n", " "
ANNOTATION = -2
_MARKERS = (0x02, 0xFFFE)
_TURNED = 0.1
_PICTURE = 0.02
_OBJECTS = 2_000
_AHEAD = 12
"""Characters of one object follow each other, so that two this far apart answer for those between them."""
_LIGATURES = (*range(0xFBEA, 0xFDFC), *range(0xFEF5, 0xFEFD))

Box = tuple[float, float, float, float]


@dataclass(slots=True)
class Piece:
    """Characters of one text object, without a separator between them.

    text, origins: characters, and their pdfium index (or `ANNOTATION` - n for the n-th annotation of the page).
    before: the separator that pdfium has before it: "", a space or a line end.
    left, right: edges of the characters that are no spaces, in points. baseline, size: in points; size: a box's height.
    level: whether the text runs from left to right on a horizontal line (after turning the page).
    actual: whether the text is the /ActualText of its objects.
    """

    text: list[str]
    origins: list[int]
    before: str = ""
    left: float = 0.0
    right: float = 0.0
    baseline: float = 0.0
    size: float = 0.0
    level: bool = True
    actual: bool = False
    boxes: list[Box] = field(default_factory=list)


class PageText:
    """The text page of a `pypdfium2.PdfPage`. Close it by leaving the `with` block.

    unmapped: characters without a letter, counted by `pieces`: of fonts without a Unicode map, and control characters.
    """

    def __init__(self, page: Any) -> None:
        self._page = page
        self._textpage = page.get_textpage()
        self.raw = self._textpage.raw
        self.unmapped = 0

    def __enter__(self) -> PageText:
        return self

    def __exit__(self, *_: object) -> None:
        self._textpage.close()

    def image_count(self) -> int:
        """Pictures on the page that cover at least a fiftieth of it, among its first objects."""
        least = self._page.get_width() * self._page.get_height() * _PICTURE
        edges = [ctypes.c_float() for _ in range(4)]
        count = 0
        for at in range(min(_OBJECTS, pdfium.FPDFPage_CountObjects(self._page))):
            thing = pdfium.FPDFPage_GetObject(self._page, at)
            if pdfium.FPDFPageObj_GetType(thing) == pdfium.FPDF_PAGEOBJ_IMAGE:
                pdfium.FPDFPageObj_GetBounds(thing, *map(ctypes.byref, edges))
                left, bottom, right, top = (edge.value for edge in edges)
                count += abs((right - left) * (top - bottom)) >= least
        return count

    def pieces(self) -> list[Piece]:
        """All pieces with their places; each /ActualText once. Places are turned if most of the page's text is."""
        found: list[Piece] = []
        spans: dict[int, Piece] = {}
        angles: dict[int, int] = {}
        for piece, thing in self._runs():
            self._measure(piece)
            key = _actual_text(thing)
            if key and key in spans:
                _extend(spans[key], piece)
                continue
            if key:
                spans[key] = piece
                piece.actual = True
                self._in_order(piece)
            angle = self._angle(piece)
            angles[angle] = angles.get(angle, 0) + len(piece.text)
            piece.level = angle == 0
            found.append(piece)
        if spans:
            self._widen(spans)
        if angles and max(angles, key=lambda angle: angles[angle]) != 0:
            self._turn(found, max(angles, key=lambda angle: angles[angle]))
        return found

    def _runs(self) -> Iterator[tuple[Piece, Any]]:
        """Each piece with its text object."""
        raw, get, thing_of = self.raw, pdfium.FPDFText_GetUnicode, pdfium.FPDFText_GetTextObject
        piece, before, here, thing = Piece([], []), "", 0, None
        count, known = pdfium.FPDFText_CountChars(raw), -1
        for index in range(count):
            code = get(raw, index)
            if code in _MARKERS:
                if piece.text:
                    piece.text.append(HYPHEN)
                    piece.origins.append(index)
                    yield piece, thing
                piece, before, here, known = Piece([], []), LINE_END, 0, index
                continue
            if 0xDC00 <= code <= 0xDFFF:
                if piece.text and "\ud800" <= piece.text[-1] <= "\udbff":
                    piece.text[-1] = chr(0x10000 + ((ord(piece.text[-1]) - 0xD800) << 10) + code - 0xDC00)
                continue
            if index > known or code <= 32:
                owner = thing_of(raw, index)
                if not owner or code in (10, 13):
                    before, known = (LINE_END if code in (10, 13) else before or SPACE), index
                    if piece.text:
                        yield piece, thing
                        piece, here = Piece([], []), 0
                    continue
                address = ctypes.addressof(owner.contents)
                if address != here:
                    if piece.text:
                        yield piece, thing
                    piece, before, here, thing = Piece([], [], before), "", address, owner
                ahead = index + _AHEAD
                if index > known and ahead < count and (other := thing_of(raw, ahead)):
                    known = ahead if ctypes.addressof(other.contents) == here else index
            if 32 <= code <= 0x10FFFF or code == 9:
                piece.text.append(chr(code))
                piece.origins.append(index)
            else:
                self.unmapped += 1
        if piece.text:
            yield piece, thing

    # -- places --------------------------------------------------------------------------------------------------------

    def box(self, index: int) -> Box:
        """(left, bottom, right, top) of a character, in points of the page."""
        box = pdfium.FS_RECTF()
        if not pdfium.FPDFText_GetLooseCharBox(self.raw, index, ctypes.byref(box)):
            return (0.0, 0.0, 0.0, 0.0)
        return box_of(box)

    def origin(self, index: int) -> tuple[float, float]:
        """The place of a character on its baseline, in points of the page."""
        x, y = ctypes.c_double(), ctypes.c_double()
        pdfium.FPDFText_GetCharOrigin(self.raw, index, ctypes.byref(x), ctypes.byref(y))
        return x.value, y.value

    def _measure(self, piece: Piece) -> None:
        """Set the edges of a piece from its first and last characters that are no spaces."""
        full = [
            at for at, letter in zip(piece.origins, piece.text, strict=True) if not letter.isspace() and letter != HYPHEN
        ]
        full = full or piece.origins
        first, last = self.box(full[0]), self.box(full[-1])
        piece.left, piece.right = min(first[0], last[0]), max(first[2], last[2])
        piece.baseline = self.origin(full[0])[1]
        piece.size = max(first[3] - first[1], last[3] - last[1])
        if pdfium.FPDFText_HasUnicodeMapError(self.raw, full[0]):
            self.unmapped += len(piece.text)

    def glyphs(self, piece: Piece) -> list[Box]:
        """The box of each character of a piece, measured once."""
        if not piece.boxes:
            piece.boxes = [self.box(at) if at >= 0 else (piece.left, 0.0, piece.right, 0.0) for at in piece.origins]
        return piece.boxes

    def _in_order(self, piece: Piece) -> None:
        """Put the characters of an /ActualText in its order: pdfium lays them out from left to right over the glyphs."""
        if len(piece.text) > 1:
            lefts = [self.box(at)[0] for at in piece.origins]
            order = sorted(range(len(lefts)), key=lambda at: lefts[at])
            piece.text = [piece.text[at] for at in order]
            piece.origins = [piece.origins[at] for at in order]
        full = [letter for letter in piece.text if not letter.isspace()]
        piece.left = min(piece.left, self.origin(piece.origins[0])[0])
        size = pdfium.FPDFText_GetFontSize(self.raw, piece.origins[0])
        piece.size = max(piece.size, 1.1 * size) if full else piece.size

    def _widen(self, spans: dict[int, Piece]) -> None:
        """Widen each /ActualText to all objects of its span: pdfium gives the characters of the first of them only."""
        edges = left, _, right, _ = [ctypes.c_float() for _ in range(4)]
        for at in range(pdfium.FPDFPage_CountObjects(self._page)):
            thing = pdfium.FPDFPage_GetObject(self._page, at)
            if pdfium.FPDFPageObj_GetType(thing) != pdfium.FPDF_PAGEOBJ_TEXT:
                continue
            piece = spans.get(_actual_text(thing))
            if piece is not None and pdfium.FPDFPageObj_GetBounds(thing, *map(ctypes.byref, edges)):
                piece.left, piece.right = min(piece.left, left.value), max(piece.right, right.value)

    def _angle(self, piece: Piece) -> int:
        """Quarter turns of a piece against the page's horizontal, 0 to 3; -1 for other angles."""
        angle = pdfium.FPDFText_GetCharAngle(self.raw, piece.origins[0]) % (2 * math.pi)
        turns = round(angle / (math.pi / 2))
        return turns % 4 if abs(angle - turns * math.pi / 2) < _TURNED else -1

    def _turn(self, pieces: list[Piece], turns: int) -> None:
        """Turn the places of all pieces so that text at this angle is level. Other angles are left as they are."""
        for piece in pieces:
            if turns < 0:
                continue
            piece.level = self._angle(piece) == turns
            piece.boxes = [_turned(self.box(at), turns) for at in piece.origins]
            full = [box for box, letter in zip(piece.boxes, piece.text, strict=True) if not letter.isspace()] or piece.boxes
            piece.left, piece.right = min(box[0] for box in full), max(box[2] for box in full)
            piece.size = max(box[3] - box[1] for box in full)
            x, y = self.origin(piece.origins[0])
            piece.baseline = _turned((x, y, x, y), turns)[1]


def box_of(rectangle: pdfium.FS_RECTF) -> Box:
    """(left, bottom, right, top) of a rectangle of pdfium, whose edges may be the other way round."""
    xs, ys = sorted((rectangle.left, rectangle.right)), sorted((rectangle.bottom, rectangle.top))
    return xs[0], ys[0], xs[1], ys[1]


def _turned(box: Box, turns: int) -> Box:
    """A box on a page turned back by quarter turns.

    >>> _turned((1.0, 2.0, 3.0, 5.0), 1)
    (2.0, -3.0, 5.0, -1.0)
    """
    left, bottom, right, top = box
    for _ in range(turns % 4):
        left, bottom, right, top = bottom, -right, top, -left
    return left, bottom, right, top


def _extend(piece: Piece, other: Piece) -> None:
    piece.left, piece.right = min(piece.left, other.left), max(piece.right, other.right)


def _actual_text(thing: Any) -> int:
    """The address of the mark with an /ActualText that a text object is in, or 0. Objects of one span have one mark."""
    length = ctypes.c_ulong()
    for at in range(max(0, pdfium.FPDFPageObj_CountMarks(thing))):
        mark = pdfium.FPDFPageObj_GetMark(thing, at)
        if not mark:
            continue
        has = pdfium.FPDFPageObjMark_GetParamStringValue(mark, b"ActualText", None, 0, ctypes.byref(length))
        if has and length.value > 2:
            return ctypes.addressof(mark.contents)
    return 0


def clusters(piece: Piece, boxes: list[Box]) -> Iterator[tuple[str, list[int], Box]]:
    """The glyphs of a piece: (characters, their indices, box). Characters in one box are one glyph.

    Letters of one glyph come in reading order. pdfium has them backward where it reversed a right-to-left line, unless it
    took the glyph for a presentation form and decomposed it itself.
    """
    if piece.actual:
        yield "".join(piece.text), list(piece.origins), (piece.left, boxes[0][1], piece.right, boxes[0][3])
        return
    backward = len(boxes) > 1 and boxes[0][0] > boxes[-1][0] + 0.01
    at = 0
    while at < len(boxes):
        end = at + 1
        while end < len(boxes) and boxes[end] == boxes[at]:
            end += 1
        letters, origins = piece.text[at:end], piece.origins[at:end]
        if len(letters) > 1 and _is_backward("".join(letters), backward):
            letters, origins = letters[::-1], origins[::-1]
        yield "".join(letters), origins, boxes[at]
        at = end


@cache
def _ligatures() -> frozenset[str]:
    """The letters of each Arabic ligature that Unicode knows, in reading order."""
    return frozenset(unicodedata.normalize("NFKC", chr(code)) for code in _LIGATURES)


def _is_backward(letters: str, backward: bool) -> bool:
    """Whether the letters of one glyph are in reversed order. backward: whether those of its piece are."""
    known = _ligatures()
    if (letters in known) != (letters[::-1] in known):
        return letters not in known
    return backward
