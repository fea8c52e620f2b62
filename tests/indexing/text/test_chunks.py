"""The laws of cutting, over random Unicode in many scripts; and where cuts fall in plain cases."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexing.documents import Document, content_hash, document_id
from indexing.files.markdown import markdown_headings
from indexing.models.word_tokenizer import count_tokens
from indexing.settings import ChunkSettings
from indexing.text.chunks import DEFAULT, CountTokens, Span, cut
from indexing.text.sentences import sentences
from tests.known import SCRIPTS

pieces = st.sampled_from(
    [*SCRIPTS.values(), "\n\n", " ", "\r\n", "word ", "。", "ا\u064e\u0651", "क्षि", "e\u0301" * 5, "x" * 300]
)
texts = st.one_of(st.text(max_size=200), st.lists(pieces, max_size=30).map("".join))


def by_words(parts: Sequence[str]) -> list[int]:
    """A count of tokens that needs no model: one for every four characters begun, at least one."""
    return [max(1, -(-len(part) // 4)) for part in parts]


def document(
    text: str, language: str, pages: tuple[int, ...] = (), headings: tuple[tuple[int, int, int], ...] = ()
) -> Document:
    return Document(document_id("a", text), "a", content_hash(text), text, language, pages, headings)


def cut_one(
    text: str, language: str, count_tokens: CountTokens, settings: ChunkSettings = DEFAULT, **more: Any
) -> list[Span]:
    """Where the chunks of a document that is cut alone lie."""
    (spans,) = cut([document(text, language, **more)], count_tokens, settings)
    return spans


@given(texts, st.integers(32, 80), st.integers(0, 3), st.sets(st.integers(0, 400), max_size=4))
def test_the_laws(text: str, budget: int, overlap: int, borders: set[int]) -> None:
    pages = tuple(sorted({0, *(border for border in borders if border < len(text))}))
    spans = cut_one(text, "und", by_words, ChunkSettings(budget, overlap), pages=pages)
    covered: set[int] = set()
    for start, end in spans:
        assert 0 <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        covered.update(range(start, end))
    assert spans == sorted(set(spans))
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in zip(spans, spans[1:], strict=False))
    assert all(text[at].isspace() for at in range(len(text)) if at not in covered)


@given(texts)
@example("000001:0:;00100000102:;00102:0:;001:0:0:؟تأسس0010000010201:0::01001:؟اثر001:0:0:0::0;001:0:0")
def test_the_budget_of_real_tokens_is_kept(text: str) -> None:
    """Counted sentence by sentence; where none is parted, exactly so, and read as one at most a token more for each."""
    whole = _stripped(text, sentences(text, "und"))
    for start, end in cut_one(text, "und", count_tokens, ChunkSettings(64)):
        inside = [(a, b) for a, b in whole if a < end and b > start]
        assert count_tokens([text[start:end]])[0] <= 64 + 2 + len(inside) or end - start <= 32
        if len(inside) > 1 and all(start <= a and b <= end for a, b in inside):
            assert sum(count_tokens([text[a:b] for a, b in inside])) <= 64


@pytest.mark.parametrize("language", SCRIPTS)
def test_long_text_of_every_script_is_cut_between_clusters(language: str) -> None:
    text = SCRIPTS[language].replace(" ", "").replace("。", "").replace(".", "") * 60
    spans = cut_one(text, language, count_tokens, ChunkSettings(64))
    assert len(spans) > 1
    for start, end in spans:
        assert unicodedata.category(text[start]) not in ("Mn", "Mc", "Me")
        assert end == len(text) or unicodedata.category(text[end]) not in ("Mn", "Mc", "Me")


def test_sentences_stay_whole_and_the_last_one_is_repeated() -> None:
    text = " ".join(f"This is sentence number {n} of the long report." for n in range(60))
    spans = cut_one(text, "en", count_tokens, ChunkSettings(100, 1))
    for (_, before), (start, end) in zip(spans, spans[1:], strict=False):
        assert text[start:end].startswith("This is") and text[start:end].endswith("report.")
        assert start < before <= end


def test_marks_of_a_markdown_heading_stand_with_it() -> None:
    body = "The bridge was built in 1912 and rebuilt after the flood of 1931. " * 6
    text = f"# One\n\n{body}\n\n  ## Two\n\n{body}\n\nNumber #3\n---\n{body}"
    spans = cut_one(text, "en", count_tokens, ChunkSettings(160), headings=tuple(markdown_headings(text)))
    parts = [text[start:end] for start, end in spans]
    assert [part.split("\n")[0] for part in parts] == ["# One", "## Two", "Number #3"]
    assert not any(part.endswith("#") for part in parts)


def test_headings_and_pages_begin_chunks_where_enough_came_before() -> None:
    section = " ".join(["One plain sentence stands here for the count."] * 12)
    text = f"First\n{section}\n\nSecond\n{section}\n\nThird\n{section}"
    headings = [(text.index(name), text.index(name) + len(name), 1) for name in ("First", "Second", "Third")]
    starts = {start for start, _ in cut_one(text, "en", count_tokens, ChunkSettings(200), headings=tuple(headings))}
    assert {start for start, _, _ in headings} <= starts


def test_tiny_sections_are_read_together() -> None:
    text = "A\none.\n\nB\ntwo.\n\nC\nthree."
    headings = [(text.index(name), text.index(name) + 1, 1) for name in "ABC"]
    assert cut_one(text, "en", count_tokens, headings=tuple(headings)) == [(0, len(text))]


@pytest.mark.parametrize("text", ["", " \n\t", "\u3000\u200a"])
def test_blank_text_has_no_chunks(text: str) -> None:
    assert cut_one(text, "en", count_tokens) == []


def test_a_long_line_without_a_place_to_cut() -> None:
    spans = cut_one("x" * 200_000, "und", by_words, ChunkSettings(200))
    assert max(end - start for start, end in spans) <= 800


def _stripped(text: str, spans: Sequence[Span]) -> list[Span]:
    """The spans without white space at their ends, and without those that are nothing else."""
    found = [(start + len(text[start:end]) - len(text[start:end].lstrip()), start, end) for start, end in spans]
    return [(at, start + len(text[start:end].rstrip())) for at, start, end in found if text[start:end].strip()]


@given(st.lists(st.tuples(texts, st.sampled_from([*SCRIPTS, "und"])), max_size=4))
def test_documents_are_cut_together_as_alone(several: list[tuple[str, str]]) -> None:
    """The sentences of all are counted in one call; only overlong ones are counted again, in parts."""
    calls: list[Sequence[str]] = []

    def counted(parts: Sequence[str]) -> list[int]:
        calls.append(parts)
        return by_words(parts)

    found = cut([document(text, language) for text, language in several], counted, ChunkSettings(64))
    assert found == [cut_one(text, language, by_words, ChunkSettings(64)) for text, language in several]
    assert max(by_words(calls[0]), default=0) > 64 or len(calls) == 1
