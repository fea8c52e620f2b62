"""Opens zip files whose unpacked size is bounded: declared and actual sizes are checked before anything is parsed."""

from __future__ import annotations

import io
import zipfile
import zlib

from indexing.errors import UnreadableFile

UNPACKED_BYTES = 500_000_000
UNPACKED_RATIO = 200
FREE_BYTES = 20_000_000
MEMBERS = 50_000
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError, RuntimeError)


def unpacked_limit(packed: int) -> int:
    """The bytes that a file of `packed` bytes may unpack to."""
    return min(UNPACKED_BYTES, max(FREE_BYTES, UNPACKED_RATIO * packed))


def guard_zip(data: bytes) -> zipfile.ZipFile:
    """Open a zip after checking its declared and its actual unpacked size. Raises UnreadableFile."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise UnreadableFile("damaged: its zip container cannot be opened") from None
    members = archive.infolist()
    if len(members) > MEMBERS:
        raise UnreadableFile(f"holds {len(members):,} parts, more than {MEMBERS:,}")
    limit = unpacked_limit(len(data))
    total = sum(member.file_size for member in members)
    if total <= limit:
        sizes = [_real_size(archive, member, limit) for member in members]
        total = sum(size for size, _ in sizes)
        if members and not any(whole for _, whole in sizes):
            raise UnreadableFile("damaged: no part of it can be unpacked")
    if total > limit:
        raise UnreadableFile(f"would unpack to more than {limit:,} bytes from {len(data):,} (a zip bomb?)")
    return archive


def _real_size(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> tuple[int, bool]:
    """The actual unpacked size of a member, counted to just above the limit, and whether it is whole."""
    if member.flag_bits & 1:
        raise UnreadableFile("encrypted: a password is needed")
    size = 0
    try:
        with archive.open(member) as stream:
            while size <= limit and (piece := stream.read(1 << 20)):
                size += len(piece)
    except DAMAGE:
        return size, False
    return size, True


def read_member(archive: zipfile.ZipFile, name: str) -> bytes | None:
    """The bytes of a member; None if it is missing or damaged."""
    try:
        return archive.read(name)
    except (KeyError, *DAMAGE):
        return None
