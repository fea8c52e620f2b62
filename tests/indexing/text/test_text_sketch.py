"""Sketches: equal to the Jaccard index of small texts, near it for large ones, in every script."""

from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexing.text.text_sketch import COPY, SHINGLE, SIZE, copies, resemblance, sketch
from tests.known import SCRIPTS


def shingles(text: str) -> set[str]:
    shown = "".join(unicodedata.normalize("NFKC", text).casefold().split())
    return {shown[at : at + SHINGLE] for at in range(max(1, len(shown) - SHINGLE + 1))} if shown else set()


def jaccard(one: str, other: str) -> float:
    left, right = shingles(one), shingles(other)
    return len(left & right) / len(left | right) if left and right else 0.0


texts = st.text(st.sampled_from("abc de\n١٢ก็ข한国ß😀\u0301"), max_size=60)


@given(texts, texts)
def test_small_texts_are_compared_exactly(one: str, other: str) -> None:
    assert resemblance(sketch(one), sketch(other)) == pytest.approx(jaccard(one, other))


@pytest.mark.parametrize("language", SCRIPTS)
def test_a_text_of_any_script_is_a_copy_of_itself_only(language: str) -> None:
    found = {name: ("", sketch(text)) for name, text in SCRIPTS.items()}
    assert resemblance(sketch(SCRIPTS[language]), found[language][1]) == 1.0
    assert copies({name: (name, mine) for name, (_, mine) in found.items()}) == ()


def test_large_texts_are_estimated() -> None:
    draw = random.Random(3)
    words = ["".join(draw.choices("abcdefgh", k=6)) for _ in range(20_000)]
    whole, most, half = " ".join(words), " ".join(words[:18_000]), " ".join(words[:10_000])
    assert len(sketch(whole)) == 4 * SIZE
    for other in (most, half, " ".join(reversed(words[10_000:]))):
        assert resemblance(sketch(whole), sketch(other)) == pytest.approx(jaccard(whole, other), abs=0.12)


@pytest.mark.parametrize("text", ["", " \n", "a", "ab", "\ud800x", "x" * 100_000, "a\x00b"])
def test_ugly_texts_have_a_sketch(text: str) -> None:
    assert len(sketch(text)) % 4 == 0 and bool(sketch(text)) == bool(text.split())


def test_copies_are_groups_in_the_order_given() -> None:
    report, other = "The harbour was deepened in 1931. " * 3, "Something else altogether, at some length."
    found = {"b": ("1", sketch(report)), "x": ("2", sketch(other)), "a": ("3", sketch(report + "!")), "c": ("2", b"")}
    assert copies(found) == (("b", "a"), ("x", "c"))
    assert copies({}) == () == copies({"a": ("1", sketch(report))})


@given(st.lists(st.frozensets(st.integers(0, 12), max_size=12), min_size=2, max_size=2))
def test_two_texts_are_copies_at_that_resemblance(hashes: list[frozenset[int]]) -> None:
    one, other = (b"".join(number.to_bytes(4, "little") for number in sorted(part)) for part in hashes)
    assert (copies({"a": ("1", one), "b": ("2", other)}) != ()) == (resemblance(one, other) >= COPY)
