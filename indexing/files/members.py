"""Reads a file and the files inside it: attachments of mails and members of archives, nested to a depth.

Each of them is parsed on its own, so that one bad member costs no other. Depth, number and bytes are bounded, and what is
not read is named in a remark.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from indexing.errors import UnreadableFile
from indexing.files.file_text import Contents, FileLimits, FileText, Member
from indexing.files.file_type import kind_of
from indexing.files.formats import PLAIN, WITH_SCANS, check, plain_text
from indexing.files.pictures import KINDS, picture_kind
from indexing.files.remarks import Remarks
from indexing.ocr.settings import OcrSettings

DEEPEST = 5
MOST_MEMBERS = 10_000
MOST_BYTES = 500_000_000
SCAN = re.compile("no text layer|text (?:is not legible|looks right-to-left reversed)")
RECORD = re.compile(r"#(\d+)$")
_NAMED, _SHOWN = 10, 100
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
_DRIVE = re.compile(r"^[A-Za-z]:(?=[/\\])")

Parse = Callable[[bytes, str, str], Contents]


class Scans(Protocol):
    """Takes the texts of a PDF or a picture with their unread pages, and gives them with recognised text, or as they are."""

    @property
    def settings(self) -> OcrSettings: ...

    def texts(self, data: bytes, kind: str, texts: list[FileText]) -> list[FileText]: ...


def texts_of(
    data: bytes, source: str, parse: Parse, limits: FileLimits, scans: Scans | None = None, why_not: str = ""
) -> list[FileText]:
    """The texts of a file and of the files inside it; those have their place as `member` and the parent as meta.

    parse: gives the contents of bytes of a kind. scans: for pages without text; None leaves them out, and `why_not` tells
    what would read them. Raises UnreadableFile if nothing of the file can be read.
    """
    return _Reading(source, parse, limits, scans, why_not).texts(data)


class _Reading:
    """One file while it is read, with what its members may still cost."""

    def __init__(self, source: str, parse: Parse, limits: FileLimits, scans: Scans | None, why_not: str) -> None:
        self.source, self.parse, self.limits, self.scans, self.why_not = source, parse, limits, scans, why_not
        self.members, self.bytes = MOST_MEMBERS, MOST_BYTES
        self.unread: list[tuple[str, str]] = []

    def texts(self, data: bytes) -> list[FileText]:
        found = self._of(data, self.source, "", "", 0)
        try:
            texts = self._checked(found) if len(found) == 1 or not any(text.member for text in found) else found
        except UnreadableFile as error:
            raise UnreadableFile("; ".join([str(error), *self._remark()])) from None
        texts = [text for text in texts if text.text.strip() or text.unread] if len(texts) > 1 else texts
        remark = self._remark()
        if not texts:
            raise UnreadableFile("; ".join(["no text in it", *remark]))
        return _remarked(texts, remark)

    def _of(self, data: bytes, name: str, place: str, parent: str, depth: int) -> list[FileText]:
        """The texts of bytes with a name, and of their members. place, parent: inside the file, "" for the file itself."""
        found = self._contents(data, name)
        texts = [replace(text, member=place) for text in found.texts] if place else found.texts
        if depth:
            above = f"{self.source}/{parent}" if parent else self.source
            checked = self._checked(texts) if texts else []
            texts = [replace(text, meta={**text.meta, "parent": above}) for text in checked]
        names: set[str] = set()
        for member in found.members:
            inner = unique(clean_name(member.name or _uncompressed(name)), names)
            texts += self._member(member, inner, f"{place}/{inner}" if place else inner, place, depth + 1)
        return texts

    def _contents(self, data: bytes, name: str) -> Contents:
        """What is in bytes with a name, with the text of scans recognised. Raises UnreadableFile."""
        picture = picture_kind(data)
        if picture and self.scans is None and self.why_not:
            raise UnreadableFile(f"an image ({KINDS[picture]}); {self.why_not}")
        kind = picture if picture and self.scans is not None else kind_of(data, name)
        if kind in PLAIN:
            return Contents([plain_text(data, kind)])
        if self.scans is None or kind not in WITH_SCANS:
            return self._parsed(data, kind)
        found = self.parse(data, f"{kind}+{self.scans.settings.mode}" if kind == "pdf" else kind, self.source)
        return replace(found, texts=self.scans.texts(data, kind, found.texts))

    def _parsed(self, data: bytes, kind: str) -> Contents:
        """The contents of bytes of a kind; for scans that are not read, the reason or a note tells what would read them."""
        try:
            found = self.parse(data, kind, self.source)
        except UnreadableFile as error:
            if self.why_not and SCAN.match(str(error)):
                raise UnreadableFile(f"{error}; {self.why_not}") from None
            raise
        texts = [
            replace(text, notes=tuple(f"{n}; {self.why_not}" if self.why_not and SCAN.match(n) else n for n in text.notes))
            for text in found.texts
        ]
        return replace(found, texts=texts)

    def _checked(self, texts: list[FileText]) -> list[FileText]:
        """As `check`, but texts whose pages are not recognised yet may be blank."""
        return texts if any(text.unread for text in texts) else check(texts, self.limits)

    def _member(self, member: Member, name: str, place: str, parent: str, depth: int) -> list[FileText]:
        """The texts of a member; [] if it is not read, which is noted."""
        reason = member.reason
        self.members -= 1
        self.bytes -= len(member.data)
        if not reason and depth > DEEPEST:
            reason = f"nested more than {DEEPEST} deep"
        if not reason and (self.members < 0 or self.bytes < 0):
            reason = f"beyond the first {MOST_MEMBERS:,} files or {MOST_BYTES:,} bytes"
        if not reason and len(member.data) > self.limits.max_bytes:
            reason = f"{len(member.data):,} bytes, more than the {self.limits.max_bytes:,} allowed (--max-bytes)"
        if not reason and not member.data:
            reason = "empty (0 bytes)"
        try:
            if reason:
                raise UnreadableFile(reason)
            return self._of(member.data, name, place, parent, depth)
        except UnreadableFile as error:
            self.unread.append((place, str(error)))
            return []

    def _remark(self) -> list[str]:
        """A remark that names the members that are not read, with their reasons."""
        if not self.unread:
            return []
        count = len(self.unread)
        shown = [
            f"{_shortened(place)} ({reason.replace(', not a format we read', '')})" for place, reason in self.unread[:_NAMED]
        ]
        return [f"{count:,} file{'s' * (count > 1)} in it not read: {', '.join(shown)}" + (", …" if count > _NAMED else "")]


def _shortened(place: str) -> str:
    """The end of a long name, such as damaged archives have."""
    return place if len(place) <= _SHOWN else f"…{place[-_SHOWN:]}"


def _uncompressed(name: str) -> str:
    """The name of what a compressed file holds.

    >>> _uncompressed("in/depths.csv.bz2"), _uncompressed("data.zst")
    ('depths.csv', 'data')
    """
    return name.rpartition("/")[2].rpartition(".")[0]


def clean_name(name: str) -> str:
    """A member's name as a part of a source: NFC, "/" between parts, no control characters, no way out of its container.

    >>> clean_name("../a\\\\b\\x00.txt"), clean_name("/etc/x#1"), clean_name("")
    ('a/b .txt', 'etc/x\\\\x231', 'unnamed')
    """
    plain = unicodedata.normalize("NFC", name.encode("utf-8", "backslashreplace").decode())
    plain = _DRIVE.sub("", _CONTROLS.sub(" ", plain)).replace("\\", "/")
    parts = [part.strip() for part in plain.split("/")]
    kept = [part[:200] for part in parts if part not in ("", ".", "..")]
    return RECORD.sub(r"\\x23\1", "/".join(kept)) or "unnamed"


def unique(name: str, names: set[str]) -> str:
    """The name, or with a number before its extension if `names` has it; it is added to them.

    >>> names = set()
    >>> unique("a.txt", names), unique("a.txt", names)
    ('a.txt', 'a (2).txt')
    """
    stem, dot, ending = name.rpartition(".")
    stem, ending = (stem, dot + ending) if stem and "/" not in ending else (name, "")
    found, number = name, 2
    while found in names:
        found, number = f"{stem} ({number}){ending}", number + 1
    names.add(found)
    return found


def _remarked(texts: list[FileText], remark: Iterable[str]) -> list[FileText]:
    """The texts, the first of which has the remarks on all members, folded, and those on the file."""
    folded = Remarks()
    for text in texts:
        for note in text.notes if text.member else ():
            folded.add(text.member, note)
    first, *others = (replace(text, notes=()) if text.member and text.notes else text for text in texts)
    return [replace(first, notes=(*first.notes, *folded.told(), *remark)), *others]
