"""Vectors counted from texts: what stands near what, in several languages at once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_pipeline.training.alignment.ibm_model1 import RaggedSentences, to_ragged
from qa_pipeline.training.alignment.token_lexicon import Bitext, Lexicon, lexicon
from qa_pipeline.training.embedder.cooccurrence import NEAR, cooccurrence_vectors, count_neighbours

SIZE = 40
TOPICS = 5
EACH = SIZE // 2 // TOPICS


@given(st.lists(st.lists(st.integers(0, 6), max_size=12), min_size=1, max_size=6))
def test_pairs_are_counted_within_a_text_and_within_reach(texts: list[list[int]]) -> None:
    plain: Counter[tuple[int, int]] = Counter()
    for text in texts:
        for a, one in enumerate(text):
            plain.update((one, other) for b, other in enumerate(text) if a != b and abs(a - b) <= NEAR)
    found = count_neighbours(to_ragged(texts), 7).toarray()
    assert {(a, b): found[a, b] for a, b in zip(*np.nonzero(found), strict=True)} == dict(plain)


def talk(seed: int, shift: int) -> RaggedSentences:
    """Texts of five topics, each with words of its own: numbers from `shift` on."""
    draw = np.random.default_rng(seed)
    return to_ragged([(shift + draw.integers(TOPICS) * EACH + draw.integers(0, EACH, 9)).tolist() for _ in range(400)])


def known(words: range) -> Lexicon:
    """Learned from sentence pairs in which these English words stand for those 20 further on."""
    draw = np.random.default_rng(3)
    ones = [draw.choice(list(words), 3, replace=False).tolist() for _ in range(300)]
    others = [[word + SIZE // 2 for word in one] for one in ones]
    return lexicon(Bitext("en", "xx", to_ragged(ones), to_ragged(others)), SIZE)


def test_words_of_one_topic_are_near_in_either_language() -> None:
    """Of each topic half of the words are in no sentence pair: they are known by what they stand near."""
    paired = known(range(0, SIZE // 2, 2))
    vectors = cooccurrence_vectors({"en": [talk(1, 0)], "xx": [talk(2, SIZE // 2)]}, {"xx": paired}, SIZE, 8, 1)
    assert vectors.shape == (SIZE, 8) and vectors.dtype == np.float32
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = unit[: SIZE // 2] @ unit[SIZE // 2 :].T
    topic = np.arange(SIZE // 2) // EACH
    never_paired = np.arange(SIZE // 2) % 2 == 1
    nearest = topic[likeness.argmax(axis=1)]
    assert (nearest == topic)[never_paired].mean() >= 0.9
    apart = cooccurrence_vectors({"en": [talk(1, 0)], "xx": [talk(2, SIZE // 2)]}, {}, SIZE, 8, 1)
    assert np.abs(apart[: SIZE // 2] @ apart[SIZE // 2 :].T).max() < 1e-3, "without a lexicon nothing joins the two"


def test_the_same_seed_counts_the_same() -> None:
    one, other = (cooccurrence_vectors({"en": [talk(1, 0)]}, {}, SIZE, 8, 1) for _ in range(2))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("texts", [{}, {"en": [to_ragged([])]}, {"en": [to_ragged([[3]])]}])
def test_nothing_to_count_gives_vectors_that_tell_nothing(texts: dict[str, list[RaggedSentences]]) -> None:
    vectors = cooccurrence_vectors(texts, {}, SIZE, 8, 1)
    assert vectors.shape == (SIZE, 8) and not np.isnan(vectors).any() and not vectors.any()


def test_more_numbers_than_tokens_are_zeros() -> None:
    assert not cooccurrence_vectors({"en": [talk(1, 0)]}, {}, SIZE, 60, 1)[:, SIZE:].any()
