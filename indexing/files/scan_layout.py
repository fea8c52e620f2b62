"""The text of a recognised page: lines of words become rows, which are laid out as those of a PDF's text layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import median

from indexing.files.bidi import has_rtl, reading_order, with_brackets_turned
from indexing.files.pdf_paragraphs import joined
from indexing.files.pdf_pieces import HYPHEN, SPACE, Piece
from indexing.files.pdf_rows import WIDE, Row, Word
from indexing.files.pdf_tables import lines_of
from indexing.ocr.words import Box, Line, PlacedWord, SeenWord

_ALIKE = (0.7, 1.4)
"""Lines this near to the usual height are of one size: heights of ink differ with the letters of a line."""
_SAME_ROW = 0.4
_HANGING = 0.3
_MOST_SKEW = 0.1
_POINTS = 72


def page_text(
    lines: Sequence[Line], width: int, height: int, dpi: int, turns: int = 0
) -> tuple[str, tuple[PlacedWord, ...]]:
    """The text of an upright picture, and its words by their places in it, with boxes on the picture before its turns.

    width, height: of the upright picture in pixels. turns: quarter turns counterclockwise that made it upright.
    """
    lines = [line for line in lines if line]
    if not lines:
        return "", ()
    words = [word for line in lines for word in line]
    rows = _rows(lines, height, dpi / _POINTS)
    layout = joined(lines_of(rows))
    placed: list[PlacedWord] = []
    at = 0
    for number, run in groupby(layout.origins):
        start, at = at, at + len(list(run))
        if number >= 0:
            box = shown(_share(words[number].box, width, height), turns)
            placed.append(PlacedWord(start, at, box, words[number].confidence))
    return layout.text, tuple(placed)


def shown(box: Box, turns: int) -> Box:
    """A box of a turned picture, in 0..1 of its size, on the picture as it was before.

    >>> shown((0.0, 0.0, 0.25, 0.5), 1), shown((0.0, 0.0, 0.25, 0.5), 2)
    ((0.5, 0.0, 1.0, 0.25), (0.75, 0.5, 1.0, 1.0))
    """
    left, top, right, bottom = box
    for _ in range(turns % 4):
        left, top, right, bottom = 1 - bottom, left, 1 - top, right
    return left, top, right, bottom


def _share(box: Box, width: int, height: int) -> Box:
    left, top, right, bottom = box
    return max(0.0, left / width), max(0.0, top / height), min(1.0, right / width), min(1.0, bottom / height)


# -- rows --------------------------------------------------------------------------------------------------------------


def _rows(lines: Sequence[Line], height: int, scale: float) -> list[Row]:
    """Lines as rows in points. Neighbours on one baseline are one row. scale: pixels of a point."""
    slope = _slope(lines)
    usual = median(_height(line) for line in lines) / scale
    rows: list[Row] = []
    number = 0
    for line in lines:
        size = _height(line) / scale
        size = usual if _ALIKE[0] * usual < size < _ALIKE[1] * usual else size
        baseline = (height - _baseline(line, slope)) / scale
        pieces: list[Piece] = []
        for word in line:
            left, _, right, _ = (side / scale for side in word.box)
            before = "" if word.glued else SPACE
            pieces.append(Piece(list(word.text), [number] * len(word.text), before, left, right, baseline, size))
            number += 1
        if rows and abs(rows[-1].baseline - baseline) < _SAME_ROW * min(rows[-1].size, size) and _apart(rows[-1], pieces):
            rows[-1].pieces += pieces
        else:
            rows.append(Row(pieces, baseline, size))
    for row in rows:
        row.pieces.sort(key=lambda piece: piece.left)
        row.rtl = any(has_rtl("".join(piece.text)) for piece in row.pieces)
        row.words = _brackets_as_drawn(_words(row)) if row.rtl else _words(row)
    return rows


def _apart(row: Row, pieces: Sequence[Piece]) -> bool:
    """Whether pieces stand beside a row, and not over it."""
    return min(piece.left for piece in pieces) >= row.right or max(piece.right for piece in pieces) <= row.left


def _words(row: Row) -> list[Word]:
    """The words of a row from left to right. Words that touch in a script without spaces have none between them."""
    words: list[Word] = []
    for at, piece in enumerate(row.pieces):
        text = "".join(piece.text)
        gap = piece.left - row.pieces[at - 1].right if at else 0.0
        last = row.pieces[at - 1].text[-1] if at else SPACE
        close = not piece.before or (_spaceless(last) and _spaceless(text[0]) and gap < 0.6 * row.size)
        words.append(
            Word(
                [(_hyphenated(text, at == len(row.pieces) - 1), piece.origins)],
                piece.left,
                piece.right,
                "" if at == 0 or close else SPACE,
                at > 0 and gap > WIDE * row.size,
            )
        )
    return words


def _brackets_as_drawn(words: list[Word]) -> list[Word]:
    """Words with brackets as they look: engines give them as they are read, and the layout turns those it reads leftward."""
    texts = [word.text for word in words]
    rtl = 2 * sum(map(has_rtl, texts)) >= sum(any(map(str.isalpha, text)) for text in texts)
    parted = [part for text in texts for part in (text, SPACE)][:-1]
    order = reading_order(parted, rtl=rtl)
    turned = with_brackets_turned([parted[at] for at, _ in order], [right for _, right in order])
    for text, (at, _) in zip(turned, order, strict=True):
        if at % 2 == 0:
            words[at // 2].glyphs = [(text, words[at // 2].glyphs[0][1])]
    return words


def _hyphenated(text: str, is_last: bool) -> str:
    """A word whose hyphen at the end of a line may split it, with the mark that pdfium has there."""
    return text[:-1] + HYPHEN if is_last and len(text) > 2 and text[-1] in "-\u2010" and text[-2].isalpha() else text


def _spaceless(letter: str) -> bool:
    """Whether a letter is of a script that is written without spaces, or East Asian punctuation."""
    return (
        "\u0e00" <= letter <= "\u0eff"
        or "\u1000" <= letter <= "\u109f"
        or "\u1780" <= letter <= "\u17ff"
        or "\u2e80" <= letter <= "\u312f"
        or "\u31a0" <= letter <= "\u9fff"
        or "\uf900" <= letter <= "\ufaff"
        or "\uff00" <= letter <= "\uff60"
        or letter >= "\U00020000"
    )


def _height(line: Line) -> float:
    return median(word.box[3] - word.box[1] for word in line)


def _baseline(line: Line, slope: float) -> float:
    """The baseline of a line in pixels from the top, as on a level page: at most a third of its words hang below it."""
    bottoms = sorted(word.box[3] - slope * _middle(word) for word in line)
    return bottoms[int(_HANGING * (len(bottoms) - 1))]


def _slope(lines: Sequence[Line]) -> float:
    """How far the lines of a page fall, in pixels down for each to the right: the median of its long lines."""
    slopes = []
    for line in lines:
        first, last = min(line, key=_middle), max(line, key=_middle)
        across = _middle(last) - _middle(first)
        if len(line) > 2 and across > 10 * _height(line):
            slopes.append((_centre(last) - _centre(first)) / across)
    found = median(slopes) if len(slopes) > 2 else 0.0
    return found if abs(found) < _MOST_SKEW else 0.0


def _middle(word: SeenWord) -> float:
    return (word.box[0] + word.box[2]) / 2


def _centre(word: SeenWord) -> float:
    return (word.box[1] + word.box[3]) / 2
