"""Too few letters, an unknown script or a low probability give no language; a question takes its corpus's as prior."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.text.language_id import LANGUAGES, UNKNOWN, detect, detect_all, detect_question
from qa_pipeline.retrieval.retriever import _alike
from tests.indexing.text.test_text import PARAGRAPHS

FEW_OR_NONE = [
    "",
    " ",
    "!?",
    "12 300",
    "½",
    "x",
    "kk",
    "5 Ω",
    "µ",
    "α",
    "A4",
    "№ 5",
    "→ 7",
    "हा",
    "Ж",
    "\u200b\u00ad",
    "👩\u200d👧",
]
NO_WORDS = ["the", "masts", "GPT-4", "Berlin", "abc", "pier depth", "RFC 8259", "INV-2023/0171", "Velm 12 300", "привет"]
NO_MODEL = {
    "Tifinagh": "ⴰⵣⵓⵍ ⴰⵎⴰⴹⴰⵍ ⵜⴰⴷⴷⴰⵔⵜ",
    "Tibetan": "བོད་སྐད་ཡིག་གི་སློབ་དེབ།",
    "Inuktitut": "ᐃᓄᒃᑎᑐᑦ ᐅᖃᐅᓯᖅ ᓄᓇᕗᑦ",
    "Cherokee": "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᎠᏂᏴᏫᏯ",
    "Gothic": "𐌰𐌱𐌲 𐌳𐌴𐌵𐌶",
    "Adlam": "𞤀𞤣𞤤𞤢𞤥 𞤆𞤵𞤤𞤢𞤪",
    "Mongolian": "ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ ᠰᠤᠶᠤᠯ",
    "N'Ko": "ߒߞߏ ߞߊ߲ ߛߓߍߛߎ߲",
    "Syriac": "ܠܫܢܐ ܣܘܪܝܝܐ ܟܬܒܐ",
    "Thaana": "ދިވެހި ބަހުގެ ފޮތް",
    "Javanese": "ꦧꦱꦗꦮ ꦄꦏ꧀ꦱꦫ",
}
SCRIPT_OF = {
    "Latin": ("Zorvex blixt quandle", "bg ru uk ar fa ur hi mr zh ja ko el he"),
    "Cyrillic": ("Кворт зблин урвакс", "en de fi hu tr ar zh"),
    "Arabic": ("زقفط كلرم بنتش", "en ru hi zh"),
}


@pytest.mark.parametrize("text", FEW_OR_NONE)
def test_few_letters_are_of_no_language(text: str) -> None:
    assert detect(text).language == UNKNOWN


@pytest.mark.parametrize("text", NO_WORDS)
def test_names_and_codes_are_of_no_language(text: str) -> None:
    assert detect(text).language == UNKNOWN == detect_question(text)


@pytest.mark.parametrize("name", NO_MODEL)
def test_scripts_that_no_model_knows_are_of_no_language(name: str) -> None:
    text = NO_MODEL[name]
    assert detect(text).language == UNKNOWN == detect_question(text, ["en"]) == detect_question(text, list(LANGUAGES))


@pytest.mark.parametrize("script", SCRIPT_OF)
def test_only_languages_of_the_script_are_guessed(script: str) -> None:
    text, never = SCRIPT_OF[script]
    assert detect(text).language not in never.split()
    assert detect_question(text, never.split()[:2]) not in never.split()


@pytest.mark.parametrize("language", PARAGRAPHS)
def test_a_sentence_keeps_its_language_in_any_form(language: str) -> None:
    text = PARAGRAPHS[language]
    forms = [text, unicodedata.normalize("NFD", text), "\u200f" + text, text.replace(" ", "\u00ad ")]
    assert {found.language for found in detect_all(forms)} == {language}


@pytest.mark.parametrize(
    ("question", "among", "wanted"),
    [
        ("mTLS handshake?", ["en"], "en"),
        ("mTLS cert rotation", ["de", "en"], "en"),
        ("mTLS", ["en"], "en"),
        ("GPT-4", ["ja"], "ja"),
        ("GPT-4", ["en", "de"], UNKNOWN),
        ("kubectl rollout status", ["en"], "en"),
        ("東京都庁", ["ja"], "ja"),
        ("東京都庁", ["ja", "zh"], "zh"),
        ("東京の高さは?", ["zh"], "ja"),
        ("Wie hoch ist der Turm von Velm?", ["en"], "de"),
        ("Quelle est la hauteur de la tour ?", ["en", "de"], "fr"),
        ("Когда открыли мост?", ["en"], "ru"),
        ("7?", ["fi"], "fi"),
        ("7?", ["fi", "en"], UNKNOWN),
        ("ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", ["en"], UNKNOWN),
    ],
)
def test_the_languages_of_a_corpus_are_the_prior(question: str, among: list[str], wanted: str) -> None:
    assert detect_question(question, among) == wanted
    assert detect_question(question, [*among, UNKNOWN]) == wanted


@given(st.text(max_size=60), st.lists(st.sampled_from([*LANGUAGES, UNKNOWN]), max_size=3))
def test_any_text_has_a_known_language_or_none(text: str, among: list[str]) -> None:
    assert detect(text).language in {*LANGUAGES, UNKNOWN}
    assert detect_question(text, among) in {*LANGUAGES, UNKNOWN}
    assert (detect(text).confidence > 0) >= (detect(text).language != UNKNOWN)


def test_words_may_be_shared_where_a_language_is_unknown() -> None:
    assert _alike("en", "en") and _alike("en", UNKNOWN) and _alike(UNKNOWN, "de") and not _alike("en", "de")
