"""Values of the file parsers: the limits of one file, and the text of one document.

Invariants of `FileText`: page starts ascend from 0 and are inside the text; headings ascend, do not overlap, have levels
from 1 to 9, and are slices of the text without white space at their ends; the text can be encoded as UTF-8.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from indexing.errors import SettingError, UnreadableFile
from indexing.ocr.words import PlacedWord
from indexing.settings import whole_number

Scalar = str | int | float | bool
Heading = tuple[int, int, int]
"""Start, end and level (1 to DEEPEST_HEADING, as in Word) of a heading."""
DEEPEST_HEADING = 9

_SURROGATE = re.compile("[\ud800-\udfff]")
# Mojibake: UTF-8 of Latin or Cyrillic text, read as Windows-1252 or Latin-1. A lead byte's letter, then a continuation's.
_CONTINUED = "[\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
_MOJIBAKE = re.compile(f"[ÃÂÅÄÐÑ]{_CONTINUED}|â€{_CONTINUED}|ï»¿|\ufffd")


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Limits on the cost of parsing one file. Raises SettingError for a value out of range.

    max_bytes: size of the file. max_chars: characters of all its texts. max_pages: pages, slides or sheets.
    seconds: parsing time. memory_mb: address space that the parsing process may add, where the system can enforce it.
    hidden_text: whether hidden and struck-out text is read, too.

    >>> FileLimits(seconds=5).seconds
    5.0
    """

    max_bytes: int = 50_000_000
    max_chars: int = 20_000_000
    max_pages: int = 5_000
    seconds: float = 60.0
    memory_mb: int = 2_048
    hidden_text: bool = False

    def __post_init__(self) -> None:
        whole_number("max_bytes", self.max_bytes, 1, 1_000_000_000)
        whole_number("max_chars", self.max_chars, 1, 1_000_000_000)
        whole_number("max_pages", self.max_pages, 1, 1_000_000)
        whole_number("memory_mb", self.memory_mb, 64, 1_000_000)
        seconds = self.seconds
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= 86_400:
            raise SettingError(f"seconds is {seconds!r}; it must be a number above 0, up to 86,400.")
        object.__setattr__(self, "seconds", float(seconds))


@dataclass(frozen=True, slots=True)
class FileText:
    """The text of one document, never changed afterwards: every offset in the system counts its code points.

    pages: start of each page, ascending from 0; () for formats without pages.
    meta: title, author, date (ISO 8601), file_type, encoding, and other scalar fields of the format.
    headings: (start, end, level) in `text`, ascending, level 1 the highest.
    notes: remarks for the report, such as pages that were not read.
    record: the record's name, unique in the file, if the file has many records; else "".
    member: the place inside a container such as a mail or a zip, "/" between parts; "" for the file itself.
    unread: pages, from 1, whose text has to be recognised. recognised: those whose text was, with their words by places
    in the text of their page.
    """

    text: str
    pages: tuple[int, ...] = ()
    meta: Mapping[str, Scalar] = field(default_factory=dict)
    headings: tuple[Heading, ...] = ()
    notes: tuple[str, ...] = ()
    record: str = ""
    member: str = ""
    unread: tuple[int, ...] = ()
    recognised: Mapping[int, tuple[PlacedWord, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside another: an attachment, or a member of an archive. reason: why it is not read, or ""."""

    name: str
    data: bytes = b""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a parser finds in a file: its own texts, and the files inside it."""

    texts: list[FileText]
    members: list[Member] = field(default_factory=list)


class TextBuilder:
    """Builds a text piece by piece, with its headings and pages, up to a limit of characters.

    >>> builder = TextBuilder(100)
    >>> builder.heading("Bridges", 1)
    >>> builder.add("They are long.")
    9
    >>> builder.text(), builder.headings
    ('Bridges\\n\\nThey are long.', [(0, 7, 1)])
    """

    def __init__(self, max_chars: int) -> None:
        self.max_chars = max_chars
        self.length = 0
        self.headings: list[Heading] = []
        self.pages: list[int] = []
        self._pieces: list[str] = []

    def write(self, piece: str) -> None:
        """Append exactly `piece`. Raises UnreadableFile when the text exceeds the limit."""
        self._pieces.append(piece)
        self.length += len(piece)
        check_chars(self.length, self.max_chars)

    def add(self, block: str, gap: str = "\n\n") -> int:
        """Append a block after the separator `gap` and return the block's start. An empty block is ignored."""
        if block and self.length:
            self.write(gap)
        self.write(block)
        return self.length - len(block)

    def heading(self, block: str, level: int, gap: str = "\n\n") -> None:
        """Append a block that is a heading of this level, 1 the highest; beyond 9 it counts as 9."""
        block = block.strip()
        start = self.add(block, gap)
        if block:
            self.headings.append((start, self.length, min(max(level, 1), DEEPEST_HEADING)))

    def page(self, gap: str = "\n\n") -> None:
        """Begin a new page."""
        if self.pages:
            self.write(gap)
        self.pages.append(self.length)

    def text(self) -> str:
        """The whole text so far."""
        return "".join(self._pieces)


def check_chars(count: int, limit: int) -> None:
    """Raises UnreadableFile when a text of `count` characters is too long."""
    if count > limit:
        raise UnreadableFile(f"{count:,} characters of text, more than the {limit:,} allowed (--max-chars)")


def check_pages(count: int, limit: int, name: str = "pages") -> None:
    """Raises UnreadableFile when a document has too many pages."""
    if count > limit:
        raise UnreadableFile(f"{count:,} {name}, more than the {limit:,} allowed (--max-pages)")


def without_surrogates(text: str) -> str:
    """`text` with each lone surrogate replaced by U+FFFD, so that it can be encoded as UTF-8; the length is the same."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def clean_meta(values: Iterable[tuple[str, object]]) -> dict[str, Scalar]:
    """The values that can be stored. Empty texts and non-finite numbers are dropped; ints over 64 bits become hex text."""
    meta: dict[str, Scalar] = {}
    for name, value in values:
        if isinstance(value, str):
            value = without_surrogates(value).strip()
        elif isinstance(value, int) and abs(value) >= 2**63:
            value = hex(value)
        elif isinstance(value, float):
            if not math.isfinite(value):
                continue
            value = float(value)
        if name and isinstance(value, (str, int, float, bool)) and value != "":
            meta[without_surrogates(name)] = value
    return meta


def mojibake_note(text: str) -> tuple[str, ...]:
    """A remark if the text looks like mojibake: decoded with a wrong encoding before it was saved.

    >>> mojibake_note("La mÃ©tÃ©o de lâ€™Ã©tÃ©"), mojibake_note("La météo de l’été")
    (('mojibake suspected (text decoded wrongly before it was saved)',), ())
    """
    sample = text[:200_000]
    if sample.isascii():
        return ()
    hits = len(_MOJIBAKE.findall(sample))
    found = hits >= 3 and hits * 5 > len(sample) - len(sample.encode("ascii", "ignore"))
    return ("mojibake suspected (text decoded wrongly before it was saved)",) if found else ()


def counted(count: int, name: str, rest: str) -> list[str]:
    """A remark on `count` things; none for 0.

    >>> counted(2, "comment", "not read"), counted(0, "comment", "not read")
    (['2 comments not read'], [])
    """
    return [f"{count:,} {name}{'s' * (count > 1)} {rest}"] if count else []


def ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers as text, with runs abbreviated.

    >>> ranges([1, 3, 4, 5, 9])
    '1, 3–5, 9'
    """
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ", ".join("–".join(map(str, part)) for part in parts)
