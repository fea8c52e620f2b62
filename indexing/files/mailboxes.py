"""Mailboxes (mbox): their messages one after the other, in memory of one message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

_SEPARATOR = re.compile(rb"From \S.*\b(?:19|20)\d\d\b")
_FIRST = re.compile(rb"(?:\xef\xbb\xbf)?\s*From [^\n]*\b(?:19|20)\d\d\b[^\n]*\n(?:>?[A-Za-z][A-Za-z0-9-]*:|From )")
_QUOTED = re.compile(rb"^>(>*From )", re.M)


def is_mailbox(data: bytes) -> bool:
    """Whether bytes begin with the separator of a mailbox and a header.

    >>> is_mailbox(b"From ada@example.org Mon Jan  2 10:00:00 2023\\nSubject: x\\n"), is_mailbox(b"From 2023 on, we paid")
    (True, False)
    """
    return _FIRST.match(data[:2_000]) is not None


def messages(stream: IO[bytes], most: int) -> Iterator[tuple[int, int, bytes]]:
    """(number from 1, offset after it, bytes) of each message; b"" for one of more than `most` bytes.

    A line "From … 2023" begins a message where a blank line stands before it. Quoted ones (">From ") lose the mark.
    """
    number, end, size = 0, 0, 0
    lines: list[bytes] = []
    blank = True
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
        blank = line in (b"\n", b"\r\n") or not number
    if number:
        yield number, end, _message(lines, size, most)


def _message(lines: list[bytes], size: int, most: int) -> bytes:
    return _QUOTED.sub(rb"\1", b"".join(lines)) if size <= most else b""
