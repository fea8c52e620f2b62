"""An upload: whether the service would take it, which file is being sent, and how much of all bytes is gone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ui.client.schemas import Limits
from ui.render.html_tables import count, size
from ui.render.names import plain

EVERY_S = 0.1
NAMED = 3


def limits_told(limits: Limits) -> str:
    """The limits in one sentence.

    >>> limits_told(Limits(50_000_000, 500_000_000, 1_000))
    'At most 1,000 files and 500.0 MB at once; 50.0 MB a file, except for zip archives.'
    """
    most = count(limits.upload_files, "file")
    return (
        f"At most {most} and {size(limits.upload_bytes)} at once; {size(limits.file_bytes)} a file, except for zip archives."
    )


def too_much(files: Sequence[tuple[str, int]], limits: Limits) -> str:
    """Why the service would refuse this upload as a whole, "" if it would not. files: names and sizes in bytes.

    >>> too_much([("a.pdf", 400), ("b.pdf", 200)], Limits(500, 500, 2))
    'These files have 600 bytes, and 500 bytes are the most at once. Remove some, and add them afterwards.'
    """
    total = sum(number for _, number in files)
    if len(files) > limits.upload_files:
        return (
            f"These are {len(files):,} files, and {limits.upload_files:,} are the most at once."
            " Remove some, and add them afterwards."
        )
    if total > limits.upload_bytes:
        most = size(limits.upload_bytes)
        return f"These files have {size(total)}, and {most} are the most at once. Remove some, and add them afterwards."
    return ""


def too_large(files: Sequence[tuple[str, int]], limits: Limits) -> str:
    """Which files the service would leave out because of their size, as Markdown; "" if none. files: names and bytes.

    >>> too_large([("a.pdf", 400), ("b.pdf", 600), ("c.zip", 700)], Limits(500, 900, 2))
    'Larger than 500 bytes, and left out: \u2068b\\\\.pdf\u2069.'
    """
    large = [name for name, number in files if number > limits.file_bytes and not name.lower().endswith(".zip")]
    if not large:
        return ""
    more = f" and {len(large) - NAMED:,} more" if len(large) > NAMED else ""
    named = ", ".join(plain(name, isolate=True) for name in large[:NAMED])
    return f"Larger than {size(limits.file_bytes)}, and left out: {named}{more}."


class SendingProgress:
    """A bar in a place of the page, drawn at most every EVERY_S seconds."""

    def __init__(self, place: Any) -> None:
        self._place = place
        self._drawn = 0.0

    def show(self, name: str, number: int, files: int, sent: int, total: int) -> None:
        """Draws that file `number` of `files` is being sent, and `sent` of `total` bytes are gone."""
        now = time.monotonic()
        if now - self._drawn >= EVERY_S:
            self._drawn = now
            self._place.progress(min(1.0, sent / max(1, total)), sending(name, number, files))


def sending(name: str, number: int, files: int) -> str:
    """What is being sent, as Markdown.

    >>> sending("a.pdf", 3, 200)
    'Sending file 3 of 200: \u2068a\\\\.pdf\u2069'
    """
    return f"Sending file {number:,} of {files:,}: {plain(name, isolate=True)}"


class CountedFile:
    """A file that reports each read; everything else is the file's own."""

    def __init__(self, file: Any, report: Any) -> None:
        self._file = file
        self._report = report

    def read(self, size: int = -1) -> bytes:
        """As the file's; the number of bytes is reported."""
        data: bytes = self._file.read(size)
        self._report(len(data))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def counted(files: Sequence[tuple[str, Any, int]], progress: SendingProgress) -> list[tuple[str, Any]]:
    """Names and files to send, whose reads move the bar. files: name, file and its size in bytes."""
    total, sent = sum(size for _, _, size in files), [0]

    def report(name: str, number: int, size: int) -> None:
        sent[0] += size
        progress.show(name, number, len(files), sent[0], total)

    return [
        (name, CountedFile(file, lambda size, name=name, number=number: report(name, number, size)))
        for number, (name, file, _) in enumerate(files, 1)
    ]
