"""The results folder of a run: settings, metrics, and each prediction as soon as it is made.

    settings.json        what determines the predictions; another run cannot resume in the folder
    questions.jsonl      the questions, for error analysis
    predictions.jsonl    one line per question, appended as it is read
    metrics.json, plots/ derived from the others, rewritten by every run

The same command resumes an interrupted run (also after kill -9) after the last complete line.
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
# Keys of a calibration in settings.json as it was written before 0.1.0.
OLD_KEYS = {
    "sharp": "slope",
    "shift": "offset",
    "stop_gap": "stop_margin",
    "lift": "evidence_weights",
    "nearness": "dense_score",
}
READING, OPEN_DOMAIN, CALIBRATION = "reading", "open-domain", "calibration"


class Results:
    """One results folder; with path None, predictions stay in memory and nothing is written."""

    def __init__(self, path: Path | None, settings: Mapping[str, Any], name: str = "") -> None:
        """name: for messages; default: the path."""
        self.path = path
        self.name = name or str(path)
        self.settings = dict(settings)
        self.lines: list[dict[str, Any]] = []

    @classmethod
    @contextmanager
    def writing(cls, path: Path | None, settings: Mapping[str, Any]) -> Iterator[Results]:
        """Locks the folder to start or resume a run with these settings. Raises SettingError if it holds another run."""
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
        """Opens a folder read-only. Raises SettingError if it holds no results."""
        results = cls(path, _settings(path, name), name)
        results.lines = list(_whole_lines(path / PREDICTIONS))
        return results

    def metrics(self) -> Mapping[str, Any]:
        """The content of metrics.json, {} if it is missing or cannot be read."""
        try:
            found = json.loads((self.path / METRICS).read_text("utf-8")) if self.path else {}
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def questions(self) -> Iterator[dict[str, Any]]:
        """The lines of questions.jsonl; empty if the folder does not store them."""
        return _whole_lines(self.path / QUESTIONS) if self.path is not None else iter(())

    def append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Stores predictions; they are written to the file before this returns."""
        new = [dict(line) for line in lines]
        self.lines += new
        if self.path is not None:
            with open(self.path / PREDICTIONS, "a", encoding="utf-8", newline="\n") as file:
                file.writelines(_lines(new))

    def write_questions(self, asked: Iterable[Mapping[str, Any]]) -> None:
        """Stores the questions, one line each."""
        if self.path is not None:
            self.write(QUESTIONS, "".join(_lines(asked)).encode("utf-8", "backslashreplace"))

    def write(self, name: str, data: bytes) -> None:
        """Writes one file of the folder atomically; does nothing without a folder."""
        if self.path is not None:
            (self.path / name).parent.mkdir(exist_ok=True)
            store(self.path / name, data)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        self.write(METRICS, _json(metrics))

    def _begin(self, path: Path) -> None:
        if (path / SETTINGS).is_file():
            _refuse_others(path, _settings(path), self.settings)
        elif any(file.name != LOCK for file in path.iterdir()):
            raise SettingError(f"The folder {path} has other files than results of an evaluation; name another one.")
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


def _with_new_keys(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {OLD_KEYS.get(name, name): _with_new_keys(one) for name, one in value.items()}


def _refuse_others(path: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    there = {**there, "calibration": _with_new_keys(there["calibration"])} if "calibration" in there else there
    other = [name for name in (*wanted, *there) if there.get(name) != wanted.get(name)]
    if other:
        raise SettingError(
            f"The run in {path} was made with another {other[0].replace('_', ' ')}; name another folder for this one,"
            " or run the command it was made with."
        )


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines up to the first one that an interrupted run left incomplete."""
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
