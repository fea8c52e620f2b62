"""The search terms of a text, for documents and questions alike.

Every word gives its folded form; where a maintained stemmer (Snowball) knows the language, also its stem. So a question
whose language was guessed wrong still meets the folded forms, and one guessed right also the other inflections.

Folding: NFKC, case, accents of Latin, Greek and Cyrillic letters, Turkish dotted and dotless i as one, Arabic and Persian
letter variants, vowel points and tatweel, Hebrew points, the Indic nukta, digits of every script to ASCII. Vietnamese words
keep their tones beside the folded form. Han, Kana, Hangul, Thai, Lao, Khmer and Myanmar runs give overlapping bigrams of
characters with their marks. Grouped numbers lose their separators: 1,150 and 1.150 and 1 150 are 1150; 2,5 and 2.5 are one.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable
from itertools import chain
from operator import add
from typing import Any

import regex

LONGEST = 64
REMEMBERED = 400_000
DECIMAL = "·"

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー々〆ゝゞ"
RUNS = regex.compile(
    r"(?P<number>\p{Nd}+(?:[.,٫٬’'\u00a0\u202f ](?=\p{Nd})\p{Nd}+)*)"
    rf"|(?P<dense>[{UNSPACED}][[{UNSPACED}]\p{{M}}\u200c\u200d]*)"
    rf"|(?P<word>[[\p{{L}}\p{{N}}\p{{M}}\u200c\u200d\u0640]--[{UNSPACED}]]+)",
    regex.V1,
)
BARE_RUNS = regex.compile(regex.sub(r"\?P<\w+>", "?:", RUNS.pattern), regex.V1)
NOT_PLAIN = re.compile("[^\u0000-\u02ff\u0370-\u0482\u048a-\u052f\u1e00-\u1fff\u2010-\u205e\u20a0-\u20bf\u2190-\u21ff]")
PLAIN_RUNS = re.compile(r"\d+(?:[.,٫٬’'\u00a0\u202f ]\d+)*|[^\W_]+")
NUMBER = regex.compile(r"\p{Nd}")
DENSE = regex.compile(rf"(?!\p{{Nd}})[{UNSPACED}]")
MARKED = regex.compile(r"[\p{M}\u200c\u200d]")
CLUSTER = regex.compile(r".[\p{M}\u200c\u200d]*", regex.DOTALL)
GROUPED = regex.compile(r"\d{1,3}(?:[.,٬’'\u00a0\u202f ]\d{2,3})*[.,٬’'\u00a0\u202f ]\d{3}")
SEPARATOR = regex.compile(r"[.,٫٬’'\u00a0\u202f ]")
VIETNAMESE = regex.compile("[\u0309\u0323\u031b]|đ")
LETTERS = {
    "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ی": "ي", "ې": "ي", "ة": "ه", "ۀ": "ه", "ک": "ك", "ڪ": "ك",
    "ؤ": "و", "ئ": "ي", "ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "ς": "σ", "ё": "е",
}  # fmt: skip
FOLDED_LETTERS = str.maketrans(LETTERS)
KEPT_MARKS = regex.compile(
    r"[\p{Devanagari}\p{Bengali}\p{Telugu}\p{Tamil}\p{Gujarati}\p{Gurmukhi}\p{Kannada}\p{Malayalam}\p{Sinhala}]"
)
NUKTA = "\u093c\u09bc\u0a3c\u0abc\u200c\u200d"
STEMMERS = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian",
    "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "ne": "nepali", "nl": "dutch",
    "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian",
    "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip

_local = threading.local()


def terms(text: str, language: str) -> list[str]:
    """Search terms in order, with repetitions; none holds white space or ASCII punctuation, none is empty or over 64.

    >>> terms("The bridges of Orsund, 1,150 m", "en")
    ['the', 'bridges', 'bridg', 'of', 'orsund', '1150', 'm']
    """
    known = _remembered(language)
    if NOT_PLAIN.search(text) is None:
        return list(chain.from_iterable(map(known.__getitem__, PLAIN_RUNS.findall(text))))
    found: list[str] = []
    for run in BARE_RUNS.findall(text):
        found += _pairs(run) if DENSE.match(run) else known[run]
    return found


class _Known(dict[str, tuple[str, ...]]):
    """What words and numbers gave before; what is asked for first is made then."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __missing__(self, run: str) -> tuple[str, ...]:
        made = self[run] = _number(run) if NUMBER.match(run) else _word(run, self.language)
        return made


class _KnownPairs(dict[str, tuple[str, ...]]):
    """The same of pairs of unspaced characters, in any language; apart, as a pair of digits is not a number."""

    def __missing__(self, pair: str) -> tuple[str, ...]:
        term = _dense(pair)[:LONGEST]
        made = self[pair] = (term,) if term else ()
        return made


def term_spans(text: str, language: str) -> list[tuple[str, int, int]]:
    """The same terms with the place of each in the text, (term, start, end) in code points."""
    found: list[tuple[str, int, int]] = []
    for match in RUNS.finditer(text):
        kind, run, at, end = match.lastgroup, match.group(), match.start(), match.end()
        if kind == "dense":
            found += _bigrams(run, at)
        else:
            found += [(term, at, end) for term in (_number(run) if kind == "number" else _word(run, language))]
    return found


def _remembered(language: str) -> _Known:
    """What words of a language gave before, per thread and bounded."""
    languages: dict[str, _Known] | None = getattr(_local, "known", None)
    if languages is None or sum(map(len, languages.values())) > REMEMBERED:
        languages = _local.known = {}
    if language not in languages:
        languages[language] = _Known(language)
    return languages[language]


def _pairs(run: str) -> Iterable[str]:
    """The terms of `_bigrams`, without their places; pairs met before are looked up."""
    known: _KnownPairs | None = getattr(_local, "pairs", None)
    if known is None or len(known) > REMEMBERED:
        known = _local.pairs = _KnownPairs()
    clusters = CLUSTER.findall(run) if MARKED.search(run) else run
    pairs = map(add, clusters, clusters[1:]) if len(clusters) > 1 else clusters
    return chain.from_iterable(map(known.__getitem__, pairs))


def _bigrams(run: str, at: int) -> list[tuple[str, int, int]]:
    """Overlapping pairs of characters with their marks; a single one stands alone."""
    spans = [(match.start(), match.end()) for match in CLUSTER.finditer(run)]
    pairs = list(zip(spans, spans[1:], strict=False)) or [(spans[0], spans[0])]
    made = ((_dense(run[a:d])[:LONGEST], at + a, at + d) for (a, _), (_, d) in pairs)
    return [item for item in made if item[0]]


def _dense(piece: str) -> str:
    return _clean(unicodedata.normalize("NFKC", piece).casefold())


def _clean(term: str) -> str:
    """Only letters, marks, numbers and the decimal point survive: compatibility forms can unfold to signs."""
    return "".join(c for c in term if c == DECIMAL or unicodedata.category(c)[0] in "LMN")


def _number(run: str) -> tuple[str, ...]:
    digits = "".join(str(unicodedata.digit(c)) if c.isdecimal() else c for c in run)
    if GROUPED.fullmatch(digits):
        return (SEPARATOR.sub("", digits)[:LONGEST],)
    parts = SEPARATOR.split(digits)
    if len(parts) == 2 and regex.search("[.,٫]", digits):
        whole, _, rest = GROUPED.sub(lambda m: SEPARATOR.sub("", m.group()), parts[0]), "", parts[1]
        return (f"{whole}{DECIMAL}{rest}"[:LONGEST],)
    if len(parts) > 2 and GROUPED.fullmatch(digits[: -len(parts[-1]) - 1]) and digits[-len(parts[-1]) - 1] in ".,٫":
        return (f"{''.join(parts[:-1])}{DECIMAL}{parts[-1]}"[:LONGEST],)
    return tuple(part[:LONGEST] for part in parts)


def _word(run: str, language: str) -> tuple[str, ...]:
    """The folded word; its stem when that differs; a Vietnamese word also with its tones."""
    lower = run.lower() if language != "tr" else _turkish(run)
    if lower.isascii():
        plain, made = lower, [lower[:LONGEST]]
    else:
        plain = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", lower).casefold())
        made = [_folded(plain)[:LONGEST]]
        if VIETNAMESE.search(unicodedata.normalize("NFD", plain)):
            made.append(_clean(plain)[:LONGEST])
    stemmer = _stemmer(language)
    if stemmer is not None and len(plain) > 2:
        stem = stemmer.stemWord(plain[:LONGEST])
        made.append(stem if stem.isascii() else _folded(stem)[:LONGEST])
    return tuple(dict.fromkeys(term for term in made if term))


def _turkish(word: str) -> str:
    return word.replace("İ", "i").replace("I", "ı").lower()


def _folded(word: str) -> str:
    """Without accents and points, letter variants as one."""
    keep = KEPT_MARKS.search(word) is not None
    apart = unicodedata.normalize("NFD", word)
    bare = "".join(
        c for c in apart
        if c not in NUKTA and c != "\u0640" and (keep or unicodedata.category(c) not in ("Mn", "Me"))
    )  # fmt: skip
    joined = unicodedata.normalize("NFC", bare).translate(FOLDED_LETTERS)
    return _clean("".join(str(unicodedata.digit(c)) if c.isdecimal() else c for c in joined))


def _stemmer(language: str) -> Any:
    """This thread's Snowball stemmer of a language; None where there is none. Stemmers are not safe to share."""
    name = STEMMERS.get(language)
    if name is None:
        return None
    made: dict[str, Any] | None = getattr(_local, "stemmers", None)
    if made is None:
        made = _local.stemmers = {}
    if name not in made:
        import Stemmer

        made[name] = Stemmer.Stemmer(name, 0) if name in Stemmer.algorithms() else None
    return made[name]
