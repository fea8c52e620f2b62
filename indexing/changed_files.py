"""Which files of a folder a run has to read: new and changed ones. Moved files are renamed, and gone ones removed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import PurePosixPath

from indexing.errors import IndexFolderError
from indexing.files.file_text import FileLimits
from indexing.files.recognition import OcrPlan
from indexing.files.walk import FoundFile, file_hash
from indexing.report import FileReport
from indexing.store.corpus_db import FileRecord, IndexFolder, now_ns
from indexing.store.renames import counts_of_file, rename_files

RACY_NS = 2_000_000_000
CLOCK_NS = 20_000_000
"""File times advance in steps of the kernel's clock, at most this long."""

KnownFiles = Mapping[str, FileRecord]


def refuse_another_folder(folder: IndexFolder, documents: str, found: Sequence[FoundFile], known: KnownFiles) -> None:
    """Raise IndexFolderError if none of the indexed files is found, so a wrong or unmounted folder empties no index."""
    if known and not any(file.source in known for file in found):
        raise IndexFolderError(
            f"None of the {len(known)} files in the index {folder.path} is in {documents} (wrong folder, or not"
            " mounted?); nothing was changed. `docqa index --emptied` removes them and goes on."
        )


def rename_moved(folder: IndexFolder, found: Sequence[FoundFile]) -> list[FileReport]:
    """Rename the documents of files that have another place now, and report them; passages keep their vectors.

    A file has moved if it is new, an indexed one is gone, and both have the same content and the same ending.
    """
    known, here = folder.file_records(), {file.source for file in found}
    gone = [record for source, record in known.items() if source not in here and not record.reason and record.content_hash]
    sizes = {record.size for record in gone}
    by_content = {(record.content_hash, PurePosixPath(record.source).suffix.lower()): record for record in gone}
    moves: dict[str, FileRecord] = {}
    for file in found:
        if file.source in known or file.size not in sizes:
            continue
        with suppress(OSError):
            key = (file_hash(file.path), PurePosixPath(file.source).suffix.lower())
            if (before := by_content.pop(key, None)) is not None:
                moves[before.source] = replace(before, source=file.source, mtime_ns=file.mtime_ns, seen_ns=now_ns())
    if moves:
        rename_files(folder, moves)
    return [_move_report(folder, old, record) for old, record in moves.items()]


def _move_report(folder: IndexFolder, old: str, record: FileRecord) -> FileReport:
    documents, passages = counts_of_file(folder, record.source)
    return FileReport(record.source, "updated", "", (*record.notes, f"moved from {old}"), documents, passages)


def remove_gone(folder: IndexFolder, found: Sequence[FoundFile], known: KnownFiles) -> list[tuple[str, FileReport]]:
    """Delete the documents of files that are no longer in the folder."""
    here = {file.source for file in found}
    gone = sorted(source for source in known if source not in here)
    if gone:
        folder.write([], drop=gone)
    return [(source, FileReport(source, "removed")) for source in gone]


def files_to_read(
    folder: IndexFolder,
    found: Sequence[FoundFile],
    known: KnownFiles,
    limits: FileLimits,
    everything: bool,
    again: Collection[str] = (),
) -> tuple[list[FoundFile], list[FileReport]]:
    """The files to read, and reports on the others, which have kept size and time and were not touched since.

    again: files (sources) to read in any case.
    """
    same_limits = folder.fact_or("limits", None) == asdict(limits)
    changed: list[FoundFile] = []
    unchanged: list[FileReport] = []
    for file in found:
        record = known.get(file.source)
        same = record is not None and (record.size, record.mtime_ns) == (file.size, file.mtime_ns)
        settled = record is not None and max(file.mtime_ns + RACY_NS, file.ctime_ns + CLOCK_NS) < record.seen_ns
        if (
            everything
            or file.source in again
            or record is None
            or not same
            or not settled
            or (record.reason and not same_limits)
        ):
            changed.append(file)
        else:
            status = "skipped" if record.reason else "unchanged"
            unchanged.append(FileReport(file.source, status, record.reason, record.notes))
    return changed, unchanged


_SCAN = re.compile(r"no text layer|not legible|right-to-left reversed|an image \(|recognised|no text found|in it not read")


def scans_to_read(folder: IndexFolder, known: KnownFiles, plan: OcrPlan | None) -> dict[str, FileRecord]:
    """The files that another recognition than that of the last run can read otherwise, as records without a hash.

    Those are files with pages that were recognised or not read, and for a plan with `force` all PDFs.
    """
    if plan is None or not plan.active or folder.fact_or("ocr", "") == plan.key:
        return {}
    force = plan.settings.mode == "force"
    return {
        source: replace(record, content_hash="")
        for source, record in known.items()
        if any(map(_SCAN.search, (record.reason, *record.notes))) or (force and source.lower().endswith(".pdf"))
    }
