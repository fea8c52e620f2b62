"""Validation of a reader on held-out questions, by language, before and after training.

Each question is read over its own context. F1 and exact match are those of answerable questions, of the best span,
by `qa_pipeline.evaluation.metrics.mlqa` (MLQA's rules). Where some questions have no answer, AUROC tells how well the
reader's margin over "no answer" tells the two kinds apart: 0.5 is chance, 1 is always.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexing.models.presets import Preset
from indexing.models.registry import ModelFolder, resolve
from qa_pipeline.datasets.examples import Example
from qa_pipeline.evaluation.metrics.bootstrap import figure, resample
from qa_pipeline.evaluation.metrics.mlqa import exact_match, f1
from qa_pipeline.evaluation.metrics.no_answer import auroc
from qa_pipeline.training.loop.recipes import Recipe

POOLED = "all"
NO_SPAN_MARGIN = -1e9


@dataclass(frozen=True, slots=True)
class Score:
    """One question: exact and f1 in [0, 1] (of questions with an answer), margin: the best span's over "no answer"."""

    language: str
    answerable: bool
    exact: float
    f1: float
    margin: float


@dataclass(frozen=True, slots=True)
class Row:
    """One language in percent; auroc in [0, 1], None where all questions are of one kind."""

    language: str
    questions: int
    exact: float
    f1: float
    auroc: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """Mean F1 after less before, in points, with the bounds of its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def scores(folder: ModelFolder, examples: Sequence[Example], recipe: Recipe, tell: Callable[[int], None]) -> list[Score]:
    """Each example read with the recipe's windows, in order, in fp32. tell: how many are done."""
    from qa_pipeline.haystack.load import load_reader

    reader = load_reader(with_windows(folder, recipe), precision="fp32")
    found: list[Score] = []
    for example in examples:
        spans = reader.read(example.question, [example.context])[0].spans
        given = example.context[spans[0].start : spans[0].end] if spans else ""
        margin = spans[0].margin if spans else NO_SPAN_MARGIN
        exact, overlap = (rate(given, example.wanted, example.language) for rate in (exact_match, f1))
        found.append(Score(example.language, not example.is_impossible, exact, overlap, float(margin)))
        tell(len(found))
    return found


def with_windows(folder: ModelFolder, recipe: Recipe) -> ModelFolder:
    """The folder, to be read in windows of the recipe's size."""
    known = folder.preset or Preset(folder.name, "reader", str(folder.path), "", "", "", "", "")
    return replace(folder, preset=replace(known, max_seq_len=recipe.max_seq_len, doc_stride=recipe.doc_stride))


def reader_folder(path: Path) -> ModelFolder:
    """The model folder at `path`. Raises ModelMissing, ModelRefused."""
    return resolve(str(path.absolute()), "reader")


def table(found: Sequence[Score]) -> list[Row]:
    """A row for each language, by code, then one for all questions together where there are several languages."""
    languages = sorted({score.language for score in found})
    rows = [_row(language, [score for score in found if score.language == language]) for language in languages]
    return rows + ([_row(POOLED, found)] if len(rows) > 1 else [])


def change(before: Sequence[Score], after: Sequence[Score]) -> Change | None:
    """Paired bootstrap over the answerable questions: each drawn with its score before and after. None without any."""
    pairs = zip(before, after, strict=True)
    differences = np.array([b.f1 - a.f1 for a, b in pairs if a.answerable])
    if not len(differences):
        return None
    found = figure(float(differences.mean()), resample(differences[:, None])[:, 0])
    return Change(found.value, found.low, found.high)


def _row(language: str, found: Sequence[Score]) -> Row:
    answerable = [score for score in found if score.answerable]
    margins = [np.array([s.margin for s in found if s.answerable is kind], dtype=np.float64) for kind in (True, False)]
    return Row(
        language,
        len(found),
        _percent([s.exact for s in answerable]),
        _percent([s.f1 for s in answerable]),
        auroc(*margins) if all(len(part) for part in margins) else None,
    )


def _percent(values: Sequence[float]) -> float:
    return 100 * sum(values) / len(values) if values else 0.0
