"""The registry of scorers; each equals the official script of a public data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from qa_pipeline.datasets.examples import Example
from qa_pipeline.datasets.language_codes import language_of_id
from qa_pipeline.evaluation.metrics.mlqa import mlqa
from qa_pipeline.evaluation.metrics.squad import squad1, squad2

Score = Callable[[str, Sequence[str], str], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Scorer:
    """score(given, right answers, language of the context) -> (exact match, F1), each 0 to 1.

    left_out: languages excluded from the macro average.
    """

    name: str
    about: str
    score: Score
    left_out: tuple[str, ...] = ()


def _plain(score: Callable[[str, Sequence[str]], tuple[float, float]]) -> Score:
    return lambda given, wanted, _: score(given, wanted)


_ALL = (
    Scorer("squad1", "SQuAD 1.1: EM and F1; also XQuAD's", _plain(squad1)),
    Scorer("squad2", "SQuAD 2.0: exact and F1, with questions that have no answer", _plain(squad2)),
    Scorer("mlqa", "MLQA: EM and F1 with the articles and tokens of the context's language", mlqa),
    Scorer(
        "tydiqa",
        "TyDiQA-GoldP: SQuAD 1.1 language by language, the mean over all but English",
        _plain(squad1),
        ("en",),
    ),
)

SCORERS: Mapping[str, Scorer] = MappingProxyType({scorer.name: scorer for scorer in _ALL})


def scorer_for(examples: Sequence[Example]) -> Scorer:
    """The official scorer of a data set, detected from its questions and file names.

    squad2 if any question is unanswerable; mlqa or tydiqa if the files are named like theirs; else squad1.
    """
    if any(example.is_impossible for example in examples):
        return SCORERS["squad2"]
    origins = {example.origin.lower() for example in examples}
    if origins and all("context-" in origin and "-question-" in origin for origin in origins):
        return SCORERS["mlqa"]
    tydi = all("tydi" in e.origin.lower() or language_of_id(e.id) for e in examples)
    return SCORERS["tydiqa" if examples and tydi else "squad1"]
