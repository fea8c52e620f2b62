"""Detection, sentence ends and search terms: the laws over random Unicode, worked examples in many languages."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.text.language_id import detect, detect_question
from indexing.text.search_terms import terms
from indexing.text.sentences import sentences
from tests.known import SCRIPTS

PARAGRAPHS = {
    "ar": "افتتح الجسر في صباح يوم مشمس، وحضر آلاف الناس ليشاهدوا القطار الأول وهو يعبر البحر.",
    "bn": "সেতুটি এক রৌদ্রোজ্জ্বল সকালে খোলা হয়েছিল, এবং হাজার হাজার মানুষ প্রথম ট্রেনটি দেখতে এসেছিল।",
    "de": "Die Brücke wurde an einem sonnigen Morgen eröffnet, und Tausende kamen, um den ersten Zug zu sehen.",
    "el": "Η γέφυρα άνοιξε ένα ηλιόλουστο πρωί και χιλιάδες ήρθαν να δουν το πρώτο τρένο.",
    "en": "The bridge was opened on a sunny morning, and thousands came to see the first train cross.",
    "es": "El puente se inauguró una mañana soleada y miles de personas vinieron a ver el primer tren.",
    "fa": "پل در صبحی آفتابی گشوده شد و هزاران نفر آمدند تا گذر نخستین قطار را ببینند.",
    "fi": "Silta avattiin aurinkoisena aamuna, ja tuhannet tulivat katsomaan ensimmäistä junaa.",
    "fr": "Le pont fut inauguré un matin ensoleillé, et des milliers de gens vinrent voir le premier train.",
    "he": "הגשר נפתח בבוקר שטוף שמש, ואלפים באו לראות את הרכבת הראשונה חוצה אותו.",
    "hi": "पुल एक धूप भरी सुबह खोला गया, और हज़ारों लोग पहली रेलगाड़ी देखने आए।",
    "id": "Jembatan itu dibuka pada pagi yang cerah, dan ribuan orang datang untuk melihat kereta pertama.",
    "it": "Il ponte fu inaugurato in una mattina di sole e migliaia di persone vennero a vedere il primo treno.",
    "ja": "橋は晴れた朝に開通し、何千人もの人々が最初の列車を見に来た。",
    "ko": "다리는 화창한 아침에 개통되었고 수천 명이 첫 기차를 보러 왔다.",
    "nl": "De brug werd op een zonnige ochtend geopend en duizenden mensen kwamen de eerste trein bekijken.",
    "no": "Broen ble åpnet en solrik morgen, og tusenvis kom for å se det første toget kjøre over.",
    "pl": "Most otwarto w słoneczny poranek, a tysiące ludzi przyszły zobaczyć pierwszy pociąg.",
    "pt": "A ponte foi inaugurada numa manhã ensolarada e milhares de pessoas vieram ver o primeiro comboio.",
    "ro": "Podul a fost deschis într-o dimineață însorită, iar mii de oameni au venit să vadă primul tren.",
    "ru": "Мост открыли солнечным утром, и тысячи людей пришли посмотреть на первый поезд.",
    "sw": "Daraja lilifunguliwa asubuhi yenye jua, na maelfu ya watu walikuja kuona treni ya kwanza ikivuka.",
    "te": "వంతెన ఒక ఎండ ఉదయం ప్రారంభించబడింది, వేలాది మంది మొదటి రైలును చూడటానికి వచ్చారు.",
    "th": "สะพานเปิดใช้ในเช้าที่แดดจ้า และผู้คนนับพันมาดูรถไฟขบวนแรก",
    "tr": "Köprü güneşli bir sabah açıldı ve binlerce kişi ilk treni görmeye geldi.",
    "uk": "Міст відкрили сонячного ранку, і тисячі людей прийшли подивитися на перший потяг.",
    "vi": "Cây cầu được khánh thành vào một buổi sáng đầy nắng, và hàng nghìn người đến xem chuyến tàu đầu tiên.",
    "zh": "大桥在一个阳光明媚的早晨开通，成千上万的人前来观看第一列火车。",
}
QUESTIONS = {
    "ar": "متى افتتح الجسر؟",
    "bn": "সেতুটি কবে খোলা হয়েছিল?",
    "de": "Wann wurde die Brücke eröffnet?",
    "el": "Πότε άνοιξε η γέφυρα;",
    "en": "When was the bridge opened?",
    "es": "¿Cuándo se inauguró el puente?",
    "fa": "پل چه زمانی گشوده شد؟",
    "fi": "Milloin silta avattiin?",
    "fr": "Quand le pont a-t-il été inauguré ?",
    "he": "מתי נפתח הגשר?",
    "hi": "पुल कब खोला गया?",
    "it": "Quando fu inaugurato il ponte?",
    "ja": "橋はいつ開通しましたか。",
    "ko": "다리는 언제 개통되었습니까?",
    "nl": "Wanneer werd de brug geopend?",
    "pl": "Kiedy otwarto most?",
    "ro": "Când a fost deschis podul?",
    "ru": "Когда открыли мост?",
    "sw": "Daraja lilifunguliwa lini?",
    "te": "వంతెన ఎప్పుడు ప్రారంభించబడింది?",
    "th": "สะพานเปิดเมื่อใด",
    "tr": "Köprü ne zaman açıldı?",
    "uk": "Коли відкрили міст?",
    "vi": "Cây cầu được khánh thành khi nào?",
    "zh": "大桥是什么时候开通的？",
}

pieces = st.sampled_from(
    [
        *SCRIPTS.values(),
        "...",
        "!?",
        "»",
        ")",
        "\r\n",
        "\n\n",
        " ",
        "1.",
        "z. B.",
        "ไทย ",
        "。",
        "e\u0301",
        "👩\u200d👧",
        "- ",
        "\x00",
        "ﷺ",
        "½",
    ]
)
texts = st.one_of(st.text(max_size=120), st.lists(pieces, max_size=25).map("".join))


@pytest.mark.parametrize("language", PARAGRAPHS)
def test_a_paragraph_is_known(language: str) -> None:
    found = detect(PARAGRAPHS[language])
    assert found.language == language and 0.5 < found.confidence <= 1


@pytest.mark.parametrize("language", QUESTIONS)
def test_a_question_is_known_among_the_languages_of_an_index(language: str) -> None:
    assert detect_question(QUESTIONS[language], list(QUESTIONS)) == language


@pytest.mark.parametrize("text", ["", " \n", "12345 67", "https://example.org/x", "\x00"])
def test_no_language(text: str) -> None:
    assert detect(text).language == "und"


@given(texts)
def test_detection_never_fails(text: str) -> None:
    assert 0 <= detect(text).confidence <= 1 and detect_question(text, ["en", "de"])


@given(texts, st.sampled_from(["und", "en", "de", "el", "th", "ja"]))
def test_sentences_cover_the_text(text: str, language: str) -> None:
    spans = sentences(text, language)
    assert "".join(text[a:b] for a, b in spans) == text
    assert all(a < b for a, b in spans)
    for _, end in spans[:-1]:
        assert unicodedata.category(text[end])[0] != "M" and text[end - 1 : end + 1] != "\r\n"
        assert text[end] != "\u200d" != text[end - 1]


def split(text: str, language: str) -> list[str]:
    return [text[a:b].strip() for a, b in sentences(text, language)]


@pytest.mark.parametrize(
    ("language", "wanted"),
    [
        (
            "en",
            [
                "Dr. Aust paid 3.14 pounds to J. R. Storrow, e.g. for oil.",
                "He left at 5 p.m. on foot!",
                "“Why?” she asked.",
                "No one knew…",
                "Then it rained.",
            ],
        ),
        ("de", ["Am 3. Mai kam z. B. Herr Dr. Kahl.", "Er blieb bis zum 12. Juni.", "„Gut!“ sagte er."]),
        ("es", ["¿Cuándo llegó la Sra. Ruiz?", "Llegó a las 5.30 p. ej. en tren.", "¡Qué bien!"]),
        ("ru", ["В 1911 г. и т. д. всё изменилось.", "Кто это знал?", "Никто."]),
        ("el", ["Πότε άνοιξε;", "Το 1912, π.χ. τον Μάιο.", "Ναι."]),
        ("ar", ["متى بدأ العمل؟", "بدأ عام 1958.", "وانتهى سريعا!"]),
        ("hi", ["पुल कब खुला?", "वह 1912 में खुला।", "सब खुश थे॥"]),
        ("zh", ["桥长3.5公里。", "“真的吗？”", "他问道！"]),
        ("ja", ["橋は長い。", "「本当？」", "と彼は聞いた。"]),
        ("my", ["ကျွန်တော် သွားမည်။", "သူ လာသည်။"]),
        ("km", ["ខ្ញុំទៅ។", "គាត់មក។"]),
        ("ko", ["다리는 1912년에 열렸다.", "정말입니까?", "네."]),
        ("tr", ["Köprü 15. yüzyılda, Dr. Vekaru vb. ile yapıldı.", "Kim bilir?"]),
        ("vi", ["Cầu dài 1,5 km.", "Ai xây nó?"]),
        ("th", ["สะพานนี้เปิดใช้ตั้งแต่ปีหนึ่งเก้าหนึ่งสองและยังแข็งแรงดี", "ผู้คนเดินข้ามทุกวัน"]),
    ],
)
def test_worked_sentences(language: str, wanted: list[str]) -> None:
    glue = "" if language in ("zh", "ja") else " "
    assert split(glue.join(wanted), language) == wanted


def test_lines() -> None:
    assert split(
        "Title\n\nA long line that was wrapped by hand at about seventy characters in\nthe middle of it. End.", "en"
    ) == [
        "Title",
        "A long line that was wrapped by hand at about seventy characters in\nthe middle of it.",
        "End.",
    ]
    assert split("- one item of the list\r\n- another item\r\n1. first\r\n2. second", "en") == [
        "- one item of the list",
        "- another item",
        "1. first",
        "2. second",
    ]


@given(texts, st.sampled_from(["und", "en", "de", "tr", "ar", "hi", "th", "vi"]))
def test_terms_are_clean(text: str, language: str) -> None:
    for term in terms(text, language):
        assert 0 < len(term) <= 64
        assert not any(c.isspace() or (c.isascii() and not c.isalnum()) for c in term)


@pytest.mark.parametrize(
    ("language", "document", "question"),
    [
        ("en", "The BRIDGES were opened", "bridge open"),
        ("de", "Die Straßen der Häuser", "strasse haus"),
        ("es", "los puentes habitados", "puente habitada"),
        ("el", "Το ΌΡΟΣ των νησιών", "όρος νησιά"),
        ("ru", "мосты открыли ёлки", "мост ёлка"),
        ("tr", "İSTANBUL'da IŞIK kitapları", "istanbul ışık kitap"),
        ("ar", "الأَرْشِيفُ في المدينة", "الارشيف المدينه"),
        ("hi", "किताबों की क़ीमत", "किताब कीमत"),
        ("th", "เรือเฟอร์รี่ออกเดินทาง", "เฟอร์รี่"),
        ("zh", "灯塔看守人", "灯塔"),
        ("ja", "ｶﾀｶﾅの灯台", "カタカナ 灯台"),
        ("ko", "도서관에서 신문을", "도서관 신문"),
        ("vi", "cây cầu dài", "cầu"),
        ("km", "សៀវភៅខ្មែរ", "ខ្មែរ"),
        ("my", "မြန်မာနိုင်ငံ", "မြန်မာ"),
        ("he", "הַגֶּשֶׁר נפתח", "הגשר"),
        ("fa", "کتاب‌ها ۱۹۱۲", "1912"),
        ("pl", "łódź", "lodz"),
    ],
)
def test_a_question_meets_the_words_of_a_document(language: str, document: str, question: str) -> None:
    found = set(terms(document, language))
    for word in question.split():
        assert found & set(terms(word, language)), (word, found)


def test_a_wrongly_guessed_language_still_meets_the_words() -> None:
    assert set(terms("Die Insel Vorn", "de")) & set(terms("Insel", "nl")) & {"insel"}
    assert {"vorn", "1958"} <= set(terms("Vorn 1958", "en")) & set(terms("Vorn 1958", "tr"))


def test_long_runs_are_linear() -> None:
    for text in (
        "." * 1_000_000,
        "(" * 1_000_000,
        "a" * 1_000_000,
        "水" * 300_000,
        "\n" * 500_000,
        "1." * 300_000,
        "ก " * 300_000,
    ):
        assert sum(b - a for a, b in sentences(text)) == len(text)
        assert terms(text, "en") is not None
        detect(text)
