"""Automatic numbers of Word paragraphs ("§ 2", "1.1", "(a)"), which are stored as counters and not as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from indexing.files.xml_parts import whole

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"))
_ROMAN_SMALL = ((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))
_HAN = "〇一二三四五六七八九"
_RUSSIAN = "абвгдежзиклмнопрстуфхцчшщэюя"
_HEBREW = "אבגדהוזחטיכלמנסעפצקרשת"
_ARABIC = "أبتثجحخدذرزسشصضطظعغفقكلمنهوي"
_THAI = "กขคงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ"
_AIUEO = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン"
_GANADA = "가나다라마바사아자차카타파하"


class Numbering:
    """Counts the numbered paragraphs of a document in their order."""

    def __init__(self, root: Any, styles: Any) -> None:
        self._levels: dict[str, dict[int, _Level]] = {}
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

    def number(self, paragraph: Any) -> str:
        """The number before a paragraph, "" for unnumbered and bulleted ones. Call it for each paragraph once, in order."""
        name, at = self._list_of(paragraph)
        key = self._lists.get(name, "")
        levels = self._levels.get(key, {})
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

    def text(self, levels: dict[int, _Level], counts: dict[int, int]) -> str:
        """The number as it is shown; "" for bullets."""
        if self.format in ("bullet", "none"):
            return ""
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


def formatted(number: int, form: str) -> str:
    """A number in one of Word's formats; decimal for those that are not known.

    >>> [formatted(4, form) for form in ("decimal", "lowerRoman", "upperLetter", "decimalZero", "japaneseCounting")]
    ['4', 'iv', 'D', '04', '四']
    """
    write = _FORMATS.get(form)
    return write(number) if write and number > 0 else str(number)


def _letters(number: int) -> str:
    return chr(97 + (number - 1) % 26) * min((number - 1) // 26 + 1, 50)


def _roman(number: int) -> str:
    text = ""
    for value, letters in (*_ROMAN, *_ROMAN_SMALL):
        text += letters * (min(number, 9_999) // value)
        number %= value
    return text


def _of(alphabet: str) -> Callable[[int], str]:
    return lambda number: alphabet[(number - 1) % len(alphabet)] * min((number - 1) // len(alphabet) + 1, 50)


def _counting(number: int) -> str:
    """A number up to 99 in Chinese and Japanese counting (十二); digits beyond."""
    if number > 99:
        return "".join(_HAN[int(digit)] for digit in str(number))
    tens, ones = divmod(number, 10)
    return ("" if not tens else "十" if tens == 1 else f"{_HAN[tens]}十") + (_HAN[ones] if ones else "")


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _digits_from(first: str) -> Callable[[int], str]:
    return lambda number: "".join(chr(ord(first) + int(digit)) for digit in str(number))


_FORMATS: dict[str, Callable[[int], str]] = {
    "decimalZero": lambda number: f"{number:02}",
    "lowerLetter": _letters,
    "upperLetter": lambda number: _letters(number).upper(),
    "lowerRoman": _roman,
    "upperRoman": lambda number: _roman(number).upper(),
    "ordinal": _ordinal,
    "russianLower": _of(_RUSSIAN),
    "russianUpper": _of(_RUSSIAN.upper()),
    "hebrew2": _of(_HEBREW),
    "arabicAlpha": _of(_ARABIC),
    "thaiLetters": _of(_THAI),
    "thaiNumbers": _digits_from("๐"),
    "hindiNumbers": _digits_from("०"),
    "aiueoFullWidth": _of(_AIUEO),
    "ganada": _of(_GANADA),
    "decimalFullWidth": _digits_from("０"),
    "decimalEnclosedCircle": lambda number: chr(0x245F + number) if number <= 20 else str(number),
    "decimalEnclosedCircleChinese": lambda number: chr(0x245F + number) if number <= 20 else str(number),
    "ideographDigital": lambda number: "".join(_HAN[int(digit)] for digit in str(number)),
    "chineseCounting": _counting,
    "chineseCountingThousand": _counting,
    "japaneseCounting": _counting,
    "japaneseDigitalTenThousand": _counting,
    "taiwaneseCounting": _counting,
    "taiwaneseCountingThousand": _counting,
}
