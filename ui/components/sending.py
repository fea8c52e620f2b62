"""The progress of an upload: which file is being sent, and how much of all bytes is gone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ui.render.names import plain

EVERY_S = 0.1


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
