"""Automatic numbers of paragraphs in DrawingML (`a:buAutoNum`), which programs count and do not store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from indexing.files.numerals_of_lists import formatted
from indexing.files.xml_parts import whole

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_KIND = re.compile(r"(.+?)(Period|ParenR|ParenBoth|Plain|DbPlain|Minus|WdBlackPlain|WdWhitePlain|JpnChsDbPeriod)?$")
_FORMATS = {
    "alphaLc": "lowerLetter",
    "alphaUc": "upperLetter",
    "romanLc": "lowerRoman",
    "romanUc": "upperRoman",
    "arabicDb": "decimalFullWidth",
    "circleNum": "decimalEnclosedCircle",
    "circleNumDb": "decimalEnclosedCircle",
    "ea1Chs": "chineseCounting",
    "ea1Cht": "chineseCounting",
    "ea1Jpn": "japaneseCounting",
    "ea1JpnKor": "japaneseCounting",
    "arabic1": "arabicAlpha",
    "arabic2": "arabicAbjad",
    "hebrew2": "hebrew1",
    "thaiAlpha": "thaiLetters",
    "thaiNum": "thaiNumbers",
    "hindiAlpha": "hindiConsonants",
    "hindiAlpha1": "hindiConsonants",
    "hindiNum": "hindiNumbers",
}
_AROUND = {"Period": "{}.", "JpnChsDbPeriod": "{}.", "ParenR": "{})", "ParenBoth": "({})", "Minus": "{}-"}


def numbers_of(paragraphs: Sequence[Any]) -> list[str]:
    """The number of each paragraph of a text body, "" for those without. Numbers go on while level and kind do."""
    counts: dict[int, tuple[tuple[str, int], int]] = {}
    found = []
    for paragraph in paragraphs:
        properties = paragraph.find(f"{A}pPr")
        level = whole(properties.get("lvl"), 0) if properties is not None else 0
        mark = properties.find(f"{A}buAutoNum") if properties is not None else None
        if not any((text.text or "").strip() for text in paragraph.iter(f"{A}t")):
            found.append("")
            continue
        counts = {at: count for at, count in counts.items() if at < level or (at == level and mark is not None)}
        if mark is None:
            found.append("")
            continue
        kind = (mark.get("type") or "arabicPeriod", whole(mark.get("startAt"), 1))
        before = counts.get(level)
        number = before[1] + 1 if before is not None and before[0] == kind else kind[1]
        counts[level] = (kind, number)
        found.append(_shown(kind[0], number))
    return found


def _shown(kind: str, number: int) -> str:
    match = _KIND.match(kind)
    form, around = (match[1], match[2] or "") if match else ("", "")
    return _AROUND.get(around, "{}").format(formatted(number, _FORMATS.get(form, "decimal")))
