"""BM25 against its formula written down naively, over random documents, deletes, merges and allowed sets."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.errors import IndexDamaged
from indexing.store import bm25
from indexing.store.bm25 import ARRAYS, FEWEST, K1, B, KeywordIndex, Segment, _among

word = st.sampled_from(["a", "b", "c", "ไทย", "水", "é", "long" * 10])
passages = st.lists(st.lists(word, max_size=8), max_size=12)


def rarity(documents: list[list[str]], term: str) -> float:
    df = sum(term in terms for terms in documents)
    return math.log(1 + (len(documents) - df + 0.5) / (df + 0.5))


def naive(documents: dict[int, list[str]], question: list[str], spoken: set[int] = frozenset()) -> dict[int, float]:  # type: ignore[assignment]
    """BM25 of every document that has a term of the question, from the formula. spoken: those of the question's language."""
    total = len(documents)
    mean = sum(map(len, documents.values())) / total if total else 0
    own = [terms for number, terms in documents.items() if number in spoken]
    scores: dict[int, float] = {}
    for term, weight in Counter(question).items():
        idf = rarity(list(documents.values()), term)
        idf = min(idf, rarity(own, term)) if len(own) >= FEWEST else idf
        for number, terms in documents.items():
            tf = terms.count(term)
            if tf:
                gain = weight * idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * len(terms) / mean))
                scores[number] = scores.get(number, 0.0) + gain
    return scores


def expected(documents: dict[int, list[str]], question: list[str], top_k: int) -> list[tuple[int, float]]:
    scores = naive(documents, question)
    return sorted(scores.items(), key=lambda item: (-round(item[1], 9), item[0]))[:top_k]


def same(found: list[tuple[int, float]], wanted: list[tuple[int, float]]) -> bool:
    scores = [score for _, score in found]
    if not np.allclose(scores, [score for _, score in wanted], rtol=1e-9):
        return False
    return len(found) == len(wanted) and scores == sorted(scores, reverse=True)


@given(passages, passages, st.sets(st.integers(0, 23)), st.lists(word, max_size=4), st.integers(0, 6))
def test_scores_are_the_formula_whatever_the_segments(
    first: list[list[str]], second: list[list[str]], dead: set[int], question: list[str], top_k: int
) -> None:
    base = list(enumerate(first))
    later = list(enumerate(second, start=len(first)))
    gone = np.array(sorted(dead), dtype=np.int64)
    index = KeywordIndex.of([Segment.build(base), Segment.build(later)], gone)
    alive = {number: terms for number, terms in base + later if number not in dead}
    wanted = expected(alive, question, top_k)
    merged = KeywordIndex.of([Segment.merge(index.segments, gone)])
    for candidate in (index, merged):
        assert candidate.ids().tolist() == sorted(alive)
        assert same(candidate.search(question, top_k), wanted)


@given(passages, passages, st.sets(st.integers(0, 23)), st.lists(word, min_size=1, max_size=4), st.data())
def test_words_common_in_the_language_count_little(
    first: list[list[str]], second: list[list[str]], dead: set[int], question: list[str], data: st.DataObject
) -> None:
    """Whatever the segments, and whatever is dead: the smaller idf, where the language has passages enough."""
    base, later = list(enumerate(first)), list(enumerate(second, start=len(first)))
    size = len(base + later)
    names = data.draw(st.lists(st.sampled_from(["de", "de", "de", "en"]), min_size=size, max_size=size))
    segments = [Segment.build(base, names[: len(base)]), Segment.build(later, names[len(base) :])]
    gone = np.array(sorted(dead), dtype=np.int64)
    alive = {number: terms for number, terms in base + later if number not in dead}
    scores = naive(alive, question, {number for number in alive if names[number] == "de"})
    for index in (KeywordIndex.of(segments, gone), KeywordIndex.of([Segment.merge(segments, gone)])):
        asked = index.weigh(question, "de")
        found = dict(index.find(asked, 100))
        assert set(found) == set(scores) and all(found[n] == pytest.approx(scores[n]) for n in found)
        assert all(score < asked.ceiling for score in found.values())


def test_the_words_of_a_rare_language_are_common_there() -> None:
    documents = [["le", "pont"], *(["le", "chat"] for _ in range(19)), *(["the", "cat"] for _ in range(200))]
    index = KeywordIndex.of([Segment.build(enumerate(documents), ["fr"] * 20 + ["en"] * 200)])
    plain, told = (dict(index.find(index.weigh(["le", "pont"], language), 300)) for language in ("", "fr"))
    assert plain[1] > 0.3 * plain[0] and told[1] < 0.02 * told[0]
    few = dict(index.find(index.weigh(["the", "cat"], "sw"), 300))
    assert few == dict(index.search(["the", "cat"], 300)), "of a language that is not there nothing is known"


@given(passages, passages, st.lists(word, max_size=5))
def test_no_score_reaches_the_ceiling(first: list[list[str]], second: list[list[str]], question: list[str]) -> None:
    base, later = list(enumerate(first)), list(enumerate(second, start=len(first)))
    index = KeywordIndex.of([Segment.build(base), Segment.build(later)])
    ceiling = index.weigh(question).ceiling
    documents = dict(base + later)
    df = {term: sum(term in terms for terms in documents.values()) for term in question}
    idf = [math.log(1 + (len(documents) - df[term] + 0.5) / (df[term] + 0.5)) for term in question]
    assert ceiling == pytest.approx(sum(idf) * (K1 + 1))
    assert all(score < ceiling for _, score in index.search(question, 100))


@given(passages, st.sets(st.integers(0, 11)), st.lists(word, min_size=1, max_size=4))
def test_an_allowed_set_is_a_boundary(documents: list[list[str]], allowed: set[int], question: list[str]) -> None:
    index = KeywordIndex.of([Segment.build(enumerate(documents))])
    scores = naive(dict(enumerate(documents)), question)
    found = index.search(question, 100, np.array(sorted(allowed), dtype=np.int64))
    assert {number for number, _ in found} == set(scores) & allowed


@given(passages, st.lists(word, min_size=1, max_size=4))
def test_all_terms_must_match(documents: list[list[str]], question: list[str]) -> None:
    index = KeywordIndex.of([Segment.build(enumerate(documents))])
    found = {number for number, _ in index.search(question, 100, all_terms=True)}
    assert found == {n for n, terms in enumerate(documents) if set(question) <= set(terms)}


@given(passages, passages)
def test_merging_is_building_at_once(first: list[list[str]], second: list[list[str]]) -> None:
    base, later = list(enumerate(first)), list(enumerate(second, start=len(first)))
    merged = Segment.merge([Segment.build(base), Segment.build(later)], np.empty(0, np.int64))
    built = Segment.build(base + later)
    for name in ARRAYS:
        assert np.array_equal(getattr(merged, name), getattr(built, name)), name


def test_equal_scores_come_by_id() -> None:
    index = KeywordIndex.of([Segment.build([(n, ["x"]) for n in range(50)])])
    assert [number for number, _ in index.search(["x"], 7)] == list(range(7))


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    segment = Segment.build([(3, ["a", "b", "a"]), (9, ["水"])])
    segment.save(tmp_path / "k.npz")
    loaded = Segment.load(tmp_path / "k.npz")
    assert KeywordIndex.of([loaded]).search(["a", "水"], 5) == KeywordIndex.of([segment]).search(["a", "水"], 5)
    (tmp_path / "bad.npz").write_bytes((tmp_path / "k.npz").read_bytes()[:100])
    for name in ("bad.npz", "missing.npz"):
        with pytest.raises(IndexDamaged):
            Segment.load(tmp_path / name)


@pytest.mark.parametrize("failures", [1, bm25.TRIES - 1, bm25.TRIES])
def test_a_parse_that_another_thread_disturbed_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """CPython gh-106905: a SystemError of `ast` that says nothing about the file."""
    Segment.build([(1, ["a", "b"])]).save(tmp_path / "k.npz")
    real, left = np.load, [failures]

    def disturbed(*of: Any, **how: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise SystemError("AST constructor recursion depth mismatch (before=396, after=241)")
        return real(*of, **how)

    monkeypatch.setattr(np, "load", disturbed)
    if failures < bm25.TRIES:
        assert Segment.load(tmp_path / "k.npz").ids.tolist() == [1]
    else:
        with pytest.raises(IndexDamaged, match=r"k\.npz"):
            Segment.load(tmp_path / "k.npz")


def test_few_and_many_allowed_passages_are_looked_up_alike() -> None:
    random = np.random.default_rng(2)
    ids = np.unique(random.integers(0, 4_000, 900))
    for count in (0, 1, 3, 40, 112, 113, 900):
        allowed = np.unique(random.integers(-50, 5_000, count))
        assert _among(ids, allowed).tolist() == [number in set(allowed.tolist()) for number in ids.tolist()]
