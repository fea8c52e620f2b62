"""Unpacks archives and compressed files into members: zip, tar, gzip, bzip2, xz; zstd and 7z where their packages are.

Unpacked bytes are counted while they come out, so that no archive grows beyond a bound.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any

from indexing.errors import UnreadableFile
from indexing.files.charset import decode
from indexing.files.file_text import Contents, FileLimits, Member
from indexing.files.hidden_names import is_hidden
from indexing.files.mailboxes import messages
from indexing.files.zip_guard import unpacked_limit
from indexing.files.zip_names import zip_names

MOST_MEMBERS = 10_000
MOST_BYTES = 500_000_000
_PIECE = 1 << 20
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, ValueError, zlib.error, lzma.LZMAError)
_DAMAGED = "damaged: it cannot be unpacked"
_ENCRYPTED = "encrypted: a password is needed"


def unpack(data: bytes, limits: FileLimits, kind: str) -> Contents:
    """The files in an archive. Raises UnreadableFile if it is damaged, encrypted as a whole, or grows beyond its bound."""
    budget = _Budget(len(data))
    found: Iterable[Member]
    if kind == "mbox":
        found = (Member(f"{number}.eml", message) for number, _, message in messages(io.BytesIO(data), limits.max_bytes))
    elif kind == "zip":
        found = _zip(data, limits, budget)
    elif kind == "tar":
        found = _tar(data, limits)
    elif kind == "pst":
        from indexing.files.outlook_data import read_pst

        found = read_pst(data, limits)
    elif kind == "7z":
        found = _seven_zip(data, limits, budget)
    else:
        found = _compressed(data, kind, limits, budget)
    members: list[Member] = []
    held = 0
    for member in found:
        members.append(member)
        held += len(member.data)
        if held > MOST_BYTES:
            members[-1] = Member("further files", reason=f"beyond the first {MOST_BYTES:,} bytes")
            break
        if kind != "mbox" and len(members) > MOST_MEMBERS:
            members[-1] = Member("further files", reason=f"beyond the first {MOST_MEMBERS:,}")
            break
    if not members:
        raise UnreadableFile("an archive without files")
    return Contents([], members)


class _Budget:
    """The bytes that an archive may still unpack to."""

    def __init__(self, packed: int) -> None:
        self.packed = packed
        self.limit = self.left = unpacked_limit(packed)

    def read(self, stream: IO[bytes]) -> bytes:
        """All bytes of a stream. Raises UnreadableFile when the archive grows beyond its bound."""
        pieces = []
        while piece := stream.read(_PIECE):
            self.left -= len(piece)
            if self.left < 0:
                raise UnreadableFile(
                    f"would unpack to more than {self.limit:,} bytes from {self.packed:,} (an archive bomb?)"
                )
            pieces.append(piece)
        return b"".join(pieces)


# -- zip ---------------------------------------------------------------------------------------------------------------


def _zip(data: bytes, limits: FileLimits, budget: _Budget) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _DAMAGE:
        raise UnreadableFile("a zip file that is damaged or cut off") from None
    files = [member for member in archive.infolist() if not member.is_dir() and not _is_link(member)]
    for member, name in zip(files, zip_names(files), strict=True):
        if not is_hidden(name):
            yield _zip_member(archive, member, name, limits, budget)


def _zip_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, limits: FileLimits, budget: _Budget) -> Member:
    if member.flag_bits & 1:
        return Member(name, reason=_ENCRYPTED)
    if member.file_size > limits.max_bytes:
        return Member(name, reason=_too_large(member.file_size, limits))
    try:
        with archive.open(member) as stream:
            return Member(name, budget.read(stream))
    except NotImplementedError:
        return Member(name, reason="packed by a method that cannot be unpacked")
    except (*_DAMAGE, RuntimeError):
        return Member(name, reason=_DAMAGED)


def _is_link(member: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(member.external_attr >> 16)


def _too_large(size: int, limits: FileLimits) -> str:
    return f"{size:,} bytes, more than the {limits.max_bytes:,} allowed (--max-bytes)"


# -- tar and compressed files --------------------------------------------------------------------------------------------


def is_tar(data: bytes) -> bool:
    """Whether bytes begin with a tar header, by its checksum."""
    header = data[:512]
    if len(header) < 512 or not header.strip(b"\0"):
        return False
    stored = header[148:156].strip(b" \0")
    if not stored or not all(48 <= byte < 56 for byte in stored):
        return False
    return int(stored, 8) == sum(header[:148]) + 8 * 32 + sum(header[156:])


def _tar(data: bytes, limits: FileLimits) -> Iterator[Member]:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:", errors="surrogateescape") as archive:
            for member in archive:
                name = _tar_name(member.name)
                if not member.isreg() or is_hidden(name):
                    continue
                if member.size > limits.max_bytes:
                    yield Member(name, reason=_too_large(member.size, limits))
                    continue
                stream = archive.extractfile(member)
                yield Member(name, stream.read() if stream else b"")
    except _DAMAGE:
        yield Member("further files", reason="damaged: the archive is cut off or broken there")


def _tar_name(name: str) -> str:
    """A name whose bytes are not UTF-8 is decoded by its letters."""
    raw = name.encode("utf-8", "surrogateescape")
    decoded = decode(raw)
    return decoded.text if decoded else raw.decode("utf-8", "replace")


def _compressed(data: bytes, kind: str, limits: FileLimits, budget: _Budget) -> Iterator[Member]:
    """The one file in a compressed file, or those of a compressed tar."""
    try:
        inner = budget.read(_decompressor(data, kind))
    except UnreadableFile:
        raise
    except Exception:  # Each decompressor has errors of its own.
        raise UnreadableFile(f"{_DAMAGED}, or is cut off") from None
    if is_tar(inner):
        yield from _tar(inner, limits)
    else:
        yield Member(_gzip_name(data) if kind == "gz" else "", inner)


def _decompressor(data: bytes, kind: str) -> Any:
    stream = io.BytesIO(data)
    if kind == "gz":
        return gzip.GzipFile(fileobj=stream)
    if kind == "bz2":
        return bz2.BZ2File(stream)
    if kind == "xz":
        return lzma.LZMAFile(stream)
    try:
        import zstandard
    except ImportError:
        raise UnreadableFile("a compressed file (zstd); install docqa[archives] to read it") from None
    return zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)


def _gzip_name(data: bytes) -> str:
    """The name that a gzip header holds, "" without one."""
    if not data[3] & 8:
        return ""
    at = 10 + (2 + int.from_bytes(data[10:12], "little") if data[3] & 4 else 0)
    decoded = decode(data[at : data.find(b"\0", at)])
    return decoded.text.rpartition("/")[2] if decoded else ""


def _seven_zip(data: bytes, limits: FileLimits, budget: _Budget) -> Iterator[Member]:
    try:
        import py7zr
    except ImportError:
        raise UnreadableFile("an archive (7z); install docqa[archives] to read it") from None
    try:
        archive = py7zr.SevenZipFile(io.BytesIO(data))
        if archive.needs_password():
            raise UnreadableFile(_ENCRYPTED)
        files = [member for member in archive.list() if member.is_file]
        if sum(member.uncompressed for member in files) > budget.limit:
            raise UnreadableFile(f"would unpack to more than {budget.limit:,} bytes from {len(data):,} (an archive bomb?)")
        files = [member for member in files if not is_hidden(member.filename)]
        wanted = [member.filename for member in files if member.uncompressed <= limits.max_bytes]
        unpacked = py7zr.io.BytesIOFactory(limits.max_bytes)
        archive.extract(targets=wanted, factory=unpacked)
    except (*_DAMAGE, py7zr.exceptions.ArchiveError):
        raise UnreadableFile(_DAMAGED) from None
    for member in sorted(files, key=lambda member: member.filename):
        product = unpacked.products.get(member.filename)
        large = member.uncompressed > limits.max_bytes
        reason = _too_large(member.uncompressed, limits) if large else "" if product else _DAMAGED
        yield Member(member.filename, product.read() if product else b"", reason)
