"""Uploaded files: safe names, atomic storage, and the path from a source back to its file.

Invariants, each tested:

* `safe_name` is idempotent. Its result names a file below its folder, never hidden, on any operating system.
* A file exists completely or not at all, also after kill -9.
* No source leads outside its folder, or through a symbolic link.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from pathlib import Path

from indexing.atomic_files import make_folder, move
from indexing.errors import SettingError

PART_BYTES = 200
NAME_BYTES = 1_024
NAME_PARTS = 32
MOVES = 5

_DRIVE = re.compile(r"[A-Za-z]:")
_NOT_IN_NAMES = re.compile(r'[<>:"|?*#\ufffd]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\.|$)", re.IGNORECASE)
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
SEPARATOR = re.compile(r"[/\\]")


# -- names -------------------------------------------------------------------------------------------------------------


def safe_name(name: str) -> str:
    """Sanitise a client's file name: a relative path in NFC with "/" as separator.

    A name that leads elsewhere (absolute, with a drive, "..") keeps only its last part; other names keep their folders.
    "#" becomes "_", as it separates file and record in a source. Raises SettingError if nothing is left or it is too long.

    >>> safe_name("C:\\\\Users\\\\me\\\\report.pdf"), safe_name("2024/May/report?.pdf"), safe_name("../.ssh/con.txt")
    ('report.pdf', '2024/May/report_.pdf', '_con.txt')
    """
    parts = SEPARATOR.split(name[2:] if _DRIVE.match(name) else name)
    if leaves(name):
        parts = parts[-1:]
    safe = [part for part in map(_safe_part, parts) if part]
    if not safe or not _safe_part(parts[-1]):
        raise SettingError(
            f"The file name {_shown(name)} has no letter or digit that a file name can have; rename the file."
        )
    whole = "/".join(safe)
    if len(safe) > NAME_PARTS or len(whole.encode("utf-8")) > NAME_BYTES:
        raise SettingError(f"The file name {_shown(name)} is too long or too deep in folders; shorten it.")
    return whole


def leaves(name: str) -> bool:
    """Whether a name leads out of its folder: it is absolute, has a drive, or contains "..".

    >>> leaves("a/../b"), leaves("c:x"), leaves("/etc/passwd"), leaves("a..b/c")
    (True, True, True, False)
    """
    return bool(_DRIVE.match(name)) or name.startswith(("/", "\\")) or any(p.strip() == ".." for p in SEPARATOR.split(name))


def _safe_part(part: str) -> str:
    """One part of a name, valid on every operating system; "" if nothing is left."""
    text = unicodedata.normalize("NFC", part.encode("utf-8", "replace").decode("utf-8"))
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Zl", "Zp") and c not in _DIRECTION)
    text = unicodedata.normalize("NFC", _NOT_IN_NAMES.sub("_", " ".join(text.split())))
    text = _hidden_removed(text).rstrip(". ")
    if _RESERVED.match(text):
        text = f"_{text}"
    text = _shortened(text)
    return text if any(c.isalnum() or ord(c) > 0x2000 for c in text) else ""


def _hidden_removed(text: str) -> str:
    """Strip prefixes of hidden files (".") and editors' lock files ("~$"), as such files are not indexed."""
    while text.startswith((".", " ", "~$")):
        text = text[2:] if text.startswith("~$") else text[1:]
    return text


def _shortened(text: str) -> str:
    """Truncate to PART_BYTES bytes of UTF-8: the beginning, a hash of the whole, and the suffix."""
    if len(text.encode("utf-8")) <= PART_BYTES:
        return text
    stem, dot, suffix = text.rpartition(".")
    if not stem or len(suffix.encode("utf-8")) > 16:
        stem, dot, suffix = text, "", ""
    mark = "~" + hashlib.blake2b(text.encode("utf-8"), digest_size=4).hexdigest()
    room = PART_BYTES - len((mark + dot + suffix).encode("utf-8"))
    kept = stem.encode("utf-8")[:room].decode("utf-8", "ignore").rstrip(". ")
    return unicodedata.normalize("NFC", f"{kept}{mark}{dot}{suffix}")


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:79] + "…")


# -- a folder of originals ---------------------------------------------------------------------------------------------


def move_in(file: Path, documents: Path, source: str) -> None:
    """Move a file to its place and create the folders. Retries if another process removes an empty folder meanwhile."""
    for left in reversed(range(MOVES)):
        try:
            make_folders(documents, source)
            move(file, documents / source)
            break
        except FileNotFoundError:
            if not left or not file.exists():
                raise


def make_folders(documents: Path, source: str) -> None:
    """Create the folders of a source. Raises NotADirectoryError for a symbolic link, which could lead anywhere."""
    folder = documents
    if not documents.is_dir():
        raise FileNotFoundError(str(documents))
    for part in source.split("/")[:-1]:
        folder = folder / part
        make_folder(folder)
        if folder.is_symlink():
            raise NotADirectoryError(str(folder))


def plain_file(documents: Path, parts: list[str]) -> Path | None:
    """The file at this path, if each part is an ordinary folder and the last an ordinary file; else None."""
    path = documents
    for number, part in enumerate(parts, 1):
        if part in ("", ".", "..") or part.startswith((".", "~$")) or "\0" in part or os.sep in part:
            return None
        path = path / part
        try:
            mode = os.lstat(path).st_mode
        except (OSError, ValueError):
            return None
        if not (stat.S_ISREG(mode) if number == len(parts) else stat.S_ISDIR(mode)):
            return None
    return path


def may_be_spelled_otherwise(file: str) -> bool:
    """Whether a source may differ from the name on disk: sources are NFC, and show undecodable bytes as \\xNN."""
    return not file.isascii() or "\\x" in file


def find_by_walk(documents: Path, file: str) -> Path | None:
    """Find the file with this source by walking the folder, for files that were not stored by `put`; else None."""
    from indexing.files.walk import find_files

    for found in find_files(documents):
        if found.source == file:
            parts = list(found.path.relative_to(documents.absolute()).parts)
            return plain_file(documents, parts)
    return None


def remove_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
