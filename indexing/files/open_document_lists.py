"""Automatic numbers of lists and headings in OpenDocument, which are stored as styles and not as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from indexing.files.numerals_of_lists import formatted
from indexing.files.symbol_fonts import BOXES
from indexing.files.xml_parts import attribute, local, whole

_FORMATS = {
    "1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman", "01": "decimalZero",
    "一": "japaneseCounting", "壹": "chineseLegalSimplified", "①": "decimalEnclosedCircle", "甲": "ideographTraditional",
    "子": "ideographZodiac", "ア": "aiueo", "ｱ": "aiueo", "イ": "iroha", "ｲ": "iroha", "가": "ganada", "㈀": "chosung",
    "ㄱ": "chosung", "일": "koreanDigital", "א": "hebrew2", "أ": "arabicAlpha", "А": "russianUpper", "а": "russianLower",
    "ก": "thaiLetters", "๑": "thaiNumbers", "१": "hindiNumbers", "क": "hindiConsonants",
}  # fmt: skip
_HEBREW_NUMERALS = "א, י"
_STYLES = ("list-style", "outline-style")
_DEEPEST = 10

Levels = dict[int, Any]


def numbers_of(roots: Sequence[Any]) -> dict[Any, str]:
    """The number of each numbered paragraph and heading. roots: of the content, then of the styles; None if missing."""
    stated = [style for root in roots if root is not None for style in root.iter() if local(style) in _STYLES]
    styles = {attribute(style, "name"): _levels(style) for style in stated if local(style) == "list-style"}
    outline = next((_levels(style) for style in stated if local(style) == "outline-style"), {})
    found: dict[Any, str] = {}
    counts: dict[str, list[int]] = {}
    headings: list[int] = []
    stack = [(roots[0], "", 0)] if roots and roots[0] is not None else []
    while stack:
        element, style, depth = stack.pop()
        name = local(element)
        if name == "list":
            depth, style = depth + 1, attribute(element, "style-name") or style
            go_on = attribute(element, "continue-numbering") == "true" or bool(attribute(element, "continue-list"))
            if not go_on:
                counts[style] = counts.get(style, [])[: depth - 1]
        elif name == "list-item" and 0 < depth <= _DEEPEST:
            level = styles.get(style, {}).get(depth)
            _count(counts.setdefault(style, []), depth, attribute(element, "start-value"), styles.get(style, {}))
            first = next((child for child in element if local(child) in ("p", "h")), None)
            if first is not None and level is not None:
                found[first] = _shown(level, counts[style], styles[style])
        elif name == "h" and not depth and outline and attribute(element, "is-list-header") != "true":
            at = whole(attribute(element, "outline-level"), 1)
            restart = attribute(element, "start-value") if attribute(element, "restart-numbering") == "true" else ""
            if 0 < at <= _DEEPEST:
                _count(headings, at, restart, outline)
                found[element] = _shown(outline[at], headings, outline) if at in outline else ""
        elif name == "numbered-paragraph":
            number = "".join("".join(child.itertext()) for child in element if local(child) == "number")
            found.update({child: number for child in element if local(child) in ("p", "h")})
        if name != "tracked-changes":
            stack.extend((child, style, depth) for child in reversed(_elements(element)))
    return {element: number for element, number in found.items() if number}


def _levels(style: Any) -> Levels:
    return {whole(attribute(level, "level"), 1): level for level in style if isinstance(level.tag, str)}


def _elements(element: Any) -> list[Any]:
    return [child for child in element if isinstance(child.tag, str)]


def _count(counts: list[int], at: int, stated: str, levels: Levels) -> None:
    """Count an item at a level. stated: the number that it begins with, "" for the next one."""
    del counts[at:]
    starts = [whole(attribute(levels[level], "start-value"), 1) if level in levels else 1 for level in range(1, at + 1)]
    fresh = len(counts) < at
    counts += starts[len(counts) :]
    counts[at - 1] = whole(stated, 1) if stated else counts[at - 1] + (not fresh)


def _shown(level: Any, counts: Sequence[int], levels: Levels) -> str:
    """The number as it is shown; "" for bullets but boxes to tick."""
    if local(level) == "list-level-style-bullet":
        sign = attribute(level, "bullet-char")
        return sign if sign in BOXES else ""
    if not attribute(level, "num-format"):
        return ""
    number = ".".join(_parts(counts, max(whole(attribute(level, "display-levels"), 1), 1), levels))
    return f"{attribute(level, 'num-prefix')}{number}{attribute(level, 'num-suffix')}".strip()


def _parts(counts: Sequence[int], shown: int, levels: Levels) -> Iterator[str]:
    for at in range(max(len(counts) - shown, 0), len(counts)):
        form = attribute(levels[at + 1], "num-format") if at + 1 in levels else "1"
        if form:
            name = "hebrew1" if form.startswith(_HEBREW_NUMERALS) else _FORMATS.get(form) or _FORMATS.get(form[0], "decimal")
            yield formatted(counts[at], name)
