"""Text analysis for keyword search: normalisation, stemming, and character bigrams for scripts without spaces.

Every word yields its folded form, and its stem where a maintained stemmer (Snowball) supports the language. So a question
whose language was detected wrongly still matches folded forms. With the right language, other inflections match too.

Folding covers:
    NFKC, case, accents of Latin, Greek and Cyrillic letters, Turkish dotted and dotless i as one letter;
    Arabic and Persian letter variants, vowel points and tatweel, Hebrew points, the Indic nukta;
    digits of every script, which become ASCII.

Vietnamese words also keep a form with tones. Runs of Han, Kana, Hangul, Thai, Lao, Khmer and Myanmar yield overlapping
bigrams of characters with their marks. Numbers and identifiers yield themselves and their parts (`identifiers`). Grouped
numbers lose their separators: 1,150 and 1.150 and 1 150 are 1150. Decimal commas and points are equal: 2,5 and 2.5.

Terms are made of the normal form of a text (`indexing.normal_form`), so composed and decomposed letters are equal, and
invisible characters do not count. VERSION names these rules; a keyword index made by others is built again.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable
from functools import partial
from operator import add
from typing import Any

import regex

from indexing.normal_form import normal_form
from indexing.text.identifiers import DECIMAL, FRACTION, JOINING, LONGEST, SPACES, run_terms

VERSION = 2
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー々〆ゝゞ--\p{Nd}]"
SIGNS_BETWEEN = (
    rf"(?:{JOINING}|[,٫٬’'{SPACES}](?=\d)(?<=\d.)|(?<=\d)\)[ -]?(?=\d)|['’](?=[\u0400-\u052f])(?<=[\u0400-\u052f].))"
)
ALPHANUMERIC = rf"[[\p{{L}}\p{{N}}\p{{M}}\u200c\u200d\u0640]--{UNSPACED}]"
BARE_RUNS = regex.compile(
    rf"{UNSPACED}[{UNSPACED}\p{{M}}\u200c\u200d]*|{ALPHANUMERIC}+(?:{SIGNS_BETWEEN}{ALPHANUMERIC}+)*", regex.V1
)
NOT_PLAIN = re.compile(
    "[^\u0000-\u00ac\u00ae-\u02ff\u0370-\u0482\u048a-\u052f\u1e00-\u1fff"
    "\u2000-\u200a\u2010-\u2029\u202f-\u205f\u20a0-\u20bf\u2190-\u21ff]"
)
PLAIN_RUNS = re.compile(rf"[^\W_]+(?:{SIGNS_BETWEEN}[^\W_]+)*")
FULL_WIDTH = re.compile("[\uff01-\uff5e]")
NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
SPLIT_AM = regex.compile("(?P<thai>\u0e4d(?P<t>[\u0e48-\u0e4b]?)\u0e32)|\u0ecd(?P<l>[\u0ec8-\u0ecb]?)\u0eb2")
WORD_BREAK = "\u200b"
SMALL = re.compile("[A-Za-z\u00c0-\u024f\u0370-\u052f\u1e00-\u1fff]+")
POSITIONAL = re.compile("[〇零一二三四五六七八九]{2,}")
HAN_DIGITS = str.maketrans("〇零一二三四五六七八九", "00123456789")
DENSE = regex.compile(UNSPACED, regex.V1)
MARKED = regex.compile(r"[\p{M}\u200c\u200d]")
CLUSTER = regex.compile(r".[\p{M}\u200c\u200d]*", regex.DOTALL)
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
    "ہ": "ه",
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
    return sign if sign in (DECIMAL, FRACTION) or unicodedata.category(sign)[0] in "LMN" else ""


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
    return [term for run in _runs(text) for part in run_parts(run, language) for term in part]


def question_terms(text: str, language: str) -> tuple[list[str], list[str]]:
    """The main and the extra terms of a question, as `identifiers` tells them apart.

    >>> question_terms("GPT-4 bridges", "en")
    (['gpt', '4', 'bridges', 'bridg'], ['gpt4'])
    """
    parts = [run_parts(run, language) for run in _runs(text)]
    return [term for main, _ in parts for term in main], [term for _, extra in parts for term in extra]


def term_text(text: str) -> str:
    """The text from which terms are made: in normal form, in usual width, without word breaks in any script."""
    text = normal_form(text)
    if WORD_BREAK in text:
        text = text.replace(WORD_BREAK, "")
    if FULL_WIDTH.search(text):
        text = text.translate(NARROW)
    return SPLIT_AM.sub(usual_am, text) if "\u0e4d" in text or "\u0ecd" in text else text


def usual_am(match: regex.Match[str]) -> str:
    """Thai and Lao sara am in one character, behind its tone mark."""
    return f"{match['t']}\u0e33" if match["thai"] else f"{match['l'] or ''}\u0eb3"


def _runs(text: str) -> list[str]:
    """The words with their numbers and identifiers, and the unspaced runs of a text, in order."""
    return PLAIN_RUNS.findall(text) if NOT_PLAIN.search(text) is None else BARE_RUNS.findall(term_text(text))


def run_parts(run: str, language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The main and the extra terms of one run, as matched by PLAIN_RUNS or BARE_RUNS."""
    if run.isalpha() and run[1:].islower() and (run.isascii() or SMALL.fullmatch(run)):
        return _word(run, language), ()
    if DENSE.match(run) is None:
        return run_terms(run, partial(_word, language=language))
    clusters = CLUSTER.findall(run)
    pairs = list(map(add, clusters, clusters[1:])) or clusters
    return tuple(term for pair in pairs for term in terms_of_pair(pair)), han_numbers(run)


def run_keys(run: str) -> tuple[str, ...]:
    """The folded words of one run, without stems and variants; of an unspaced run, one key for each character.

    Each key of a spaced run is one of its terms in any language; of an unspaced run, each pair of neighbouring keys is.

    >>> run_keys("GPT-4"), run_keys("Bridges"), run_keys("東京都")
    (('gpt', '4'), ('bridges',), ('東', '京', '都'))
    """
    if run.isalpha() and run[1:].islower() and (run.isascii() or SMALL.fullmatch(run)):
        return _word(run, "")[:1]
    if DENSE.match(run) is None:
        return run_terms(run, lambda word: _word(word, "")[:1])[0]
    return tuple(_dense(cluster)[:LONGEST] for cluster in CLUSTER.findall(run))


def terms_of_pair(pair: str) -> tuple[str, ...]:
    """The term of two neighbouring characters with their marks, or of a single one, in an unspaced run; or none."""
    term = _dense(pair)[:LONGEST]
    return (term,) if term else ()


def han_numbers(run: str) -> tuple[str, ...]:
    """The numbers of an unspaced run that are written digit by digit.

    >>> han_numbers("二〇二一年")
    ('2021',)
    """
    return tuple(found.translate(HAN_DIGITS)[:LONGEST] for found in POSITIONAL.findall(run))


def _dense(piece: str) -> str:
    return _clean(unicodedata.normalize("NFKC", piece).casefold())


def _clean(term: str) -> str:
    """Keep only letters, marks, numbers and the decimal point, since NFKC can expand a character to signs."""
    return term.translate(CLEAN)


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
