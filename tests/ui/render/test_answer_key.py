"""Which answers say the same, in the scripts people write them in; and that no two numbers ever do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ui.replies import answer
from ui.render.answer_groups import competing_answers, group_answers
from ui.render.answer_key import key_of

YEARS = {
    "Latin": "1912|1912.|in 1912|In 1912,|the year 1912|im Jahr 1912|im Jahre 1912|en 1912|en el año 1912|w 1912 roku"
    "|1912 yılında|năm 1912|AD 1912|1912 n. Chr.|“1912”|(1912)|»1912«|\u20661912\u2069",
    "full width": "１９１２|１９１２．|（１９１２）",
    "Arabic": "١٩١٢|عام ١٩١٢|في عام 1912م|سنة ١٩١٢م|١٩١٢ ميلادي|١٩١٢،",
    "Persian": "۱۹۱۲|سال ۱۹۱۲|در سال ۱۹۱۲|۱۹۱۲ میلادی",
    "Han": "1912年|１９１２年|公元1912年|在1912年|一九一二年|1912年。|「1912年」",
    "Japanese": "1912年に|西暦1912年|1912年は",
    "Hangul": "1912년|1912년에|서기 1912년",
    "Devanagari": "१९१२|सन् १९१२|१९१२ में|१९१२ ई.|वर्ष १९१२।",
    "Bengali": "১৯১২|১৯১২ সালে",
    "Thai": "๑๙๑๒|ปี ๑๙๑๒|ค.ศ. 1912|ในปี ค.ศ. ๑๙๑๒",
    "Cyrillic": "1912 г.|1912 год|в 1912 году|у 1912 році",
    "Greek": "το 1912|το έτος 1912",
    "Hebrew": "בשנת 1912|שנת 1912",
}
NOT_1912 = (
    "1921|19|12|191|11912|19120|1912 BC|1912 v. Chr.|พ.ศ. 1912|١٩١٢ هـ|۱۹۱۲ ه.ش|昭和12年|1912-1921|1912/13|1912 to 1921"
    "|before 1912|about 1912|c. 1912|1912 m|1912 km|1912 %|1912.5|19.12|1.912|1,912|-1912|191²|1912²|1912½|⅟1912|1912①|$1912"
    "|1912'|1912\"|1912 BCE|1912 Meter|1912号|May 1912|1912..."
)
ALIKE = (
    ("2341 m", "２３４１ m", "2\u202f341 m", "2’341 m", "٢٬٣٤١ m"),
    ("5 %", "5%", "٥٪", "５％"),
    ("2.5", "٢٫٥", "２．５"),
    ("-3 °C", "−3 °C", "-3 ℃"),
    ("The Bridge", "the  bridge.", "“The\nBridge”", "ＴＨＥ ＢＲＩＤＧＥ"),
    ("Café", "Cafe\u0301", "CAFÉ"),
    ("한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),
    ("ｶﾞ", "ガ"),
    ("﷼", "ریال"),
    ("Yes", "yes?", "«Yes.»"),
)
APART = (
    ("12 km", "12 miles", "12", "1.2 km", "12 km²", "0.12 km", ".12 km", "١٢ كم"),
    ("102", "10²", "10.2", "10,2", "1.02"),
    ("2,341", "2.341", "2341", "2 341"),
    ("21", "2①", "2.1", "½1", "²1"),
    ("5%", "5", "5°", "5'", '5"', "-5", "+5", "5€"),
    ("3.14", "3.14...", "3.1"),
    ("n", "ñ", "ن"),
    ("", "?!"),
    ("昭和12年", "平成12年", "12年"),
    ("No. 1", "No. 2"),
)


@pytest.mark.parametrize("script", YEARS)
def test_a_year_is_the_same_in_every_script(script: str) -> None:
    for text in YEARS[script].split("|"):
        assert key_of(text) == "1912", text


def test_another_number_is_never_that_year() -> None:
    keys = [key_of(text) for text in NOT_1912.split("|")]
    assert "1912" not in keys


@pytest.mark.parametrize("texts", ALIKE)
def test_other_ways_of_writing_are_the_same(texts: tuple[str, ...]) -> None:
    assert len({key_of(text) for text in texts}) == 1, {text: key_of(text) for text in texts}


@pytest.mark.parametrize("texts", APART)
def test_what_differs_stays_apart(texts: tuple[str, ...]) -> None:
    assert len({key_of(text) for text in texts}) == len(texts), {text: key_of(text) for text in texts}


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.sampled_from("0٠۰०০๐０"), st.sampled_from("0٠۰०০๐０"))
def test_two_numbers_are_the_same_only_when_they_are(one: int, two: int, first: str, second: str) -> None:
    def written(number: int, zero: str) -> str:
        return "".join(chr(ord(zero) + int(digit)) for digit in str(number))

    assert (key_of(written(one, first)) == key_of(written(two, second))) == (one == two)


@given(st.text())
def test_any_text_has_a_key_that_is_its_own(text: str) -> None:
    assert key_of(key_of(text)) == key_of(text) == key_of(f" {text} ")


def test_no_text_is_tried_in_a_thousand_ways() -> None:
    for text in ("ในปี" * 20_000 + "1912", "in the year of " * 5_000, "1’234" * 20_000, "«" * 50_000, "'" * 50_000 + "1"):
        assert key_of(text) != "1912"


def test_the_forms_of_one_answer_are_folded_and_set_against_another() -> None:
    given = [
        answer("1912", "a"),
        answer("in 1912", "b", 0.8),
        answer("１９１２年", "c", 0.8, "zh"),
        answer("عام ١٩١٢", "d", 0.8, "ar"),
        answer("1921", "e", 0.85),
        answer("1921年", "f", 0.76, "zh"),
    ]
    said = group_answers(given)
    assert [(one.best.text, one.documents) for one in said] == [("1912", 4), ("1921", 2)]
    assert said[0].languages == {"en": 2, "zh": 1, "ar": 1} and competing_answers(said) == [(4, "1912"), (2, "1921")]
