"""Normalisation of answers: equal texts get one key, different numbers never do.

Digits of all scripts, and wide and narrow forms, are unified. Quotation marks around a text, a final full stop, and words
around a year are removed. Everything that could change a number is kept: signs, decimal points, units, other calendars,
and superscript digits. A single separator is kept too, as it means thousands in one language and decimals in another.
"""

from __future__ import annotations

import re
import unicodedata

# Direction marks and zero-width characters, which are invisible.
UNSEEN = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
OPENING, CLOSING = "\"'`([{<«»‹›“”„‟‘’‚‛「『《〈【（［", "\"'`)]}>«»‹›“”„‟‘’‚‛」』》〉】）］"
STOPS = " .,;:?…。、｡､，．；：？،؛؟۔।॥"
# Only between groups of three digits: no-break and thin spaces, apostrophes, the Arabic thousands separator.
GROUPS = re.compile("(?<![0-9.,])[0-9]{1,3}(?:[\u00a0\u2009\u202f'’\u066c][0-9]{3})+(?![0-9])")
BETWEEN = re.compile("[\u00a0\u2009\u202f'’\u066c]")
HAN_YEAR = re.compile("[〇零一二三四五六七八九]{4}年")
HAN_DIGITS = str.maketrans("〇零一二三四五六七八九", "00123456789")

# Words around a year that do not change it. Not listed, as they denote other years: พ.ศ., هـ, BC, 昭和.
BEFORE_YEAR = (
    "in|the|year|of|ad|ce|anno|im|jahr|jahre|en|el|año|l'an|l'année|année|em|no ano|ano|de|nel|nell'anno|dell'anno|het|jaar"
    "|i|år|året|w|roku|rok|v roce|în|anul|vuonna|в|год|у|рік|το|έτος|năm|vào|trong|في|عام|سنة|فی|در|سال|בשנת|שנת|שנה|सन्|सन"
    "|वर्ष|ใน|ปี|ในปี|ค.ศ|ปีค.ศ|ในปีค.ศ|公元|西元|西暦|서기|於|在|সাল"
)
AFTER_YEAR = (
    "ad|a.d|ce|c.e|n. chr|n.chr|d.c|roku|rok|г|год|года|году|р|рік|року|році|ميلادي|ميلادية|میلادی|में|ई|वर्ष"
    "|年|年に|年は|年中|년|년에|년에는|년도|yıl|yılı|yılında|সাল|সালে"
)
BEFORE, AFTER = ("|".join(map(re.escape, words.casefold().split("|"))) for words in (BEFORE_YEAR, AFTER_YEAR))
YEAR = re.compile(rf"(?:(?:{BEFORE})[. ]{{0,2}}){{0,4}}(?<![0-9])([12][0-9]{{3}}) ?(?:{AFTER})?")
# م alone may also mean metres.
ARABIC_YEAR = re.compile("(?:في )?(?:عام|سنة) ([12][0-9]{3}) ?م")


def key_of(text: str) -> str:
    """The key that equal answers share.

    >>> key_of("in 1912") == key_of("１９１２年") == key_of("١٩١٢") == "1912"
    True
    >>> key_of("The  Bridge.") == key_of("“the bridge”")
    True
    >>> len({key_of(text) for text in ("1912", "1912 BC", "-1912", "19.12", "191²", "1912 m", "1,912")})
    7
    """
    shown = GROUPS.sub(lambda match: BETWEEN.sub("", match[0]), _digits(UNSEEN.sub("", text)))
    words = unicodedata.normalize("NFC", "".join(map(_plain, shown)))
    words = _bare(" ".join(words.split())).replace("\u2212", "-").casefold()
    words = re.sub("(?<=[0-9]) (?=[%°€$£])", "", words)
    if HAN_YEAR.fullmatch(words):
        words = words.translate(HAN_DIGITS)
    year = YEAR.fullmatch(words) or ARABIC_YEAR.fullmatch(words)
    return year[1] if year else words


def _bare(words: str) -> str:
    """Removes final stops and surrounding quotation marks; after a number they may belong to it and stay: 5", 5', 3.14..."""
    kept = _unstopped(words)
    inner = kept.lstrip(OPENING)
    if len(inner) < len(kept) or not inner.rstrip(CLOSING)[-1:].isdigit():
        inner = _unstopped(inner.rstrip(CLOSING))
    return inner.strip()


def _unstopped(words: str) -> str:
    inner = words.rstrip(STOPS)
    return words if inner[-1:].isdigit() and ".." in words[len(inner) :] else inner


def _digits(text: str) -> str:
    """Decimal digits of all scripts as 0 to 9; Arabic decimal and percent signs as the usual ones."""
    values = ((char, unicodedata.decimal(char, None)) for char in text)
    plain = "".join(char if value is None else str(value) for char, value in values)
    return plain.replace("\u066b", ".").replace("\u066a", "%")


def _plain(char: str) -> str:
    """A character in NFKC form; superscript and circled digits and fractions stay, as they are other numbers."""
    usual = unicodedata.normalize("NFKC", char)
    return char if usual != char and any(one.isdigit() for one in usual) else usual
