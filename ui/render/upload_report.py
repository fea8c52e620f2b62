"""The report of an upload: one line per file, from the response and from its job."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ui.client.schemas import Job, UploadedFile
from ui.render.export import cell
from ui.render.html_tables import count

WORDS = {
    "refused": "Refused",
    "skipped": "Could not be read",
    "waiting": "Not indexed",
    "indexed": "Indexed",
    "updated": "Indexed again",
    "removed": "Removed",
    "unchanged": "Indexed before, not changed",
}
BAD = ("refused", "skipped", "waiting")
COLUMNS = ("file", "status", "about")


@dataclass(frozen=True, slots=True)
class FileLine:
    """One file. status: a key of WORDS; about: reason, or result of indexing."""

    file: str
    status: str
    about: str = ""

    @property
    def words(self) -> str:
        return WORDS.get(self.status, self.status)

    @property
    def is_bad(self) -> bool:
        return self.status in BAD


def report(put: Iterable[UploadedFile], job: Job | None) -> list[FileLine]:
    """Every file once, unusable files first. put: the response to the upload, if still known."""
    files = list(put)
    told = [_file_line(file) for file in _files(job)]
    known = {line.file for line in told}
    lines = [FileLine(file.name, "refused", file.reason) for file in files if file.status == "refused"]
    stored = dict.fromkeys(file.source for file in files if file.status != "refused" and file.source not in known)
    rest = "unchanged" if job is not None and job.state == "done" else "waiting"
    lines += told + [FileLine(source, rest) for source in stored]
    order = list(WORDS)
    return sorted(lines, key=lambda line: (order.index(line.status) if line.is_bad else len(order), line.file))


def _files(job: Job | None) -> Sequence[dict[str, Any]]:
    return (job.result or {}).get("files", ()) if job is not None else ()


def _file_line(file: dict[str, Any]) -> FileLine:
    parts = [str(file.get("reason") or ""), *map(str, file.get("notes") or ())]
    documents, passages = int(file.get("documents") or 0), int(file.get("passages") or 0)
    if documents or passages:
        parts.append(f"{count(documents, 'document')}, {count(passages, 'passage')}")
    return FileLine(str(file.get("source", "")), str(file.get("status", "")), "; ".join(part for part in parts if part))


def summary(lines: Iterable[FileLine]) -> str:
    """The number of files of each status.

    >>> summary([FileLine("a", "indexed"), FileLine("b", "indexed"), FileLine("c", "refused")])
    '2 indexed · 1 refused'
    """
    counts: dict[str, int] = {}
    for line in lines:
        counts[line.words] = counts.get(line.words, 0) + 1
    return " · ".join(f"{number:,} {words[:1].lower()}{words[1:]}" for words, number in counts.items())


def as_csv(lines: Iterable[FileLine]) -> bytes:
    """The report as CSV, without cells that would run as formulas."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows([cell(line.file), line.words, cell(line.about)] for line in lines)
    return out.getvalue().encode("utf-8-sig", "replace")
