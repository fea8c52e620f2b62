"""Opens zip files whose unpacked size is bounded: declared and actual sizes are checked before anything is parsed."""

from __future__ import annotations

import io
import zipfile

from indexing.errors import UnreadableFile

UNPACKED_BYTES = 500_000_000
UNPACKED_RATIO = 200
FREE_BYTES = 20_000_000
MEMBERS = 50_000


def guard_zip(data: bytes) -> zipfile.ZipFile:
    """Open a zip after checking its declared and its actual unpacked size. Raises UnreadableFile."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise UnreadableFile("damaged: its zip container cannot be opened") from None
    members = archive.infolist()
    if len(members) > MEMBERS:
        raise UnreadableFile(f"holds {len(members):,} parts, more than {MEMBERS:,}")
    limit = min(UNPACKED_BYTES, max(FREE_BYTES, UNPACKED_RATIO * len(data)))
    total = sum(member.file_size for member in members)
    if total <= limit:
        total = sum(_real_size(archive, member, limit) for member in members)
    if total > limit:
        raise UnreadableFile(f"would unpack to more than {limit:,} bytes from {len(data):,} (a zip bomb?)")
    return archive


def _real_size(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> int:
    """The actual unpacked size of a member, counted to just above the limit."""
    if member.flag_bits & 1:
        raise UnreadableFile("encrypted: a password is needed")
    size = 0
    try:
        with archive.open(member) as stream:
            while size <= limit and (piece := stream.read(1 << 20)):
                size += len(piece)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError) as error:
        raise UnreadableFile(f"damaged: a part of it cannot be unpacked ({type(error).__name__})") from None
    return size
