"""Office Open XML packages: parts found by their relationships, in both namespaces (transitional and Strict).

Content types, names of parts and relationships of other programs vary, and some relationships lead nowhere. So a part is
found by what points to it, and a missing one is left out.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from zipfile import ZipFile

from indexing.errors import UnreadableFile
from indexing.files.file_text import Scalar, clean_meta, counted
from indexing.files.left_out import STRUCK, LeftOut
from indexing.files.xml_parts import local, parsed
from indexing.files.zip_guard import guard_zip, read_member

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")
_IMAGE = re.compile(r"\.(?:png|jpe?g|gif|bmp|tiff?|emf|wmf|svg|webp)$", re.I)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_WHAT = {"word": "a Word document", "ppt": "a PowerPoint presentation", "xl": "an Excel workbook"}
_CORE = {"title": "title", "creator": "author", "subject": "subject", "keywords": "keywords"}


@dataclass(frozen=True, slots=True)
class Relation:
    """A relationship of a part. kind: the last word of its type, such as `footnotes`. target: a part of the package."""

    id: str
    kind: str
    target: str


class Package:
    """An opened package. `notes` collects remarks on parts that are damaged or not read.

    left_out: hidden and struck-out text. Struck-out runs of DrawingML are not in the elements, unless they shall be read.
    """

    def __init__(self, data: bytes, left_out: LeftOut | None = None) -> None:
        self.archive: ZipFile = guard_zip(data)
        self._names = {_plain(name): name for name in reversed(self.archive.namelist())}
        self.notes: list[str] = []
        self.left_out = left_out or LeftOut()

    def names(self) -> Iterator[str]:
        """The names of all parts, in lower case."""
        return iter(self._names)

    def part(self, name: str) -> bytes | None:
        """The bytes of a part; None if it is missing, or damaged, with a remark."""
        stored = self._names.get(_plain(name))
        data = None if stored is None else read_member(self.archive, stored)
        if stored is not None and data is None:
            self.notes.append(f"damaged part not read: {posixpath.basename(name)}")
        return data

    def xml(self, name: str) -> Any:
        """The root element of a part; None if it is missing or holds no XML."""
        data = self.part(name)
        return None if data is None else self.parsed(data, name)

    def parsed(self, data: bytes, name: str) -> Any:
        """The root element of XML bytes, transitional. What follows a fault is lost, with a remark."""
        data = _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/\2", data)
        root, sound = parsed(data)
        if not sound:
            self.notes.append(f"damaged XML in {posixpath.basename(name)}: text after the fault can be missing")
        if root is not None and b"Strike" in data:
            self._leave_out_struck(root)
        return root

    def _leave_out_struck(self, root: Any) -> None:
        """Remove the struck-out runs of DrawingML, unless they shall be read."""
        for run in [run for tag in ("r", "fld") for run in root.iter(f"{_A}{tag}")]:
            properties = run.find(f"{_A}rPr")
            if properties is None or properties.get("strike") not in ("sngStrike", "dblStrike"):
                continue
            if self.left_out.omits(STRUCK, "".join(text.text or "" for text in run.iterchildren(f"{_A}t"))):
                run.getparent().remove(run)

    def relations(self, name: str) -> list[Relation]:
        """The relationships of a part ("" for the package) whose targets exist, in order."""
        folder, base = posixpath.split(name)
        root = self.xml(posixpath.join(folder, "_rels", f"{base}.rels"))
        found = []
        for element in () if root is None else root:
            target = unquote(element.get("Target") or "").replace("\\", "/")
            inside = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
            if element.get("TargetMode") != "External" and _plain(inside) in self._names:
                kind = (element.get("Type") or "").rpartition("/")[2]
                found.append(Relation(element.get("Id") or "", kind, inside))
        return found

    def related(self, name: str, *kinds: str) -> list[str]:
        """The parts that a part points to by relationships of these kinds."""
        return [relation.target for relation in self.relations(name) if relation.kind in kinds]

    def main(self, folder: str, root: str) -> str:
        """The main part: by the package's relationship, else the part in `folder` whose root element is `root`."""
        for name in self.related("", "officeDocument"):
            return name
        for name in self._names:
            if name.startswith(f"{folder}/") and name.count("/") == 1 and name.endswith(".xml"):
                element = self.xml(name)
                if element is not None and local(element) == root:
                    return name
        raise UnreadableFile(f"damaged, or not {_WHAT[folder]} (its main part is missing)")

    def meta(self, kind: str) -> dict[str, Scalar]:
        """Title, author, subject, keywords and date, as far as the file states them."""
        values: dict[str, object] = {"file_type": kind}
        for name in self.related("", "core-properties") or ["docProps/core.xml"]:
            root = self.xml(name)
            for element in () if root is None else root:
                tag = local(element)
                text = (element.text or "").strip()
                if tag in _CORE:
                    values.setdefault(_CORE[tag], text)
                elif tag in ("modified", "created") and (day := _DAY.match(text)):
                    values["date"] = day.group() if tag == "modified" else values.get("date", day.group())
        return clean_meta(values.items())

    def image_note(self) -> list[str]:
        """A remark on embedded images, which are not read."""
        count = sum("/media/" in name and bool(_IMAGE.search(name)) for name in self._names)
        return counted(count, "embedded image", "not read")


def _plain(name: str) -> str:
    """A part's name as it is compared: some programs write backslashes, or other capitals."""
    return name.replace("\\", "/").lstrip("/").lower()
