"""Numbers of ordered lists in HTML, which browsers count."""

from __future__ import annotations

import re
from typing import Any

from indexing.files.numerals_of_lists import formatted

_FORMATS = {
    "a": "lowerLetter",
    "A": "upperLetter",
    "i": "lowerRoman",
    "I": "upperRoman",
    "lower-alpha": "lowerLetter",
    "lower-latin": "lowerLetter",
    "upper-alpha": "upperLetter",
    "upper-latin": "upperLetter",
    "lower-roman": "lowerRoman",
    "upper-roman": "upperRoman",
    "decimal-leading-zero": "decimalZero",
    "cjk-ideographic": "chineseCounting",
    "hebrew": "hebrew1",
    "katakana": "aiueo",
    "devanagari": "hindiNumbers",
    "thai": "thaiNumbers",
}
_STYLE = re.compile(r"(?:^|;)\s*list-style(?:-type)?\s*:\s*([^;]+)", re.I)
_UNMARKED = frozenset(("none", "disc", "circle", "square"))
_WHOLE = re.compile(r"\s*([-+]?\d{1,9})")


class ListNumbers:
    """Counts the items of the ordered lists of a page, in document order."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def mark(self, item: Any) -> str:
        """The number of a list's item with its full stop; "" in lists that show none. Call it for each item once."""
        above = item.parent
        if above is None or above.tag != "ol":
            return ""
        step = -1 if "reversed" in above.attributes else 1
        number = _number(item.attributes.get("value"))
        if number is None:
            number = self._next.get(above.mem_id)
        if number is None:
            number = _number(above.attributes.get("start"))
        if number is None:
            number = 1 if step > 0 else sum(child.tag == "li" for child in above.iter())
        self._next[above.mem_id] = number + step
        kind = _kind(item) or _kind(above)
        if set(kind.split()) & _UNMARKED:
            return ""
        form = next((_FORMATS[word] for word in kind.split() if word in _FORMATS), "decimal")
        return f"{formatted(number, form)}."


def _kind(node: Any) -> str:
    """The kind of numbers that an element states, by its style or its `type`."""
    style = _STYLE.search(node.attributes.get("style") or "")
    return style[1].lower() if style else node.attributes.get("type") or ""


def _number(value: str | None) -> int | None:
    match = _WHOLE.match(value or "")
    return int(match[1]) if match else None
