"""The whole way from question files to a reader's folder: `train`. The same call again goes on where a run was stopped.

files -> examples -> (held out, to learn from) -> windows -> trained -> saved -> measured -> card
"""

from __future__ import annotations

import hashlib
import json
import platform
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from indexing.errors import SettingError
from qa_pipeline.evaluation.datasets import Example, find_files, read_examples
from qa_pipeline.training import checkpoints
from qa_pipeline.training.card import Run, card, commit, data_files
from qa_pipeline.training.distil import Teacher
from qa_pipeline.training.encoder import Encoder, load_encoder
from qa_pipeline.training.features import Features, build, thinned
from qa_pipeline.training.held_out import Score, change, reader_folder, scores, table
from qa_pipeline.training.reader_task import Reading
from qa_pipeline.training.recipes import Recipe
from qa_pipeline.training.run_folder import before_file, finished, replace_text, save, written
from qa_pipeline.training.split import divide
from qa_pipeline.training.trainer import Plan, Progress, fit, precision

CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What a run is asked to do. held_out: questions of each language kept for measuring (at most a fifth of them).

    limit: questions to learn from at most, drawn alike from all languages. minutes: of training at most. teacher: a reader
    to learn from as well, its chances taken at the temperature. parallel: folder of sentence pairs, for embedders.
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

    def __post_init__(self) -> None:
        if self.minutes is not None and not self.minutes > 0:
            raise SettingError(f"--minutes is {self.minutes:g}; it must be more than 0.")
        if self.limit is not None and self.limit < 1:
            raise SettingError(f"--limit is {self.limit}; it must be 1 or more.")
        if self.held_out < 0:
            raise SettingError(f"--held-out is {self.held_out}; it must be 0 or more.")


@dataclass(frozen=True, slots=True)
class Tell:
    """Whom to tell: in words, of each update, and of each question measured (done, of)."""

    words: Callable[[str], None]
    update: Callable[[Progress], None]
    measured: Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Data:
    """The questions of a run: the files they are from, those to learn from, those held out."""

    paths: list[Path]
    learn: list[Example]
    held_out: list[Example]


def train(settings: TrainSettings, tell: Tell) -> dict[str, Any]:
    """The reader in `settings.into`; what the run did, as in its training.json.

    Raises SettingError, UnreadableFile, ModelError.
    """
    data = read_data(settings, tell)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        encoder = load_encoder(settings.recipe.base, settings.recipe.dropout)
    teacher = _teacher(settings, data, encoder)
    key = _key(settings, data, encoder, teacher)
    done = finished(settings.into, key)
    if done is not None:
        tell.words(f"{settings.into} holds this very run, finished; nothing to do.")
        return done
    features = _features(settings, data, encoder)
    if not features.windows:
        raise SettingError("No question of these files can be learned from: none has an answer with a place in its context.")
    settings.into.mkdir(parents=True, exist_ok=True)
    _begun(settings, features, data, encoder, tell)
    before = _before(settings, data, encoder, key, tell)
    plan = Plan(settings.recipe, settings.seed, settings.into, key, settings.minutes, settings.checkpoint_seconds)
    at = fit(Reading(encoder, features.windows, teacher), plan, tell.update)
    save(encoder.save, settings.into, CONFIG)
    after = _scores(settings, data, settings.into, tell)
    run = _run(settings, data, features, at, encoder, before, after)
    return written(settings.into, key, asdict(run), card(run))


# -- data --------------------------------------------------------------------------------------------------------------


def read_data(settings: TrainSettings, tell: Tell) -> Data:
    """Raises SettingError, UnreadableFile."""
    paths = find_files(settings.files)
    examples = [example for path in paths for example in read_examples(path, tell.words)]
    draw = random.Random(settings.seed)
    held_out: list[Example] = []
    if settings.held_out:
        examples, held_out = _divided(examples, settings)
    return Data(paths, limited(examples, settings.limit, draw), held_out)


def _divided(examples: Sequence[Example], settings: TrainSettings) -> tuple[list[Example], list[Example]]:
    """To learn from and held out: as many of each language, but no more than a fifth of the smallest one."""
    counts: defaultdict[str, int] = defaultdict(int)
    for example in examples:
        counts[example.language] += 1
    wanted = min(settings.held_out, min(counts.values(), default=0) // 5)
    if not wanted:
        raise SettingError("There are too few questions to hold some out; add more, or say --held-out 0.")
    division = divide(examples, wanted, settings.seed)
    return list(division.train), list(division.test)


def limited(examples: list[Example], limit: int | None, draw: random.Random) -> list[Example]:
    """At most `limit`, drawn at random, from each language the same number as far as it has them; in the files' order."""
    if limit is None or limit >= len(examples):
        return examples
    by_language: defaultdict[str, list[int]] = defaultdict(list)
    for n, example in enumerate(examples):
        by_language[example.language].append(n)
    chosen: list[int] = []
    waiting = sorted(by_language.values(), key=len)
    for left, numbers in zip(range(len(waiting), 0, -1), waiting, strict=True):
        chosen += draw.sample(numbers, min(len(numbers), (limit - len(chosen)) // left))
    return [examples[n] for n in sorted(chosen)]


def _teacher(settings: TrainSettings, data: Data, encoder: Encoder) -> Teacher | None:
    if settings.teacher is None:
        return None
    return Teacher(settings.teacher, settings.temperature, data.learn, encoder.tokeniser)


def _key(settings: TrainSettings, data: Data, encoder: Encoder, teacher: Teacher | None) -> str:
    """A digest of all that the weights depend on."""
    whole = hashlib.blake2b(digest_size=16)
    facts = [asdict(settings.recipe), settings.seed, settings.minutes, encoder.folder.fingerprint, str(precision())]
    facts += [teacher.encoder.folder.fingerprint, settings.temperature] if teacher else []
    whole.update(json.dumps(facts, sort_keys=True).encode())
    for example in (*data.learn, None, *data.held_out):
        told = [example.question, example.context, [[g.text, g.start] for g in example.golds]] if example else None
        whole.update(json.dumps(told).encode())
    return whole.hexdigest()


def _features(settings: TrainSettings, data: Data, encoder: Encoder) -> Features:
    recipe = settings.recipe
    whole = build(data.learn, encoder.tokeniser, recipe.max_seq_len, recipe.doc_stride)
    return Features(thinned(whole.windows, recipe.empty_windows, settings.seed), whole.left_out)


# -- measuring ---------------------------------------------------------------------------------------------------------


def _before(settings: TrainSettings, data: Data, encoder: Encoder, key: str, tell: Tell) -> list[Score]:
    """Scores of the model as it was: measured once and remembered beside the checkpoint; [] for what is no reader."""
    path = before_file(settings.into, key)
    if path.is_file():
        return [Score(**score) for score in json.loads(path.read_bytes())]
    found: list[Score] = []
    if encoder.is_reader and data.held_out:
        tell.words("Measuring the model as it is.")
        found = scores(encoder.folder, data.held_out, settings.recipe, lambda n: tell.measured(n, len(data.held_out)))
    replace_text(path, json.dumps([asdict(score) for score in found]))
    return found


def _scores(settings: TrainSettings, data: Data, folder: Path, tell: Tell) -> list[Score]:
    if not data.held_out:
        return []
    tell.words("Measuring the trained model.")
    here = reader_folder(folder)
    return scores(here, data.held_out, settings.recipe, lambda n: tell.measured(n, len(data.held_out)))


# -- telling ---------------------------------------------------------------------------------------------------------


def _begun(settings: TrainSettings, features: Features, data: Data, encoder: Encoder, tell: Tell) -> None:
    again = " (going on from its checkpoint)" if (settings.into / checkpoints.NAME).is_file() else ""
    head = "" if encoder.is_reader else ", with a new question answering head"
    tell.words(
        f"Training {encoder.folder.name}{head} on {len(data.learn):,} questions, {len(features.windows):,} windows;"
        f" {len(data.held_out):,} questions held out{again}."
    )


def _run(
    settings: TrainSettings, data: Data, features: Features, at: checkpoints.Position, encoder: Encoder,
    before: list[Score], after: list[Score],
) -> Run:  # fmt: skip
    taught_by = named(settings.teacher) if settings.teacher else ""
    return Run(
        name=settings.into.resolve().name, base=named(encoder.folder.name),
        recipe=settings.recipe, seed=settings.seed, files=data_files(data.paths, data.learn, data.held_out),
        windows=len(features.windows), left_out=len(features.left_out), updates=at.done, tokens=at.tokens,
        seconds=at.seconds, loss=at.loss, machine=machine(), teacher=taught_by, before=tuple(table(before)),
        after=tuple(table(after)), change=change(before, after, settings.seed) if before else None, version=made_by(),
    )  # fmt: skip


def made_by() -> str:
    """docqa's version, and its commit where it runs from a repository."""
    from importlib.metadata import version

    return version("docqa") + (f", commit {commit()}" if commit() else "")


def named(model: str) -> str:
    """A model's name; of a folder only its own name, no path of this machine."""
    return Path(model).resolve().name if Path(model).is_dir() else model


def machine() -> str:
    """What a run ran on, in a few words."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    count = torch.get_num_threads()
    return f"{count} thread{'s' if count > 1 else ''} of {platform.machine()}, {str(precision()).removeprefix('torch.')}"
