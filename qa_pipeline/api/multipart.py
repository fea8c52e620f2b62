"""Multipart uploads, streamed to disk within limits.

Memory holds only one piece of a body at a time. Files on disk are named by numbers; the client's file names are only
returned, never used as paths.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from litestar import Request
from litestar.exceptions import ClientException
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from indexing.errors import DiskFull, SettingError
from qa_pipeline.api.auth import owner
from qa_pipeline.api.bodies import HELD
from qa_pipeline.errors import TooLarge
from qa_pipeline.service.settings import ServerSettings

FIELD_BYTES = 4_096
FIELDS = 16
UPLOADS = 2
"""Largest uploads of one key at once; more of smaller ones."""


@dataclass(frozen=True, slots=True)
class SentFile:
    """One file of an upload. name: from the client. path: on disk. size: in bytes. reason: why it was refused, or ""."""

    field: str
    name: str
    path: Path
    size: int
    reason: str = ""


@dataclass(slots=True)
class UploadResult:
    """A complete upload. folder: the folder of its files, which are named "0", "1" and so on."""

    folder: Path
    files: list[SentFile] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    kept: bool = False

    def keep(self) -> None:
        """Keep the folder for a job; otherwise it is removed at the end of the request."""
        self.kept = True


@asynccontextmanager
async def upload(request: Request[Any, Any, Any], uploads: Path, settings: ServerSettings) -> AsyncIterator[UploadResult]:
    """Receive the upload of a request. Raises TooLarge, SettingError, DiskFull; ClientException for a body that is no form.

    A file larger than `settings.file_bytes` is dropped, with the reason; the other files are kept. A zip archive may be as
    large as the upload, as the limit holds for each file in it.
    """
    sent = UploadResult(uploads / os.urandom(16).hex())
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > settings.upload_bytes:
        raise _too_large(settings)
    boundary = _boundary(request)
    size = int(announced) if announced.isdecimal() else settings.upload_bytes
    held: ExitStack = request.scope[HELD]  # type: ignore[literal-required]
    whose = f"{owner(request)} uploads"
    held.enter_context(request.app.state.service.reads.holding(whose, size, UPLOADS * settings.upload_bytes))
    await asyncio.to_thread(_check_room, uploads, settings.uploads_bytes)
    sent.folder.mkdir()
    try:
        with _UploadWriter(sent, settings) as writing:
            await _receive(request, boundary, writing, settings)
        yield sent
    finally:
        if not sent.kept:
            shutil.rmtree(sent.folder, ignore_errors=True)


def _check_room(uploads: Path, most: int) -> None:
    """Raises DiskFull if the uploads and answers that are kept have reached their limit."""
    size = 0
    for path in uploads.rglob("*"):
        with suppress(OSError):
            size += path.stat().st_size
    if size >= most:
        raise DiskFull(
            f"The uploads that are kept have {size:,} bytes, of {most:,} allowed (--uploads-bytes); wait or free some."
        )


def _boundary(request: Request[Any, Any, Any]) -> str:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind.lower() != "multipart/form-data" or not options.get("boundary"):
        raise SettingError("Send files as multipart/form-data, as `curl -F files=@report.pdf` does.")
    return str(options["boundary"])


async def _receive(request: Request[Any, Any, Any], boundary: str, writing: _UploadWriter, settings: ServerSettings) -> None:
    """Stream the body into files."""
    size = 0
    limits: dict[str, Any] = {"max_segment_count": settings.upload_files + FIELDS, "strict": False}
    try:
        with PushMultipartParser(boundary, **limits) as parser:
            async for piece in request.stream():
                size += len(piece)
                if size > settings.upload_bytes:
                    raise _too_large(settings)
                if piece and not parser.closed:
                    for event in parser.parse(piece):
                        writing.take(event)
    except (MultipartError, UnicodeDecodeError, LookupError) as error:
        raise ClientException(f"The body is not valid multipart/form-data ({error}).") from None


class _UploadWriter:
    """Writes the parser's events to files and fields."""

    def __init__(self, sent: UploadResult, settings: ServerSettings) -> None:
        self._sent = sent
        self._settings = settings
        self._part: MultipartSegment | None = None
        self._file: IO[bytes] | None = None
        self._value = bytearray()
        self._size = 0
        self._most = settings.file_bytes

    def __enter__(self) -> _UploadWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        if event is None:
            self._ended()
        elif isinstance(event, bytes | bytearray):
            self._more(event)
        else:
            self._begun(event)

    def _begun(self, part: MultipartSegment) -> None:
        self._part, self._size, self._value = part, 0, bytearray()
        if part.filename is not None:
            if len(self._sent.files) >= self._settings.upload_files:
                raise TooLarge(
                    f"More than {self._settings.upload_files:,} files in one upload; send them in several uploads."
                )
            packed = part.filename.lower().endswith(".zip")
            self._most = self._settings.upload_bytes if packed else self._settings.file_bytes
            self._file = (self._sent.folder / str(len(self._sent.files))).open("wb")

    def _more(self, piece: bytes | bytearray) -> None:
        self._size += len(piece)
        if self._file is None:
            self._value += piece
            if self._size > FIELD_BYTES:
                raise SettingError(f"A field of the form has more than {FIELD_BYTES:,} bytes.")
        elif self._size <= self._most:
            self._file.write(piece)

    def _ended(self) -> None:
        assert self._part is not None
        if self._file is None:
            self._sent.fields[self._part.name] = self._value.decode("utf-8", "replace")
            return
        self._file.close()
        self._file = None
        path = self._sent.folder / str(len(self._sent.files))
        reason = ""
        if self._size > self._most:
            reason = oversized(self._size, self._most)
            path.unlink()
        self._sent.files.append(SentFile(self._part.name, self._part.filename or "", path, self._size, reason))


def oversized(size: int, most: int) -> str:
    """Why a file of this size is refused."""
    return f"{size:,} bytes, more than the {most:,} allowed for one file"


def _too_large(settings: ServerSettings) -> TooLarge:
    return TooLarge(f"An upload of more than {settings.upload_bytes:,} bytes is refused; send the files in several uploads.")
