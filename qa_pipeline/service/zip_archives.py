"""Zip extraction within limits: each member is stored, or refused with its reason.

Invariant, tested: limits count the bytes actually unpacked, not the sizes that the archive declares.
"""

from __future__ import annotations

import os
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO

from indexing.atomic_files import PIECE
from indexing.errors import SettingError
from indexing.files.hidden_names import is_hidden
from indexing.files.zip_names import zip_names
from indexing.settings import whole_number
from qa_pipeline.service.uploaded_files import SEPARATOR, leaves, safe_name

SMALL = 1 << 20
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OverflowError, ValueError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Limits of unpacking an archive. Raises SettingError for an invalid value.

    file_bytes: maximum size of one unpacked file. total_bytes: of all unpacked files. members: maximum number of files.
    ratio: maximum of unpacked bytes per packed byte, for files and archives that unpack to over 1 MiB.
    """

    file_bytes: int = 50_000_000
    total_bytes: int = 1_000_000_000
    members: int = 5_000
    ratio: int = 200

    def __post_init__(self) -> None:
        whole_number("file_bytes", self.file_bytes, 1, 1_000_000_000_000)
        whole_number("total_bytes", self.total_bytes, 1, 1_000_000_000_000)
        whole_number("members", self.members, 1, 1_000_000)
        whole_number("ratio", self.ratio, 1, 1_000_000)


@dataclass(frozen=True, slots=True)
class PutReport:
    """The result of one uploaded file. source: its path in the corpus. status: "stored", or "refused" with a reason."""

    name: str
    source: str
    status: str
    reason: str = ""


class RefusedMember(Exception):
    """A member or an archive is refused; the message is the reason."""


StoreMember = Callable[[str, Iterable[bytes]], str]
"""Stores the pieces of one file under a safe name and returns its source."""


def unpack(
    archive: Path, put: StoreMember, limits: UploadLimits, name: str = "", taken: dict[str, str] | None = None
) -> list[PutReport]:
    """Store the files of a zip archive with `put`. Returns one report per member, or one for the whole archive (`name`).

    Never raises for the content of the archive; a SettingError of `put` refuses that member. taken: names of the same upload
    by `folded_name`, to which those of the archive are added.
    """
    try:
        with _BoundedFile(archive, limits) as file, _opened(file) as opened:
            return _Unpacker(opened, put, limits, archive.stat().st_size, taken).run()
    except RefusedMember as refused:
        return [PutReport(name or archive.name, "", "refused", str(refused))]


def _opened(file: _BoundedFile) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (*_DAMAGE, OSError):
        raise RefusedMember("not a zip archive, or a damaged one") from None


class _BoundedFile(FileIO):
    """An archive file that refuses to read a central directory too large for `limits.members` files."""

    def __init__(self, path: Path, limits: UploadLimits) -> None:
        super().__init__(path, "rb")
        self._limits = limits
        self._most = (1 << 18) + 512 * limits.members

    def read(self, size: int | None = -1, /) -> bytes:
        here = os.fstat(self.fileno()).st_size - self.tell()
        if min(here, here if size is None or size < 0 else size) > self._most:
            raise RefusedMember(f"more than the {self._limits.members:,} files allowed in one archive")
        return super().read(size if size is not None else -1) or b""


class _Unpacker:
    """Unpacks an archive in one pass; counts the unpacked bytes."""

    def __init__(
        self, opened: zipfile.ZipFile, put: StoreMember, limits: UploadLimits, size: int, taken: dict[str, str] | None
    ) -> None:
        self.opened = opened
        self.put = put
        self.limits = limits
        self.size = size
        self.out = 0
        self.taken = {} if taken is None else taken

    def run(self) -> list[PutReport]:
        members = [member for member in self.opened.infolist() if not member.filename.endswith("/")]
        if len(members) > self.limits.members:
            raise RefusedMember(f"{len(members):,} files, more than the {self.limits.members:,} allowed in one archive")
        return [self._report(member, name) for member, name in zip(members, zip_names(members), strict=True)]

    def _report(self, member: zipfile.ZipInfo, name: str) -> PutReport:
        try:
            return PutReport(name, self._stored(member, name), "stored")
        except (RefusedMember, SettingError) as refused:
            reason = str(refused)
        except _DAMAGE:
            reason = "damaged: the content does not match the archive's directory"
        return PutReport(name, "", "refused", reason)

    def _stored(self, member: zipfile.ZipInfo, name: str) -> str:
        self._within_total()
        check_member(member, name, self.limits)
        folded = folded_name(name)
        if folded in self.taken:
            raise RefusedMember(same_name(self.taken[folded]))
        stored = self.put(safe_name(name), self._pieces(member))
        self.taken[folded] = name
        return stored

    def _pieces(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yield a member's unpacked bytes in pieces. Raises RefusedMember as soon as a limit is exceeded."""
        mine = 0
        with self._packed(member) as packed:
            while piece := packed.read(PIECE):
                mine += len(piece)
                self.out += len(piece)
                self._within_total()
                if mine > self.limits.file_bytes:
                    raise _too_big(self.limits)
                if mine > SMALL and mine > self.limits.ratio * min(member.compress_size, self.size):
                    raise RefusedMember(f"unpacks to over {self.limits.ratio} times its size, as zip bombs do")
                yield piece

    def _packed(self, member: zipfile.ZipInfo) -> IO[bytes]:
        try:
            return self.opened.open(member)
        except OSError as error:
            raise zipfile.BadZipFile("its place is outside the archive") from error

    def _within_total(self) -> None:
        if self.out > self.limits.total_bytes:
            raise RefusedMember(f"the archive unpacks to more than the {self.limits.total_bytes:,} bytes allowed")
        if self.out > SMALL and self.out > self.limits.ratio * self.size:
            raise RefusedMember(f"the archive unpacks to over {self.limits.ratio} times its size, as zip bombs do")


def folded_name(name: str) -> str:
    """The name by which files are distinguished: as stored, without case. Raises SettingError for an invalid name."""
    return unicodedata.normalize("NFC", safe_name(name).casefold())


def same_name(other: str) -> str:
    """Why a file is refused whose name is, when stored, that of another one of the same upload."""
    return f"the upload has {other[:200]!r} already, which would have the same name; rename one of them"


def check_member(member: zipfile.ZipInfo, name: str, limits: UploadLimits) -> None:
    """Check what is known of a member before unpacking. Raises RefusedMember."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    parts = SEPARATOR.split(name)
    if leaves(name):
        raise RefusedMember("its name leads out of the folder")
    if kind == stat.S_IFLNK or (member.create_system == 0 and member.external_attr & 0x400):
        raise RefusedMember("a link, not a file")
    if kind not in (0, stat.S_IFREG):
        raise RefusedMember("not an ordinary file")
    if is_hidden("/".join(parts)):
        raise RefusedMember("a hidden file")
    if member.flag_bits & 0x2041:
        raise RefusedMember("encrypted: a password is needed")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RefusedMember("compressed by an unsupported method; use an ordinary zip (deflate)")
    if member.file_size > limits.file_bytes:
        raise _too_big(limits)


def _too_big(limits: UploadLimits) -> RefusedMember:
    return RefusedMember(f"more than the {limits.file_bytes:,} bytes allowed for one file")
