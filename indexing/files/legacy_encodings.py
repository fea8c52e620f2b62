"""Guesses the legacy encoding of a text by the letters that each candidate produces.

A candidate must decode the whole text strictly. The one whose letters best fit a language written in that encoding wins.
Thirty non-ASCII letters suffice, five often do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache

_SAMPLE = 60_000
SIGNS = frozenset("‘’“”„‚«»‹›–—…€£¥§©®°·•¡¿ªº№´×½¼¾²³µ™†، ؛؟،״׳\xa0‎‏‌‍")

# Non-ASCII letters of each language, grouped by the legacy encodings it was written in.
_LATIN = {
    "fr": "éèêàâçùûîïôëœæüÿÉÈÊÀÂÇÙÛÎÏÔËŒ",
    "de": "äöüßÄÖÜ",
    "es": "áéíóúñüÁÉÍÓÚÑÜ",
    "pt": "ãõçáéíóúâêôàüÃÕÇÁÉÍÓÚÂÊÔÀ",
    "it": "àèéìíòóùúÀÈÉÌÒÙ",
    "nl": "éëïöüèêÉËÏÖÜ",
    "sv": "åäöéÅÄÖÉ",
    "da": "æøåéÆØÅÉ",
    "is": "áéíóúýþæöðÁÉÍÓÚÝÞÆÖÐ",
    "tr": "çğıöşüâîûÇĞİÖŞÜÂÎ",
    "en": "éèêëïôñàçöüâÉ",
}
_CENTRAL = {
    "pl": "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ",
    "cs": "áčďéěíňóřšťúůýžÁČĎÉĚÍŇÓŘŠŤÚŮÝŽ",
    "sk": "áäčďéíĺľňóôŕšťúýžÁÄČĎÉÍĽŇÓÔŠŤÚÝŽ",
    "hu": "áéíóöőúüűÁÉÍÓÖŐÚÜŰ",
    "ro": "ăâîșțşţĂÂÎȘȚŞŢ",
    "hr": "čćđšžČĆĐŠŽ",
}
_BALTIC = {"lt": "ąčęėįšųūžĄČĘĖĮŠŲŪŽ", "lv": "āčēģīķļņšūžĀČĒĢĪĶĻŅŠŪŽ", "et": "äõöüšžÄÕÖÜŠŽ"}
_CYRILLIC = {
    "ru": ("оеаинтсрвлкмд", "бгжзйпуфхцчшщъыьэюяё"),
    "uk": ("оаиніврекстлд", "бгґєжзїймпуфхцчшщьюя"),
    "bg": ("аоиетнрсвлкдп", "бгжзймуфхцчшщъьюя"),
    "sr": ("аоиенрсјтукдв", "бгђжзлљмњпћфхцчџш"),
}
_GREEK = {"el": ("αοιετνσςκρηπμάόίέ", "βγδζθλξυφχψωήύώϊϋΐΰ")}
_HEBREW = {"he": ("יוהלאתרמבשןנםעד", "גזחטךכסףפץצק")}
_ARABIC = {"ar": ("اليمنروتبعدهفسأةقك", "ءآؤإئثجحخذزشصضطظغىًٌٍَُِّْپچژگ")}
_THAI = {"th": ("่านรอกเงมยลวดทส้ตะปบคหัแีจพชิขใไ็ูึุืถโำ์ซ", "ณญธภฎฏฐฑฒฌฆฉฝฟผฬฮศษๆฯฤฅ๊๋")}

_FAMILIES: tuple[tuple[tuple[str, ...], dict[str, str] | dict[str, tuple[str, str]]], ...] = (
    (("cp1252", "cp1254"), _LATIN),
    (("cp1250", "iso8859_2"), _CENTRAL),
    (("cp1257",), _BALTIC),
    (("cp1251", "koi8_r", "koi8_u", "iso8859_5", "cp866"), _CYRILLIC),
    (("cp1253", "iso8859_7"), _GREEK),
    (("cp1255", "iso8859_8"), _HEBREW),
    (("cp1256", "iso8859_6"), _ARABIC),
    (("tis_620", "cp874"), _THAI),
    (("cp850", "mac_roman"), _LATIN),
)
_WIDE = ("cp932", "euc_jp", "cp949", "gb18030", "big5", "big5hkscs")
_NAMES = {
    "cp932": "shift_jis",
    "cp949": "euc-kr",
    "euc_jp": "euc-jp",
    "tis_620": "tis-620",
    "koi8_r": "koi8-r",
    "koi8_u": "koi8-u",
}


def guess(data: bytes) -> tuple[str, str] | None:
    """(text, encoding) of the likeliest legacy encoding that decodes the bytes strictly; None if none does."""
    sample = _sample(data)
    scores = {name: _score_wide(sample, name) for name in _WIDE}
    scores.update((name, _score_family(sample, name, letters)) for names, letters in _FAMILIES for name in names)
    for name in sorted(scores, key=lambda name: -scores[name]):
        if scores[name] > float("-inf") and (text := strict(data, name)) is not None:
            return text, _NAMES.get(name, name)
    return (data.decode("latin-1"), "latin-1") if _unused_only(data) else None


def strict(data: bytes, name: str) -> str | None:
    """The decoded text; None if a byte does not fit, or the encoding is unknown."""
    try:
        return data.decode(name)
    except (UnicodeDecodeError, LookupError):
        return None


def _unused_only(data: bytes) -> bool:
    """Whether Windows-1252 fails only for a few of its five unused bytes."""
    unused = sum(data.count(byte) for byte in (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d"))
    return 0 < unused * 50 <= len(data)


def _sample(data: bytes) -> bytes:
    """Lines with non-ASCII characters, up to the sample size; whole lines, so that no character is split."""
    if len(data) <= _SAMPLE:
        return data
    lines, size = [], 0
    for match in re.finditer(rb"[^\n]*[^\x00-\x7f\n][^\n]*\n?", data):
        line = match.group()
        lines.append(line)
        size += len(line)
        if size > _SAMPLE:
            break
    return b"".join(lines)


def _trimmed(sample: bytes, name: str) -> str | None:
    """The decoded sample; of one very long line, its beginning."""
    if len(sample) <= 2 * _SAMPLE:
        return strict(sample, name)
    for end in range(_SAMPLE, _SAMPLE + 4):
        if (text := strict(sample[:end], name)) is not None:
            return text
    return None


def _beyond_ascii(text: str) -> tuple[Counter[str], int]:
    """The counts of non-ASCII characters, and their total."""
    counts = Counter(character for character in text if character > "\x7f")
    return counts, counts.total()


def _score_wide(sample: bytes, name: str) -> float:
    """Mean weight of the non-ASCII characters: 1 for those common in the languages of the encoding."""
    text = _trimmed(sample, name)
    if text is None:
        return float("-inf")
    counts, total = _beyond_ascii(text)
    kana = sum(number for character, number in counts.items() if _KANA.match(character))
    weight: Callable[[str], float] = _WEIGHTS[name]
    half = _half_width(text) if name == "cp932" else 0.0
    score = (sum(number * weight(character) for character, number in counts.items()) + half) / total if total else 0.0
    japanese = name in ("cp932", "euc_jp")
    return score - (0.5 if japanese and kana * 10 < total and total >= 10 else 0.0) - _scattered(text, total)


def _sign(character: str) -> float | None:
    """Weight of East Asian punctuation, full-width forms and symbols; None for other characters."""
    if "\u3000" <= character <= "\u303f" or "\uff01" <= character <= "\uff60":
        return 0.8
    if character in SIGNS:
        return 0.3
    return None if character.isalpha() else -1.0


def _japanese(character: str) -> float:
    if "ぁ" <= character <= "ヿ":
        return 1.0
    if "\uff61" <= character <= "\uff9f":
        return 0.0  # counted by its run, in `_half_width`
    return _level(character, "cp932", 0x88, 0x97, 0.9)


def _half_width(text: str) -> float:
    """The summed weight of half-width kana: positive in runs where voiced marks and small kana stand as in words."""
    total = 0.0
    for match in _HALF_RUN.finditer(text):
        run = match.group()
        odd = len(_HALF_ODD.findall(run)) + sum(len(same[0]) for same in _REPEATED.finditer(run))
        plain = sum(character in _HALF_COMMON for character in run)
        total += -0.5 * len(run) if len(run) < 2 or 6 * odd > len(run) else 0.75 * len(run) + 0.2 * plain - 3.0 * odd
    return total


def _korean(character: str) -> float:
    """KS X 1001 syllables are common. Those of the cp949 extension are rare, and appear when Japanese is misread."""
    if "가" <= character <= "힣":
        lead, trail = character.encode("cp949")
        return 1.0 if lead >= 0xB0 and trail > 0xA0 else 0.2
    return _level(character, "cp949", 0, 0, 0.0)


def _level(character: str, name: str, low: int, high: int, value: float) -> float:
    """`value` if the character is common in the encoding (its lead byte is in a range), else a low weight."""
    sign = _sign(character)
    if sign is not None:
        return sign
    code = character.encode(name, "ignore")
    return value if len(code) == 2 and low <= code[0] <= high else 0.1 if "一" <= character <= "鿿" else -0.5


_KANA = re.compile("[ぁ-ヿ\uff61-\uff9f]")
_HALF_RUN = re.compile("[\uff61-\uff9f]+")
_HALF_COMMON = frozenset("ｱｲｳｵｶｷｸｺｼｽﾀﾁﾂﾃﾄﾅﾆﾉﾏﾐﾔﾖﾗﾘﾙﾛﾝｰﾞ")
# A voiced mark that follows no kana it can voice, a small kana or a long vowel at the start, twice the same small kana.
_HALF_ODD = re.compile("(?<![ｳｶ-ﾄﾊ-ﾎ])[ﾞ]|(?<![ﾊ-ﾎ])ﾟ|^[ｧ-ｯｰﾝ]|[ｧ-ｮ](?=[ｧ-ｮ])|ｦ(?=[^\uff61-\uff64])")
_WEIGHTS: dict[str, Callable[[str], float]] = {
    "cp932": _japanese,
    "euc_jp": _japanese,
    "cp949": _korean,
    "gb18030": lambda character: _level(character, "gb18030", 0xB0, 0xD7, 0.95),
    "big5": lambda character: _level(character, "big5", 0xA4, 0xC6, 0.95),
    "big5hkscs": lambda character: _level(character, "big5", 0xA4, 0xC6, 0.94),
}


def _score_family(sample: bytes, name: str, languages: dict[str, str] | dict[str, tuple[str, str]]) -> float:
    """Mean weight of the non-ASCII characters for the best-fitting language, less penalties for implausible words."""
    text = _trimmed(sample, name)
    if text is None:
        return float("-inf")
    counts, total = _beyond_ascii(_BOXES.sub("", text)) if name in _WITH_BOXES else _beyond_ascii(text)
    if name in _WITH_BOXES and not total:
        return 0.7 if name == "cp850" and text else 0.0
    if not any(character.islower() for character in counts):  # All in capitals: they weigh what small letters do.
        counts = _lower(counts)
    best = max(_coverage(counts, language) for language in map(_weights, languages.values()))
    odd = 1.5 * _odd_cases(text) + len(_LONELY.findall(text)) + 2.0 * len(_MIXED.findall(text))
    odd += 1.5 * len(_THAI_ODD.findall(text)) + sum(len(run[0]) for run in _REPEATED.finditer(text))
    return (best - odd) / total + _likelihood(name, text, counts) if total else 0.0


def _lower(counts: Counter[str]) -> Counter[str]:
    """The counts with each letter as a small letter, where that is one character."""
    lowered: Counter[str] = Counter()
    for character, number in counts.items():
        small = character.lower()
        lowered[small if len(small) == 1 else character] += number
    return lowered


def _likelihood(name: str, text: str, counts: Counter[str]) -> float:
    """Evidence apart from letters: how common the encoding is, its signs, and whether letters form words."""
    total = sum(counts.values())
    if name == "cp1252":
        return 0.1 + 0.35 * sum(number for character, number in counts.items() if character in SIGNS) / total
    if name in ("cp850", "mac_roman"):
        return -0.1
    return 0.0 if name in _SPARSE else -_scattered(text, total)


def _scattered(text: str, total: int) -> float:
    """Penalty of 0.5 if non-ASCII characters are mostly isolated, which is normal only for Latin letters and signs."""
    return 0.5 if 2 * total < 3 * len(_RUNS.findall(text)) else 0.0


@cache
def _weights(letters: str | tuple[str, str]) -> dict[str, float]:
    """Weight of each letter in a language. Latin: 0.9. Other scripts: common 1, others 0.7, capitals 0.2 less."""
    if isinstance(letters, str):
        return dict.fromkeys(letters, 0.9)
    weights: dict[str, float] = {}
    for group, value in zip(letters, (1.0, 0.7), strict=True):
        weights.update({letter.upper(): value - 0.2 for letter in group if len(letter.upper()) == 1})
        weights.update(dict.fromkeys(group, value))
    return weights


def _coverage(counts: Counter[str], weights: dict[str, float]) -> float:
    return sum(number * weights.get(character, _other(character)) for character, number in counts.items())


@cache
def _other(character: str) -> float:
    """Weight of a character that is not a letter of the language: punctuation positive, others negative."""
    if character in SIGNS:
        return 0.5
    return -0.5 if character.isalpha() else -1.5


# Encodings of Latin letters, where non-ASCII letters are usually isolated.
_SPARSE = frozenset(("cp1252", "cp1254", "cp1250", "iso8859_2", "cp1257", "cp850", "mac_roman"))
_RUNS = re.compile(r"[^\x00-\x7f]+")
_ODD_CASE = re.compile(r"[^\W\d_a-z][^\W\d_]+|[a-z]+[^\W\d_][^\W\d_]*")
# A non-ASCII symbol between two letters, except for marks that are normal there.
_MARKS_INSIDE = "’\u00a0–—…‘“”«»'\u0300-\u036f\u0591-\u05c7\u064b-\u0670\u0e30-\u0e4e"
_LONELY = re.compile(rf"(?<=[^\W\d_])[¹³¿£¥¼½¾]|(?<=[^\W\d_])[^\w\s\x00-\x7f{_MARKS_INSIDE}](?=[^\W\d_])")
# A Thai vowel or tone mark without its consonant, and a single Thai letter between spaces.
_THAI_ODD = re.compile(
    "(?<![\u0e01-\u0e4e])[\u0e30-\u0e3a\u0e45\u0e47-\u0e4e]|[\u0e40-\u0e44](?![\u0e01-\u0e2e])"
    r"|(?<!\S)[\u0e01-\u0e2e](?![^\s.,])"
)
# Box drawing of code pages for DOS says nothing about the letters beside it.
_BOXES = re.compile("[\u2500-\u25a0]{3,}|(?<!\\S)[\u2500-\u25a0]+(?!\\S)")
_WITH_BOXES = frozenset(("cp866", "cp850", "koi8_r", "koi8_u"))
# Lines and boxes of another code page, read as letters.
_REPEATED = re.compile(r"([^\W\d_\x00-\x7f])\1{3,}")
# An ASCII letter next to a letter of another script.
_MIXED = re.compile(r"[A-Za-z](?=[\u0370-\u0fff])|[\u0370-\u0fff](?=[A-Za-z])")


def _odd_cases(text: str) -> int:
    """The number of words, with non-ASCII letters, that change from small to capital letters inside.

    >>> _odd_cases("мОСТ Мост МОСТ мост")
    1
    """
    odd = 0
    for match in _ODD_CASE.finditer(text):
        word = match.group()
        odd += not (word.isascii() or word.islower() or word.isupper() or word[1:].islower()) and word != word.upper()
    return odd
