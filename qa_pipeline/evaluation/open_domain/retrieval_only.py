"""Retrieval-only evaluation: ranks each question's context among those of its own and of other languages.

It compares embedders in minutes, where reading takes hours. Corpus, passages and rankings are those of `asker`.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa_pipeline.datasets.examples import Example
from qa_pipeline.evaluation.metrics.ranking import Ranking, RelevantRanks, ranking, recall
from qa_pipeline.evaluation.open_domain.asker import SYSTEMS, Parallel, rank_question, ranks
from qa_pipeline.evaluation.open_domain.corpus import Corpus, make_corpus
from qa_pipeline.evaluation.runs.predictions import row_name
from qa_pipeline.retrieval.candidates import Tiers

if TYPE_CHECKING:
    from indexing.models.embedder import Embedder

CUT = 10
AT_A_TIME = 256

Cells = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class RetrievalRow:
    """One row: a language's questions over its own contexts. across: mean recall@10 over the other languages' contexts."""

    name: str
    questions: int
    retrieval: dict[str, Ranking]
    across: dict[str, float]


@dataclass(frozen=True, slots=True)
class RetrievalTable:
    """The table. matrices: system -> question's language -> documents' language -> recall@10 in percent."""

    rows: tuple[RetrievalRow, ...]
    all: RetrievalRow
    matrices: Mapping[str, Cells]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def find(
    examples: Sequence[Example],
    contexts: Sequence[tuple[str, str]],
    embedder: Embedder,
    across: bool,
    progress: Callable[[int, int], None],
) -> RetrievalTable:
    """Evaluates all answerable questions. progress: questions done and total."""
    asked = [example for example in examples if not example.is_impossible]
    found: dict[tuple[str, str, str], list[RelevantRanks]] = defaultdict(list)
    parallel = Parallel.of(asked) if across else None
    tiers = Tiers.of(embedder)
    with tempfile.TemporaryDirectory(prefix="docqa-evaluate-") as folder:
        corpus = make_corpus(contexts, Path(folder), embedder)
        with corpus.index:
            for first in range(0, len(asked), AT_A_TIME):
                part = asked[first : first + AT_A_TIME]
                _find(corpus, embedder, tiers, part, parallel, found)
                progress(first + len(part), len(asked))
    return _table(found)


def _find(
    corpus: Corpus,
    embedder: Embedder,
    tiers: Tiers,
    part: Sequence[Example],
    parallel: Parallel | None,
    found: dict[tuple[str, str, str], list[RelevantRanks]],
) -> None:
    """Appends the ranks of the right passages to `found`, keyed by (question's language, documents' language, system)."""
    languages = sorted({language for language, _ in corpus.sources})
    vectors = embedder.questions([example.question for example in part])
    with corpus.index.snapshot() as snapshot:
        for example, vector in zip(part, vectors, strict=True):
            others = parallel.examples[example.id] if parallel else {}
            for language, there in {**others, example.language: example}.items():
                if there.golds:
                    right = corpus.right(there)
                    rankings = rank_question(snapshot, tiers, example.question, vector, language, languages).rankings
                    for system, ids in rankings.items():
                        found[example.question_language, language, system].append(
                            RelevantRanks(ranks(ids, right), len(right))
                        )


def _table(found: Mapping[tuple[str, str, str], Sequence[RelevantRanks]]) -> RetrievalTable:
    matrices: dict[str, Cells] = {system: {} for system in SYSTEMS}
    for (asked_in, language, system), some in sorted(found.items()):
        matrices[system].setdefault(asked_in, {})[language] = 100 * sum(recall(f, CUT) for f in some) / len(some)
    pairs = sorted({(asked_in, language) for asked_in, language, _ in found})
    own = [(a, b) for a, b in pairs if a == b or not any(a == x == y for x, y in pairs)]
    rows = tuple(
        RetrievalRow(
            row_name(a, b),
            len(found[a, b, SYSTEMS[0]]),
            {s: ranking(found[a, b, s]) for s in SYSTEMS},
            {s: _mean([cell for other, cell in matrices[s][a].items() if other != b]) for s in SYSTEMS},
        )
        for a, b in own
    )
    everything = {s: ranking([f for a, b in own for f in found[a, b, s]]) for s in SYSTEMS}
    across = {s: _mean([matrices[s][a][b] for a, b in pairs if (a, b) not in own]) for s in SYSTEMS}
    return RetrievalTable(rows, RetrievalRow("all", sum(row.questions for row in rows), everything, across), matrices)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
