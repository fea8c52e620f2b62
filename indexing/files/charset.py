"""Character encoding detection: byte order marks, strict UTF-8, UTF-16 by its zeros, then the likeliest legacy encoding.

Legacy encodings are distinguished by the letters they produce. A candidate must decode the whole text strictly. The one
whose letters best fit a language written in that encoding wins. Thirty non-ASCII letters suffice, five often do.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from indexing.errors import UnreadableFile
from indexing.files.legacy_encodings import SIGNS, guess, strict
from indexing.files.seven_bit import decode_seven_bit, is_seven_bit

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 60_000
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\x0b\x0c\x1a\x1b\x08"))
_CESU = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_SEQUENCES = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


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
    if (wide := _zeros(data)) and (text := strict(data, wide)) is not None:
        return DecodedText(text, wide)
    if seven_bit := decode_seven_bit(data, hint):
        return DecodedText(*seven_bit)
    try:
        return DecodedText(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        pass
    if is_binary(data):
        return None
    if found := _declared(data, hint) or _mostly_utf8(data):
        return found
    guessed = guess(data)
    return DecodedText(*guessed) if guessed else _replaced(data, "cp1252")


def decode_text(data: bytes, what: str, hint: str = "") -> DecodedText:
    """`decode` for a file that has to be text. what: its format, such as "JSON". Raises UnreadableFile for binary data."""
    decoded = decode(data, hint)
    if decoded is None:
        raise UnreadableFile(f"not {what}: binary data")
    return decoded


def decode_declared(data: bytes, hint: str) -> str:
    """Decode a short text in its declared encoding, or in a detected one if it does not fit; "" for binary data.

    >>> decode_declared("模具".encode("gbk"), "gb2312"), decode_declared("模具".encode(), "gb2312")
    ('模具', '模具')
    """
    utf_8 = strict(data, "utf-8")
    sequences = 0 if utf_8 is None else sum(character > "\x7f" for character in utf_8)
    if not data.isascii() and not (utf_8 is not None and sequences >= 2 and _one_script(utf_8)):
        declared = _declared(data, hint)
        if declared is not None:
            return declared.text
    decoded = decode(data, hint)
    return decoded.text if decoded else ""


def is_binary(data: bytes) -> bool:
    """Whether bytes that are not UTF-8 are binary: any NUL, or too many control characters for legacy text."""
    sample = data[:_SAMPLE]
    return b"\x00" in sample or (len(sample) - len(sample.translate(None, _CONTROLS))) * 200 > len(sample)


def _marked(data: bytes) -> DecodedText | None:
    """Decode by byte order mark; bytes that do not fit the encoding are replaced and counted."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            body = data[len(mark) :]
            text = strict(body, name)
            if text is not None:
                return DecodedText(text, name)
            if name == "utf-8" or name.startswith("utf-16"):
                return _replaced(body, name)
    return None


def _replaced(data: bytes, name: str) -> DecodedText:
    text = data.decode(name, "replace")
    return DecodedText(text, name, (f"bytes that are not {name} were replaced by U+FFFD: {text.count(chr(0xFFFD)):,}",))


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
        if _one_block(high, low) or (_ideographs(high, low) and strict(data, "utf-8") is None):
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


# What is meant by names that are too narrow, or that Python does not know (WHATWG, RFC 1556, Java, IANA).
_MEANT = {
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "cp1252",
    "ascii": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb_2312-80": "gb18030",
    "cn-gb": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "windows-31j": "cp932",
    "ms932": "cp932",
    "ms_kanji": "cp932",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "iso-8859-6-i": "iso8859_6",
    "iso-8859-6-e": "iso8859_6",
    "iso-8859-8-i": "cp1255",
    "iso-8859-8-e": "cp1255",
    "iso-8859-8": "cp1255",
    "iso-8859-9": "cp1254",
    "logical": "cp1255",
    "tis-620": "cp874",
    "iso-8859-11": "cp874",
    "dos-874": "cp874",
    "koi8": "koi8-r",
    "x-x-big5": "big5",
    "cn-big5": "big5",
    "mac-cyrillic": "mac_cyrillic",
    "mac-roman": "mac_roman",
    "utf8mb4": "utf-8",
    "unicode-1-1-utf-8": "utf-8",
}
_FAMILY = re.compile(r"(?:windows|ms|dos|cp)-?(\d{3,4})$")


def _codec(name: str) -> codecs.CodecInfo:
    """The codec that a declared name means. Raises LookupError for names of none.

    >>> _codec("x-sjis").name, _codec("iso-8859-8-i").name, _codec("windows-949").name
    ('cp932', 'cp1255', 'cp949')
    """
    name = name if name in _MEANT else name.removeprefix("x-")
    family = _FAMILY.match(name)
    return codecs.lookup(_MEANT.get(name) or (f"cp{family[1]}" if family else name))


def _declared(data: bytes, hint: str) -> DecodedText | None:
    """Decode by the declared encoding; None if that fails."""
    hint = hint.strip().lower()
    if not hint or hint.startswith(("utf-16", "utf-32")) or is_seven_bit(hint):
        return None
    try:
        text = data.decode(_codec(hint).name)
    except (LookupError, UnicodeDecodeError, ValueError, TypeError):
        return None
    return DecodedText(text, hint) if isinstance(text, str) else None


def _mostly_utf8(data: bytes) -> DecodedText | None:
    """Decode UTF-8 with a few invalid bytes, which become U+FFFD. Surrogates in three bytes each (CESU-8) are pairs.

    Valid sequences hardly occur by chance. So they may be as few as the invalid bytes if they spell letters of one script.
    """
    data = _CESU.sub(_pair, data)
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = len(_SEQUENCES.findall(data))
    if not bad:
        return DecodedText(text, "utf-8")
    if good >= 20 * bad or (good >= bad and _one_script(text)):
        return _replaced(data, "utf-8")
    return None


def _pair(match: re.Match[bytes]) -> bytes:
    """A character of two surrogates, each in three bytes, as the four bytes of UTF-8."""
    units = match.group().decode("utf-8", "surrogatepass")
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le").encode()


def _one_script(text: str) -> bool:
    """Whether the non-ASCII characters are letters of one script, or its signs; marks follow letters."""
    scripts: Counter[str] = Counter()
    before = ""
    for character in text:
        if character > "\x7f" and character not in SIGNS and character != "\ufffd":
            kind = unicodedata.category(character)
            follows = unicodedata.category(before or " ")[0] in "LM"
            if kind in ("Cn", "Co", "Cc") or (kind[0] == "M" and not follows):
                return False
            name = unicodedata.name(character, "? ").split()[0]
            scripts[{"HIRAGANA": "CJK", "KATAKANA": "CJK", "KATAKANA-HIRAGANA": "CJK"}.get(name, name)] += kind[0] in "LM"
        before = character
    letters = {name for name, count in scripts.items() if count}
    return len(letters) == 1 or (not letters and bool(scripts))
