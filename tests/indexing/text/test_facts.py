"""Facts of questions: equal across scripts and spellings, different where they differ, and never invented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.text.fact_scan import scan
from indexing.text.facts import StatedFacts, missing_facts, question_facts
from indexing.text.numerals import han, han_value, readings, roman, roman_value
from tests.known import SCRIPTS


def lacks(question: str, asked: str, passage: str, language: str) -> list[str]:
    return [fact.text for fact in missing_facts(question_facts(question, asked), StatedFacts.of([passage], language), asked)]


@pytest.mark.parametrize(
    ("question", "asked", "passage", "language"),
    [
        ("Who runs GPT-4?", "en", "Team Blue runs GPT4.", "en"),
        ("Who runs GPT4?", "en", "Team Blue runs GPT 4 since May.", "en"),
        ("Which plant has ISO 27001?", "en", "Plant North has ISO27001.", "en"),
        ("Which plant has ISO27001?", "en", "Plant North has ISO/IEC 27001.", "en"),
        ("What happened in 2021?", "en", "٢٠٢١ عام جيد", "ar"),
        ("What happened in 2021?", "en", "२०२१ में", "hi"),
        ("What happened in 2021?", "en", "二〇二一年の入港数", "ja"),
        ("What happened in 2021?", "en", "令和3年に開港した。", "ja"),
        ("เกิดอะไรขึ้นในปี 2564", "th", "In 2021 the harbour opened.", "en"),
        ("Wer baute 1.150 Boote?", "de", "The yard built 1,150 boats.", "en"),
        ("Кто построил 1 150 лодок?", "ru", "The yard built 1,150 boats.", "en"),
        ("Qui a construit 1\u202f150 bateaux ?", "fr", "Die Werft baute 1.150 Boote.", "de"),
        ("Who has 12000 ships?", "en", "船は1万2千隻です。", "ja"),
        ("三百二十米的桥在哪里？", "zh", "The bridge is 320 m long.", "en"),
        ("What costs 2.5 euros?", "en", "Das Brot kostet 2,50 Euro.", "de"),
        ("What does Article XII say?", "en", "Article 12 regulates fishing.", "en"),
        ("What does article 12 say?", "en", "Article XII regulates fishing.", "en"),
        ("Что было в XX веке?", "ru", "It was built in 1931.", "en"),
        ("Who ruled in 2003?", "en", "Dr. Tarn was director from 1998 to 2006.", "en"),
        ("Who has twelve cranes?", "en", "The harbour has 12 cranes.", "en"),
        ("Who has 12 cranes?", "en", "Der Hafen hat zwölf Kräne.", "de"),
        ("What was paid on 03.05.2023?", "de", "It was paid on 3 May 2023.", "en"),
        ("What was paid on 3 May 2023?", "en", "Paid: 2023-05-03.", "en"),
        ("Was kostet 1,2 Millionen?", "de", "It costs 1,200,000 euros.", "en"),
        ("When is 14:35 due?", "en", "Um 14.35 Uhr.", "de"),
        ("Who is at 555-123-4567?", "en", "Call 555.123.4567.", "en"),
        ("Who has the number 5559871111?", "en", "Call 555-987-1111.", "en"),
        ("Who has the number 555-987-1111?", "en", "Call 5559871111.", "en"),
        ("Who has the number 5559871111?", "en", "Call (555) 987-1111.", "en"),
        ("Wem gehört 0301234567?", "de", "Tel. 030/123 45 67", "de"),
        ("Wem gehört 030 1234567?", "de", "Tel. 030-1234567", "de"),
        ("من يملك الرقم ٥٥٥٩٨٧١١١١؟", "ar", "اتصل على 555-987-1111.", "ar"),
        ("Что в Москве?", "ru", "Москва – столица.", "ru"),
        ("What is -18.5 degrees?", "en", "Es sind −18,5 °C.", "de"),
        ("Who is Maria Tarn?", "en", "馬里亞是院長。", "zh"),
        ("Where does Maria Tarn work?", "en", "For years Tarn has worked at the institute.", "en"),
        ("Which state of the US is it?", "en", "Ohio is a state of the United States.", "en"),
    ],
)
def test_forms_are_equal_across_scripts_and_spellings(question: str, asked: str, passage: str, language: str) -> None:
    assert question_facts(question, asked)
    assert not lacks(question, asked, passage, language)


@pytest.mark.parametrize(
    ("question", "asked", "passage", "language", "missing"),
    [
        ("Who runs GPT-4?", "en", "Team Red runs GPT-3 with 4 people.", "en", ["GPT-4"]),
        ("What does Article XII say?", "en", "Article XI regulates fishing.", "en", ["XII"]),
        ("Who paid invoice 2023-0171?", "en", "Invoice 2023-0117 was paid by Orveth.", "en", ["2023-0171"]),
        ("Who has the number 5559871111?", "en", "Call 555-987-1112.", "en", ["5559871111"]),
        ("Who has the number 5559871111?", "en", "It had 555 boats, 987 cars and 1111 carts.", "en", ["5559871111"]),
        ("Was steht in § 15 Abs. 2?", "de", "§ 14 Abs. 2: Die Kündigung bedarf der Schriftform.", "de", ["15"]),
        ("二〇二二年の入港数は？", "ja", "2021年の入港数は834隻でした。", "ja", ["二〇二二"]),
        ("كم حاوية عام ٢٠٢٢؟", "ar", "في عام 2021 عالج الميناء 83400 حاوية.", "ar", ["٢٠٢٢"]),
        ("What is the extension of Bo Orveth?", "en", "The extension of Ada Orveth is 4711.", "en", ["Bo"]),
        ("Who sits in room 215?", "en", "Room 214 has 215 seats and Dr. Ode.", "en", ["215"]),
        ("Which is 1.150 m long?", "en", "It is 1,150 m long.", "en", ["1.150"]),
        ("What is at 5 degrees?", "en", "The store is at −5 °C.", "en", ["5"]),
        ("Who ruled in 2009?", "en", "Dr. Tarn was director from 1998 to 2006.", "en", ["2009"]),
        ("第十三条规定什么？", "zh", "第十二条规定捕鱼。", "zh", ["十三"]),
        ("オルスト町の町長は誰ですか。", "ja", "ヴェルム町の町長は佐伯直子である。", "ja", ["オルスト"]),
        ("Кто был в Одессе?", "ru", "Он был в Москве.", "ru", ["Одессе"]),
        ("Welche Firma leitet Maria Tarn?", "de", "Die Firma leitet Anna Ode.", "de", ["Maria", "Tarn"]),
    ],
)
def test_other_facts_are_missing(question: str, asked: str, passage: str, language: str, missing: list[str]) -> None:
    assert lacks(question, asked, passage, language) == missing


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("为什么一般的人要十分小心？", "zh"),
        ("Wer war Direktorin des Instituts?", "de"),
        ("How many boats may I have?", "en"),
        ("Chi sei?", "it"),
        ("대한민국 헌법은 언제 처음 만들어졌나요?", "ko"),
        ("Where can one march in the mayor's garden?", "en"),
        ("Who Wrote The Book On Harbour Cranes?", "en"),
    ],
)
def test_no_fact_is_seen_where_there_is_none(question: str, language: str) -> None:
    assert not question_facts(question, language)


def test_numbers_are_read_as_the_language_writes_them() -> None:
    assert readings("1.150", "de") == readings("1,150", "en") == readings("1\u00a0150", "fr") == {"1150"}
    assert readings("1.150", "en") == readings("1,150", "de") == {"1.15"}
    assert readings("1.150", "und") == {"1150", "1.15"}
    assert readings("12,34,567", "hi") == {"1234567"} and readings("1'150", "de") == {"1150"}
    assert (
        readings("1.234.567,89", "de") == readings("1,234,567.89", "en") == readings("1٬234٬567٫89", "ar") == {"1234567.89"}
    )
    assert not readings("1.2.3", "en") and readings("007", "en") == {"7"}


@given(st.integers(1, 3999))
def test_numerals_are_written_and_read_back(value: int) -> None:
    assert roman_value(roman(value)) == value and han_value(han(value)) == str(value)


@given(st.text(max_size=60), st.sampled_from(["en", "de", "zh", "th", "und"]))
def test_any_text_is_scanned(text: str, language: str) -> None:
    """Marks lie in the text in order; a text states all facts that it names itself."""
    marks = scan(text, language)
    assert all(0 <= mark.start < mark.end <= len(text) for mark in marks)
    facts = question_facts(text, language)
    assert all(text[fact.start : fact.end] == fact.text for fact in facts)


@pytest.mark.parametrize("language", sorted(SCRIPTS))
def test_a_text_states_its_own_facts(language: str) -> None:
    text = SCRIPTS[language]
    assert not lacks(text[:300], language, text, language)
