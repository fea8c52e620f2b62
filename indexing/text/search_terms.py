"""Text analysis for keyword search: normalisation, stemming, and character bigrams for scripts without spaces.

Every word yields its folded form, and its stem where a maintained stemmer (Snowball) supports the language. So a question
whose language was detected wrongly still matches folded forms. With the right language, other inflections match too.

Folding covers:
    NFKC, case, accents of Latin, Greek and Cyrillic letters, Turkish dotted and dotless i as one letter;
    Arabic and Persian letter variants, vowel points and tatweel, Hebrew points, the Indic nukta;
    digits of every script, which become ASCII.

Vietnamese words also keep a form with tones. Runs of Han, Kana, Hangul, Thai, Lao, Khmer and Myanmar yield overlapping
bigrams of characters with their marks. Grouped numbers lose their separators: 1,150 and 1.150 and 1 150 are 1150.
Decimal commas and points are equal: 2,5 and 2.5.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable
from typing import Any

import regex

LONGEST = 64
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
    "أ": "ا",
    "إ": "ا",
    "آ": "ا",
    "ٱ": "ا",
    "ى": "ي",
    "ی": "ي",
    "ې": "ي",
    "ة": "ه",
    "ۀ": "ه",
    "ک": "ك",
    "ڪ": "ك",
    "ؤ": "و",
    "ئ": "ي",
    "ı": "i",
    "ł": "l",
    "ø": "o",
    "đ": "d",
    "ð": "d",
    "æ": "ae",
    "œ": "oe",
    "ς": "σ",
    "ё": "е",
}
KEPT_MARKS = regex.compile(
    r"[\p{Devanagari}\p{Bengali}\p{Telugu}\p{Tamil}\p{Gujarati}\p{Gurmukhi}\p{Kannada}\p{Malayalam}\p{Sinhala}]"
)
DROPPED = "\u093c\u09bc\u0a3c\u0abc\u200c\u200d\u0640"
STEMMERS = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nl": "dutch",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
}

_local = threading.local()


class Table(dict[int, str]):
    """A character mapping for `str.translate`, computed when a character first occurs."""

    def __init__(self, become: Callable[[str], str]) -> None:
        self._become = become

    def __missing__(self, code: int) -> str:
        made = self[code] = self._become(chr(code))
        return made


def _cleaned(sign: str) -> str:
    return sign if sign == DECIMAL or unicodedata.category(sign)[0] in "LMN" else ""


def _plain(sign: str) -> str:
    """Unify letter variants, convert digits of every script to ASCII, drop signs."""
    return "".join(str(unicodedata.digit(c)) if c.isdecimal() else _cleaned(c) for c in LETTERS.get(sign, sign))


CLEAN, FOLDED = Table(_cleaned), Table(_plain)
BARE = Table(lambda sign: "" if sign in DROPPED or unicodedata.category(sign) in ("Mn", "Me") else sign)
BARE_BUT_MARKS = Table(lambda sign: "" if sign in DROPPED else sign)


def terms(text: str, language: str) -> list[str]:
    """Search terms of a text in order, with repetitions: 1 to 64 characters, no white space, no ASCII punctuation.

    >>> terms("The bridges of Orsund, 1,150 m", "en")
    ['the', 'bridges', 'bridg', 'of', 'orsund', '1150', 'm']
    """
    return [term for term, _, _ in term_spans(text, language)]


def term_spans(text: str, language: str) -> list[tuple[str, int, int]]:
    """The same terms with their positions in the text: (term, start, end) in code points."""
    found: list[tuple[str, int, int]] = []
    for match in RUNS.finditer(text):
        kind, run, at, end = match.lastgroup, match.group(), match.start(), match.end()
        if kind == "dense":
            found += _bigrams(run, at)
        else:
            found += [(term, at, end) for term in terms_of_run(run, language)]
    return found


def terms_of_run(run: str, language: str) -> tuple[str, ...]:
    """The terms of one word or number, as matched by PLAIN_RUNS or BARE_RUNS."""
    return _number(run) if NUMBER.match(run) else _word(run, language)


def terms_of_pair(pair: str) -> tuple[str, ...]:
    """The term of two neighbouring characters with their marks, or of a single one, in an unspaced run; or none."""
    term = _dense(pair)[:LONGEST]
    return (term,) if term else ()


def _bigrams(run: str, at: int) -> list[tuple[str, int, int]]:
    """Overlapping bigrams of characters with their marks; a run of one character yields that character."""
    spans = [(match.start(), match.end()) for match in CLUSTER.finditer(run)]
    pairs = list(zip(spans, spans[1:], strict=False)) or [(spans[0], spans[0])]
    return [(term, at + a, at + d) for (a, _), (_, d) in pairs for term in terms_of_pair(run[a:d])]


def _dense(piece: str) -> str:
    return _clean(unicodedata.normalize("NFKC", piece).casefold())


def _clean(term: str) -> str:
    """Keep only letters, marks, numbers and the decimal point, since NFKC can expand a character to signs."""
    return term.translate(CLEAN)


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
    """The folded word, its stem if different, and for Vietnamese also the form with tones."""
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
    """Remove accents and points, and unify letter variants."""
    apart = unicodedata.normalize("NFD", word).translate(BARE_BUT_MARKS if KEPT_MARKS.search(word) else BARE)
    return unicodedata.normalize("NFC", apart).translate(FOLDED)


def _stemmer(language: str) -> Any:
    """This thread's Snowball stemmer for a language, or None if there is none. Stemmers are not thread-safe."""
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
