"""Marks are laid by offsets, lose nothing, and let nothing through as markup."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.known import SCRIPTS
from ui.render.highlight import (
    ANSWER,
    FOUND,
    PASSAGE,
    Mark,
    around,
    block,
    escape_html,
    excerpt,
    find,
    mark_html,
    name,
    sentence,
    visible,
)

UGLY = [*SCRIPTS.values(), "", "a", "<script>alert(1)</script>", "a&amp;b\r\n<b>", "x" * 1_000_000, "\x00\ud800\x7f"]
KINDS = st.sampled_from([ANSWER, PASSAGE, FOUND])


class Reader(HTMLParser):
    """The text of some HTML, and for each character the classes of the mark around it."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.over, self.tags, self.ids = "", list[set[str]](), set[str](), list[tuple[str, int]]()
        self._classes: set[str] = set()
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        if tag == "mark":
            self._classes = set((given["class"] or "").split())
        elif "id" in given:
            self.ids.append((given["id"] or "", len(self.text)))

    def handle_endtag(self, tag: str) -> None:
        self._classes = set() if tag == "mark" else self._classes

    def handle_data(self, data: str) -> None:
        self.text += data
        self.over += [self._classes] * len(data)


@st.composite
def texts_with_marks(draw: st.DrawFn) -> tuple[str, list[Mark]]:
    text = draw(st.text(st.one_of(st.characters(), st.sampled_from("<>&\"'\r\n\x00")), max_size=60))
    places = st.integers(0, len(text))
    spans = draw(st.lists(st.tuples(places, places, KINDS), max_size=6))
    return text, [Mark(min(a, b), max(a, b), kind, f"m{n}") for n, (a, b, kind) in enumerate(spans)]


@given(texts_with_marks())
def test_every_character_stays_and_has_the_classes_of_the_marks_over_it(drawn: tuple[str, list[Mark]]) -> None:
    text, marks = drawn
    read = Reader(mark_html(text, marks))
    assert read.text == visible(text) and read.tags <= {"mark", "a"}
    for place, classes in enumerate(read.over):
        assert classes == {mark.kind for mark in marks if mark.start <= place < mark.end}
    assert sorted(read.ids) == sorted((mark.id, mark.start) for mark in marks if mark.start < mark.end)


@given(texts_with_marks(), st.integers(0, 60), st.integers(0, 60))
def test_a_piece_is_marked_as_the_whole_is(drawn: tuple[str, list[Mark]], a: int, b: int) -> None:
    text, marks = drawn
    first, last = sorted((min(a, len(text)), min(b, len(text))))
    whole, piece = Reader(mark_html(text, marks)), Reader(mark_html(text[first:last], marks, first))
    assert (piece.text, piece.over) == (whole.text[first:last], whole.over[first:last])


@pytest.mark.parametrize("text", UGLY, ids=lambda text: repr(text[:8]))
def test_ugly_texts(text: str) -> None:
    middle = len(text) // 2
    read = Reader(mark_html(text, [Mark(middle, middle + 1, ANSWER)]))
    assert read.text == visible(text) and len(read.text) == len(text)
    assert "".join(c for c, over in zip(read.text, read.over, strict=True) if over) == visible(text[middle : middle + 1])
    read.text.encode("utf-8")


@pytest.mark.parametrize("probe", ["<img src=x onerror=alert(1)>", '"><script>x</script>', "' onmouseover='x", "</div>&lt;"])
def test_probes_stay_text(probe: str) -> None:
    for made in (
        escape_html(probe),
        name(probe),
        block(escape_html(probe), language=probe),
        mark_html(probe, [Mark(0, 3, probe, probe)]),
    ):
        read = Reader(made)
        assert read.tags <= {"mark", "a", "div", "bdi"} and read.text == probe


def test_direction_and_language_are_told() -> None:
    assert block("x", "ar") == '<div class="docqa-text" dir="auto" lang="ar">x</div>'
    assert 'lang="' not in block("x") and name("a<b") == '<bdi class="docqa-name">a&lt;b</bdi>'


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ("One. It opened in 1912. Last.", "1912", "It opened in 1912."),
        ("Height 2.314 m. Next.", "2.314", "Height 2.314 m."),
        ("灯塔高五十四米。它于1868年首次点亮！看守人是阿玛莉亚。", "1868", "它于1868年首次点亮！"),
        ("لماذا؟ تأسس المرصد عام 1958 هنا. نعم.", "1958", "تأسس المرصد عام 1958 هنا."),
        ("संसद में 61 सदस्य हैं। वे चुने जाते हैं।", "61", "संसद में 61 सदस्य हैं।"),
        ("Title\n\nBody here", "Body", "Body here"),
        ("no end", "no end", "no end"),
        ("One. Two. Three.", "One. Two.", "One. Two."),
        ("Damals. Am 3. Oktober 1990 war es so. Danach nicht.", "1990", "Am 3. Oktober 1990 war es so."),
        ("Nein. Den 17. mai er en festdag. Ja.", "festdag", "Den 17. mai er en festdag."),
        ("Before. Dr. J. Smith came in 1912. After.", "1912", "Dr. J. Smith came in 1912."),
        ("Das ist z.B. im Jahr 1912 so. Ende.", "1912", "Das ist z.B. im Jahr 1912 so."),
        ("Нет. Родился в 1799 г. в Москве. Да.", "1799", "Родился в 1799 г. в Москве."),
        ("It closed in 1912. Then came rain.", "Then", "Then came rain."),
        ("It weighs 2.15. Next.", "2.15", "It weighs 2.15."),
    ],
)
def test_the_sentence_of_an_answer(text: str, wanted: str, expected: str) -> None:
    start = text.index(wanted)
    first, last = sentence(text, start, start + len(wanted))
    assert text[first:last] == expected


@given(texts_with_marks())
def test_a_sentence_holds_its_span(drawn: tuple[str, list[Mark]]) -> None:
    text, marks = drawn
    for mark in marks:
        first, last = sentence(text, mark.start, mark.end)
        assert 0 <= first <= mark.start <= mark.end <= last <= len(text)


@given(st.text(max_size=200), st.integers(0, 200), st.integers(0, 200), st.integers(1, 40))
def test_a_piece_around_a_span_holds_it(text: str, a: int, b: int, size: int) -> None:
    start, end = sorted((min(a, len(text)), min(b, len(text))))
    first, last = around(text, start, end, size)
    assert max(0, start - size) <= first <= start <= end <= last <= min(len(text), end + size)


def test_an_excerpt_counts_in_the_document() -> None:
    text = "alpha beta gamma 1912 delta epsilon zeta"
    read = Reader(excerpt(text, [Mark(117, 121, ANSWER)], 100, (117, 121), "en", size=10))
    assert read.text.startswith("…") and read.text.endswith("…")
    assert "".join(c for c, over in zip(read.text, read.over, strict=True) if over) == "1912"


def test_find() -> None:
    assert find("a.c abc A.C", "a.c") == [(0, 3), (8, 11)] and find("x", " ") == [] and find("", "a") == []
    assert len(find("a" * 50, "a", limit=7)) == 7
    text = SCRIPTS["ar"]
    assert [text[a:b] for a, b in find(text, "1958")] == ["1958"]
