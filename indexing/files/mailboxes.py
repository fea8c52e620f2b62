"""Mailboxes (mbox): their messages one after the other, in memory of one message."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import IO

from indexing.errors import UnreadableFile
from indexing.files.file_text import FileText
from indexing.files.remarks import Remarks

_SEPARATOR = re.compile(rb"From \S.*\b(?:19|20)\d\d\b")
_FIRST = re.compile(rb"(?:\xef\xbb\xbf)?\s*From [^\n]*\b(?:19|20)\d\d\b[^\n]*\n(?:>?[A-Za-z][A-Za-z0-9-]*:|From )")
PART_CHARACTERS, PART_MESSAGES = 200_000, 500
_PLACE = re.compile(r"\d+\.eml: ")
_BLOCK = 1 << 20
_QUOTED = re.compile(rb"^>(>*From )", re.M)


def is_mailbox(data: bytes) -> bool:
    """Whether bytes begin with the separator of a mailbox and a header.

    >>> is_mailbox(b"From ada@example.org Mon Jan  2 10:00:00 2023\\nSubject: x\\n"), is_mailbox(b"From 2023 on, we paid")
    (True, False)
    """
    return _FIRST.match(data[:2_000]) is not None


def messages(stream: Iterable[bytes], most: int) -> Iterator[tuple[int, int, bytes]]:
    """(number from 1, offset after it, bytes) of each message; b"" for one of more than `most` bytes.

    stream: lines with their ends; a long one may come in pieces.
    A line "From … 2023" begins a message where a blank line stands before it. Quoted ones (">From ") lose the mark.
    """
    number, end, size = 0, 0, 0
    lines: list[bytes] = []
    blank = whole = True
    for line in stream:
        if blank and line.startswith(b"From ") and _SEPARATOR.match(line):
            if number:
                yield number, end, _message(lines, size, most)
            number, lines, size = number + 1, [], 0
        elif number:
            size += len(line)
            if size <= most:
                lines.append(line)
        end += len(line)
        blank = (whole and line in (b"\n", b"\r\n")) or not number
        whole = line.endswith(b"\n")
    if number:
        yield number, end, _message(lines, size, most)


def _message(lines: list[bytes], size: int, most: int) -> bytes:
    return _QUOTED.sub(rb"\1", b"".join(lines)) if size <= most else b""


@dataclass(frozen=True, slots=True)
class MailboxPart:
    """Some messages of a mailbox. size, digest: the bytes up to their end, and the hash of those.

    begun: the part continues earlier ones, which stay. notes: of all parts so far.
    """

    texts: tuple[FileText, ...]
    size: int
    digest: str
    begun: bool
    last: bool
    notes: tuple[str, ...]


ReadMessage = Callable[[bytes, str], "list[FileText]"]


def read_parts(
    stream: IO[bytes], source: str, read: ReadMessage, most: int, known: tuple[int, str], notes: tuple[str, ...] = ()
) -> Iterator[MailboxPart]:
    """The messages of a mailbox in parts; message 7 has the place `7.eml`.

    read: the texts of a message's bytes and source. most: the bytes of one message.
    known: (size, hash) of what earlier parts covered. If the stream still begins with it, reading goes on behind it.
    """
    start = known[0] if known[0] and hash_of(stream, known[0]) == known[1] else 0
    stream.seek(0)
    lines = _HashedLines(stream)
    part = _Part(source, read, list(notes) if start else [])
    at_start = start == 0
    size, digest, begun = start, known[1], start > 0
    for number, end, data in messages(lines, most):
        if end <= start:
            at_start = at_start or end == start
            continue
        if not at_start:  # It was cut inside a message then; that one has to be read as a whole.
            yield from read_parts(stream, source, read, most, (0, ""))
            return
        if part.is_full():
            yield MailboxPart(part.take(), size, digest, begun, False, part.remarks())
            begun = True
        part.add(number, data, most)
        size, digest = end, lines.digest()
    yield MailboxPart(part.take(), size, lines.digest(), begun, True, part.remarks())


class _Part:
    """The messages that are read together."""

    def __init__(self, source: str, read: ReadMessage, notes: list[str]) -> None:
        self.source, self.read = source, read
        self._remarks = Remarks(notes, _PLACE)
        self._texts: list[FileText] = []
        self._characters = self._messages = 0

    def is_full(self) -> bool:
        return self._characters >= PART_CHARACTERS or self._messages >= PART_MESSAGES

    def add(self, number: int, data: bytes, most: int) -> None:
        place = f"{number}.eml"
        self._messages += 1
        try:
            if not data:
                raise UnreadableFile(f"empty, or more than the {most:,} bytes allowed (--max-bytes)")
            texts = self.read(data, f"{self.source}/{place}")
        except UnreadableFile as error:
            self._remarks.add(place, str(error))
            return
        for text in texts:
            for note in text.notes:
                self._remarks.add(place, note)
            meta = dict(text.meta) if text.member else {**text.meta, "parent": self.source}
            member = f"{place}/{text.member}" if text.member else place
            self._texts.append(replace(text, member=member, notes=(), meta=meta))
            self._characters += len(text.text)

    def take(self) -> tuple[FileText, ...]:
        texts = tuple(self._texts)
        self._texts, self._characters, self._messages = [], 0, 0
        return texts

    def remarks(self) -> tuple[str, ...]:
        """The remarks on all messages so far."""
        return self._remarks.told()


class _HashedLines:
    """The lines of a stream, long ones in pieces. `digest` covers those before the last one that was given out."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.blake2b(digest_size=16)

    def __iter__(self) -> Iterator[bytes]:
        while line := self._stream.readline(_BLOCK):
            yield line
            self._hash.update(line)

    def digest(self) -> str:
        return self._hash.hexdigest()


def hash_of(stream: IO[bytes], size: int) -> str:
    """BLAKE2b-128 of the first `size` bytes; "" if there are fewer."""
    stream.seek(0)
    found = hashlib.blake2b(digest_size=16)
    while size > 0:
        block = stream.read(min(size, _BLOCK))
        if not block:
            return ""
        found.update(block)
        size -= len(block)
    return found.hexdigest()
