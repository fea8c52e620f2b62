"""Character encoding detection: byte order marks, strict UTF-8, UTF-16 by its zeros, then the likeliest legacy encoding.

Legacy encodings are distinguished by the letters they produce. A candidate must decode the whole text strictly. The one
whose letters best fit a language written in that encoding wins. Thirty non-ASCII letters suffice, five often do.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 60_000
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\x0b\x0c\x1a\x1b\x08"))
_SEQUENCES = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_SIGNS = frozenset("‘’“”„‚«»‹›–—…€£¥§©®°·•¡¿ªº№´×½¼¾²³µ™†، ؛؟،״׳\xa0‎‏‌‍")

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


@dataclass(frozen=True, slots=True)
class DecodedText:
    """A text, its original encoding, and a remark if bytes were replaced."""

    text: str
    encoding: str
    notes: tuple[str, ...] = ()


def decode(data: bytes, hint: str = "") -> DecodedText | None:
    """Decode text without its byte order mark; None if the bytes are not text. `hint`: a declared encoding.

    >>> decode("Ο φάρος".encode("utf-16")).text
    'Ο φάρος'
    >>> decode("où l’été brûle".encode("cp1252"))
    DecodedText(text='où l’été brûle', encoding='cp1252', notes=())
    """
    marked = _marked(data)
    if marked:
        return marked
    if (wide := _zeros(data)) and (text := _strict(data, wide)) is not None:
        return DecodedText(text, wide)
    try:
        return DecodedText(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        pass
    if is_binary(data):
        return None
    return _declared(data, hint) or _mostly_utf8(data) or _guessed(data)


def is_binary(data: bytes) -> bool:
    """Whether bytes that are not UTF-8 are binary: any NUL, or too many control characters for legacy text."""
    sample = data[:_SAMPLE]
    return b"\x00" in sample or (len(sample) - len(sample.translate(None, _CONTROLS))) * 200 > len(sample)


def _marked(data: bytes) -> DecodedText | None:
    """Decode by byte order mark; bytes that do not fit the encoding are replaced and counted."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            body = data[len(mark) :]
            text = _strict(body, name)
            if text is not None:
                return DecodedText(text, name)
            if name == "utf-8" or name.startswith("utf-16"):
                return _replaced(body, name)
    return None


def _replaced(data: bytes, name: str) -> DecodedText:
    text = data.decode(name, "replace")
    return DecodedText(text, name, (f"bytes that are not {name} were replaced by U+FFFD: {text.count(chr(0xFFFD)):,}",))


def _strict(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except (UnicodeDecodeError, LookupError):
        return None


def _zeros(data: bytes) -> str:
    """UTF-16 without a mark: zero bytes (in other scripts than Latin, one high byte) on one side only; "" if not.

    UTF-8 text rarely passes: it needs 32 bytes or more, with a NUL in every other place.
    """
    sample = data[:4_000]
    if len(data) % 2 or len(sample) < 32 or (b"\x00" not in sample and sample.isascii()):
        return ""
    even, odd = sample[::2], sample[1::2]
    for high, low, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if high.count(0) * 10 >= 4 * len(high) and low.count(0) * 50 <= len(low):
            return name
        if _one_block(high, low) or (_ideographs(high, low) and _strict(data, "utf-8") is None):
            return name
    return ""


_CJK_HIGH = frozenset((0x30, 0xFF, *range(0x4E, 0xA0), *range(0xAC, 0xD8)))


def _one_block(high: bytes, low: bytes) -> bool:
    """Whether the high bytes are those of one script below U+2000, mixed with zeros (spaces, digits)."""
    counts = Counter(high)
    if not counts.pop(0, 0) or not counts or low.count(0) * 50 > len(low):
        return False
    common, count = counts.most_common(1)[0]
    return 3 <= common <= 0x1F and count * 10 >= counts.total() * 9


def _ideographs(high: bytes, low: bytes) -> bool:
    """Whether the high bytes are those of East Asian scripts, mixed with zeros (line ends, spaces, digits)."""
    zeros = high.count(0)
    known = len(high) - len(high.translate(None, bytes(_CJK_HIGH)))
    return zeros > 2 * low.count(0) and (known + zeros) * 100 >= 97 * len(high)


def _declared(data: bytes, hint: str) -> DecodedText | None:
    """Decode by the declared encoding; None if that fails."""
    hint = hint.strip().lower()
    if not hint or hint.startswith(("utf-16", "utf-32", "utf-7")):
        return None
    wider = {
        "iso-8859-1": "cp1252",
        "latin-1": "cp1252",
        "latin1": "cp1252",
        "us-ascii": "cp1252",
        "ascii": "cp1252",
        "gb2312": "gb18030",
        "gbk": "gb18030",
        "shift_jis": "cp932",
        "shift-jis": "cp932",
        "x-sjis": "cp932",
        "euc-kr": "cp949",
        "ks_c_5601-1987": "cp949",
        "iso-8859-9": "cp1254",
        "tis-620": "cp874",
    }
    try:
        name = codecs.lookup(wider.get(hint, hint))
        text = data.decode(name.name)
    except (LookupError, UnicodeDecodeError, ValueError, TypeError):
        return None
    return DecodedText(text, hint) if isinstance(text, str) else None


def _mostly_utf8(data: bytes) -> DecodedText | None:
    """Decode UTF-8 with a few invalid bytes: at least twenty times as many valid sequences."""
    good = len(_SEQUENCES.findall(data))
    text = data.decode("utf-8", "replace") if good else ""
    return _replaced(data, "utf-8") if good and text.count("\ufffd") * 20 <= good else None


# -- legacy encodings --------------------------------------------------------------------------------------------------


def _guessed(data: bytes) -> DecodedText:
    """Decode by the likeliest legacy encoding; Windows-1252 with replacements if none decodes strictly."""
    sample = _sample(data)
    scores = {name: _score_wide(sample, name) for name in _WIDE}
    scores.update((name, _score_family(sample, name, letters)) for names, letters in _FAMILIES for name in names)
    for name in sorted(scores, key=lambda name: -scores[name]):
        if scores[name] > float("-inf") and (text := _strict(data, name)) is not None:
            return DecodedText(text, _NAMES.get(name, name))
    if _unused_only(data):
        return DecodedText(data.decode("latin-1"), "latin-1")
    return _replaced(data, "cp1252")


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
        return _strict(sample, name)
    for end in range(_SAMPLE, _SAMPLE + 4):
        if (text := _strict(sample[:end], name)) is not None:
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
    kana = sum(number for character, number in counts.items() if "ぁ" <= character <= "ヿ")
    weight: Callable[[str], float] = _WEIGHTS[name]
    score = sum(number * weight(character) for character, number in counts.items()) / total if total else 0.0
    japanese = name in ("cp932", "euc_jp")
    return score - (0.5 if japanese and kana * 10 < total and total >= 10 else 0.0) - _scattered(text, total)


def _sign(character: str) -> float | None:
    """Weight of East Asian punctuation, full-width forms and symbols; None for other characters."""
    if "\u3000" <= character <= "\u303f" or "\uff01" <= character <= "\uff60":
        return 0.8
    if character in _SIGNS:
        return 0.3
    return None if character.isalpha() else -1.0


def _japanese(character: str) -> float:
    if "ぁ" <= character <= "ヿ":
        return 1.0
    if "\uff61" <= character <= "\uff9f":
        return -0.5
    return _level(character, "cp932", 0x88, 0x97, 0.9)


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
    counts, total = _beyond_ascii(text)
    best = max(_coverage(counts, language) for language in map(_weights, languages.values()))
    odd = 1.5 * _odd_cases(text) + len(_LONELY.findall(text)) + 2.0 * len(_MIXED.findall(text))
    return (best - odd) / total + _likelihood(name, text, counts) if total else 0.0


def _likelihood(name: str, text: str, counts: Counter[str]) -> float:
    """Evidence apart from letters: how common the encoding is, its signs, and whether letters form words."""
    total = sum(counts.values())
    if name == "cp1252":
        return 0.1 + 0.35 * sum(number for character, number in counts.items() if character in _SIGNS) / total
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
    if character in _SIGNS:
        return 0.5
    return -0.5 if character.isalpha() else -1.5


# Encodings of Latin letters, where non-ASCII letters are usually isolated.
_SPARSE = frozenset(("cp1252", "cp1254", "cp1250", "iso8859_2", "cp1257", "cp850", "mac_roman"))
_RUNS = re.compile(r"[^\x00-\x7f]+")
_ODD_CASE = re.compile(r"[^\W\d_a-z][^\W\d_]+|[a-z]+[^\W\d_][^\W\d_]*")
# A non-ASCII symbol between two letters, except for marks that are normal there.
_MARKS_INSIDE = "’\u00a0–—…‘“”«»'\u0300-\u036f\u0591-\u05c7\u064b-\u0670\u0e30-\u0e4e"
_LONELY = re.compile(rf"(?<=[^\W\d_])[¹³¿£¥¼½¾]|(?<=[^\W\d_])[^\w\s\x00-\x7f{_MARKS_INSIDE}](?=[^\W\d_])")
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
