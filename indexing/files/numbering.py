"""Automatic numbers of Word paragraphs ("§ 2", "1.1", "(a)"), which are stored as counters and not as text."""

from __future__ import annotations

from typing import Any

from indexing.files.numerals_of_lists import formatted
from indexing.files.symbol_fonts import BOXES, symbol
from indexing.files.xml_parts import whole

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


class Numbering:
    """Counts the numbered paragraphs of a document in their order."""

    def __init__(self, root: Any, styles: Any) -> None:
        self._levels: dict[str, dict[int, _Level]] = {}
        self._own: dict[str, dict[int, _Level]] = {}
        self._lists: dict[str, str] = {}
        self._starts: dict[tuple[str, int], int] = {}
        self._counts: dict[str, dict[int, int]] = {}
        self._begun: set[tuple[str, int]] = set()
        self._styles = _style_lists(styles)
        if root is not None:
            self._read(root)

    def _read(self, root: Any) -> None:
        links: dict[str, str] = {}
        styled: dict[str, str] = {}
        for abstract in root.iter(f"{W}abstractNum"):
            name = abstract.get(f"{W}abstractNumId") or ""
            self._levels[name] = {level.at: level for level in map(_Level, abstract.iter(f"{W}lvl"))}
            if (own := _value(abstract, "styleLink")) is not None:
                styled[own] = name
            if (other := _value(abstract, "numStyleLink")) is not None:
                links[name] = other
        for number in root.iter(f"{W}num"):
            name = number.get(f"{W}numId") or ""
            abstract_name = _value(number, "abstractNumId") or ""
            self._lists[name] = styled.get(links.get(abstract_name, ""), abstract_name)
            for change in number.iter(f"{W}lvlOverride"):
                at = whole(change.get(f"{W}ilvl"), 0)
                if (start := _value(change, "startOverride")) is not None:
                    self._starts[name, at] = whole(start, 1)
                if (level := change.find(f"{W}lvl")) is not None:
                    self._own.setdefault(name, {})[at] = _Level(level)

    def number(self, paragraph: Any) -> str:
        """The number before a paragraph, or a box to tick; "" without one. Call it for each paragraph once, in order."""
        name, at = self._list_of(paragraph)
        key = self._lists.get(name, "")
        levels = self._levels.get(key, {}) | self._own.get(name, {})
        if at not in levels:
            return ""
        counts = self._counts.setdefault(key, {})
        if (name, at) in self._starts and (name, at) not in self._begun:
            counts[at] = self._starts[name, at] - 1
        self._begun.add((name, at))
        counts[at] = counts.get(at, levels[at].start - 1) + 1
        for below in [below for below in counts if below > at and levels.get(below, levels[at]).restarts]:
            del counts[below]
        return levels[at].text(levels, counts)

    def _list_of(self, paragraph: Any) -> tuple[str, int]:
        """(list, level) of a paragraph, its own or that of its style; ("", 0) without one."""
        properties = paragraph.find(f"{W}pPr")
        own = properties.find(f"{W}numPr") if properties is not None else None
        style = _value(properties, "pStyle") or "" if properties is not None else ""
        inherited = self._styles.get(style, ("", 0))
        if own is None:
            return inherited
        name, level = _value(own, "numId"), _value(own, "ilvl")
        return inherited[0] if name is None else name, inherited[1] if level is None else whole(level, 0)


class _Level:
    """A level of a list: how its numbers look."""

    def __init__(self, element: Any) -> None:
        self.at = whole(element.get(f"{W}ilvl"), 0)
        self.start = whole(_value(element, "start"), 1)
        self.format = _value(element, "numFmt") or "decimal"
        self.pattern = _value(element, "lvlText") or ""
        self.legal = element.find(f"{W}isLgl") is not None
        self.restarts = _value(element, "lvlRestart") != "0"
        self.fonts = [font.get(f"{W}{name}") or "" for font in element.iter(f"{W}rFonts") for name in ("ascii", "hAnsi")]

    def text(self, levels: dict[int, _Level], counts: dict[int, int]) -> str:
        """The number as it is shown; "" for bullets but boxes to tick."""
        if self.format in ("bullet", "none"):
            signs = [symbol(font, ord(self.pattern)) for font in self.fonts[:1] or [""]] if len(self.pattern) == 1 else []
            return next((sign for sign in signs if sign in BOXES), "")
        text = self.pattern
        for at in range(9):
            if f"%{at + 1}" in text:
                level = levels.get(at, self)
                form = "decimal" if self.legal else level.format
                text = text.replace(f"%{at + 1}", formatted(counts.get(at, level.start), form))
        return text.strip()


def _style_lists(styles: Any) -> dict[str, tuple[str, int]]:
    """(list, level) of each paragraph style, its own or that of the style it is based on."""
    own: dict[str, tuple[str | None, str | None, str]] = {}
    for style in () if styles is None else styles.iter(f"{W}style"):
        properties = style.find(f"{W}pPr")
        number = properties.find(f"{W}numPr") if properties is not None else None
        name, level = (_value(number, "numId"), _value(number, "ilvl")) if number is not None else (None, None)
        own[style.get(f"{W}styleId") or ""] = (name, level, _value(style, "basedOn") or "")
    found = {}
    for style_id in own:
        name, level, above = own[style_id]
        for _ in range(20):
            if name is not None or above not in own:
                break
            other, other_level, above = own[above]
            name, level = other, level if level is not None else other_level
        if name is not None:
            found[style_id] = (name, whole(level, 0))
    return found


def _value(element: Any, name: str) -> str | None:
    child = element.find(f"{W}{name}")
    found = child.get(f"{W}val") if child is not None else None
    return None if found is None else str(found)
