"""From the pieces of a PDF page to printed rows of words in reading order.

pdfium's separators are hints. Words end where there is a gap, whatever pdfium put there; pieces on one baseline are one row,
also where pdfium breaks the line; right-to-left rows are put in reading order from the places of their glyphs.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from indexing.files.bidi import has_rtl, reading_order, with_brackets_turned
from indexing.files.pdf_pieces import HYPHEN, LINE_END, SPACE, PageText, Piece, clusters

INSERTED = -1
SAME_WORD = 0.08
"""A gap below this part of the row's height is inside a word."""
_AFTER_DRAWN = 0.1
"""The same after an /ActualText, whose right edge is that of the ink: the white at the side of the glyph comes on top."""
WIDE = 1.0
"""A gap above this part of the row's height may be one between cells."""
_SAME_LINE = 0.12
_RAISED = 0.6
_SMALLER = 0.85
_SUPERSCRIPT = str.maketrans("0123456789+-−–=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻⁼⁽⁾ⁿⁱ")
_SUPERSCRIPTS = frozenset("0123456789+-−–=()ni,")


@dataclass(slots=True)
class Word:
    """Characters without a gap, in visual order for right-to-left rows. glyphs: (characters, indices) of each glyph."""

    glyphs: list[tuple[str, list[int]]]
    left: float
    right: float
    before: str = ""
    wide: bool = False

    @property
    def text(self) -> str:
        return "".join(glyph for glyph, _ in self.glyphs)


@dataclass(slots=True)
class Row:
    """Pieces on one baseline. words: from left to right; rtl: whether a level row has right-to-left letters."""

    pieces: list[Piece]
    baseline: float
    size: float
    words: list[Word] = field(default_factory=list)
    rtl: bool = False

    @property
    def left(self) -> float:
        return min(piece.left for piece in self.pieces)

    @property
    def right(self) -> float:
        return max(piece.right for piece in self.pieces)

    @property
    def level(self) -> bool:
        return self.pieces[0].level


def rows_of(pieces: Iterable[Piece], values: Iterable[Piece], page: PageText) -> list[Row]:
    """The rows of a page, in pdfium's order, with their words. Rows of white space only are left out.

    values: pieces that belong to the row at their height, such as what is filled into a form.
    """
    rows: list[Row] = []
    for piece in pieces:
        if rows and _same_row(rows[-1], piece):
            rows[-1].pieces.append(piece)
            if piece.size > rows[-1].size * 1.17 or not "".join(rows[-1].pieces[0].text).strip():
                rows[-1].baseline, rows[-1].size = piece.baseline, piece.size
        else:
            rows.append(Row([piece], piece.baseline, piece.size))
    for piece in values:
        _put(piece, rows)
    for row in rows:
        _settle(row)
        row.rtl = row.level and any(has_rtl("".join(piece.text)) for piece in row.pieces)
        row.words = _visual_words(row, page) if row.rtl else _words(row)
    return [row for row in rows if any(word.text.strip() for word in row.words)]


def _settle(row: Row) -> None:
    """Set size and baseline of a row to those of most of its letters. Boxes of an /ActualText have no ascent and descent."""
    pieces = [piece for piece in row.pieces if not piece.actual and "".join(piece.text).strip()] or row.pieces
    pieces = sorted(pieces, key=lambda piece: piece.size)
    middle, half = 0, sum(len(piece.text) for piece in pieces) / 2
    for piece in pieces:
        middle += len(piece.text)
        if middle >= half:
            row.baseline, row.size = piece.baseline, piece.size
            return


def _put(piece: Piece, rows: list[Row]) -> None:
    """Add a piece to the row at its height that ends or begins nearest to it; without one, as a row of its own."""
    beside = [row for row in rows if row.level and abs(row.baseline - piece.baseline) < 0.6 * max(row.size, piece.size)]
    if beside:
        row = min(beside, key=lambda row: min(abs(piece.left - row.right), abs(row.left - piece.right)))
        row.pieces.append(piece)
        return
    below = next((at for at, row in enumerate(rows) if row.level and row.baseline < piece.baseline), len(rows))
    rows.insert(below, Row([piece], piece.baseline, piece.size))


def _same_row(row: Row, piece: Piece) -> bool:
    if not row.level or not piece.level:
        return row.level == piece.level and piece.before != LINE_END
    last = row.pieces[-1]
    if last.text[-1] == HYPHEN:
        return False
    if not "".join(piece.text).strip():
        return piece.before != LINE_END or abs(piece.baseline - row.baseline) <= _SAME_LINE * row.size
    raised = abs(piece.baseline - row.baseline)
    if raised <= _SAME_LINE * max(row.size, piece.size):
        alike = abs(piece.size - row.size) <= _SAME_LINE * max(row.size, piece.size)
        return alike or piece.before != LINE_END or _near(row, piece)
    small = min(row.size, piece.size) < _SMALLER * max(row.size, piece.size)
    if raised > _RAISED * max(row.size, piece.size):
        return False
    return piece.before != LINE_END or (small and _near(row, piece))


def _near(row: Row, piece: Piece) -> bool:
    """Whether a piece begins or ends where one of the row's last pieces does."""
    return any(
        -0.5 * row.size <= gap <= 0.4 * row.size
        for other in row.pieces[-4:]
        for gap in (piece.left - other.right, other.left - piece.right)
    )


# -- words from left to right ------------------------------------------------------------------------------------------


def _words(row: Row) -> list[Word]:
    """The words of a row without right-to-left letters, with superscripts."""
    words: list[Word] = []
    last: Piece | None = None
    mark = False
    for piece in _from_left(row):
        raised = row.level and _is_superscript(piece, row)
        between = _between(last, piece, row) if last else SPACE
        wide = last is not None and row.level and piece.left - last.right > WIDE * row.size
        if mark and not raised and not between and piece.text[0].isalpha():
            words[-1].glyphs, between = [(letter, at) for letter, at in _plain_digits(words[-1])], SPACE
        mark = raised and (bool(between) or last is None or last.text[-1].isspace())
        letters = [letter.translate(_SUPERSCRIPT) for letter in piece.text] if raised else piece.text
        glyphs = [("".join(letters), piece.origins)]
        if words and not between and not wide:
            words[-1].glyphs += glyphs
            words[-1].left, words[-1].right = min(words[-1].left, piece.left), max(words[-1].right, piece.right)
        else:
            words.append(Word(glyphs, piece.left, piece.right, between if words else "", wide))
        last = piece if "".join(piece.text).strip() or last is None else _with_space(last)
    return words


def _plain_digits(word: Word) -> list[tuple[str, list[int]]]:
    return [(unicodedata.normalize("NFKC", glyph), at) for glyph, at in word.glyphs]


def _with_space(piece: Piece) -> Piece:
    """The same place with a space at its end, so that no other one is put after it."""
    return Piece(
        [*piece.text, " "],
        piece.origins,
        piece.before,
        piece.left,
        piece.right,
        piece.baseline,
        piece.size,
        actual=piece.actual,
    )


def _from_left(row: Row) -> list[Piece]:
    """The pieces of a row by place, if pdfium's order jumps back and no two of them lie over each other."""
    pieces = row.pieces
    if not row.level or all(a.left <= b.left + 0.5 for a, b in zip(pieces, pieces[1:], strict=False)):
        return pieces
    full = sorted((piece for piece in pieces if "".join(piece.text).strip()), key=lambda piece: piece.left)
    over = any(
        a.right - b.left > 0.5 * min(a.right - a.left, b.right - b.left) for a, b in zip(full, full[1:], strict=False)
    )
    return pieces if over else sorted(pieces, key=lambda piece: piece.left)


def _between(last: Piece, piece: Piece, row: Row) -> str:
    """The separator of two neighbours on a row: "" inside a word, else a space."""
    if last.text[-1].isspace() or piece.text[0].isspace():
        return ""
    if not row.level:
        return SPACE if piece.before else ""
    if min(last.origins[-1], piece.origins[0]) < INSERTED:
        return SPACE
    gap = piece.left - last.right
    if not piece.before and abs(gap) <= WIDE * row.size and piece.left >= last.left:
        return ""
    most = (_AFTER_DRAWN if last.actual else SAME_WORD) * row.size
    if last.actual and piece.text[0].isdigit() and not last.text[-1].isdigit():
        most *= 0.6  # ink that hangs over narrows the gap; numbers do not go on from a letter
    return "" if -WIDE * row.size < gap <= most else SPACE


def _is_superscript(piece: Piece, row: Row) -> bool:
    """Whether a piece is a raised number: an exponent, or the mark of a footnote."""
    letters = "".join(piece.text).strip()
    raised = piece.baseline - row.baseline > 0.15 * row.size and piece.size < _SMALLER * row.size
    return raised and bool(letters) and set(letters) <= _SUPERSCRIPTS and any(map(str.isdigit, letters))


# -- words by place, for right-to-left rows ----------------------------------------------------------------------------


_Placed = tuple[float, float, str, list[int]]


def _visual_words(row: Row, page: PageText) -> list[Word]:
    """The words of a row from left to right by the places of its glyphs; marks stand with their letters."""
    placed: list[_Placed] = []
    for piece in row.pieces:
        for text, origins, box in clusters(piece, page.glyphs(piece)):
            white = (_AFTER_DRAWN - SAME_WORD) * row.size if piece.actual else 0.0
            placed.append((box[0], box[2] + white, text, origins))
    letters = sorted((glyph for glyph in placed if not _is_mark(glyph[2])), key=lambda glyph: glyph[0] + glyph[1])
    for glyph in placed:
        if _is_mark(glyph[2]):
            _attach(letters, glyph)
    words: list[Word] = []
    right = 0.0
    spaced = True
    for left, end, text, origins in letters:
        if not text.strip():
            spaced = True
            continue
        gap = left - right
        if words and not spaced and gap <= SAME_WORD * row.size:
            words[-1].glyphs.append((text, origins))
            words[-1].right = max(words[-1].right, end)
        else:
            words.append(Word([(text, origins)], left, end, SPACE if words else "", bool(words) and gap > WIDE * row.size))
        right, spaced = max(right, end) if words else end, False
    return words


def _is_mark(text: str) -> bool:
    return all(unicodedata.category(letter) == "Mn" for letter in text)


def _attach(letters: list[_Placed], mark: _Placed) -> None:
    """Put a combining mark behind the letter above or below which it stands."""
    middle = (mark[0] + mark[1]) / 2
    near = min(
        (at for at, glyph in enumerate(letters) if glyph[2].strip()),
        key=lambda at: max(letters[at][0] - middle, middle - letters[at][1], 0.0),
        default=None,
    )
    if near is None:
        letters.append(mark)
        return
    left, right, text, origins = letters[near]
    letters[near] = (left, right, text + mark[2], origins + mark[3])


# -- words to text -----------------------------------------------------------------------------------------------------


def text_of(words: Sequence[Word], rtl: bool) -> tuple[list[str], list[int]]:
    """Characters and indices of neighbouring words in reading order. rtl: whether they are right-to-left or mixed."""
    glyphs: list[tuple[str, list[int]]] = []
    for at, word in enumerate(words):
        if at and word.before:
            glyphs.append((word.before, [INSERTED]))
        glyphs += word.glyphs
    if rtl:
        order = reading_order([text for text, _ in glyphs], rtl=_is_rtl(words))
        turned = with_brackets_turned([glyphs[at][0] for at, _ in order], [right for _, right in order])
        glyphs = [(_plain(text), glyphs[at][1]) for text, (at, _) in zip(turned, order, strict=True)]
    letters: list[str] = []
    origins: list[int] = []
    for text, indices in glyphs:
        letters += text
        origins += indices if len(indices) == len(text) else (indices + [indices[-1]] * len(text))[: len(text)]
    return letters, origins


def _is_rtl(words: Sequence[Word]) -> bool:
    """Whether at least half of the words with letters are right-to-left."""
    right = sum(has_rtl(word.text) for word in words)
    return right >= sum(any(map(str.isalpha, word.text)) for word in words) - right


def _plain(text: str) -> str:
    """Arabic presentation forms as the letters that they show."""
    if any("\ufb1d" <= letter <= "\ufdff" or "\ufe70" <= letter <= "\ufefc" for letter in text):
        return unicodedata.normalize("NFKC", text)
    return text
