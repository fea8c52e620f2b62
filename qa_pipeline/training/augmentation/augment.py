"""Data augmentation: `augment` validates every answer span and removes near duplicates."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexing.errors import SettingError
from qa_pipeline.datasets.examples import Example
from qa_pipeline.datasets.squad_writer import GeneratedExample, read_all, write_rows
from qa_pipeline.training.alignment.word_dictionary import dictionaries
from qa_pipeline.training.augmentation import back_translation, cloze, code_switching, cross_lingual_pairs, near_miss
from qa_pipeline.training.augmentation.near_duplicates import NearDuplicateIndex

WAYS = ("pairs", "code-switch", "cloze", "translate", "near-miss")
KEEPING = ("pairs", "near-miss")
"""Methods whose output holds the given questions too."""


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """Settings of one run. parallel: folder of parallel sentences (code-switching); limit: maximum sample of examples.

    models: translation models in order of application; language: of their output (translate).
    """

    files: tuple[Path, ...]
    into: Path
    method: str
    parallel: Path | None = None
    models: tuple[str, ...] = ()
    language: str | None = None
    limit: int | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        if self.method not in WAYS:
            raise SettingError(f"--method is {self.method!r}; it must be one of {', '.join(WAYS)}.")
        if self.method == "code-switch" and self.parallel is None:
            raise SettingError(
                "--method code-switch learns its dictionary from parallel sentences; name their folder: --parallel DIR."
            )
        if self.method == "translate" and not self.models:
            raise SettingError("--method translate needs a translation model; name one: --model NAME.")
        if self.limit is not None and self.limit < 1:
            raise SettingError(f"--limit is {self.limit}; it must be 1 or more.")


@dataclass(frozen=True, slots=True)
class AugmentReport:
    """Examples written, by language of question and context; numbers of near duplicates and invalid spans removed."""

    written: int
    languages: dict[str, int]
    near: int
    broken: int


def augment(settings: AugmentSettings) -> AugmentReport:
    """Writes JSON lines to `settings.into`, with `how` and `made_from`. Raises SettingError, UnreadableFile, ModelError."""
    if settings.method == "cloze":
        given: list[Example] = []
        made = list(cloze.clozes(settings.files, settings.seed))
    else:
        given = read_all(settings.files)
        made = list(_made(settings, given))
    sound = [one for one in made if is_sound(one.example)]
    fresh = list(drop_near_duplicates(sound, () if settings.method in KEEPING else given))
    kept = _limited(whole_pairs(fresh) if settings.method == near_miss.HOW else fresh, settings)
    write_rows(kept, settings.into)
    languages = Counter(f"{one.example.question_language}-{one.example.language}" for one in kept)
    return AugmentReport(len(kept), dict(sorted(languages.items())), len(sound) - len(fresh), len(made) - len(sound))


def is_sound(example: Example) -> bool:
    """Whether every answer with an offset is the context's text there."""
    return all(
        gold.start < 0 or (gold.text and example.context[gold.start : gold.start + len(gold.text)] == gold.text)
        for gold in example.golds
    )


def drop_near_duplicates(made: Iterable[GeneratedExample], given: Sequence[Example]) -> Iterator[GeneratedExample]:
    """Removes near duplicates of the given examples and of earlier generated ones."""
    met = NearDuplicateIndex()
    for example in given:
        _is_new(met, example)
    for one in made:
        if _is_new(met, one.example):
            yield one


def _is_new(met: NearDuplicateIndex, example: Example) -> bool:
    return met.is_new(example.question, example.context, example.golds[0].text if example.golds else "")


def _made(settings: AugmentSettings, given: Sequence[Example]) -> Iterator[GeneratedExample]:
    if settings.method == "pairs":
        return cross_lingual_pairs.pairings(given)
    if settings.method == "near-miss":
        return near_miss.near_misses(given, settings.seed)
    if settings.method == "code-switch":
        assert settings.parallel is not None
        spoken = sorted({language for e in given for language in (e.language, e.question_language)})
        return code_switching.code_switch(given, dictionaries(settings.parallel, spoken), settings.seed)
    return back_translation.translate_questions(
        given, [back_translation.translator(name) for name in settings.models], settings.language
    )


def whole_pairs(made: Sequence[GeneratedExample]) -> list[GeneratedExample]:
    """Only near misses whose other twin is there too."""
    counts = Counter(one.made_from for one in made)
    return [one for one in made if counts[one.made_from] == 2]


def _limited(made: list[GeneratedExample], settings: AugmentSettings) -> list[GeneratedExample]:
    """At most `settings.limit` of the examples, drawn; of near misses so many whole pairs."""
    size = 2 if settings.method == near_miss.HOW else 1
    if settings.limit is None or settings.limit >= len(made):
        return made
    chosen = random.Random(settings.seed).sample(range(len(made) // size), settings.limit // size)
    return [made[size * n + k] for n in sorted(chosen) for k in range(size)]
