"""Evaluation runs of a home folder: listed, inspected and compared.

    HOME/evaluations/NAME/    made by `docqa evaluate FILES --home HOME --name NAME`

Invariants, each tested:

* Counts here agree with metrics.json.
* A broken folder hides no other.
* No name leads out of its folder.
* A cached result is used only while its files are unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TypeVar

from indexing.errors import SettingError
from indexing.lru_cache import LRUCache
from qa_pipeline.errors import EvaluationDamaged, EvaluationMissing
from qa_pipeline.evaluation.analysis import stored_run
from qa_pipeline.evaluation.analysis.compare import Comparison, compare_results
from qa_pipeline.evaluation.analysis.error_analysis import JudgedQuestion, damaged_error, judge
from qa_pipeline.evaluation.analysis.stored_run import Evaluation

T = TypeVar("T")

RUNS_KEPT, COMPARISONS_KEPT = 2, 16

Runs = list[Evaluation]
Names = list[str]
ComparisonWithNotes = tuple[Comparison, tuple[str, ...]]


def folder_of(evaluations: Path, name: str) -> Path:
    """The folder of the run of this name. Raises SettingError for an invalid name."""
    if not stored_run.NAME.fullmatch(name):
        raise SettingError(
            f"{name[:80]!r} cannot name an evaluation; use letters and digits of ASCII, and . _ - behind the first."
        )
    return evaluations / name


class EvaluationRuns:
    """All evaluations of a home. Thread-safe. LRU caches hold recent judgements and comparisons."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._judged: LRUCache[tuple[Hashable, tuple[JudgedQuestion, ...]]] = LRUCache(RUNS_KEPT)
        self._comparisons: LRUCache[tuple[Hashable, ComparisonWithNotes]] = LRUCache(COMPARISONS_KEPT)

    def list(self) -> Runs:
        """Every run, newest first, including broken and unfinished ones. Raises EvaluationDamaged."""
        try:
            folders = sorted(path for path in self.path.iterdir() if path.is_dir() and not path.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise EvaluationDamaged(f"The evaluations of this home cannot be read ({error.strerror}).") from error
        return sorted(map(stored_run.evaluation, folders), key=lambda one: one.made, reverse=True)

    def get(self, name: str) -> Evaluation:
        """The run of that name. Raises EvaluationMissing."""
        return stored_run.evaluation(self._folder(name))

    def plots(self, name: str) -> Names:
        """The names of a run's plots. Raises EvaluationMissing."""
        return stored_run.plots(self._folder(name))

    def plot(self, name: str, file: str) -> bytes:
        """The file of one plot. Raises EvaluationMissing, EvaluationDamaged."""
        return stored_run.plot(self._folder(name), file)

    def judge(self, name: str) -> tuple[JudgedQuestion, ...]:
        """Every prediction of a run, judged by the run's scorer. Raises EvaluationMissing, EvaluationDamaged."""
        folder = self._folder(name)
        return _cached(self._judged, name, stored_run.stamps(folder), lambda: judge(stored_run.results(folder)))

    def compare(self, a: str, b: str, scorer: str | None = None) -> ComparisonWithNotes:
        """Compare two runs as `docqa compare` does. Returns the table and the notes beside it.

        Raises EvaluationMissing, EvaluationDamaged; SettingError for runs that cannot be compared.
        """
        left, right = self._folder(a), self._folder(b)
        stamps = (*stored_run.stamps(left), *stored_run.stamps(right))
        return _cached(self._comparisons, (a, b, scorer), stamps, lambda: _compare(left, right, scorer))

    def _folder(self, name: str) -> Path:
        if not stored_run.NAME.fullmatch(name) or not (self.path / name).is_dir():
            raise EvaluationMissing(f"There is no evaluation {name[:80]!r}; list the evaluations to see which there are.")
        return self.path / name


def _compare(left: Path, right: Path, scorer: str | None) -> ComparisonWithNotes:
    notes: Names = []
    try:
        return compare_results(stored_run.results(left), stored_run.results(right), scorer, notes.append), tuple(notes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged_error(f"{left.name} or {right.name}") from error


def _cached(cache: LRUCache[tuple[Hashable, T]], key: Hashable, stamps: Hashable, make: Callable[[], T]) -> T:
    """The cached value if its files still have these stamps, else a new one. Concurrent calls may each compute it."""
    known = cache.get(key)
    if known is not None and known[0] == stamps:
        return known[1]
    made = make()
    cache.put(key, (stamps, made))
    return made
