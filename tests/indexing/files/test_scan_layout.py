"""Recognised words become text: spaces, paragraphs, columns, right-to-left lines, and the place of each word."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.files.scan_layout import page_text, shown
from indexing.ocr.words import Line, PlacedWord, SeenWord

WIDTH, HEIGHT, DPI = 1000, 1400, 150


def line(text: str, top: float, left: float = 100, *, letter: float = 12, height: float = 24, rtl: bool = False) -> Line:
    """Words of a line, `letter` pixels a character; right-to-left ones from the right edge leftward."""
    words, at = [], left
    for word in text.split():
        width = letter * len(word)
        box = (WIDTH - at - width, top, WIDTH - at, top + height) if rtl else (at, top, at + width, top + height)
        words.append(SeenWord(word, box, 0.9))
        at += width + letter
    return tuple(words)


def text_of(*lines: Line) -> str:
    return page_text(lines, WIDTH, HEIGHT, DPI)[0]


LINES = [
    "The tower was built in the year 1731 by a miller of the",
    "town of Marrow, and sold to the parish in the year 1802.",
]


def test_lines_of_a_paragraph_are_joined_and_paragraphs_are_apart() -> None:
    lines = [line(LINES[0], 100), line(LINES[1], 136), line("Later it burned.", 240)]
    assert text_of(*lines) == f"{LINES[0]} {LINES[1]}\n\nLater it burned."


def test_a_word_split_at_the_end_of_a_line_is_joined() -> None:
    text, words = page_text([line("The tower was built by a mil-", 100), line("ler of Marrow.", 136)], WIDTH, HEIGHT, DPI)
    assert text == "The tower was built by a miller of Marrow."
    assert [text[word.start : word.end] for word in words][-5:] == ["a", "mil", "ler", "of", "Marrow."]


def test_heights_of_ink_do_not_part_a_paragraph() -> None:
    """A line without ascenders is lower, and one without descenders has another bottom."""
    lower = tuple(SeenWord(w.text, (w.box[0], w.box[1] + 6, w.box[2], w.box[3] - 3), 0.9) for w in line(LINES[0], 100))
    assert text_of(lower, line(LINES[1], 136)) == f"{LINES[0]} {LINES[1]}"


def test_a_page_that_is_not_straight() -> None:
    fall = math.tan(math.radians(1))
    rows = [LINES[0], LINES[1], LINES[0], LINES[1]]
    bent = [
        tuple(
            SeenWord(w.text, (w.box[0], w.box[1] + fall * w.box[0], w.box[2], w.box[3] + fall * w.box[2]), 0.9) for w in one
        )
        for one in (line(text, 100 + 36 * at) for at, text in enumerate(rows))
    ]
    assert text_of(*bent) == " ".join(rows)


def test_chinese_has_no_spaces_and_latin_words_in_it_keep_them() -> None:
    words = [SeenWord(c, (100 + 25 * at, 100, 122 + 25 * at, 124), 0.9) for at, c in enumerate("水車は高い")]
    assert text_of(tuple(words)) == "水車は高い"
    glued = (SeenWord("1", (100, 100, 110, 124), 0.9), SeenWord("9", (140, 100, 150, 124), 0.9, glued=True))
    assert text_of(glued) == "19"


def test_right_to_left_lines_are_in_reading_order() -> None:
    arabic = "بني البرج عام 1731 (قرب النهر) من قبل Marrow في المدينة"
    text, words = page_text([line(arabic, 100, rtl=True)], WIDTH, HEIGHT, DPI)
    assert text == arabic
    year = next(word for word in words if text[word.start : word.end] == "1731")
    assert year.box[0] == pytest.approx((WIDTH - 100 - 12 * (len("بني البرج عام ") + 4)) / WIDTH, abs=0.001)
    hebrew = "המגדל נבנה בשנת 1731 על ידי טוחן"
    assert text_of(line(hebrew, 100, rtl=True)) == hebrew


def test_cells_of_a_table_are_parted_by_tabs() -> None:
    def row(top: float, *cells: str) -> list[Line]:
        return [line(cell, top, 100 + 300 * at) for at, cell in enumerate(cells)]

    rows = [*row(100, "Year", "Name", "Price"), *row(136, "1731", "Marrow", "19"), *row(172, "1802", "Orsund", "27")]
    assert text_of(*rows) == "Year\tName\tPrice\n1731\tMarrow\t19\n1802\tOrsund\t27"


def test_a_page_without_words() -> None:
    assert page_text([], WIDTH, HEIGHT, DPI) == ("", ()) and page_text([()], WIDTH, HEIGHT, DPI) == ("", ())


@given(
    st.lists(st.lists(st.text("abC-é水ب1(", min_size=1, max_size=6), min_size=1, max_size=5), max_size=6), st.integers(0, 3)
)
def test_every_word_is_where_its_place_says(rows: list[list[str]], turns: int) -> None:
    lines = [line(" ".join(words), 100 + 40 * at) for at, words in enumerate(rows)]
    text, words = page_text(lines, WIDTH, HEIGHT, DPI, turns)
    last = 0
    for word in words:
        assert last <= word.start < word.end <= len(text) and all(0 <= side <= 1 for side in word.box)
        assert word.box[0] < word.box[2] and word.box[1] < word.box[3]
        last = word.end
    given_words = sorted("".join(sorted(word.text)).replace("-", "") for one in lines for word in one)
    found = sorted("".join(sorted(text[word.start : word.end])).replace("-", "") for word in words)
    assert [w for w in found if w] == [w for w in given_words if w]


def test_boxes_of_a_turned_page_lie_on_the_page_as_it_was() -> None:
    """One word at the top left of an upright picture that was turned once counterclockwise: it stands at the top right."""
    _, words = page_text([line("Marrow", 70)], WIDTH, HEIGHT, DPI, 1)
    upright = (0.1, 0.05, 0.172, 94 / 1400)
    assert words[0] == PlacedWord(0, 6, shown(upright, 1), 0.9)
    assert words[0].box == pytest.approx((1 - 94 / 1400, 0.1, 0.95, 0.172))
    assert shown(shown(upright, 1), 3) == pytest.approx(upright)
