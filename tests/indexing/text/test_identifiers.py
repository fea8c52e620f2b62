"""Numbers and identifiers are found as a whole and by their parts, however they are written."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.store.bm25 import KeywordIndex, Segment, term_digest
from indexing.store.term_hashes import hashes
from indexing.text.search_terms import question_terms, terms

SPACES = ["\u00a0", "\u2007", "\u2008", "\u2009", "\u202f", " "]
SAME = {
    "grouped number": [
        "1,150",
        "1.150",
        "1 150",
        "1'150",
        "1’150",
        "1150",
        "١٬١٥٠",
        "१,१५०",
        "1\u00a0150",
        "1\u2009150",
        "1\u202f150",
    ],
    "decimal": ["2,5", "2.5", "٢٫٥", "２．５"],
    "grouped decimal": ["1.150,50", "1,150.50", "1 150,50", "1 150.50", "1'150.50"],
    "model": ["GPT-4", "GPT4", "gpt-4", "GPT‑4", "GPT-٤", "ＧＰＴ－４", "G\u00adPT-\u200b4"],
    "invoice": ["INV-2023/0171", "INV-2023-0171", "INV20230171", "inv_2023_0171", "INV.2023.0171"],
    "telephone": [
        "+49 89 1234567",
        "+49891234567",
        "+49-89-1234567",
        "+49/89/1234567",
        "+49.89.1234567",
        "49 89\u00a01234567",
    ],
    "area code": ["(555) 123-4567", "555-123-4567", "555.123.4567", "555 123 4567", "5551234567", "(555)123-4567"],
    "hardware address": ["00:1B:44:11:3A:B7", "00-1b-44-11-3a-b7", "001b.4411.3ab7", "001B44113AB7"],
    "account": ["DE89 3704 0044 0532 0130 00", "DE89370400440532013000"],
    "name in code": ["parse_http_request", "parseHttpRequest", "ParseHTTPRequest", "parse-http-request", "parsehttprequest"],
    "compound": ["e-mail", "E‑Mail", "email", "EMAIL"],
    "version": ["v2.1.3", "V2.1.3"],
    "fraction": ["½", "1/2"],
    "date": ["21.08.1983", "21-08-1983", "21/08/1983", "21 08 1983"],
    "year": ["2021", "٢٠٢١", "२०२१", "২০২১", "๒๐๒๑", "၂၀၂၁", "២០២១", "２０２１", "二〇二一", "二零二一年"],
    "apostrophe": ["комп'ютер", "комп’ютер", "комп\u02bcютер"],
    "glottal stop": ["Hawai\u02bbi", "Hawaii"],
    "decomposed Hangul": ["청송댐", unicodedata.normalize("NFD", "청송댐")],
    "decomposed Vietnamese": ["đập Thanh", unicodedata.normalize("NFD", "đập Thanh")],
    "half-width kana": ["ポンプ", "ﾎﾟﾝﾌﾟ", "ホ\u309aンフ\u309a"],
    "half-width Hangul": ["가나", "\uffa1\uffc2\uffa4\uffc2"],
    "sara am": ["น้ำแข็ง", "น\u0e4d\u0e49าแข็ง", "น้\u0e4dาแข็ง"],
    "Urdu he": ["ہوا", "هوا"],
    "invisible": [
        "lighthouse",
        "light\u00adhouse",
        "light\u200bhouse",
        "light\u2060house",
        "\u200elighthouse\u200f",
        "\ufefflight\u200dhouse",
    ],
}
PARTS = {
    "Station Berlin 120 340 560 780": {"berlin", "120", "340", "560", "780"},
    "Room 12 300 seats": {"12", "300", "12300"},
    "555.123.4567": {"555", "123", "4567"},
    "1 150m": {"1150", "150", "m"},
    "2023 1 150": {"2023", "1", "150", "1150"},
    "GPT4": {"gpt", "4", "gpt4"},
    "GPT-3.5-turbo": {"gpt", "3·5", "turbo"},
    "ISO27001": {"iso", "27001"},
    "RFC8259": {"rfc", "8259"},
    "INV-2023/0171": {"inv", "2023", "0171"},
    "HTTPServer": {"http", "server", "httpserver"},
    "v2.1.3": {"v", "2", "1", "3", "2·1·3"},
    "python3.11": {"python", "3·11"},
    "192.168.100.20": {"192", "168", "100", "20"},
    "docs.example.com/a/b": {"docs", "example", "com", "a", "b"},
    "300m": {"300", "m"},
    "CO₂": {"co", "2", "co2"},
    "ปี๒๕๖๖": {"ปี", "2566"},
    "1½": {"1", "1⁄2"},
}
NEVER = {
    "½": {"12"},
    "10⁶": {"106"},
    "1½": {"11", "112"},
    "and/or": {"andor"},
    "12:30": {"1230"},
    "URLs": {"ur"},
    "3.14159265": {"314159265"},
}


def found(text: str) -> set[str]:
    return set(terms(text, "en"))


@pytest.mark.parametrize("kind", SAME)
def test_every_spelling_meets_every_other(kind: str) -> None:
    """A question in one spelling has more than a single character in common with a document in any other."""
    for asked in SAME[kind]:
        for written in SAME[kind]:
            assert any(len(term) > 1 for term in found(asked) & found(written)), (asked, written)


WHOLES = {
    "grouped number": "1150",
    "grouped decimal": "1150·50",
    "model": "gpt4",
    "invoice": "inv20230171",
    "telephone": "49891234567",
    "area code": "5551234567",
    "hardware address": "001b44113ab7",
    "account": "de89370400440532013000",
    "name in code": "parsehttprequest",
    "compound": "email",
    "fraction": "1⁄2",
    "date": "21081983",
    "year": "2021",
}


@pytest.mark.parametrize("kind", WHOLES)
def test_the_whole_is_one_term_in_every_spelling(kind: str) -> None:
    assert all(WHOLES[kind] in found(written) for written in SAME[kind])


@pytest.mark.parametrize("text", PARTS)
def test_the_parts_are_terms(text: str) -> None:
    assert PARTS[text] <= found(text)


@pytest.mark.parametrize("text", NEVER)
def test_what_nobody_means_is_no_term(text: str) -> None:
    assert not NEVER[text] & found(text)


def test_a_question_tells_the_usual_reading_from_the_others() -> None:
    assert question_terms("1 150", "en") == (["1150"], ["1", "150"])
    assert question_terms("120 340 7", "en") == (["120", "340", "7"], ["120340", "1203407"])
    assert question_terms("GPT-4", "en") == (["gpt", "4"], ["gpt4"])
    assert question_terms("the e-mails", "en") == (["the", "e", "mails", "mail"], ["emails", "email"])
    assert question_terms("well known", "en")[1] == []
    assert terms("1,150", "en") == terms("1150", "en") == ["1150"]
    assert terms("1,50,000", "hi")[0] == "150000"


pieces = st.sampled_from(
    [text for kind in SAME.values() for text in kind] + list(PARTS) + SPACES + [*".,-/:_'’()", "a", "12"]
)


@given(st.lists(pieces, max_size=8).map("".join), st.sampled_from(["en", "de", "th", "uk", "und"]))
def test_hashes_are_those_of_the_terms(text: str, language: str) -> None:
    assert hashes(text, language).tobytes() == b"".join(map(term_digest, terms(text, language)))
    main, extra = question_terms(text, language)
    assert sorted([*main, *extra]) == sorted(terms(text, language))


@pytest.mark.parametrize("gap", SPACES)
def test_a_row_of_a_table_is_found_by_each_of_its_numbers(gap: str) -> None:
    rows = {
        "Velm": (120, 340, 560, 780),
        "Tarn": (130, 200, 410, 620),
        "Orveth": (356, 120, 900, 77),
        "Kelm": (216, 518, 333, 5),
    }
    texts = [f"Station {name} {gap.join(map(str, row))}" for name, row in rows.items()]
    index = KeywordIndex.of([Segment.build((n, terms(text, "en")) for n, text in enumerate(texts))])
    for n, row in enumerate(rows.values()):
        for value in row:
            main, extra = question_terms(f"Which station has {value}?", "en")
            best = index.find(index.weigh(main, "", extra), 1)
            assert best[0][0] == n or (value == 120 and best[0][0] in (0, 2))


def test_an_identifier_ranks_its_own_document_first_in_any_spelling() -> None:
    texts = [
        "Team Red runs GPT-3 with 4 people",
        "Team Blue runs GPT4",
        "Team Green reads 44 mails",
        "Call 555.123.4567 at night",
    ]
    index = KeywordIndex.of([Segment.build((n, terms(text, "en")) for n, text in enumerate(texts))])
    for question, wanted in [("Who runs GPT-4?", 1), ("gpt 4", 1), ("GPT-٤", 1), ("555-123-4567", 3), ("(555) 123-4567", 3)]:
        main, extra = question_terms(question, "en")
        asked = index.weigh(main, "", extra)
        best = index.find(asked, 4)
        if question != "gpt 4":
            assert best[0][0] == wanted, question
        assert all(score < asked.ceiling for _, score in best)


def test_extra_terms_that_no_passage_has_cost_nothing() -> None:
    index = KeywordIndex.of([Segment.build([(0, terms("a well known lighthouse", "en")), (1, terms("fog", "en"))])])
    main, extra = question_terms("well-known", "en")
    assert extra and index.weigh(main, "", extra) == index.weigh(main)
    assert {number for number, _ in index.find(index.weigh(main, "", extra), 5, all_terms=True)} == {0}


def test_long_runs_are_linear() -> None:
    for text in (
        "a-" * 300_000,
        "1 " * 300_000,
        "1.1/" * 200_000,
        "aB" * 300_000,
        "a1" * 300_000,
        "1-" * 300_000,
        "12) " * 100_000,
    ):
        assert all(0 < len(term) <= 64 for term in terms(text, "en"))


def test_nothing_gives_no_terms() -> None:
    assert terms("", "en") == [] == terms("\u200b\u00ad", "und") and question_terms(" - ", "en") == ([], [])
