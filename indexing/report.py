"""The report of a run: what became of every file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FileReport:
    """The result of one file. status: indexed, updated, unchanged, removed or skipped (`reason` says why)."""

    source: str
    status: str
    reason: str = ""
    notes: tuple[str, ...] = ()
    documents: int = 0
    passages: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a run: every file once, by source.

    erased: whether everything deleted is gone from the disk; False if readers kept the index in use.
    """

    files: tuple[FileReport, ...]
    generation: int
    seconds: float
    embedder: str
    documents: int
    passages: int
    languages: dict[str, dict[str, int]]
    erased: bool = True

    def count(self, status: str) -> int:
        return sum(file.status == status for file in self.files)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
