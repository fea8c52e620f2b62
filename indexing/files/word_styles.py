"""Styles of Word documents: levels of headings, and hidden or struck-out text."""

from __future__ import annotations

import re
from typing import Any

from indexing.files.drawings import ON
from indexing.files.left_out import HIDDEN, STRUCK
from indexing.files.numbering import W
from indexing.files.xml_parts import whole

_HEADING = re.compile(r"heading\s*(\d)$", re.I)
_FLAGS = {"vanish": HIDDEN, "strike": STRUCK, "dstrike": STRUCK}
_DEEPEST = 20


class Styles:
    """The styles of a document by their ids. What a style does not state, the one it is based on does."""

    def __init__(self, root: Any) -> None:
        self._levels: dict[str, int] = {}
        self._flags: dict[str, dict[str, bool]] = {}
        self._based: dict[str, str] = {}
        for style in () if root is None else root.iter(f"{W}style"):
            name = style.get(f"{W}styleId") or ""
            self._levels[name] = _own_level(style)
            self._flags[name] = self.own_flags(style.find(f"{W}rPr"))
            based = style.find(f"{W}basedOn")
            self._based[name] = (based.get(f"{W}val") or "") if based is not None else ""

    def level(self, name: str) -> int:
        """The heading level of a paragraph style, from 1; 0 for body text."""
        for _ in range(_DEEPEST):
            if self._levels.get(name, 0) or not self._based.get(name):
                break
            name = self._based[name]
        return self._levels.get(name, 0)

    def flags(self, name: str) -> dict[str, bool]:
        """Whether text of a style is hidden or struck out, as far as the style says."""
        found: dict[str, bool] = {}
        for _ in range(_DEEPEST):
            found = self._flags.get(name, {}) | found
            name = self._based.get(name, "")
            if not name:
                break
        return found

    @staticmethod
    def own_flags(properties: Any) -> dict[str, bool]:
        """What run properties themselves say of hidden and struck-out text."""
        found: dict[str, bool] = {}
        for tag, name in _FLAGS.items() if properties is not None else ():
            element = properties.find(f"{W}{tag}")
            if element is not None:
                found[name] = found.get(name, False) or element.get(f"{W}val") in ON
        return found


def heading_level(paragraph: Any, styles: Styles) -> int:
    """The heading level of a paragraph; 0 for body text."""
    properties = paragraph.find(f"{W}pPr")
    style = properties.find(f"{W}pStyle") if properties is not None else None
    return _outline(properties) or (styles.level(style.get(f"{W}val") or "") if style is not None else 0)


def _own_level(style: Any) -> int:
    """The heading level of a style by its name or its outline level; 0 without one."""
    name = style.find(f"{W}name")
    title = (name.get(f"{W}val") or "") if name is not None else ""
    match = _HEADING.match(title)
    return int(match[1]) if match else 1 if title.lower() == "title" else _outline(style.find(f"{W}pPr"))


def _outline(properties: Any) -> int:
    """The heading level (from 1) of paragraph properties with an outline level; 0 without one."""
    outline = properties.find(f"{W}outlineLvl") if properties is not None else None
    level = whole(outline.get(f"{W}val"), 9) if outline is not None else 9
    return level + 1 if level < 9 else 0
