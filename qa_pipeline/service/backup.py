"""Backups of an index or a home: consistent while it is written, resumable, and verified before and after a restore.

Databases are copied by SQLite's online backup, each as of one moment. Other files are copied atomically; a file that was
copied before and has not changed since is left. `backup.json` is written last and names every file with its checksum, so
a folder without it is an unfinished backup, which the same command continues.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from indexing.atomic_files import file_checksum, make_folder, open_atomic, pieces_of, store
from indexing.errors import IndexMissing, SettingError
from indexing.store.corpus_db import IndexFolder
from indexing.store.sqlite import DATABASE, LOCK
from qa_pipeline.errors import HomeFolderError
from qa_pipeline.service.home import MARKER, NAME
from qa_pipeline.service.job_store import PROCESSES
from qa_pipeline.service.service_db import SERVICE_DATABASE, copy_database

MANIFEST = "backup.json"
BEGUN = "backup.unfinished"
FORMAT = 1
LEFT_OUT = (LOCK, "derived.json", DATABASE, SERVICE_DATABASE, MANIFEST, BEGUN)
ENDS_LEFT_OUT = (".part", "-wal", "-shm", ".faiss", ".npz")
FOLDERS_LEFT_OUT = ("incoming", PROCESSES)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a backup or restore did. copied: files written in this run, of `files`; bytes: of all files."""

    files: int
    copied: int
    bytes: int


def backup(source: Path, to: Path, progress: Progress | None = None) -> BackedUp:
    """Copy the index or home in `source` to the folder `to`, which is made, continued, or brought up to date.

    Originals, keys, feedback, saved questions, jobs and evaluations are copied; derived files are made again when needed.
    Raises IndexMissing where there is neither; SettingError where `to` holds something else; IndexFolderError, OSError.
    """
    is_home = (source / MARKER).is_file()
    if not is_home and not (source / DATABASE).is_file():
        raise IndexMissing(f"There is neither an index nor a home in {source}.")
    _check_target(source, to)
    (to / MANIFEST).unlink(missing_ok=True)
    copied = 0
    for database in _databases(source, is_home):
        _copy_database(source / database, to / database)
        copied += 1
    found = sorted(_files(source))
    for number, name in enumerate(found, start=1):
        copied += _copy_file(source / name, to / name)
        if progress:
            progress(number, len(found))
    kept = {str(path) for path in (*found, *_databases(source, is_home))}
    for name in _present(to) - kept:
        (to / name).unlink()
    return _finish(to, copied)


def restore(source: Path, to: Path, progress: Progress | None = None) -> BackedUp:
    """Copy a finished backup into the new or empty folder `to`, after comparing every file with its checksum.

    Raises SettingError: the backup is unfinished or damaged, or `to` holds files.
    """
    sums = _manifest(source)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise SettingError(f"{to} holds files; name a new or empty folder to restore into.")
    for name, checksum in sums.items():
        path = source / name
        if not path.is_file() or file_checksum(path) != checksum:
            raise SettingError(
                f"The backup is damaged: {name} is missing or is not what was backed up. Nothing was restored."
            )
    for number, (name, checksum) in enumerate(sums.items(), start=1):
        _copy_file(source / name, to / name)
        if file_checksum(to / name) != checksum:
            raise SettingError(f"{name} could not be restored whole; look at the disk, and restore into another folder.")
        if progress:
            progress(number, len(sums))
    for facts in (to / "corpora").glob("*/corpus.json"):
        for name in ("documents", "incoming"):
            make_folder(facts.parent / name, 0o700)
    return BackedUp(len(sums), len(sums), _size(to, sums))


def _check_target(source: Path, to: Path) -> None:
    ours, theirs = source.resolve(), to.resolve()
    if ours == theirs or ours in theirs.parents or theirs in ours.parents:
        raise SettingError(f"{to} must be outside {source}, and not around it.")
    known = to / MANIFEST, to / BEGUN
    if to.exists() and (not to.is_dir() or (any(to.iterdir()) and not any(path.is_file() for path in known))):
        raise SettingError(f"{to} holds other files; name a new folder for the backup, or an earlier backup.")
    make_folder(to, 0o700)
    store(to / BEGUN, b"", 0o600)


def _databases(source: Path, is_home: bool) -> list[str]:
    """The databases, as paths inside the source."""
    if not is_home:
        return [DATABASE]
    found = [SERVICE_DATABASE] if (source / SERVICE_DATABASE).is_file() else []
    for corpus in sorted((source / "corpora").iterdir()):
        if NAME.fullmatch(corpus.name) and (corpus / "index" / DATABASE).is_file():
            found.append(f"corpora/{corpus.name}/index/{DATABASE}")
    return found


def _files(source: Path) -> Iterator[str]:
    """Every other file that a backup holds, as a path inside the source."""
    for folder, folders, names in os.walk(source):
        parts = Path(folder).relative_to(source).parts
        # A person may give an original any name.
        originals = parts[:1] == ("corpora",) and parts[2:3] == ("documents",)
        if not originals:
            folders[:] = [name for name in folders if name not in FOLDERS_LEFT_OUT and not name.startswith(".")]
        for name in names:
            path = Path(folder) / name
            if not path.is_symlink() and (originals or not (name in LEFT_OUT or name.endswith(ENDS_LEFT_OUT))):
                yield path.relative_to(source).as_posix()


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database as of one moment, and check the copy."""
    make_folder(target.parent, 0o700)
    copy_database(source, target)
    if target.name == DATABASE:
        with IndexFolder.open(target.parent) as folder:
            folder.counts()


def _copy_file(source: Path, target: Path) -> bool:
    """Copy a file with its time, unless the target has its size and time. Returns whether it was copied."""
    try:
        facts = source.stat()
    except FileNotFoundError:
        return False
    if target.is_file() and (target.stat().st_size, target.stat().st_mtime_ns) == (facts.st_size, facts.st_mtime_ns):
        return False
    make_folder(target.parent, 0o700)
    with open_atomic(target, 0o600) as out:
        for piece in pieces_of(source):
            out.write(piece)
    shutil.copystat(source, target)
    target.chmod(0o600)
    return True


def _present(to: Path) -> set[str]:
    return {path.relative_to(to).as_posix() for path in to.rglob("*") if path.is_file()} - {MANIFEST, BEGUN}


def _finish(to: Path, copied: int) -> BackedUp:
    """Write the checksums of all files, last."""
    sums = {name: file_checksum(to / name) for name in sorted(_present(to))}
    for name in (name for name, checksum in sums.items() if not checksum):
        raise HomeFolderError(
            f"The copy of {name} cannot be read; look at the disk of {to}, and back up into another folder."
        )
    store(to / MANIFEST, json.dumps({"format": FORMAT, "files": sums}, indent=1).encode("utf-8"), 0o600)
    (to / BEGUN).unlink()
    return BackedUp(len(sums), copied, _size(to, sums))


def _manifest(source: Path) -> dict[str, str]:
    try:
        found = json.loads((source / MANIFEST).read_text("utf-8"))
        sums = found["files"]
        if found["format"] != FORMAT or not all(isinstance(name, str) and _inside(name) for name in sums):
            raise ValueError
        return dict(sums)
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingError(f"{source} holds no finished backup; run `docqa backup` again to finish it.") from None


def _inside(name: str) -> bool:
    return not name.startswith("/") and ".." not in name.split("/")


def _size(folder: Path, names: dict[str, str]) -> int:
    return sum((folder / name).stat().st_size for name in names)
