"""Validation of a reader on held-out questions, by language, before and after training.

Each question is read over its own context. F1 and exact match are of the best spans for answerable questions, by MLQA's
rules (`qa_pipeline.evaluation.metrics.mlqa`). AUROC measures how well the margin separates answerable from unanswerable
questions: 0.5 is chance, 1 is perfect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
    """One question. exact, f1: in [0, 1], of answerable questions; margin: of the best span."""

    language: str
    answerable: bool
    exact: float
    f1: float
    margin: float

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Score:
        """A score as stored. Files of the first release name the margin `gap`."""
        return cls(**{"margin" if name == "gap" else name: value for name, value in values.items()})


@dataclass(frozen=True, slots=True)
class Row:
    """One language, in percent; auroc in [0, 1], None if all questions are answerable or all are not."""

    language: str
    questions: int
    exact: float
    f1: float
    auroc: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """Change of mean F1 (after minus before) in points, with its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def scores(folder: ModelFolder, examples: Sequence[Example], recipe: Recipe, tell: Callable[[int], None]) -> list[Score]:
    """Reads each example with the recipe's windows, in order, in fp32. tell: receives the number done."""
    from qa_pipeline.reading.load import load_reader

    reader = load_reader(with_windows(folder, recipe), precision="fp32", with_torch=True)
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
    """The folder with the recipe's window sizes."""
    known = folder.preset or Preset(folder.name, "reader", str(folder.path), "", "", "", "", "")
    return replace(folder, preset=replace(known, max_seq_len=recipe.max_seq_len, doc_stride=recipe.doc_stride))


def reader_folder(path: Path) -> ModelFolder:
    """The model folder at `path`. Raises ModelMissing, ModelRefused."""
    return resolve(str(path.absolute()), "reader")


def table(found: Sequence[Score]) -> list[Row]:
    """One row per language, sorted by code, then one over all questions if there are several languages."""
    languages = sorted({score.language for score in found})
    rows = [_row(language, [score for score in found if score.language == language]) for language in languages]
    return rows + ([_row(POOLED, found)] if len(rows) > 1 else [])


def change(before: Sequence[Score], after: Sequence[Score]) -> Change | None:
    """Paired bootstrap of the change in F1 over the answerable questions; None without any."""
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
