"""Names in zip files: UTF-8 where they are marked so, else in the encoding of the country they come from."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence

from indexing.files.charset import decode
from indexing.files.legacy_encodings import strict

# Where the guess is one of these, the standard's CP437 is likelier: names have too few letters to tell them apart.
_WESTERN = frozenset(("cp1252", "cp1254", "cp850", "mac_roman", "latin-1"))


def zip_names(members: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The names of members. Those not marked as UTF-8, and not UTF-8, are decoded together by the letters they have.

    >>> info = zipfile.ZipInfo("Отчёт за год.txt".encode("cp866").decode("cp437"))
    >>> zip_names([info])
    ['Отчёт за год.txt']
    """
    raw = [b"" if member.flag_bits & 0x800 else _raw(member) for member in members]
    plain = [strict(name, "utf-8") for name in raw]
    old = [name for name, text in zip(raw, plain, strict=True) if text is None]
    decoded = decode(b"\n".join(old)) if old else None
    known = decoded is not None and decoded.encoding not in _WESTERN and not decoded.notes
    texts = iter(decoded.text.split("\n") if decoded and known else [])
    return [
        _unicode_path(member) or (text if text is not None else next(texts, member.orig_filename)) or member.orig_filename
        for member, text in zip(members, plain, strict=True)
    ]


def _raw(member: zipfile.ZipInfo) -> bytes:
    """The stored bytes of a name, which zipfile reads as CP437."""
    try:
        return member.orig_filename.encode("cp437").replace(b"\n", b"_")
    except UnicodeEncodeError:
        return b""


def _unicode_path(member: zipfile.ZipInfo) -> str:
    """The name in the Unicode path extra field (0x7075); "" without it."""
    extra = member.extra
    while len(extra) >= 4:
        kind, size = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        if kind == 0x7075 and size > 5:
            return extra[9 : 4 + size].decode("utf-8", "replace")
        extra = extra[4 + size :]
    return ""
