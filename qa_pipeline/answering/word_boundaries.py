"""Word boundaries of answer spans: no span begins or ends inside a word or a grapheme cluster, in any script.

A reader chooses tokens, and a token's border may stand inside a word. `whole_words` widens a span to its words:

| script | a border is inside a word |
|---|---|
| every script | before a combining mark, a joiner, the second half of a flag or an emoji's part |
| letters with spaces (Latin, Cyrillic, Arabic, Devanagari, …) | between two letters, digits or marks |
| Hebrew | the same, except after prefixes of one letter (ב ה ו כ ל מ ש ד), which are words |
| Korean | the same, except before particles, which are words |
| Katakana | between two katakana |
| Thai, Lao | between a vowel sign and its consonant, whichever comes first |
| Khmer, Burmese | after a sign that stacks the next consonant |
| Han, Hiragana | before a repetition mark or a small kana; a word list would be needed for more |

An apostrophe between letters is inside a word ("O'Brien"), unless it ends an elision ("l'eau") or begins a suffix
("Ankara'da", "Nobel's").
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Literal

import regex

LONGEST_WORD = 80

Kind = Literal["word", "hangul", "katakana", "unspaced", "mark", "none"]

ZWNJ, ZWJ = "\u200c", "\u200d"
JOINERS = ZWNJ + ZWJ + "\u00ad\u2060\ufeff\u034f"
APOSTROPHES = "'’"
GERSHAYIM = "\"״׳'"
VOWELS_BEFORE = "เแโใไเແໂໃໄ"
VOWELS_AFTER = "ะาำๅๆฯະາຳຽໆ"
STACKERS = "\u1039\u17d2\u1a60"
NEVER_FIRST = "々〻ゝゞヽヾーｰゃゅょャュョぁぃぅぇぉァィゥェォヮﾞﾟ"

_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Bopomofo}\p{Yi}]")
_PREFIX = regex.compile(r"[ושהכלבמד]{1,3}")
_GERSHAYIM = regex.compile(rf"\p{{Hebrew}}[{GERSHAYIM}]\p{{Hebrew}}(?!\p{{Hebrew}})")
_ELISION = regex.compile(
    r"(?i)[ldjmtsncç]|qu|lorsqu|puisqu|jusqu|quoiqu|quelqu|presqu"
    r"|(?:d|n|s|c|a|de|ne|su|co)?(?:a|e|o)?ll|un|nessun|quest|quell|dov|cos|anch|com|gl|sant"
)
_SUFFIX = regex.compile(
    r"(?i)s|t|d|m|ll|re|ve|y?[ıiuü]|y?[ae]|n[ıiuü]n?|[ıiuü]n|na|ne|n?[dt][ae](?:n|ki|ydi|ydı|dir|dır)?|y?l[ae]|[dt][ıiuü]r"
    r"|l[ae]r\p{L}*|s[ıiuü](?:n\p{L}*)?|l[ıiuü](?:k\p{L}*)?|c[ae]|n[ae]|ki|nki|ın\p{L}*|in\p{L}*|un\p{L}*|ün\p{L}*"
    r"|ов\p{L}*|ский|а|у|ом|е|и|iin|ään|ssa|ssä|sta|stä|lla|llä|lta|ltä|lle|n|na|nä|ksi|i\p{L}?"
)
_PARTICLES = regex.compile(
    "(?:이|가|은|는|을|를|의|에|에서|서|에게|께서?|한테|로|으로|로서|로써|와|과|이?랑|도|만|까지|부터|마다|조차|마저|밖에|뿐|보다|처럼"
    "|같이|만큼|대로|이?나|이?라도?|이?란|이?며|이?고|이?자|이?지만|이?다|입니다|이?에요|예요|이?었다|였다|였으며|였고|이?었으며|이?었던|였던"
    "|인데?|이던|이?므로|이?어서|여서|이?면|하고|이?든지?|이?야|께|들|들이|님|씨|쯤|경|께서)+"
)


@lru_cache(maxsize=1 << 14)
def kind(character: str) -> Kind:
    """The kind of a character, as the table above has them."""
    category = unicodedata.category(character)
    if category[0] == "M" or character in JOINERS or "\U0001f3fb" <= character <= "\U0001f3ff":
        return "mark"
    if category[0] not in "LN" and character not in "_ー":
        return "none"
    if category == "Nd":
        return "word"
    if _UNSPACED.match(character):
        return "unspaced"
    name = unicodedata.name(character, "")
    return "hangul" if "HANGUL" in name else "katakana" if "KATAKANA" in name else "word"


def inside_cluster(text: str, at: int) -> bool:
    """Whether a border before text[at] would split a grapheme cluster, or a vowel sign from its consonant."""
    if not 0 < at < len(text):
        return False
    after, before = text[at], text[at - 1]
    return (
        kind(after) == "mark"
        or before in JOINERS
        or before in STACKERS
        or after in VOWELS_AFTER
        or before in VOWELS_BEFORE
        or after in NEVER_FIRST
        or "\u1160" <= after <= "\u11ff"
        or (before == "\r" and after == "\n")
        or _inside_flag(text, at)
    )


def inside_word(text: str, at: int) -> bool:
    """Whether a border before text[at] would stand inside a word; clitics are not considered.

    >>> inside_word("Tilde Marrow3", 12), inside_word("l'eau", 2), inside_word("O'Brien", 2)
    (True, False, True)
    """
    if not 0 < at < len(text):
        return False
    if inside_cluster(text, at):
        return True
    before, after = kind(_letter_before(text, at)), kind(text[at])
    if before in ("word", "hangul") and after in ("word", "hangul"):
        return True
    return (before == after == "katakana") or _inside_apostrophe(text, at) or _inside_acronym(text, at)


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen text[start:end] so that it begins and ends with whole words and clusters.

    A word of more than LONGEST_WORD characters, as in encoded data, is widened to its clusters only.
    """
    return _word_start(text, start), _word_end(text, start, end)


def word_end(text: str, at: int) -> int:
    """The end of the word that a border before text[at] stands in, else `at`."""
    stop = at
    while stop - at <= LONGEST_WORD and inside_word(text, stop):
        stop += 1
    return stop


def is_particle(text: str) -> bool:
    """Whether a text is a Korean particle, or several.

    >>> is_particle("에서는"), is_particle("역")
    (True, False)
    """
    return _PARTICLES.fullmatch(unicodedata.normalize("NFC", text)) is not None


def _word_start(text: str, start: int) -> int:
    at = start
    while start - at <= LONGEST_WORD and inside_word(text, at):
        at -= 1
    if start - at > LONGEST_WORD:
        at = start
        while inside_cluster(text, at):
            at -= 1
    elif at < start and not inside_cluster(text, start) and _PREFIX.fullmatch(text, at, start):
        return start
    return at


def _word_end(text: str, start: int, end: int) -> int:
    stop = word_end(text, end)
    if stop - end > LONGEST_WORD:
        stop = end
        while inside_cluster(text, stop):
            stop += 1
    elif stop > end and kind(text[stop - 1]) in ("hangul", "mark"):
        return next((at for at in range(max(end, start + 1), stop) if _before_particle(text, at, stop)), stop)
    return stop


def _before_particle(text: str, at: int, stop: int) -> bool:
    return not inside_cluster(text, at) and is_particle(text[at:stop])


def _letter_before(text: str, at: int) -> str:
    """The last character before `at` that is no combining mark or joiner."""
    at -= 1
    while at > 0 and kind(text[at]) == "mark":
        at -= 1
    return text[at]


def _inside_flag(text: str, at: int) -> bool:
    first = at
    while first > 0 and "\U0001f1e6" <= text[first - 1] <= "\U0001f1ff":
        first -= 1
    return "\U0001f1e6" <= text[at] <= "\U0001f1ff" and (at - first) % 2 == 1


def _inside_apostrophe(text: str, at: int) -> bool:
    mark = at if text[at] in APOSTROPHES else at - 1 if text[at - 1] in APOSTROPHES else None
    if mark is None or not 0 < mark < len(text) - 1:
        return False
    left = regex.search(r"[\p{L}\p{M}]{1,30}$", text, pos=max(0, mark - 30), endpos=mark)
    right = regex.compile(r"[\p{L}\p{M}]{1,30}").match(text, mark + 1)
    if left is None or right is None or kind(text[mark + 1]) != "word" or kind(text[mark - 1]) not in ("word", "mark"):
        return False
    return _ELISION.fullmatch(left[0]) is None and _SUFFIX.fullmatch(right[0]) is None


def _inside_acronym(text: str, at: int) -> bool:
    """Whether the border stands beside the mark of a Hebrew acronym, such as צה"ל."""
    marks = (mark for mark in (at, at - 1) if text[mark] in GERSHAYIM and mark > 0)
    return any(_GERSHAYIM.match(text, mark - 1) for mark in marks)
