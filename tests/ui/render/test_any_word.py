"""A question as a search by words: whole words in every script, and always a query that can be understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.text.word_query import match, parse
from indexing.text.word_tokens import tokens
from tests.known import SCRIPTS
from ui.render.any_word import any_word


@pytest.mark.parametrize(
    ("question", "query"),
    [
        ("पुल की ऊँचाई कितनी है?", "पुल OR की OR ऊँचाई OR कितनी OR है"),
        ("เรือออก", "เรื OR รือ OR ออ OR อก"),
        ("fill ___ in the _ gap", "fill OR in OR the OR gap"),
        ("NEAR/5 language:de bri*", "NEAR OR 5 OR language OR de OR bri"),
        ("What's 3.5 % of 1,150?", "What's OR 3.5 OR of OR 1,150"),
        ("Not or AND", "not OR or OR and"),
        ("...", ""),
        ("", ""),
    ],
)
def test_words_are_whole_and_operators_are_words(question: str, query: str) -> None:
    assert any_word(question) == query


@pytest.mark.parametrize("language", SCRIPTS)
def test_a_text_has_a_word_of_itself(language: str) -> None:
    text = SCRIPTS[language]
    assert match(parse(any_word(text)), tokens(text))


@given(st.text(st.sampled_from("".join(SCRIPTS.values()) + "aB _-'’.,:*()\"\u200b\u0301") | st.characters(), max_size=60))
def test_every_question_is_a_query(question: str) -> None:
    query = any_word(question)
    if query:
        parse(query)
