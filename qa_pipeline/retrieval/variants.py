"""Variants: passages that differ in little but their numbers, codes and names.

One of them is easily taken for another, so all variants of a passage are read before its answer is sure.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import regex

from qa_pipeline.answers import Passage

SHINGLE = 4
ALIKE = 0.5
FACT = regex.compile(
    r"[\p{Latin}\p{Cyrillic}\p{Greek}]*\p{N}[\p{Latin}\p{Cyrillic}\p{Greek}\p{N}]*|[〇零一二三四五六七八九十百千万]+"
)
NAME = regex.compile(r"\p{Lu}[\p{L}\p{M}]*")
NOUN_CAPITALS = ("de", "lb")


def is_settled(passage: Passage, unread: Iterable[Passage]) -> bool:
    """Whether an answer in a passage can be sure: it lacks no fact of the question, and none of its variants is unread."""
    return not passage.missing and not any(are_variants(passage, other) for other in unread)


def are_variants(one: Passage, other: Passage) -> bool:
    """Whether two passages differ in little but facts: the Jaccard index of what is left without them is ALIKE or more.

    Numbers, codes and capitalised words are left out; character 4-grams of the rest are compared.
    """
    mine, theirs = (_shingles(passage.text, passage.language) for passage in (one, other))
    return bool(mine and theirs) and len(mine & theirs) >= ALIKE * len(mine | theirs)


@lru_cache(maxsize=256)
def _shingles(text: str, language: str) -> frozenset[str]:
    masked = FACT.sub("", text)
    if language not in NOUN_CAPITALS:
        masked = NAME.sub("", masked)
    bare = "".join(masked.split())
    return frozenset(bare[n : n + SHINGLE] for n in range(len(bare) - SHINGLE + 1))
