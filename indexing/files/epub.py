"""Parser of e-books (EPUB): the chapters in reading order, each a page."""

from __future__ import annotations

import posixpath
from typing import Any
from urllib.parse import unquote
from zipfile import ZipFile

from indexing.errors import UnreadableFile
from indexing.files.charset import decode
from indexing.files.file_text import FileLimits, FileText, TextBuilder, check_pages, clean_meta
from indexing.files.html import declared_encoding, html_text
from indexing.files.left_out import LeftOut
from indexing.files.xml_parts import local, parsed
from indexing.files.zip_guard import guard_zip, read_member

_CONTAINER = "META-INF/container.xml"
_CHAPTERS = (".xhtml", ".html", ".htm", ".xml")
_META = {"title": "title", "creator": "author", "language": "lang", "date": "date", "publisher": "publisher"}


def read_epub(data: bytes, limits: FileLimits) -> list[FileText]:
    """One e-book: its chapters in reading order as pages. Raises UnreadableFile for one with digital rights management."""
    archive = guard_zip(data)
    if "META-INF/rights.xml" in archive.namelist() or "META-INF/license.lcpl" in archive.namelist():
        raise UnreadableFile("encrypted: protected by digital rights management")
    package = _package_name(archive)
    root = _parsed(archive, package)
    chapters = _spine(archive, package, root) or sorted(
        name for name in archive.namelist() if name.lower().endswith(_CHAPTERS) and not name.startswith("META-INF/")
    )
    check_pages(len(chapters), limits.max_pages, "chapters")
    builder, left_out = TextBuilder(limits.max_chars), LeftOut(limits.hidden_text)
    for name in chapters:
        data = read_member(archive, name) or b""
        decoded = decode(data, declared_encoding(data))
        text, headings = html_text(decoded.text, limits.max_chars, left_out) if decoded else ("", ())
        if text.strip():
            builder.page()
            start = builder.add(text, "")
            builder.headings += [(start + begin, start + end, level) for begin, end, level in headings]
    meta: dict[str, object] = {}
    for element in () if root is None else root.iter():
        if (key := _META.get(local(element))) and (element.text or "").strip():
            meta.setdefault(key, element.text.strip()[:10] if key == "date" else element.text.strip())
    meta["file_type"] = "epub"
    notes = tuple(left_out.remarks())
    return [FileText(builder.text(), tuple(builder.pages), clean_meta(meta.items()), tuple(builder.headings), notes)]


def _parsed(archive: ZipFile, name: str) -> Any:
    data = read_member(archive, name)
    return None if data is None else parsed(data)[0]


def _package_name(archive: ZipFile) -> str:
    """The name of the package document, which lists the chapters; "" if there is none."""
    root = _parsed(archive, _CONTAINER)
    for element in () if root is None else root.iter():
        if local(element) == "rootfile" and element.get("full-path"):
            return str(element.get("full-path"))
    return next((name for name in archive.namelist() if name.endswith(".opf")), "")


def _spine(archive: ZipFile, package: str, root: Any) -> list[str]:
    """The chapters in reading order, as far as they exist."""
    if root is None:
        return []
    names = set(archive.namelist())
    items = {element.get("id"): element.get("href") or "" for element in root.iter() if local(element) == "item"}
    order = [items.get(element.get("idref"), "") for element in root.iter() if local(element) == "itemref"]
    paths = [posixpath.normpath(posixpath.join(posixpath.dirname(package), unquote(href))) for href in order if href]
    return [path for path in dict.fromkeys(paths) if path in names]
