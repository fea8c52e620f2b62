"""Cross-lingual answer sentence retrieval, as LAReQA on XQuAD-R (Roy et al. 2020).

Every sentence of every context is a candidate. Right are the sentences, in any language, in which the answer to the
question's id begins. There are three pools:

- mono: sentences of the question's own language;
- cross: sentences of one other language, averaged over all others;
- multi: sentences of all languages.

An embedder with language bias does well in mono and cross, and badly in multi. Its bias shows in the own language's share
of the first ranks. Sentences are embedded without context; LAReQA's own models also see the paragraph.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexing.errors import SettingError, UnreadableFile
from qa_pipeline.datasets.examples import NOWHERE, Example, find_files, read_examples, read_text

if TYPE_CHECKING:
    from indexing.models.embedder import Embedder

BLOCK = 256

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class SentenceQuestion:
    """A question. right: indices into `SentenceSet.sentences` of the right candidates in its own file."""

    id: str
    question: str
    right: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SentenceSet:
    """Questions and sentences of one file. given: the file states its sentence breaks; else they are split here."""

    language: str
    sentences: tuple[str, ...]
    questions: tuple[SentenceQuestion, ...]
    given: bool


@dataclass(frozen=True, slots=True)
class SentenceRow:
    """One question language: mean average precision in percent, per pool.

    own_share: the own language's share of the first n ranks in multi, in percent, with n languages; even_share: 100 / n.
    """

    name: str
    questions: int
    mono: float
    cross: float
    multi: float
    own_share: float
    even_share: float


def read_xquad_r(path: Path) -> SentenceSet:
    """Reads XQuAD-R, or plain SQuAD JSON, whose sentences are split as documents are. Raises UnreadableFile."""
    examples = read_examples(path)
    languages = {example.language for example in examples}
    if len(languages) != 1:
        raise UnreadableFile(f"{path.name} holds {len(languages)} languages; sentences are found between files of one each.")
    language = languages.pop()
    breaks = _breaks(path)
    sentences: list[str] = []
    places: dict[str, list[tuple[Span, int]]] = {}
    for context in dict.fromkeys(example.context for example in examples):
        places[context] = []
        for start, end in breaks.get(context) or _split(context, language):
            places[context].append(((start, end), len(sentences)))
            sentences.append(context[start:end])
    asked = tuple(SentenceQuestion(e.id, e.question, _holding(e, places[e.context])) for e in examples if e.golds)
    return SentenceSet(language, tuple(sentences), asked, bool(breaks))


def find_sentences(paths: Sequence[Path], embedder: Embedder, limit: int | None = None) -> list[SentenceRow]:
    """One row per language, then one of all. limit: questions per file. Raises SettingError for fewer than two languages."""
    from qa_pipeline.evaluation.runs.predictions import spread

    sets = [read_xquad_r(path) for path in find_files(paths)]
    if len({part.language for part in sets}) != len(sets) or len(sets) < 2:
        raise SettingError("Sentences are found between languages: name files of at least two, one file for each.")
    pool = np.concatenate([embedder.passages(part.sentences) for part in sets])
    bounds = np.cumsum([0, *(len(part.sentences) for part in sets)])
    of = np.repeat(np.arange(len(sets)), np.diff(bounds))
    right = _right(sets, bounds)
    rows = []
    for number, part in enumerate(sets):
        asked = spread(part.questions, limit)
        vectors = embedder.questions([question.question for question in asked])
        found = _ranked(vectors, pool, of, number, [right[question.id] for question in asked])
        rows.append(_row(part.language, found, len(sets)))
    return [*rows, _mean(rows)]


def average_precisions(
    scores: NDArray[np.float32], of: NDArray[np.int64], own: int, right: Sequence[int]
) -> tuple[float, float, float, float]:
    """For one question: average precision in the mono, cross and multi pool, and its language's share of the first ranks.

    scores: one per candidate. of: the candidates' languages; own: the question's language; right: the right candidates.
    Equal scores keep the candidates' order.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.isin(order, right)
    languages = of[order]
    count = int(of.max()) + 1
    others = [_precision(hits[languages == n]) for n in range(count) if n != own and hits[languages == n].any()]
    mono = _precision(hits[languages == own])
    share = float((languages[:count] == own).mean())
    return mono, float(np.mean(others)) if others else 0.0, _precision(hits), share


def _precision(hits: NDArray[np.bool_]) -> float:
    """Average precision of a ranking (best first), 0.0 if no hit."""
    places = np.flatnonzero(hits) + 1
    return float(np.mean(np.arange(1, len(places) + 1) / places)) if len(places) else 0.0


def _ranked(
    vectors: NDArray[np.float32], pool: NDArray[np.float32], of: NDArray[np.int64], own: int, right: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """The `average_precisions` of each question, [questions, 4]."""
    rows = []
    for first in range(0, len(vectors), BLOCK):
        scores = vectors[first : first + BLOCK] @ pool.T
        rows += [average_precisions(s, of, own, right[first + n]) for n, s in enumerate(scores)]
    return np.array(rows).reshape(len(vectors), 4)


def _right(sets: Sequence[SentenceSet], bounds: NDArray[np.int64]) -> dict[str, list[int]]:
    """Question id -> indices of its right candidates in the whole pool."""
    right: dict[str, list[int]] = {}
    for part, begin in zip(sets, bounds[:-1].tolist(), strict=True):
        for question in part.questions:
            right.setdefault(question.id, []).extend(begin + place for place in question.right)
    return right


def _row(name: str, found: NDArray[np.float64], languages: int) -> SentenceRow:
    mono, cross, multi, share = (100 * found.mean(axis=0)).tolist() if len(found) else [0.0] * 4
    return SentenceRow(name, len(found), mono, cross, multi, share, 100 / languages)


def _mean(rows: Sequence[SentenceRow]) -> SentenceRow:
    def mean(name: str) -> float:
        return float(np.mean([getattr(row, name) for row in rows]))

    questions = sum(row.questions for row in rows)
    return SentenceRow("mean", questions, mean("mono"), mean("cross"), mean("multi"), mean("own_share"), rows[0].even_share)


def _breaks(path: Path) -> dict[str, list[Span]]:
    """Context -> sentence spans given by XQuAD-R; {} for other files."""
    try:
        whole = json.loads(read_text(path))
    except ValueError:
        return {}
    if not isinstance(whole, dict):
        return {}
    paragraphs = [paragraph for article in whole.get("data", []) for paragraph in article["paragraphs"]]
    return {p["context"]: _spans(path, p["context"], p["sentence_breaks"]) for p in paragraphs if "sentence_breaks" in p}


def _spans(path: Path, context: str, given: Any) -> list[Span]:
    try:
        spans = [(int(start), int(end)) for start, end in given]
    except (TypeError, ValueError):
        spans = [(-1, -1)]
    if not all(0 <= start < end <= len(context) for start, end in spans):
        raise UnreadableFile(f"{path.name} has sentence_breaks that do not lie in their context.")
    return spans


def _split(context: str, language: str) -> list[Span]:
    from indexing.text.sentences import sentences

    return [(start, end) for start, end in sentences(context, language) if context[start:end].strip()]


def _holding(example: Example, places: Sequence[tuple[Span, int]]) -> tuple[int, ...]:
    """Indices of the sentences in which an answer begins."""
    starts = {gold.start for gold in example.golds if gold.start != NOWHERE}
    return tuple(sorted({place for (begin, end), place in places for start in starts if begin <= start < end}))
