"""Canonical values of numerals: digits of every script with their separators, Han numerals, and Roman numerals.

A value is a decimal string without grouping, leading zeros or trailing zeros after the point, as "1150", "-18.5", "0.01".
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, InvalidOperation

from indexing.text.search_terms import Table

DOT_DECIMAL = frozenset("en zh ja ko th he hi bn ta te mr gu kn ml pa ne si ur ms sw my tl ga mt km lo".split())
COMMA_DECIMAL = frozenset(
    "de fr it pt nl ru uk be pl cs sk sl hr sr bs bg mk ro hu fi sv no nb nn da is et lv lt el tr az vi id ca gl eu kk"
    " hy ka af sq lb".split()
)
SPACES = "\u00a0"
GROUPS = re.compile(r"[1-9]\d{0,2}(?P<by>[.,'٬\u00a0 ])\d{3}(?:(?P=by)\d{3})*|[1-9]\d?(?:,\d\d)+,\d{3}")
PARTS = re.compile(r"[^\d]+")
HAN_DIGITS = {
    sign: value
    for value, signs in enumerate(
        ("〇零○", "一壹壱", "二贰貳弐兩两", "三叁參参", "四肆", "五伍", "六陆陸", "七柒漆", "八捌", "九玖")
    )
    for sign in signs
}
HAN_UNITS = {sign: value for value, signs in ((10, "十拾"), (100, "百佰"), (1000, "千仟")) for sign in signs}
HAN_POWERS = {sign: value for value, signs in ((10**4, "万萬"), (10**8, "亿億"), (10**12, "兆")) for sign in signs}
HAN_TENS = {"廿": 20, "卅": 30}
KOREAN_UNITS = {"십": 10, "백": 100, "천": 1000}
KOREAN_POWERS = {"만": 10**4, "억": 10**8, "조": 10**12}
HAN = "".join([*HAN_DIGITS, *HAN_UNITS, *HAN_POWERS, *HAN_TENS])
ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
ROMAN_DIGITS = (
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
)
LOOKALIKES = str.maketrans("ІХСМѴ", "IXCMV")


def _plain(sign: str) -> str:
    if sign.isdecimal():
        return str(unicodedata.digit(sign))
    if sign in "−﹣－‐‑":
        return "-"
    if sign in "’＇":
        return "'"
    if sign in "\u00a0\u202f\u2009\u2007\u2008":
        return SPACES
    wide = unicodedata.normalize("NFKC", sign) if "\uff01" <= sign <= "\uff5e" else sign
    return wide if len(wide) == 1 else sign


PLAIN = Table(_plain)


def plain(text: str) -> str:
    """The text with ASCII digits, hyphens and full-width forms; its length and offsets do not change.

    >>> plain("٢٠٢١ २०२१ －５")
    '2021 2021 -5'
    """
    return text.translate(PLAIN)


def canonical(number: str) -> str:
    """The canonical form of a number with a decimal point.

    >>> canonical("007"), canonical("2.50"), canonical("-0.0")
    ('7', '2.5', '0')
    """
    try:
        value = Decimal(number)
    except InvalidOperation:
        return number
    text = format(value.normalize(), "f") if value else "0"
    return text


def scaled(number: str, power: int) -> str:
    """The canonical form of number * 10**power.

    >>> scaled("1.2", 6)
    '1200000'
    """
    return canonical(format(Decimal(number).scaleb(power), "f"))


def readings(run: str, language: str) -> frozenset[str]:
    """The values that plain digits with separators can have in a language; several where it writes both ways.

    Empty for what is no single number, as "1.2.3" or "555-123".

    >>> sorted(readings("1.150", "de")), sorted(readings("1.150", "en")), sorted(readings("1.150", "und"))
    (['1150'], ['1.15'], ['1.15', '1150'])
    """
    run = run.replace("٫", "\u066b")
    marks = PARTS.findall(run)
    if not marks:
        return frozenset({canonical(run)})
    if marks[-1] == "\u066b":
        whole, _, rest = run.rpartition("\u066b")
        return frozenset(canonical(f"{value}.{rest}") for value in _whole(whole))
    if len(marks) == 1:
        return _one_mark(run, marks[0], language)
    if len(set(marks)) == 1:
        return _whole(run)
    whole, mark, rest = run.rpartition(marks[-1])
    if mark in ".," and mark not in marks[:-1]:
        return frozenset(canonical(f"{value}.{rest}") for value in _whole(whole))
    return frozenset()


def _one_mark(run: str, mark: str, language: str) -> frozenset[str]:
    grouped = _whole(run)
    if mark not in (".", ","):
        return grouped
    decimal = frozenset({canonical(run.replace(",", "."))})
    if not grouped or language in (DOT_DECIMAL if mark == "." else COMMA_DECIMAL):
        return decimal
    if language in (COMMA_DECIMAL if mark == "." else DOT_DECIMAL):
        return grouped
    return grouped | decimal


def _whole(run: str) -> frozenset[str]:
    """The value of a whole number with or without grouping; empty where the groups are not of three (Indian: two)."""
    if run.isdigit():
        return frozenset({canonical(run)})
    return frozenset({canonical(PARTS.sub("", run))}) if GROUPS.fullmatch(run) else frozenset()


def han_value(run: str) -> str | None:
    """The value of a numeral in Han characters, alone or with digits; None for what is none.

    >>> han_value("二〇二一"), han_value("三百二十"), han_value("1万2千"), han_value("十"), han_value("百万")
    ('2021', '320', '12000', '10', '1000000')
    """
    if all(sign in HAN_DIGITS for sign in run):
        return canonical("".join(str(HAN_DIGITS[sign]) for sign in run))
    total, section, digits = Decimal(0), Decimal(0), ""
    for sign in run:
        if sign.isdigit() or sign == ".":
            digits += sign
        elif sign in HAN_DIGITS:
            digits = (digits if digits != "0" else "") + str(HAN_DIGITS[sign])
        elif sign in HAN_TENS:
            section, digits = section + HAN_TENS[sign], ""
        elif sign in HAN_UNITS or sign in KOREAN_UNITS:
            unit = HAN_UNITS.get(sign) or KOREAN_UNITS[sign]
            section, digits = section + _decimal(digits, 1) * unit, ""
        elif sign in HAN_POWERS or sign in KOREAN_POWERS:
            power = HAN_POWERS.get(sign) or KOREAN_POWERS[sign]
            total, section, digits = total + ((section + _decimal(digits, 0)) or 1) * power, Decimal(0), ""
        elif sign not in ", ":
            return None
    return canonical(format(total + section + _decimal(digits, 0), "f"))


def _decimal(digits: str, default: int) -> Decimal:
    try:
        return Decimal(digits) if digits else Decimal(default)
    except InvalidOperation:
        return Decimal(default)


def han(value: int) -> str:
    """A number of 1 to 9999 in Han characters.

    >>> han(320), han(12), han(1005)
    ('三百二十', '十二', '一千零五')
    """
    signs, units = "零一二三四五六七八九", ("", "十", "百", "千")
    digits = str(value)
    text = "".join(signs[int(d)] + (units[len(digits) - n - 1] if d != "0" else "") for n, d in enumerate(digits))
    text = re.sub("零+", "零", text).rstrip("零")
    return text[1:] if text.startswith("一十") else text


def roman_value(word: str) -> int | None:
    """The value of a Roman numeral in capitals, Latin or Cyrillic look-alikes or single signs; None for other words.

    >>> roman_value("XII"), roman_value("Ⅻ"), roman_value("ХІ"), roman_value("IIX")
    (12, 12, 11, None)
    """
    if len(word) == 1 and "Ⅰ" <= word <= "ⅿ":
        return int(unicodedata.numeric(word))
    latin = word.translate(LOOKALIKES)
    if not latin or not ROMAN.fullmatch(latin):
        return None
    value, rest = 0, latin
    for number, signs in ROMAN_DIGITS:
        while rest.startswith(signs):
            value, rest = value + number, rest[len(signs) :]
    return value


def roman(value: int) -> str:
    """A number of 1 to 3999 as a Roman numeral.

    >>> roman(1994)
    'MCMXCIV'
    """
    text = ""
    for number, signs in ROMAN_DIGITS:
        text, value = text + signs * (value // number), value % number
    return text
