"""Predictions of a reader over single texts, and the question set they belong to."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from indexing.errors import SettingError
from qa_pipeline.answering.verdict import best_score, candidates, decide
from qa_pipeline.datasets.examples import Example, Reporter, find_files, read_examples
from qa_pipeline.reading.readings import read_pairs
from qa_pipeline.retrieval.fact_evidence import text_evidence

if TYPE_CHECKING:
    from qa_pipeline.answering.calibration import Calibration
    from qa_pipeline.reading.readings import PassageReader, Reading

AT_A_TIME = 64

Key = tuple[str, str]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Prediction:
    """One question's prediction; origin and id are the question's key.

    best: context[start:end], the best span, whether or not it is given; given: the answer, "" for "no answer".
    gap: margin of the best span in logits, None without a span. no_answer: the score compared with the reader's threshold.
    wanted: texts of the right answers.
    """

    origin: str
    id: str
    language: str
    question_language: str
    wanted: tuple[str, ...]
    given: str
    best: str
    start: int
    end: int
    gap: float | None
    no_answer: float

    @property
    def key(self) -> Key:
        return self.origin, self.id

    @property
    def row(self) -> str:
        """The table row it counts in: the language, or question language→context language if they differ."""
        return row_name(self.question_language, self.language)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Prediction:
        """From a line of predictions.jsonl; ignores further keys of other kinds of runs."""
        return cls(**{**{name: values[name] for name in cls.__slots__}, "wanted": tuple(values["wanted"])})


def row_name(question_language: str, language: str) -> str:
    """
    >>> row_name("de", "de"), row_name("en", "de")
    ('de', 'en→de')
    """
    return language if question_language == language else f"{question_language}→{language}"


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """The questions of several files in order, with digests of the files.

    contexts: (language, context) of all questions of the files, including those beyond the limit.
    """

    examples: tuple[Example, ...]
    files: tuple[dict[str, Any], ...]
    contexts: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, paths: Sequence[Path], limit: int | None = None, tell: Reporter | None = None) -> QuestionSet:
        """limit: number of questions per file, evenly spaced. Raises SettingError, UnreadableFile."""
        examples: list[Example] = []
        files: list[dict[str, Any]] = []
        contexts: dict[tuple[str, str], None] = {}
        for path in find_files(paths):
            whole = read_examples(path, tell)
            contexts.update(((example.language, example.context), None) for example in whole)
            found = spread(whole, limit)
            examples += found
            files.append({"name": path.name, "digest": _digest(path), "questions": len(found)})
        _refuse_namesakes(files)
        return cls(tuple(examples), tuple(files), tuple(contexts))


def spread(examples: Sequence[Item], limit: int | None) -> list[Item]:
    """At most `limit` items, evenly spaced; files of equal length give the same indices, so parallel files stay parallel."""
    if limit is None or limit >= len(examples):
        return list(examples)
    return [examples[n * len(examples) // limit] for n in range(limit)]


def predict(
    reader: PassageReader, calibration_for: Callable[[str], Calibration], examples: Sequence[Example]
) -> Iterator[list[Prediction]]:
    """Predictions for all examples in order, in batches of AT_A_TIME. calibration_for: by question language."""
    for first in range(0, len(examples), AT_A_TIME):
        part = examples[first : first + AT_A_TIME]
        readings = read_pairs(reader, [(example.question, example.context) for example in part])
        yield [
            prediction_of(example, reading, calibration_for(example.question_language))
            for example, reading in zip(part, readings, strict=True)
        ]


def prediction_of(example: Example, reading: Reading, calibration: Calibration) -> Prediction:
    """The prediction for an example from its reading, under a calibration."""
    evidence = [text_evidence(example.question, example.question_language, example.context)]
    found = candidates([reading], [example.context], calibration, evidence)
    verdict, span = decide(best_score(found), calibration.threshold), found[0] if found else None
    best = example.context[span.start : span.end] if span else ""
    return Prediction(
        example.origin,
        example.id,
        example.language,
        example.question_language,
        example.wanted,
        "" if verdict.is_no_answer else best,
        best,
        span.start if span else 0,
        span.end if span else 0,
        round(float(span.margin), 4) if span else None,
        round(verdict.score, 6),
    )


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _refuse_namesakes(files: Sequence[Mapping[str, Any]]) -> None:
    twice = [name for name, count in Counter(file["name"] for file in files).items() if count > 1]
    if twice:
        raise SettingError(f"Two files are called {twice[0]}; evaluate them apart, or rename one.")
