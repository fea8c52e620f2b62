"""Settings of a training run, and its training and held-out questions."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexing.errors import SettingError
from qa_pipeline.datasets.examples import Example, find_files, read_examples
from qa_pipeline.datasets.split import divide
from qa_pipeline.training.embedder.pair_sources import PIVOT
from qa_pipeline.training.loop.recipes import RECIPES, Recipe
from qa_pipeline.training.loop.trainer import PRECISIONS, Progress
from qa_pipeline.training.reader.unanswerable import unanswerable


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Settings of a run. held_out: validation questions per language (at most a fifth of a language's questions).

    limit: maximum number of training questions, balanced over languages. minutes: maximum training time.
    teacher: reader for distillation, at this temperature. parallel: folder of sentence pairs; text: folder of plain text.
    precision: dtype of a reader's matrix products, one of `loop.trainer.PRECISIONS`.
    """

    files: tuple[Path, ...]
    into: Path
    recipe: Recipe
    minutes: float | None = None
    limit: int | None = None
    seed: int = 1
    held_out: int = 100
    checkpoint_seconds: float = 120.0
    teacher: str | None = None
    temperature: float = 2.0
    parallel: Path | None = None
    text: Path | None = None
    precision: str = "fp32"

    def __post_init__(self) -> None:
        if self.minutes is not None and not self.minutes > 0:
            raise SettingError(f"--minutes is {self.minutes:g}; it must be more than 0.")
        if self.limit is not None and self.limit < 1:
            raise SettingError(f"--limit is {self.limit}; it must be 1 or more.")
        if self.text is not None and not self.recipe.anew:
            names = " or ".join(one.name for one in RECIPES.values() if one.anew)
            raise SettingError(f"--text is for the recipe {names}; {self.recipe.name} makes no use of it.")
        if self.precision not in PRECISIONS:
            raise SettingError(f"--precision is {self.precision!r}; it must be one of {', '.join(PRECISIONS)}.")
        if self.held_out < 0:
            raise SettingError(f"--held-out is {self.held_out}; it must be 0 or more.")


@dataclass(frozen=True, slots=True)
class ProgressReporter:
    """Callbacks: messages, each update, and each question measured (done, total)."""

    words: Callable[[str], None]
    update: Callable[[Progress], None]
    measured: Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Data:
    """The questions of a run: their files, the training questions, and the held-out questions."""

    paths: list[Path]
    learn: list[Example]
    held_out: list[Example]


def read_data(settings: TrainSettings, tell: ProgressReporter) -> Data:
    """Reads and splits the questions. Raises SettingError, UnreadableFile."""
    paths = find_files(settings.files)
    examples = [example for path in paths for example in read_examples(path, tell.words)]
    draw = random.Random(settings.seed)
    held_out: list[Example] = []
    if settings.held_out:
        examples, held_out = _divide(examples, settings)
    learn = limit_questions(examples, settings.limit, draw, settings.recipe.english)
    return Data(paths, learn + unanswerable(learn, settings.recipe.silent, settings.seed), held_out)


def _divide(examples: Sequence[Example], settings: TrainSettings) -> tuple[list[Example], list[Example]]:
    """Training and held-out questions: equally many held out per language, at most a fifth of the smallest language."""
    counts = Counter(example.language for example in examples)
    wanted = min(settings.held_out, min(counts.values(), default=0) // 5)
    if not wanted:
        raise SettingError("There are too few questions to hold some out; add more, or say --held-out 0.")
    division = divide(examples, wanted, settings.seed)
    return list(division.train), list(division.test)


def limit_questions(examples: list[Example], limit: int | None, draw: random.Random, english: float = 0.0) -> list[Example]:
    """A random sample of at most `limit` questions, in file order.

    The share `english` is English. The other languages get equal numbers, as far as they have them.
    """
    if limit is None or limit >= len(examples):
        return examples
    by_language: defaultdict[str, list[int]] = defaultdict(list)
    for n, example in enumerate(examples):
        by_language[example.language].append(n)
    chosen: list[int] = []
    if english and PIVOT in by_language:
        numbers = by_language.pop(PIVOT)
        chosen += draw.sample(numbers, min(len(numbers), round(english * limit)))
    waiting = sorted(by_language.values(), key=len)
    for left, numbers in zip(range(len(waiting), 0, -1), waiting, strict=True):
        chosen += draw.sample(numbers, min(len(numbers), (limit - len(chosen)) // left))
    return [examples[n] for n in sorted(chosen)]
