"""What an index, or a part of one, has for a question before fusion: rankings, and the scores of all passages in them.

The scores of parts are comparable: BM25 takes its statistics from the whole index (`bm25.Statistics`), and the language
bias comes from a sample of the whole. So the candidates of parts, merged, are those of the whole index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from indexing.arrays import Matrix
from indexing.models.embedder import Embedder
from indexing.store.filters import Filter
from indexing.store.snapshot import Snapshot
from qa_pipeline.retrieval.late_interaction import LateInteraction, TokenMatch
from qa_pipeline.retrieval.sentence_tier import FoundSentences, SentenceTier
from qa_pipeline.settings import AskSettings

Ranking = Sequence[tuple[int, float]]

OTHERS = 10


@dataclass(frozen=True, slots=True)
class SentenceCandidates:
    """near, others: as in `FoundSentences`. scores: cosine + offset of the language, of every candidate with a vector."""

    near: list[tuple[int, float]]
    others: list[tuple[int, float]]
    scores: dict[int, float]


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates for one question.

    nearest, keyword: (id, score) by vector search and by BM25, best first. others: the nearest in other languages than the
    question's. ceiling: the BM25 upper bound. matches: MaxSim of every candidate; None without late interaction. offsets:
    the language bias. sentences: None without sentence vectors.
    """

    nearest: list[tuple[int, float]]
    keyword: list[tuple[int, float]]
    ceiling: float
    others: list[tuple[int, float]] = field(default_factory=list)
    matches: dict[int, TokenMatch] | None = None
    offsets: dict[str, float] = field(default_factory=dict)
    sentences: SentenceCandidates | None = None


@dataclass(frozen=True, slots=True)
class Tiers:
    """What an embedder offers beside its vectors: late interaction over tokens, and a second tier; None without."""

    late_interaction: LateInteraction | None = None
    sentence_tier: SentenceTier | None = None

    @classmethod
    def of(cls, embedder: Embedder) -> Tiers:
        return cls(LateInteraction.of(embedder), SentenceTier.of(embedder))

    def sentences(
        self,
        snapshot: Snapshot,
        question: str,
        language: str,
        depth: int,
        filters: Filter | None,
        sample: Snapshot | None = None,
    ) -> FoundSentences | None:
        """`SentenceTier.search`; None without a second tier."""
        tier = self.sentence_tier
        return None if tier is None else tier.search(snapshot, question, language, depth, filters, sample)


def candidates(
    snapshot: Snapshot,
    tiers: Tiers,
    question: str,
    vector: Matrix,
    language: str,
    settings: AskSettings,
    filters: Filter | None = None,
    sample: Snapshot | None = None,
) -> Candidates:
    """The candidates of a snapshot. vector, language: of the question.

    sample: the snapshot that the language bias is estimated from; None is this one. Raises FilterError, ModelError.
    """
    nearest = snapshot.nearest(vector, settings.depth, filters) if settings.dense_weight else []
    words = snapshot.weigh(question, language)
    keyword = snapshot.find(words, settings.depth, filters) if settings.keyword_weight else []
    late_interaction = tiers.late_interaction
    if not nearest or late_interaction is None:
        return Candidates(nearest, keyword, words.ceiling)
    offsets = late_interaction.language_offsets(sample or snapshot, question, vector)
    others = snapshot.nearest_elsewhere(vector, language, OTHERS, filters) if offsets else []
    found = tiers.sentences(snapshot, question, language, settings.depth, filters, sample)
    numbers = (number for number, _ in (*nearest, *others, *keyword))
    matches = late_interaction.matches(snapshot, question, list(dict.fromkeys((*numbers, *(found.ids if found else ())))))
    sentences = None
    if found is not None:
        scores = found.scores({number: match.language for number, match in matches.items()})
        sentences = SentenceCandidates(list(found.near), list(found.others), scores)
    return Candidates(nearest, keyword, words.ceiling, others, matches, offsets, sentences)


def best_of(rankings: Sequence[Ranking], most: int) -> list[tuple[int, float]]:
    """The `most` best of several rankings, best first, equal scores by ascending id.

    >>> best_of([[(3, 0.9), (1, 0.5)], [(2, 0.5)]], 2)
    [(3, 0.9), (1, 0.5)]
    """
    return sorted((one for ranking in rankings for one in ranking), key=lambda one: (-one[1], one[0]))[:most]
