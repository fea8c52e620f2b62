"""Reads a stored run: its settings, metrics, progress and plots. Nothing is written.

A broken or unfinished folder is reported in one sentence.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from indexing.atomic_files import pieces_of
from qa_pipeline.errors import EvaluationDamaged, EvaluationMissing
from qa_pipeline.evaluation.metrics.calibration import CalibratedRow
from qa_pipeline.evaluation.open_domain.summary import OpenRow
from qa_pipeline.evaluation.reading_comprehension.summary import Row
from qa_pipeline.evaluation.runs.results_folder import (
    CALIBRATION,
    METRICS,
    OPEN_DOMAIN,
    PLOTS,
    PREDICTIONS,
    QUESTIONS,
    READING,
    SETTINGS,
    Results,
)

T = TypeVar("T")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
PLOT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.(png|svg)")
FILE_BYTES, PREDICTIONS_BYTES = 20_000_000, 500_000_000
STATES = Literal["done", "unfinished", "broken"]


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model's name and the fingerprint of its weights."""

    name: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class QuestionFile:
    """A question file, and how many of its questions the run asks."""

    name: str
    questions: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """settings.json. retrieve: passages read per question, None in a reading comprehension run."""

    kind: Literal["reading", "open-domain", "calibration"]
    reader: NamedModel
    set_of_questions: tuple[QuestionFile, ...]
    embedder: NamedModel | None = None
    retrieve: int | None = None

    @property
    def asked(self) -> int:
        """Number of questions of the whole run."""
        return sum(file.questions for file in self.set_of_questions)


@dataclass(frozen=True, slots=True)
class ReadingMetrics:
    """metrics.json of a reading comprehension run."""

    scorer: str
    about: str
    rows: tuple[Row, ...]
    mean: Row
    all: Row
    mean_leaves_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenMetrics:
    """metrics.json of an open-domain run."""

    scorer: str
    about: str
    rows: tuple[OpenRow, ...]
    all: OpenRow
    matrix: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class CalibrationMetrics:
    """metrics.json of a calibration run; its last row is over all languages."""

    right_is: str
    rows: tuple[CalibratedRow, ...]


Metrics = ReadingMetrics | OpenMetrics | CalibrationMetrics
SHAPES: Mapping[str, Any] = {READING: ReadingMetrics, OPEN_DOMAIN: OpenMetrics, CALIBRATION: CalibrationMetrics}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One run. made: time of its metrics (ISO 8601, UTC); answered: number of predictions.

    problem: one sentence, "" if the state is "done". settings, metrics: None if they cannot be read.
    """

    name: str
    state: STATES
    made: str
    problem: str = ""
    answered: int = 0
    settings: Settings | None = None
    metrics: Metrics | None = None


def evaluation(folder: Path) -> Evaluation:
    """Reads a results folder; a problem is returned as `problem`, never raised."""
    settings, answered = None, _count_lines(folder / PREDICTIONS)
    try:
        _check_name(folder.name)
        settings = _decoded(folder, SETTINGS, Settings)
        if not (folder / METRICS).exists():
            return Evaluation(folder.name, "unfinished", _made(folder), _left(settings, answered), answered, settings)
        metrics: Metrics = _decoded(folder, METRICS, SHAPES[settings.kind])
    except EvaluationDamaged as error:
        return Evaluation(folder.name, "broken", _made(folder), str(error), answered, settings)
    return Evaluation(folder.name, "done", _made(folder), "", answered, settings, metrics)


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise EvaluationDamaged(
            "The name of this folder cannot stand in an address; name it with letters and digits of ASCII, and . _ - only."
        )


def _left(settings: Settings, answered: int) -> str:
    return f"{answered:,} of {settings.asked:,} questions are asked; run the same command again to continue."


# -- files -------------------------------------------------------------------------------------------------------------


def plots(folder: Path) -> list[str]:
    """The file names of the plots, sorted."""
    try:
        return sorted(file.name for file in (folder / PLOTS).iterdir() if PLOT.fullmatch(file.name) and _is_file(file))
    except OSError:
        return []


def plot(folder: Path, file: str) -> bytes:
    """The bytes of one plot. Raises EvaluationMissing, EvaluationDamaged."""
    path = folder / PLOTS / file
    if not PLOT.fullmatch(file) or not _is_file(path):
        raise EvaluationMissing(f"The evaluation {folder.name!r} has no plot {file[:80]!r}; ask for one of those it lists.")
    return _read(path, folder.name)


def results(folder: Path) -> Results:
    """The folder with its predictions. Raises EvaluationDamaged if they cannot be read or exceed PREDICTIONS_BYTES."""
    if max(stamp[1] for stamp in stamps(folder)) > PREDICTIONS_BYTES:
        raise EvaluationDamaged(
            f"The predictions of {folder.name} are larger than {PREDICTIONS_BYTES:,} bytes, which is the most that is read."
        )
    _decoded(folder, SETTINGS, Settings)
    return Results.read(folder, folder.name)


def stamps(folder: Path) -> tuple[tuple[int, int], ...]:
    """A cache key of the folder: modification time and size of each file."""
    return tuple(_stamp(folder / file) for file in (SETTINGS, METRICS, PREDICTIONS, QUESTIONS))


def _decoded(folder: Path, file: str, shape: type[T]) -> T:
    data = _read(folder / file, folder.name)
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EvaluationDamaged(
            f"{file} of {folder.name} is not what `docqa evaluate` writes ({error}); run that again."
        ) from error


def _read(path: Path, name: str) -> bytes:
    try:
        if path.stat().st_size > FILE_BYTES:
            raise EvaluationDamaged(
                f"{path.name} of {name} is larger than {FILE_BYTES:,} bytes, which is the most that is read."
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise EvaluationDamaged(f"{name} has no {path.name}; it holds no results of `docqa evaluate`.") from None
    except OSError as error:
        raise EvaluationDamaged(f"{path.name} of {name} cannot be read ({error.strerror}).") from error


def _is_file(path: Path) -> bool:
    """Whether the path is a regular file and not a link to one."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _made(folder: Path) -> str:
    when = max(_stamp(folder / file)[0] for file in (SETTINGS, METRICS)) or _stamp(folder)[0]
    return datetime.fromtimestamp(when / 1e9, timezone.utc).isoformat(timespec="milliseconds")


def _count_lines(path: Path) -> int:
    """Counts complete lines in constant memory."""
    try:
        return sum(piece.count(b"\n") for piece in pieces_of(path, 1 << 20))
    except OSError:
        return 0
