"""Atomic writes: after any failure a file has either all of its old content or all of its new content.

A file is written next to its target, fsynced, and renamed. Then its folder is fsynced, so that the name survives a power
loss. `durable=False` skips both fsyncs: for caches, which can be rebuilt.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from indexing.errors import NO_SPACE

PIECE = 1 << 16
MODE = 0o644
NEW, OLD = ".new", ".old"


# -- files -------------------------------------------------------------------------------------------------------------


def store(target: Path, data: bytes, mode: int = MODE, *, durable: bool = True) -> None:
    """Write `data` to `target` atomically. mode: the file's permissions, before the umask."""
    with open_atomic(target, mode, durable=durable) as file:
        file.write(data)


def store_text(target: Path, text: str) -> None:
    """Write a text to `target` atomically, in UTF-8."""
    store(target, text.encode("utf-8"))


@contextmanager
def open_atomic(target: Path, mode: int = MODE, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a file that replaces `target` at the end of the block; after an exception, `target` is unchanged."""
    beside = target.with_name(f".{target.name}.{os.urandom(8).hex()}.part")
    with _new_file(beside, mode) as file:
        yield file
        _finish(file, durable)
        move(beside, target, durable=durable)


@contextmanager
def temporary_file(pieces: Iterable[bytes], beside: Path, mode: int = MODE) -> Iterator[Path]:
    """Write a temporary file to the folder `beside` and fsync it. It is removed after the block, unless moved."""
    temporary = beside / f"{os.urandom(8).hex()}.part"
    with _new_file(temporary, mode) as file:
        file.writelines(pieces)
        _finish(file, durable=True)
        yield temporary


def remove_leftovers(target: Path) -> None:
    """Remove temporary files that interrupted writers of `target` left. The caller must be the only writer."""
    for path in target.parent.glob(f".{glob.escape(target.name)}.*"):
        path.unlink(missing_ok=True)


def move(path: Path, target: Path, *, durable: bool = True) -> None:
    """Rename a file or folder within its file system. A file may replace a file; a folder, only an empty folder."""
    os.replace(path, target)
    if durable:
        sync_folder(target.parent)


@contextmanager
def _new_file(path: Path, mode: int) -> Iterator[BinaryIO]:
    """Create a file that is closed, and removed unless it was moved, at the end of the block."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), mode)
    try:
        with open(descriptor, "wb") as file:
            yield file
    finally:
        path.unlink(missing_ok=True)


def _finish(file: BinaryIO, durable: bool) -> None:
    file.flush()
    if durable:
        os.fsync(file.fileno())
    file.close()


def remove(path: Path) -> None:
    """Remove a file durably. Raises FileNotFoundError, OSError."""
    path.unlink()
    sync_folder(path.parent)


def write_error(folder: Path) -> int:
    """The error number with which a folder refuses a file of PIECE bytes, which has no name and is gone at once; 0: none."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            return 0 if file.write(bytes(PIECE)) == PIECE else errno.ENOSPC
    except OSError as error:
        return error.errno or errno.EIO


def is_full(folder: Path) -> bool:
    """Whether the disk of a folder has no room, even for PIECE bytes."""
    return write_error(folder) in NO_SPACE


# -- folders -----------------------------------------------------------------------------------------------------------


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder and its missing parents durably; one that is there stays as it is. Raises FileExistsError for a file."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


@contextmanager
def replace_folder(target: Path) -> Iterator[Path]:
    """An empty folder to fill, which replaces `target` at the end of the block. The caller must be the only writer.

    After an exception, `target` is unchanged. If a writer was killed between the two renames, the next call restores the
    old folder. Leftovers of interrupted writers are removed.
    """
    _restore_folder(target)
    beside = _beside(target, NEW)
    beside.mkdir(0o700)
    try:
        yield beside
        sync_tree(beside)
        beside.chmod(0o755)
        if os.path.lexists(target):
            move(target, _beside(target, OLD), durable=False)
        move(beside, target)
    finally:
        _restore_folder(target)


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(f".{target.name}.{os.urandom(8).hex()}{suffix}")


def _restore_folder(target: Path) -> None:
    """Rename the old folder back if `target` is missing; then remove what else is left beside it."""
    for old in _left_beside(target, OLD):
        # A folder that is partly removed must never be taken for an old one.
        move(old, target if not os.path.lexists(target) else old.with_suffix(NEW), durable=False)
    for left in _left_beside(target, NEW):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _left_beside(target: Path, suffix: str) -> list[Path]:
    return list(target.parent.glob(f".{glob.escape(target.name)}.{16 * '[0-9a-f]'}{suffix}"))


# -- fsync -------------------------------------------------------------------------------------------------------------


def sync_file(path: Path) -> None:
    """Fsync a file."""
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Fsync a folder, so that its entries survive a power loss; does nothing where the system cannot do that."""
    with contextlib.suppress(OSError):
        sync_file(folder)


def sync_tree(folder: Path) -> None:
    """Fsync a folder with all files and folders below it."""
    for path in [*folder.rglob("*"), folder]:
        (sync_folder if path.is_dir() else sync_file)(path)


# -- reading -----------------------------------------------------------------------------------------------------------


def pieces_of(path: Path, piece: int = PIECE) -> Iterator[bytes]:
    """A file's bytes, a piece at a time."""
    with path.open("rb") as file:
        while block := file.read(piece):
            yield block


def file_checksum(path: Path) -> str:
    """BLAKE2b-256 of a file's bytes, hex; "" when it cannot be read."""
    digest = hashlib.blake2b(digest_size=32)
    try:
        for block in pieces_of(path, 1 << 20):
            digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()
