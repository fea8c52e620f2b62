"""The results folder of a run: settings, each prediction as soon as it is made, and metrics.

    settings.json        what decides the predictions; another run cannot go on in the folder
    questions.jsonl      what was asked, so that whoever looks at a prediction can read its question
    predictions.jsonl    one line a question, appended as it is read
    metrics.json, plots/ made from the others, and made anew by every run

A run that is stopped, also by kill -9, goes on behind the last whole line when the same command is run again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from indexing.atomic_files import store
from indexing.errors import SettingError

SETTINGS, PREDICTIONS, METRICS, PLOTS, LOCK = "settings.json", "predictions.jsonl", "metrics.json", "plots", ".lock"
QUESTIONS = "questions.jsonl"
READING, OPEN_DOMAIN, CALIBRATION = "reading", "open-domain", "calibration"


class Results:
    """One results folder, or None of it: with path None predictions are kept in memory and nothing is written."""

    def __init__(self, path: Path | None, settings: Mapping[str, Any], name: str = "") -> None:
        """name: what it is called in sentences; its path when nothing is said."""
        self.path = path
        self.name = name or str(path)
        self.settings = dict(settings)
        self.lines: list[dict[str, Any]] = []

    @classmethod
    @contextmanager
    def writing(cls, path: Path | None, settings: Mapping[str, Any]) -> Iterator[Results]:
        """To write a run with these settings, or to go on with it. Raises SettingError where another run's lies there."""
        results = cls(path, settings)
        if path is None:
            yield results
            return
        path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path / LOCK, timeout=0):
                results._begin(path)
                yield results
        except Timeout:
            raise SettingError(f"Another run writes to {path}; wait for it, or name another folder.") from None

    @classmethod
    def read(cls, path: Path, name: str = "") -> Results:
        """A folder as it is, to be looked at. Raises SettingError where there is none."""
        results = cls(path, _settings(path, name), name)
        results.lines = list(_whole_lines(path / PREDICTIONS))
        return results

    def metrics(self) -> Mapping[str, Any]:
        """What metrics.json says, {} where there is none that can be read."""
        try:
            found = json.loads((self.path / METRICS).read_text("utf-8")) if self.path else {}
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def questions(self) -> Iterator[dict[str, Any]]:
        """The lines of questions.jsonl; none in a folder that does not keep them."""
        return _whole_lines(self.path / QUESTIONS) if self.path is not None else iter(())

    def append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Keep predictions; written out before this returns."""
        new = [dict(line) for line in lines]
        self.lines += new
        if self.path is not None:
            with open(self.path / PREDICTIONS, "a", encoding="utf-8", newline="\n") as file:
                file.writelines(_lines(new))

    def write_questions(self, asked: Iterable[Mapping[str, Any]]) -> None:
        """Keep what is asked, a line for every question of the run."""
        if self.path is not None:
            self.write(QUESTIONS, "".join(_lines(asked)).encode("utf-8", "backslashreplace"))

    def write(self, name: str, data: bytes) -> None:
        """One file of the folder, whole or not at all; nothing without a folder."""
        if self.path is not None:
            (self.path / name).parent.mkdir(exist_ok=True)
            store(self.path / name, data)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        self.write(METRICS, _json(metrics))

    def _begin(self, path: Path) -> None:
        if (path / SETTINGS).is_file():
            _refuse_others(path, _settings(path), self.settings)
        elif any(file.name != LOCK for file in path.iterdir()):
            raise SettingError(f"The folder {path} holds something else than results of an evaluation; name another one.")
        else:
            self.write(SETTINGS, _json(self.settings))
        self.lines = list(_whole_lines(path / PREDICTIONS))
        kept = "".join(_lines(self.lines)).encode()
        if (path / PREDICTIONS).is_file() and (path / PREDICTIONS).stat().st_size != len(kept):
            store(path / PREDICTIONS, kept)


def _settings(path: Path, name: str = "") -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((path / SETTINGS).read_text("utf-8"))
        return found
    except (OSError, ValueError):
        raise SettingError(f"There are no results of `docqa evaluate --out` in {name or path}.") from None


def _refuse_others(path: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    other = [name for name in (*wanted, *there) if there.get(name) != wanted.get(name)]
    if other:
        raise SettingError(
            f"The run in {path} was made with another {other[0].replace('_', ' ')}; name another folder for this one,"
            " or run the command it was made with."
        )


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The predictions up to the first line that a stopped run left unfinished."""
    if not path.is_file():
        return
    with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            try:
                found = json.loads(line) if line.endswith("\n") else None
            except ValueError:
                return
            if not isinstance(found, dict):
                return
            yield found


def _lines(values: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    return (json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
