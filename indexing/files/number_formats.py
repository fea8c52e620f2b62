"""Values of spreadsheet cells as Excel shows them: percents, currencies, leading zeros, times. Dates are ISO 8601."""

from __future__ import annotations

import datetime
import operator
import re
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

BUILT_IN = {
    0: "General", 1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?",
    13: "# ??/??", 18: "h:mm", 19: "h:mm:ss", 20: "h:mm", 21: "h:mm:ss", 22: "yyyy-mm-dd h:mm", 37: "#,##0;(#,##0)",
    38: "#,##0;(#,##0)", 39: "#,##0.00;(#,##0.00)", 40: "#,##0.00;(#,##0.00)", 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss",
    48: "##0.0E+0", 49: "@",
}  # fmt: skip
BUILT_IN |= dict.fromkeys((*range(14, 18), *range(27, 37), *range(50, 59)), "yyyy-mm-dd")

_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|_.|\*.|\[\$(?P<currency>[^\]-]*)[^\]]*\]|\[(?P<elapsed>h+|m+|s+)\]'
    r"|\[(?P<condition>(?:<=|>=|<>|<|>|=)\s*-?[\d.]+)\]|\[(?P<colour>(?:black|blue|cyan|green|magenta|red|white|yellow)"
    r"|colou?r\s?\d+)\]|\[[^\]]*\]"
    r"|(?P<general>General)|(?P<noon>AM/PM|A/P)|(?P<exponent>E[+-])|(?P<time>[ymdhsegbYMDHSEGB]+)|(?P<digit>[0#?])"
    r"|(?P<literal>.)",
    re.I | re.S,
)
_LAST_DAY = 2_958_466


class _Section(NamedTuple):
    """One part of a format code: (kind, text) tokens."""

    tokens: tuple[tuple[str, str], ...]

    def has(self, *kinds: str) -> bool:
        return any(kind in kinds for kind, _ in self.tokens)

    def pattern(self) -> str:
        return "".join(text for kind, text in self.tokens if kind in ("digit", "literal"))


_CONDITION = re.compile(r"([<>=]+)\s*(-?[\d.]+)")
_HOLDS = {
    "<": operator.lt, ">": operator.gt, "=": operator.eq, "<=": operator.le, ">=": operator.ge, "<>": operator.ne
}  # fmt: skip
SAYS_MINUS = re.compile(r"[-−–(]|[^\W\d_]")
"""What tells that a shown number is negative, or words that say what it is; else only its colour tells it."""


def shown(value: float, code: str, epoch_1904: bool = False) -> str:
    """A number in a cell with a format code.

    A minus that only a colour says is written. "" if the code shows nothing.

    >>> shown(0.19, "0%"), shown(1234.5, "#,##0.00 [$€-407]"), shown(123, "00000"), shown(1.0868055, "[h]:mm")
    ('19%', '1,234.50 €', '00123', '26:05')
    """
    sections = _sections(code)
    section = _chosen(value, sections)
    if section.has("time", "elapsed") and not section.has("digit", "general"):
        moment = _time(value, section, epoch_1904)
        if moment:
            return moment
        return general(value)
    if len(sections) > 1 and not section.has("digit", "general", "quoted", "escaped", "literal", "currency"):
        return ""
    if section.has("general") or not section.tokens:
        return _around(section, general(value))
    if not section.has("digit"):
        literal = _around(section, "").strip()
        return literal if literal and len(sections) > 1 else general(value)
    negative = value < 0 and _without_own_minus(section, sections)
    text = _number(abs(value), section)
    return f"-{text}" if negative and any(digit in "123456789" for digit in text) else text


def general(value: float) -> str:
    """A number without a format: up to 15 significant digits, whole numbers without ".0"."""
    return f"{value:.15g}" if not float(value).is_integer() or abs(value) >= 1e15 else str(int(value))


@lru_cache(maxsize=1_000)
def _sections(code: str) -> tuple[_Section, ...]:
    sections: list[list[tuple[str, str]]] = [[]]
    for match in _TOKEN.finditer(code):
        kind, text = match.lastgroup or "", match.group(match.lastgroup) if match.lastgroup else ""
        if kind == "literal" and text == ";":
            sections.append([])
        elif kind:
            sections[-1].append((kind, text))
    return tuple(_Section(tuple(tokens)) for tokens in sections[:4])


def _chosen(value: float, sections: tuple[_Section, ...]) -> _Section:
    """The section for a value: by conditions if some are stated, else by its sign."""
    conditions = [next((text for kind, text in section.tokens if kind == "condition"), "") for section in sections]
    if any(conditions):
        holds = [at for at, condition in enumerate(conditions) if condition and _holds(value, condition)]
        others = [at for at, condition in enumerate(conditions) if not condition]
        return sections[(holds or others or [0])[0]]
    if value < 0 and len(sections) > 1:
        return sections[1]
    if value == 0 and len(sections) > 2:
        return sections[2]
    return sections[0]


def _holds(value: float, condition: str) -> bool:
    match = _CONDITION.match(condition)
    sign, number = (match[1], match[2]) if match else ("", "")
    return sign in _HOLDS and number.count(".") < 2 and bool(_HOLDS[sign](value, float(number)))


def _without_own_minus(section: _Section, sections: tuple[_Section, ...]) -> bool:
    """Whether a negative number needs a minus before it: its section stands for others too, or only colours it."""
    if not any(each.has("condition") for each in sections):
        return section is sections[0] or _only_coloured(section)
    condition = next((text for kind, text in section.tokens if kind == "condition"), "")
    return not condition or _holds(1.0, condition) or _holds(1e15, condition) or not _holds(-1e-9, condition)


def _only_coloured(section: _Section) -> bool:
    """Whether nothing but a colour tells that the numbers of a section are negative."""
    words = "".join(text for kind, text in section.tokens if kind in ("quoted", "escaped", "literal"))
    return section.has("colour") and not SAYS_MINUS.search(words)


def _around(section: _Section, middle: str) -> str:
    """The literal texts of a section, with `middle` in the place of its number."""
    text, placed = "", False
    for kind, piece in section.tokens:
        if kind in ("general", "digit") and not placed:
            text, placed = text + middle, True
        elif kind in ("quoted", "escaped", "currency") or (kind == "literal" and piece not in "@#?,."):
            text += piece
    return (text if placed else text + middle).strip()


def _number(value: float, section: _Section) -> str:
    """A number that is not negative, in a section with digits."""
    pattern = section.pattern()
    if section.has("exponent"):
        decimals = len(re.findall(r"[0#?]", pattern.partition(".")[2].partition("E")[0])) if "." in pattern else 0
        return f"{value:.{max(0, decimals - _exponent_digits(section))}E}"
    if "/" in pattern and not section.has("time"):
        return _fraction(value, pattern)
    whole, _, decimals_pattern = pattern.partition(".")
    decimals = len(re.findall(r"[0#?]", decimals_pattern))
    least = len(re.findall("0", decimals_pattern))
    digits_only = re.sub(r"[^0#?,]", "", whole)
    places = re.sub(r"[^0#?,.]", "", pattern)
    scale = len(places) - len(places.rstrip(","))
    number = Decimal(repr(float(value))) * Decimal(100) ** pattern.count("%") / Decimal(1000) ** scale
    rounded = number.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    text = f"{rounded:f}"
    integer, _, fraction = text.partition(".")
    while len(fraction) > least and fraction.endswith("0"):
        fraction = fraction[:-1]
    integer = integer.zfill(digits_only.count("0")) if digits_only.count("0") > 0 else integer.lstrip("0")
    inner = _inner_literals(section)
    if inner:
        return _masked(integer, section)
    if re.search(r"[0#?],[0#?]", digits_only):
        integer = f"{int(integer or 0):,}".zfill(digits_only.count("0")) if integer else ""
    return _placed(integer + (f".{fraction}" if fraction else ""), section)


def _exponent_digits(section: _Section) -> int:
    """How many digit placeholders stand after the E."""
    kinds = [kind for kind, _ in section.tokens]
    return kinds[kinds.index("exponent") :].count("digit")


def _inner_literals(section: _Section) -> bool:
    """Whether literals stand between the digits, as in telephone numbers."""
    kinds = [
        "digit" if kind == "digit" else "skip" if (kind == "literal" and text in ",.") else "other"
        for kind, text in section.tokens
    ]
    if "digit" not in kinds:
        return False
    last = len(kinds) - kinds[::-1].index("digit")
    return "other" in kinds[kinds.index("digit") : last] and not any(text == "." for _, text in section.tokens)


def _masked(digits: str, section: _Section) -> str:
    """The digits in the places of the section, from the right."""
    rest, text = list(digits), ""
    places = sum(kind == "digit" for kind, _ in section.tokens)
    for kind, piece in reversed(section.tokens):
        if kind == "digit":
            places -= 1
            text = (("".join(rest) if places == 0 else rest[-1]) if rest else "0" if piece == "0" else "") + text
            rest = rest[:-1]
        elif kind not in ("condition", "colour"):
            text = piece + text
    return text.strip()


def _placed(number: str, section: _Section) -> str:
    """The number in the place of the digits, with the literal texts around it."""
    text, placed = "", False
    for kind, piece in section.tokens:
        if kind == "digit" or (kind == "literal" and piece in ".,"):
            text, placed = (text if placed else text + number), True
        elif kind in ("quoted", "escaped", "currency", "literal"):
            text += "" if piece == "@" else piece
    return text.strip()


def _fraction(value: float, pattern: str) -> str:
    below = pattern.partition("/")[2].strip()
    most = 10 ** max(1, len(re.findall(r"[?#0]", below))) - 1
    fixed = re.match(r"\d+", below)
    nearest = (
        Fraction(round(value * int(fixed[0])), int(fixed[0]))
        if fixed and int(fixed[0])
        else Fraction(value).limit_denominator(most)
    )
    whole, rest = divmod(nearest, 1)
    return " ".join(filter(None, (str(whole) if whole or not rest else "", str(rest) if rest else "")))


def _time(value: float, section: _Section, epoch_1904: bool) -> str:
    """A date or a time; "" if the number is none."""
    letters = "".join(text.lower() for kind, text in section.tokens if kind == "time")
    elapsed = next((text.lower() for kind, text in section.tokens if kind == "elapsed"), "")
    if elapsed:
        return _duration(value, elapsed, letters)
    if not 0 <= value < _LAST_DAY:
        return ""
    with_day = "y" in letters or "d" in letters or "e" in letters or ("m" in letters and not set("hs") & set(letters))
    with_time = "h" in letters or "s" in letters
    if not with_day:
        return _clock(value, letters)
    start = datetime.datetime(1904, 1, 1) if epoch_1904 else datetime.datetime(1899, 12, 30 if value >= 60 else 31)
    moment = start + datetime.timedelta(seconds=round(value * 86_400))
    if with_time and moment.time() != datetime.time():
        return moment.isoformat(" ", "seconds" if "s" in letters else "minutes")
    if "d" in letters or with_time:
        return moment.date().isoformat()
    return f"{moment:%Y-%m}" if "m" in letters else f"{moment:%Y}"


def _clock(value: float, letters: str) -> str:
    seconds = round((value % 1) * 86_400) % 86_400
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    if "h" not in letters:
        return f"{minutes:02}:{rest:02}"
    return f"{hours:02}:{minutes:02}" + (f":{rest:02}" if "s" in letters else "")


def _duration(value: float, elapsed: str, letters: str) -> str:
    sign, seconds = "-" if value < 0 else "", round(abs(value) * 86_400)
    if elapsed[0] == "s":
        return f"{sign}{seconds}"
    if elapsed[0] == "m":
        return f"{sign}{seconds // 60}" + (f":{seconds % 60:02}" if "s" in letters else "")
    text = f"{sign}{seconds // 3600}" + (f":{seconds // 60 % 60:02}" if "m" in letters else "")
    return text + (f":{seconds % 60:02}" if "s" in letters else "")
