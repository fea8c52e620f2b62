"""The language of search by words: what matches, what is marked, and what is refused; and that the index has every word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import SettingError
from indexing.text.search_terms import STEMMERS, terms, terms_of_pair
from indexing.text.word_numbers import WordNumbers
from indexing.text.word_query import Field, match, matches, parse
from indexing.text.word_tokens import Keys, keys, tokens
from tests.known import SCRIPTS

TEXT = "The old Bridge of Órsund cost 1,150 pounds; GPT-4 said well-known things. 東京都に橋がある。เรือออกเวลาเจ็ดโมงเช้า"


def marked(query: str, text: str = TEXT) -> list[str] | None:
    found = match(parse(query), tokens(text), lambda field: field == Field("language", "de"))
    return None if found is None else [text[start:end] for start, end in found]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("bridge", ["Bridge"]),
        ("BRIDGE old", ["old", "Bridge"]),
        ("bridge AND tower", None),
        ("bridge OR tower", ["Bridge"]),
        ("tower OR castle", None),
        ("bridge NOT tower", ["Bridge"]),
        ("bridge NOT cost", None),
        ("NOT NOT bridge", ["Bridge"]),
        ('"old bridge"', ["old Bridge"]),
        ('"bridge old"', None),
        ("“old bridge”", ["old Bridge"]),
        ("bridg", None),
        ("bridg*", ["Bridge"]),
        ("bridge NEAR/2 cost", ["Bridge", "cost"]),
        ("cost NEAR/2 bridge", ["Bridge", "cost"]),
        ("bridge NEAR/1 cost", None),
        ('"old bridge" NEAR/2 cost NEAR/9 pounds', ["old Bridge", "cost", "pounds"]),
        ("(tower OR old) (bridge OR castle)", ["old", "Bridge"]),
        ("bridge OR tower castle", ["Bridge"]),
        ("(bridge OR tower) castle", None),
        ("orsund", ["Órsund"]),
        ("1150", ["1,150"]),
        ("1.150", ["1,150"]),
        ("GPT-4", ["GPT-4"]),
        ('"gpt 4 said"', ["GPT-4 said"]),
        ("known", ["well-known"]),
        ("東京", ["東京"]),
        ("京都", ["京都"]),
        ("都橋", None),
        ('"東京都に橋"', ["東京都に橋"]),
        ("橋", ["橋"]),
        ("เจ็ดโมง", ["เจ็ดโมง"]),
        ("language:de bridge", ["Bridge"]),
        ("language:fr bridge", None),
        ("NOT language:fr", []),
        ("and or not", None),
        ("old - bridge , !", ["old", "Bridge"]),
    ],
)
def test_what_matches_is_marked(query: str, found: list[str] | None) -> None:
    assert marked(query) == found


@pytest.mark.parametrize(
    ("text", "query", "found"),
    [
        ("Cafe\u0301 wi\u00addth", "café width", ["Cafe\u0301", "wi\u00addth"]),
        ("ﾎﾟﾝﾌﾟ場", "ポンプ", ["ﾎﾟﾝﾌﾟ"]),
        ("ＡＢＣ 123", "abc", ["ＡＢＣ"]),
        ("น\u0e4d\u0e32ตก", "น\u0e33", ["น\u0e4d\u0e32"]),
        ("a\x00b \U0001f469 zebra", "zebra", ["zebra"]),
        ("İstanbul ISPARTA ırmak", "istanbul isparta irmak", ["İstanbul", "ISPARTA", "ırmak"]),
        ("đập Thanh Sơn", "dap", ["đập"]),
    ],
)
def test_marks_are_places_in_the_text_as_it_is(text: str, query: str, found: list[str]) -> None:
    assert marked(query, text) == found


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "no words"),
        ("  ", "no words"),
        ("!!", "no words"),
        ('"!!"', "no word in '!!'"),
        ("(a", "bracket is not closed"),
        ("a)", "closing bracket"),
        ("()", "word is missing"),
        ('"a', "quotation mark is not closed"),
        ("AND b", "word is missing before AND"),
        ("a OR", "word is missing after OR"),
        ("NOT", "word is missing after NOT"),
        ("a NEAR/3", "word is missing after NEAR/3"),
        ("a NEAR/3 (b c)", "between words or phrases"),
        ("a NEAR/101 b", "too far"),
        ("(" * 60 + "a" + ")" * 60, "more than 50 brackets"),
        ("a " * 1_001, "2,000 are the most"),
    ],
)
def test_what_is_not_of_the_language_is_refused_in_one_sentence(query: str, told: str) -> None:
    with pytest.raises(SettingError, match="^[^\n]*\\.$") as error:
        parse(query)
    assert told in str(error.value)


ANY = st.text(
    st.sampled_from("".join(SCRIPTS.values()) + "aB1 ,.-'’/٫\u0e4d\u0e32\u200b\u00adğİıßﬁ½２Ａ") | st.characters(),
    max_size=40,
)


@given(ANY, st.sampled_from(["", *STEMMERS]))
def test_the_index_has_every_word_of_a_text(text: str, language: str) -> None:
    """The candidates of a search are all passages that match: its words are terms of the keyword index in any language."""
    found, indexed = tokens(text), set(terms(text, language))
    for at, token in enumerate(found):
        follows = at + 1 < len(found) and found[at + 1].joined
        if follows:
            assert set(terms_of_pair(token.key + found[at + 1].key)) <= indexed
        elif token.key and not token.joined and not is_dense(token.key):
            assert token.key in indexed
        assert 0 <= token.start < token.end <= len(text)


def is_dense(key: str) -> bool:
    from indexing.text.search_terms import DENSE

    return DENSE.match(key) is not None


@given(ANY, st.text(st.sampled_from('ab "()*:/-京ก\u0301'), max_size=20))
def test_any_query_is_answered_or_refused(text: str, query: str) -> None:
    try:
        node = parse(query)
    except SettingError:
        return
    found = match(node, tokens(text))
    assert all(0 <= start < end <= len(text) for start, end in found or [])
    assert matches(node, text) == (found is not None)


@given(ANY)
def test_words_without_places_are_the_same(text: str) -> None:
    found = tokens(text)
    assert keys(text) == Keys([one.key for one in found], {at for at, one in enumerate(found) if one.joined})


@given(st.lists(ANY, max_size=3))
def test_numbers_stand_for_the_same_words(texts: list[str]) -> None:
    """Whatever was numbered before."""
    numbers = WordNumbers()
    found = [numbers.of(text).tolist() for text in texts]
    names = list(numbers.words)
    for text, row in zip(texts, found, strict=True):
        joined = {at for at, number in enumerate(row) if number % 2}
        assert Keys([names[number // 2] for number in row], joined) == keys(text)
