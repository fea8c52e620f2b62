"""Atomic file writes: a temporary file, fsync, rename; and checksums of what was written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

PIECE = 1 << 16


def pieces_of(path: Path) -> Iterator[bytes]:
    """A file's bytes, a piece at a time."""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


@contextmanager
def whole(pieces: Iterable[bytes], beside: Path, mode: int = 0o644) -> Iterator[Path]:
    """A file of these pieces in the folder `beside`, on disk; it is removed unless it was moved meanwhile."""
    temporary = beside / f"{os.urandom(8).hex()}.part"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def store(target: Path, data: bytes, mode: int = 0o644) -> None:
    """Make `target` of `data`: written beside, fsynced, renamed. All of it or nothing."""
    with whole([data], target.parent, mode) as file:
        file.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Have a folder's names on disk, where the system can do that."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def file_checksum(path: Path) -> str:
    """BLAKE2b-256 of a file's bytes, hex; "" when it cannot be read."""
    digest = hashlib.blake2b(digest_size=32)
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside, fsync, rename, fsync the folder: afterwards `path` holds the old bytes or all of the new ones."""
    beside = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    beside.write_bytes(data)
    fsync(beside)
    beside.replace(path)
    fsync(path.parent)


def fsync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
