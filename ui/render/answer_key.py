"""A normal form of answers: one key for the same text, never one key for two numbers.

Digits of every script are one digit, wide and narrow forms one letter; quotation marks around a text and the stop after it
say nothing. A year is the same with or without the words around it. Whatever could change a number stays in the key: signs,
decimal points, units, other calendars, raised digits, and a single separator that is a thousand here and a decimal there.
"""

from __future__ import annotations

import re
import unicodedata

# Marks of direction and spaces without width, which nobody sees.
UNSEEN = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
OPENING, CLOSING = "\"'`([{<«»‹›“”„‟‘’‚‛「『《〈【（［", "\"'`)]}>«»‹›“”„‟‘’‚‛」』》〉】）］"
STOPS = " .,;:?…。、｡､，．；：？،؛؟۔।॥"
# Between groups of three digits, and nowhere else in a number: no-break and thin spaces, apostrophes, the Arabic separator.
GROUPS = re.compile("(?<![0-9.,])[0-9]{1,3}(?:[\u00a0\u2009\u202f'’\u066c][0-9]{3})+(?![0-9])")
BETWEEN = re.compile("[\u00a0\u2009\u202f'’\u066c]")
HAN_YEAR = re.compile("[〇零一二三四五六七八九]{4}年")
HAN_DIGITS = str.maketrans("〇零一二三四五六七八九", "00123456789")

# What may stand around a year and leaves it the same year. Not here, for they are other years: พ.ศ., هـ, BC, 昭和.
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
# Alone, م may also be metres.
ARABIC_YEAR = re.compile("(?:في )?(?:عام|سنة) ([12][0-9]{3}) ?م")


def key_of(text: str) -> str:
    """What texts that say the same have in common.

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
    """Without stops at the end and marks around; what follows a number alone may be part of it: 5", 5', 3.14..."""
    kept = _unstopped(words)
    inner = kept.lstrip(OPENING)
    if len(inner) < len(kept) or not inner.rstrip(CLOSING)[-1:].isdigit():
        inner = _unstopped(inner.rstrip(CLOSING))
    return inner.strip()


def _unstopped(words: str) -> str:
    inner = words.rstrip(STOPS)
    return words if inner[-1:].isdigit() and ".." in words[len(inner) :] else inner


def _digits(text: str) -> str:
    """The text with every decimal digit as one of 0 to 9; the Arabic decimal and per cent signs as the usual ones."""
    values = ((char, unicodedata.decimal(char, None)) for char in text)
    plain = "".join(char if value is None else str(value) for char, value in values)
    return plain.replace("\u066b", ".").replace("\u066a", "%")


def _plain(char: str) -> str:
    """A letter in its usual form; raised digits, circled ones and fractions as they are, for they are other numbers."""
    usual = unicodedata.normalize("NFKC", char)
    return char if usual != char and any(one.isdigit() for one in usual) else usual
