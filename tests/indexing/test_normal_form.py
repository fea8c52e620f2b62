"""The normal form: what becomes of each kind of character, and offsets that lead back to the original."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.normal_form import is_normal, normal_form, normal_text
from tests.known import SCRIPTS

INVISIBLE = "\u00ad\u200b\u200e\u200f\u202a\u202c\u2060\u2066\u2069\ufeff\ufe0f\U000e0041"

letters = st.sampled_from(
    [*"aeiouz 1.", "é", "e\u0301", "ệ", "e\u0302\u0323", "한", "\u1112\u1161\u11ab", "\u1161", "\u11a8", "ﾊ", "ﾟ", "ﾞ", "ｶ"]
    + [*"\uffa3\uffc2\uffa0\u3164", "क", "\u093c", "क़", "\u09c7\u09be", "\u212b", "が", "か\u3099", "ก", "ไ", "神", "\ufa19"]
    + ["\u200c", "\u200d", "👩\u200d👧", "❤\ufe0f", *INVISIBLE, *SCRIPTS.values()]
)
texts = st.one_of(st.text(max_size=60), st.lists(letters, max_size=20).map("".join))


@given(texts)
def test_offsets_lead_back_to_the_original(text: str) -> None:
    found = normal_text(text)
    assert found.text == normal_form(text)
    last = 0
    for n in range(len(found.text)):
        start, end = found.original(n, n + 1)
        assert last <= start or (n and found.original(n - 1, n) == (start, end))
        assert 0 <= start < end <= len(text)
        assert found.text[n] in normal_form(text[start:end]) or not normal_form(text[start:end])
        last = start
    if found.text:
        start, end = found.original(0, len(found.text))
        assert normal_form(text[start:end]) == found.text


@given(texts)
def test_the_normal_form_is_composed_and_stays_as_it_is(text: str) -> None:
    made = normal_form(text)
    assert unicodedata.is_normalized("NFC", made)
    if not {"\u200b", "\u200c", "\u200d"} & set(text):
        assert normal_form(made) == made
        assert normal_form(unicodedata.normalize("NFD", text)) == made


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (unicodedata.normalize("NFD", "청송댐 관리동 금고"), "청송댐 관리동 금고"),
        (unicodedata.normalize("NFD", "két sắt ở nhà quản lý"), "két sắt ở nhà quản lý"),
        ("ﾎﾟﾝﾌﾟ室ﾊ2階｡", "ポンプ室ハ2階。"),
        ("\uffa1\uffc2 \uffb2", "가 ᄇ"),
        ("lu\u00admin\u200bes\u2060cent \u200f12\u200e m\ufeff", "luminescent 12 m"),
        ("Auf\u200clage", "Auflage"),
        ("A\u00ad\u200c\u200bB ก\u00ad\u200bก", "AB ก\u200bก"),
        ("کتاب\u200cها", "کتاب\u200cها"),
        ("क्\u200dष", "क्\u200dष"),
        ("สวัสดี\u200bครับ", "สวัสดี\u200bครับ"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("abc 1,150 ½ m²", "abc 1,150 ½ m²"),
    ],
)
def test_worked_examples(written: str, wanted: str) -> None:
    assert normal_form(written) == wanted
    assert normal_text(written).text == wanted


def test_a_quotation_keeps_what_stands_inside_and_not_what_stands_behind() -> None:
    text = "the wi\u00adth\u200f is 12\u200e\u2009m ❤\ufe0f!"
    found = normal_text(text)

    def quoted(part: str) -> str:
        begin = found.text.index(part)
        start, end = found.original(begin, begin + len(part))
        return text[start:end]

    assert quoted("with") == "wi\u00adth"
    assert quoted("12") == "12"
    assert quoted("❤") == "❤\ufe0f"
    assert found.original(3, 3) == (3, 3)


def test_a_usual_text_is_not_copied() -> None:
    for text in ("plain", "Die Brücke", "한국어", "ポンプ", "Привет", "संसद", ""):
        assert is_normal(text) and normal_text(text).starts is None and normal_form(text) is text
