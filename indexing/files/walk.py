"""Walks a folder in sorted order and turns each file into text with a page map, or into the reason why not.

Plain text and Markdown are decoded in this process, at the speed of reading. All other formats go to a worker process
(`indexing.files.sandbox`) with limits on time, memory and size. So no file can stop or crash a run.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from indexing.errors import IndexFolderError, RefusedFile, UnreadableFile, os_reason
from indexing.files.file_text import FileLimits, FileText
from indexing.files.hidden_names import is_hidden
from indexing.files.mailboxes import MailboxPart, hash_of, is_mailbox, read_parts
from indexing.files.members import RECORD, Scans, texts_of
from indexing.files.sandbox import Worker

__all__ = ["FileLimits", "FileReader", "FileText", "FoundFile", "content_hash", "file_hash", "find_files"]

logger = logging.getLogger(__name__)

_DATABASE, _SQLITE = "corpus.db", b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of the folder. path: absolute. source: path inside the folder in NFC, "/" between parts.

    ctime_ns: when content or attributes were last changed, which no program can set back; 0 if unknown.
    """

    path: Path
    source: str
    size: int
    mtime_ns: int
    ctime_ns: int = 0


# -- the walk ----------------------------------------------------------------------------------------------------------


def find_files(folder: Path) -> Iterator[FoundFile]:
    """Every file below `folder`, sorted by source. If `folder` is a file, that file, with its name as source.

    Hidden files and folders (".name", "~$name") and index folders of docqa are skipped; folders of a Maildir are not
    (`hidden_names`). Links are followed if they stay inside the folder; each folder is visited once, so link loops end. A
    folder that cannot be opened is yielded itself, and reading it gives the reason.
    Raises IndexFolderError if `folder` is missing, or neither a folder nor a file.
    """
    top = os.path.abspath(folder)
    try:
        mode = os.stat(top).st_mode
    except OSError as error:
        raise IndexFolderError(f"{folder} cannot be opened ({os_reason(error)}); name a folder of documents.") from None
    except ValueError:
        raise IndexFolderError(f"{str(folder)!r} is not the name of a folder.") from None
    if stat.S_ISREG(mode):
        yield _found(top, _part(os.path.basename(top)), os.stat(top))
    elif not stat.S_ISDIR(mode):
        raise IndexFolderError(f"{folder} is neither a folder nor a file; name a folder of documents.")
    else:
        yield from sorted(_Walk(top).files(), key=lambda file: file.source)


class _Walk:
    """One walk: real folders first, then folders behind links that were not visited yet."""

    def __init__(self, top: str) -> None:
        self.top = top
        self.real_top = os.path.realpath(top)
        self.seen: set[str] = set()
        self.sources: set[str] = set()
        self.links: list[tuple[str, str]] = []

    def files(self) -> Iterator[FoundFile]:
        if not os.access(self.top, os.R_OK | os.X_OK):
            raise IndexFolderError(f"{self.top} cannot be opened (permission denied); name a folder that can be read.")
        yield from self._below(self.top, "")
        while self.links:
            path, source = self.links.pop(0)
            if self._inside(path) and os.path.realpath(path) not in self.seen:
                yield from self._below(path, source)

    def _below(self, path: str, source: str) -> Iterator[FoundFile]:
        """The files of a folder and its subfolders, without following links to folders."""
        waiting = [(path, source)]
        while waiting:
            path, source = waiting.pop()
            self.seen.add(os.path.realpath(path))
            for entry in self._entries(path):
                name = f"{source}/{_part(entry.name)}" if source else _part(entry.name)
                if is_hidden(entry.name):
                    waiting += [(os.path.join(entry.path, part), f"{name}/{part}") for part in _mail_parts(entry.path)]
                elif entry.is_dir(follow_symlinks=False):
                    if _is_index(entry.path):
                        logger.info("%s is left out: it is an index folder of docqa.", name)
                    elif os.access(entry.path, os.R_OK | os.X_OK):
                        waiting.append((entry.path, name))
                    else:
                        yield _found(entry.path, self._unique(name, entry.name), entry.stat(follow_symlinks=False))
                else:
                    yield from self._file(entry, name)

    def _entries(self, path: str) -> list[os.DirEntry[str]]:
        """The entries of a folder without hidden ones, NFC names first; [] if the folder has disappeared."""
        try:
            with os.scandir(path) as found:
                entries = [entry for entry in found if not is_hidden(entry.name) or _is_mail_folder(entry)]
        except OSError as error:
            logger.warning("%s cannot be listed (%s).", path, os_reason(error))
            return []
        return sorted(entries, key=lambda entry: (_part(entry.name) != entry.name, entry.name))

    def _file(self, entry: os.DirEntry[str], name: str) -> Iterator[FoundFile]:
        """The file of an entry; nothing for broken links, links out of the folder, pipes and devices."""
        try:
            facts = entry.stat()
        except OSError:
            logger.info("%s is left out: it is gone, or a broken link.", name)
            return
        if entry.is_symlink() and not self._inside(entry.path):
            logger.info("%s is left out: the link leaves the folder.", name)
        elif stat.S_ISDIR(facts.st_mode):
            self.links.append((entry.path, name))
        elif stat.S_ISREG(facts.st_mode):
            yield _found(entry.path, self._unique(name, entry.name), facts)

    def _inside(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real == self.real_top or real.startswith(self.real_top.rstrip(os.sep) + os.sep)

    def _unique(self, source: str, name: str) -> str:
        """`source`; if another file has it (names equal after normalization), the same with the raw name."""
        if source in self.sources:
            source = source[: len(source) - len(_part(name))] + _escaped(name)
        self.sources.add(source)
        return source


def _is_mail_folder(entry: os.DirEntry[str]) -> bool:
    """Whether a hidden folder is one of a Maildir, such as `.Sent`."""
    visible = not is_hidden(f"{entry.name}/cur/1")
    return visible and entry.is_dir(follow_symlinks=False) and bool(_mail_parts(entry.path))


def _mail_parts(path: str) -> list[str]:
    """Where the messages of a folder of a Maildir stand: `cur` and `new`, if it has both."""
    found = [part for part in ("cur", "new") if os.path.isdir(os.path.join(path, part))]
    return found if len(found) == 2 else []


def _is_index(path: str) -> bool:
    """Whether a folder is an index folder of docqa. Its files are no documents."""
    try:
        with open(os.path.join(path, _DATABASE), "rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def _found(path: str, source: str, facts: os.stat_result) -> FoundFile:
    return FoundFile(Path(path), source, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def _escaped(name: str) -> str:
    """A file name as text, with bytes that are not UTF-8 as \\xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def source_of(path: str) -> str:
    """The source of a file by its path inside the folder, as the walk names it.

    >>> source_of("a/b#1")
    'a/b\\\\x231'
    """
    return "/".join(map(_part, path.split("/")))


def _part(name: str) -> str:
    """A name as a part of a source: NFC. A final "#1" is escaped, since "#" separates the names of records."""
    plain = name if name.isascii() else unicodedata.normalize("NFC", _escaped(name))
    return RECORD.sub(r"\\x23\1", plain)


# -- reading -----------------------------------------------------------------------------------------------------------


def content_hash(data: bytes) -> str:
    """BLAKE2b-128 of a file's bytes, 32 hex digits.

    >>> content_hash(b"")
    'cae66941d9efbd404e4d88758ea67670'
    """
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def file_hash(path: Path) -> str:
    """`content_hash` of a file of any size, in blocks. Raises OSError."""
    with open(path, "rb") as stream:
        return hash_of(stream, os.fstat(stream.fileno()).st_size)


class FileReader:
    """Reads files one after the other. It starts the parsing process when first needed and keeps it until closed.

    scans: for pictures and pages without text; None leaves them out, and `why_not` tells what would read them.
    Not thread-safe. After a crash, a timeout or too much memory, the next file gets a fresh process.
    """

    def __init__(
        self,
        limits: FileLimits = FileLimits(),  # noqa: B008 (frozen)
        scans: Scans | None = None,
        why_not: str = "",
    ) -> None:
        self.limits, self.scans, self.why_not = limits, scans, why_not
        self._worker = Worker(limits)

    def __enter__(self) -> FileReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the worker process; another read starts a new one."""
        self._worker.close()

    def read(self, file: FoundFile) -> tuple[list[FileText], str]:
        """The texts of a file (one for each record) and the hash of its bytes. Raises UnreadableFile."""
        data = _bytes_of(file.path, self.limits.max_bytes)
        return self.parse(data, file.source), content_hash(data)

    def parse(self, data: bytes, source: str) -> list[FileText]:
        """The texts of a file with these bytes: one for each record and file inside. Raises UnreadableFile."""
        check_size(len(data), self.limits.max_bytes)
        return texts_of(data, source, self._worker.contents, self.limits, self.scans, self.why_not)

    def is_mailbox(self, file: FoundFile) -> bool:
        """Whether a file is a mailbox, which may be larger than one file and is read in parts."""
        if file.size <= self.limits.max_bytes and not file.source.lower().endswith((".mbox", ".mbx")):
            return False
        try:
            with open(file.path, "rb") as stream:
                return is_mailbox(stream.read(2_000))
        except OSError:
            return False

    def read_mailbox(self, file: FoundFile, known: tuple[int, str], notes: tuple[str, ...] = ()) -> Iterator[MailboxPart]:
        """The messages of a mailbox in parts, after the bytes that `known` (size, hash) covers. Raises UnreadableFile."""

        def read(data: bytes, source: str) -> list[FileText]:
            return texts_of(data, source, self._worker.contents, self.limits, self.scans, self.why_not)

        try:
            with open(file.path, "rb") as stream:
                yield from read_parts(stream, file.source, read, self.limits.max_bytes, known, notes)
        except OSError as error:
            raise RefusedFile(f"cannot be read: {os_reason(error)}") from None


def _bytes_of(path: Path, limit: int) -> bytes:
    """The bytes of a file. Raises UnreadableFile if it is missing, too big, not a file or not permitted."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise RefusedFile(f"cannot be opened: {os_reason(error)}") from None
    try:
        facts = os.fstat(handle)
        if stat.S_ISDIR(facts.st_mode):
            raise UnreadableFile("a folder that cannot be opened: permission denied")
        if not stat.S_ISREG(facts.st_mode):
            raise UnreadableFile("not an ordinary file")
        _check_limit(facts.st_size, limit)
        data = _read_all(handle, facts.st_size, limit)
    except OSError as error:
        raise RefusedFile(f"cannot be read: {os_reason(error)}") from None
    finally:
        os.close(handle)
    return data


def _read_all(handle: int, size: int, limit: int) -> bytes:
    """Read a file to its end; for a file that does not grow meanwhile, with one read and one empty read."""
    data = os.read(handle, size + 1)
    if len(data) == size:
        return data
    pieces = [data]
    while piece := os.read(handle, 1 << 20):
        pieces.append(piece)
        _check_limit(sum(map(len, pieces)), limit)
    return b"".join(pieces)


def check_size(size: int, limit: int) -> None:
    """Raise UnreadableFile for a file that is empty, or has more bytes than the limit."""
    if not size:
        raise UnreadableFile("empty (0 bytes)")
    _check_limit(size, limit)


def _check_limit(size: int, limit: int) -> None:
    if size > limit:
        raise UnreadableFile(f"{size:,} bytes, more than the {limit:,} allowed (--max-bytes)")
